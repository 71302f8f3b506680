"""What an encoder is, written down so that two machines can agree on it.

The specification goes into the cache key and into the predictor's manifest. Vectors made under different
specifications are never mixed: whatever can change a vector is in it, and nothing else.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from prescreen import faces, images
from prescreen.encoders import views
from prescreen.errors import PredictorError

PREPROCESSING_VERSION: Final = f"images {images.VERSION}, faces {faces.VERSION}, views {views.VERSION}"
"""What the networks see of a picture: it changes with decoding, face finding and the cutting of views."""


@dataclass(frozen=True)
class MemberSpecification:
    """One network of an encoder and what it looks at.

    Parameters
    ----------
    network : str
        ``efficientnet-lite2``, ``dlib-face`` or ``open_clip:MODEL``.
    weights : str
        Where the weights come from: ``pip:PACKAGE``, ``hub:TAG`` or ``local:PATH``.
    weights_sha256 : str
        SHA-256 of the weights file (in a local folder: of it and the configuration), in hexadecimal.
    views : tuple of str
        Names of the views that the network sees, in the order of its features.
    side : int
        Width and height of a view in pixels.
    width : int
        Features of one view.
    configuration : str
        SHA-256 of what else decides the features, where weights alone do not: for open_clip models the architecture
        (its activation, say) and the normalisation of pixels.
    """

    network: str
    weights: str
    weights_sha256: str
    views: tuple[str, ...]
    side: int
    width: int
    configuration: str = ""


@dataclass(frozen=True)
class EncoderSpecification:
    """Everything that decides what vector a picture gets.

    Parameters
    ----------
    name : str
        What the user wrote after ``--encoder``.
    members : tuple of MemberSpecification
        Networks in the order of their features.
    mirror : bool
        Whether features are the mean over the picture and its mirror.
    precision : str
        Arithmetic of the networks, for instance ``f32``.
    preprocessing : str
        Versions of decoding, face finding and views.
    """

    name: str
    members: tuple[MemberSpecification, ...]
    mirror: bool = True
    precision: str = "f32"
    preprocessing: str = PREPROCESSING_VERSION

    @property
    def dimension(self) -> int:
        """Number of features."""
        return sum(member.width * len(member.views) for member in self.members)

    @property
    def blocks(self) -> Mapping[str, slice]:
        """Named ranges of the feature columns, one for each network and view."""
        blocks, start = {}, 0
        for member in self.members:
            for view in member.views:
                blocks[f"{member.network}/{view}"] = slice(start, start + member.width)
                start += member.width
        return blocks

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything but the name and where the weights were found."""
        content = self.to_json()
        del content["name"]
        for member in content["members"]:
            del member["weights"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary for a manifest."""
        content: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises
        ------
        PredictorError
            If fields are missing, unknown or of another type.
        """
        try:
            fields = dict(content)
            members = tuple(MemberSpecification(**{**m, "views": tuple(m["views"])}) for m in fields.pop("members"))
            return cls(members=members, **fields)
        except (TypeError, KeyError, ValueError) as error:
            raise PredictorError(f"unreadable encoder specification ({error}): the manifest is damaged") from error
