"""What can go wrong, as one tree.

::

    PrescreenError            exit code 1
    ├── UsageError            exit code 2: options that are wrong or do not fit together
    ├── RatingsError          a ratings file that cannot be trusted as it stands
    ├── PictureError          one picture; callers turn it into a row, it never ends a run
    ├── EncoderError          an encoder that cannot work here
    │   └── WeightsNotFound   its weights are not on this machine and not available
    ├── PredictorError        a predictor that cannot be loaded
    │   ├── PredictorNotFound exit code 2: there is none at that place
    │   └── PredictorMismatch a sound predictor that does not fit what it was given
    ├── StoreError            the MLflow store
    └── NothingScored         exit code 3: not one picture could be used

Every message says what was given, what was expected and what to do about it, in one line.
"""

from enum import StrEnum
from typing import ClassVar


class PrescreenError(Exception):
    """Base of all errors that prescreen raises on purpose."""

    exit_code: ClassVar[int] = 1


class UsageError(PrescreenError):
    """Options that are wrong or do not fit together."""

    exit_code = 2


class RatingsError(PrescreenError):
    """A ratings file that cannot be trusted as it stands."""


class PictureFault(StrEnum):
    """Why pictures cannot be used, in as many words as fit into a count of them; the reason in a row says more."""

    UNREADABLE = "not readable"
    EMPTY = "empty"
    UNSUPPORTED = "unsupported format"
    TRUNCATED = "truncated"
    DAMAGED = "damaged"
    TOO_LARGE = "too large"
    LINK = "outside the folder"
    GIVEN_UP = "too much work for the decoder"
    COLOURS = "unknown colours"
    HEIC = "HEIC (pip install 'portrait-prescreen[heic]')"


class PictureError(PrescreenError):
    """One picture that cannot be used; its text is the reason in the picture's row.

    Parameters
    ----------
    reason : str
        One line.
    fault : PictureFault
        What it is counted as.
    """

    def __init__(self, reason: str, fault: PictureFault = PictureFault.UNREADABLE) -> None:
        super().__init__(reason)
        self.fault = fault


class EncoderError(PrescreenError):
    """An encoder that cannot work here."""


class WeightsNotFound(EncoderError):
    """An encoder's weights are not on this machine and not available."""


class PredictorError(PrescreenError):
    """A predictor that cannot be loaded."""


class PredictorNotFound(PredictorError):
    """There is no predictor at the place that was named."""

    exit_code = 2


class PredictorMismatch(PredictorError):
    """A sound predictor that does not fit what it was given."""


class StoreError(PrescreenError):
    """The MLflow store cannot be used."""


class NothingScored(PrescreenError):
    """Not one picture could be scored."""

    exit_code = 3
