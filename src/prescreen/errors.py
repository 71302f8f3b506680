"""What can go wrong, as one tree.

::

    PrescreenError            exit code 1
    ├── UsageError            exit code 2: options that are wrong or do not fit together
    ├── RatingsError          a ratings file that cannot be trusted as it stands
    ├── PictureError          one picture; callers turn it into a row, it never ends a run
    ├── EncoderError          an encoder that cannot work here
    │   └── WeightsNotFound   its weights are not on this machine and cannot be had
    ├── PredictorError        a predictor that cannot be loaded
    │   ├── PredictorNotFound exit code 2: there is none at that place
    │   └── PredictorMismatch a sound predictor that does not fit what it was given
    ├── StoreError            the MLflow store
    └── NothingScored         exit code 3: not one picture could be used

Every message says what was given, what was expected and what to do about it, in one line.
"""

import os
import re
from typing import ClassVar, Final

_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line breaks, marks that turn the direction of writing, and halves of characters."""


def shown(name: str | os.PathLike[str]) -> str:
    """Return a name as one printable line: what cannot be seen or turns what follows becomes an escape."""
    return _UNPRINTABLE.sub(lambda match: ascii(match[0])[1:-1], os.fspath(name))


class PrescreenError(Exception):
    """Base of all errors that prescreen raises on purpose."""

    exit_code: ClassVar[int] = 1


class UsageError(PrescreenError):
    """Options that are wrong or do not fit together."""

    exit_code = 2


class RatingsError(PrescreenError):
    """A ratings file that cannot be trusted as it stands."""


class PictureError(PrescreenError):
    """One picture that cannot be used; its text is the reason in the picture's row."""


class EncoderError(PrescreenError):
    """An encoder that cannot work here."""


class WeightsNotFound(EncoderError):
    """An encoder's weights are not on this machine and cannot be had."""


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
