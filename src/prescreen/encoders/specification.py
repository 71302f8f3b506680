"""What an encoder is, written down so that two machines can agree on it.

The specification goes into the cache key and into the predictor's manifest. Vectors made under different
specifications are never mixed: whatever can change a vector is in it, and nothing else.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from prescreen.errors import PredictorError
from prescreen.images import decoding, faces, views

PREPROCESSING_VERSION: Final = f"images {decoding.VERSION}, faces {faces.VERSION}, views {views.VERSION}"
"""What the networks see of a picture: it changes with decoding, face finding and the cutting of views."""

READABLE_PREPROCESSING: Final = frozenset({PREPROCESSING_VERSION, "images 2, faces 1, views 1"})
"""Versions whose predictors this one applies: ordinary pictures come out alike to the last bit.

Decoding 2 took HDR pictures, PNGs with a gamma or primaries of their own and some transparent ones for plain sRGB.
"""


@dataclass(frozen=True)
class LayoutSpecification:
    """Activations of one depth of a network that keep where in the view they come from.

    Parameters
    ----------
    name : str
        Where in the network, for instance ``block-18``.
    width : int
        Features of one view.
    views : tuple of str
        Views whose layout goes into the vector; all among those that the network sees.
    """

    name: str
    width: int
    views: tuple[str, ...]


@dataclass(frozen=True)
class MemberSpecification:
    """One network of an encoder and what it looks at.

    Parameters
    ----------
    network : str
        ``efficientnet-lite2``, ``dlib-face`` or ``open_clip:MODEL``.
    weights : str
        Where the weights come from: ``pip:PACKAGE``, ``hub:TAG@REVISION`` (older: without) or ``local:PATH``.
    weights_sha256 : str
        SHA-256 of the weights file (in a local folder: of it and the configuration), in hexadecimal.
    views : tuple of str
        Names of the views that the network sees, in the order of its features.
    side : int
        Width and height of a view in pixels.
    width : int
        Features of one view that are pooled over space.
    layouts : tuple of LayoutSpecification
        Features that are not, in the order in which the network gives them after the pooled ones.
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
    layouts: tuple[LayoutSpecification, ...] = ()
    configuration: str = ""

    @property
    def output_width(self) -> int:
        """Features that the network gives for one view, used or not."""
        return self.width + sum(layout.width for layout in self.layouts)

    @property
    def blocks(self) -> Iterator[tuple[str, str, slice]]:
        """Name, view and columns of the network's output, for each block in the order of the vector."""
        for view in self.views:
            yield f"{self.network}/{view}", view, slice(0, self.width)
        start = self.width
        for layout in self.layouts:
            for view in layout.views:
                yield f"{self.network}/{view}/{layout.name}", view, slice(start, start + layout.width)
            start += layout.width


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
        return sum(columns.stop - columns.start for member in self.members for _, _, columns in member.blocks)

    @property
    def blocks(self) -> Mapping[str, slice]:
        """Named ranges of the feature columns: for each network and view the pooled features and the layouts."""
        blocks, start = {}, 0
        for member in self.members:
            for name, _, columns in member.blocks:
                blocks[name] = slice(start, start := start + columns.stop - columns.start)
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
            found = cls(members=tuple(_member(member) for member in fields.pop("members")), **fields)
            _check(found)
            return found
        except (TypeError, KeyError, ValueError) as error:
            raise PredictorError(f"unreadable encoder specification ({error}): the manifest is damaged") from error


_MOST: Final = 1 << 20
"""Of sides and widths; no network has more."""


def _check(part: EncoderSpecification | MemberSpecification | LayoutSpecification) -> None:
    """Refuse fields of another kind than their annotation, and numbers that cannot be."""
    for field in dataclasses.fields(part):
        found = getattr(part, field.name)
        if field.type in (str, int, bool) and type(found) is not field.type:
            raise TypeError(f"{field.name} is {found!r}")
        if field.type is int and not 0 < found <= _MOST:
            raise ValueError(f"{field.name} is {found}")
        if field.name == "views" and not all(isinstance(view, str) for view in found):
            raise TypeError(f"views are {found!r}")


def _member(content: Mapping[str, Any]) -> MemberSpecification:
    layouts = tuple(LayoutSpecification(**{**layout, "views": tuple(layout["views"])}) for layout in content["layouts"])
    member = MemberSpecification(**{**content, "views": tuple(content["views"]), "layouts": layouts})
    _check(member)
    for layout in layouts:
        _check(layout)
    return member
