"""The specification of an encoder: everything that can change a vector, and nothing else.

It is part of the cache key and of the predictor's manifest. Vectors of different specifications are never mixed; a
predictor may be given those of another only as `EncoderSpecification.takes` says.
"""

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from prescreen.errors import PredictorError
from prescreen.images import decoding, faces, views
from prescreen.text import shown

PREPROCESSING_VERSION: Final = f"images {decoding.VERSION}, faces {faces.VERSION}, views {views.VERSION}"
"""Versions of decoding, face finding and cutting of views, which decide what the networks see of a picture."""

PRECISIONS: Final = ("f32", "bf16")

READABLE_PREPROCESSING: Final = frozenset({PREPROCESSING_VERSION})
"""Versions whose predictors this one applies. An older one may be added where scores of ordinary pictures move by less
than 0.05 points."""


def split_name(name: str) -> list[str]:
    """Return the networks that ``--encoder`` names.

    Examples
    --------
    >>> split_name("clip:tiny@a+b.safetensors+bundled")
    ['clip:tiny@a+b.safetensors', 'bundled']
    """
    return re.split(r"\+(?=bundled|clip)", name)


@dataclass(frozen=True)
class LayoutSpecification:
    """Activations at one depth of a network, pooled over a coarse grid instead of the whole view.

    Parameters
    ----------
    name : str
        Depth in the network, for instance ``block-18``.
    width : int
        Features of one view.
    views : tuple of str
        Views whose layout is part of the vector; the network sees them all.
    """

    name: str
    width: int
    views: tuple[str, ...]


@dataclass(frozen=True)
class MemberSpecification:
    """One network of an encoder and the views that it sees.

    Parameters
    ----------
    network : str
        ``efficientnet-lite2``, ``dlib-face`` or ``open_clip:MODEL``.
    weights : str
        Source of the weights: ``pip:PACKAGE``, ``hub:TAG@REVISION`` (older: ``hub:TAG``) or ``local:PATH``.
    weights_sha256 : str
        SHA-256 of the weights file (in a local folder: of it and the configuration), in hexadecimal.
    views : tuple of str
        Views that the network sees, in the order of its features.
    side : int
        Width and height of a view in pixels.
    width : int
        Features of one view that are pooled over space.
    layouts : tuple of LayoutSpecification
        Features that are not, in the order of the network's output after the pooled ones.
    configuration : str
        For open_clip models, SHA-256 of the architecture and of the normalisation of pixels, which also decide the
        features.
    interpolation : str
        How the whole picture is scaled, one of `prescreen.images.views.RESAMPLING`.
    pooled : tuple of str
        Views whose features over the whole view are part of the vector; all views if it is empty.
    """

    network: str
    weights: str
    weights_sha256: str
    views: tuple[str, ...]
    side: int
    width: int
    layouts: tuple[LayoutSpecification, ...] = ()
    configuration: str = ""
    interpolation: str = "bicubic"
    pooled: tuple[str, ...] = ()

    @property
    def output_width(self) -> int:
        """Features of one view in the network's output, used or not."""
        return self.width + sum(layout.width for layout in self.layouts)

    @property
    def blocks(self) -> Iterator[tuple[str, str, slice]]:
        """Name, view and columns of the network's output, for each block in the order of the vector."""
        for view in self.pooled or self.views:
            yield f"{self.network}/{view}", view, slice(0, self.width)
        start = self.width
        for layout in self.layouts:
            for view in layout.views:
                yield f"{self.network}/{view}/{layout.name}", view, slice(start, start + layout.width)
            start += layout.width


@dataclass(frozen=True)
class EncoderSpecification:
    """Everything that decides the vector of a picture.

    Parameters
    ----------
    name : str
        The value of ``--encoder`` at training; see `choice`.
    members : tuple of MemberSpecification
        Networks in the order of their features.
    mirror : bool
        Whether features are the mean over the picture and its mirror. Those of the face network always are.
    precision : str
        Arithmetic of the networks, ``f32`` or ``bf16``.
    preprocessing : str
        Versions of decoding, face finding and views.
    """

    name: str
    members: tuple[MemberSpecification, ...]
    mirror: bool = True
    precision: str = "f32"
    preprocessing: str = PREPROCESSING_VERSION

    @property
    def choice(self) -> str:
        """The ``--encoder`` that names these networks: ``clip`` alone has not always meant the same."""
        parts = split_name(self.name)
        for place, member in enumerate(self.members[: len(parts)]):
            if parts[place] == "clip":
                tag = member.weights.removeprefix("hub:").partition("@")[0]
                parts[place] = f"clip:{member.network.removeprefix('open_clip:')}/{tag}"
        return "+".join(parts)

    @property
    def sees(self) -> str:
        """What the networks see of a picture, for people: ``whole, face, each with its mirror image``."""
        seen = " and ".join(f"{', '.join(views)} ({network})" for network, views in self._views.items())
        if len(set(self._views.values())) == 1:
            seen = ", ".join(self.members[0].views)
        return seen + (", each with its mirror image" if self.mirror else "")

    @property
    def _views(self) -> Mapping[str, tuple[str, ...]]:
        """Views of each network that may be chosen, or of the face network where it is alone."""
        return {member.network: member.views for member in self.members[:-1] or self.members}

    @property
    def options(self) -> str:
        """The options of ``prescreen train`` that ask for this encoder: without views where networks have their own."""
        mirror = "--mirror" if self.mirror else "--no-mirror"
        same = len(set(self._views.values())) == 1
        views = f"--views {','.join(self.members[0].views)} " if same else ""
        return f"--encoder {shown(self.choice)} {views}{mirror} --precision {self.precision}"

    @property
    def dimension(self) -> int:
        """Number of features."""
        return sum(columns.stop - columns.start for member in self.members for _, _, columns in member.blocks)

    @property
    def blocks(self) -> Mapping[str, slice]:
        """Columns of the vector by name: for each network and view the pooled features and the layouts."""
        blocks, start = {}, 0
        for member in self.members:
            for name, _, columns in member.blocks:
                blocks[name] = slice(start, start := start + columns.stop - columns.start)
        return blocks

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything except the name and the source of the weights."""
        content = self.to_json()
        del content["name"]
        for member in content["members"]:
            del member["weights"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def fingerprints(self) -> frozenset[str]:
        """Fingerprints of this encoder in every precision."""
        return frozenset(dataclasses.replace(self, precision=each).fingerprint for each in PRECISIONS)

    def takes(self, vectors: "EncoderSpecification") -> bool:
        """Tell whether a predictor of this encoder may be given vectors of another: its own, or the same in ``f32``."""
        return vectors.fingerprint in (self.fingerprint, dataclasses.replace(self, precision="f32").fingerprint)

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
            found = cls(**{**content, "members": tuple(map(_member, content["members"]))})
            _check(found)
            return found
        except (TypeError, KeyError, ValueError) as error:
            raise PredictorError(f"unreadable encoder specification ({error}): the manifest is damaged") from error


_MAX_SIZE: Final = 1 << 20
"""Of sides and widths."""


def _check(part: EncoderSpecification | MemberSpecification | LayoutSpecification) -> None:
    """Refuse fields of another type than annotated, and impossible numbers."""
    for field in dataclasses.fields(part):
        found = getattr(part, field.name)
        if field.type in (str, int, bool) and type(found) is not field.type:
            raise TypeError(f"{field.name} is {found!r}")
        if field.type is int and not 0 < found <= _MAX_SIZE:
            raise ValueError(f"{field.name} is {found}")
        if field.name in ("views", "pooled") and not all(isinstance(view, str) for view in found):
            raise TypeError(f"{field.name} are {found!r}")


def _member(content: Mapping[str, Any]) -> MemberSpecification:
    layouts = tuple(LayoutSpecification(**{**layout, "views": tuple(layout["views"])}) for layout in content["layouts"])
    views, pooled = tuple(content["views"]), tuple(content.get("pooled", ()))
    member = MemberSpecification(**{**content, "views": views, "pooled": pooled, "layouts": layouts})
    _check(member)
    for layout in layouts:
        _check(layout)
    return member
