"""Encoders turn a picture and its face into a vector.

An encoder has one or more networks. Each sees views of the picture and, where the specification says so, of its mirror
image; the features of both are averaged, and those of all views and networks are concatenated. Every encoder includes
dlib's face network, because its descriptor also tells whether two pictures show the same person. That one always sees
mirror images: it costs little, and descriptors of all encoders can be compared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from prescreen.encoders import clip
from prescreen.encoders.bundled import EFFICIENTNET, FACE, BundledNetwork
from prescreen.encoders.clip_tables import FORMS
from prescreen.encoders.devices import Network, check_name, choose_precision, chosen_device, computable
from prescreen.encoders.specification import (
    PRECISIONS,
    PREPROCESSING_VERSION,
    READABLE_PREPROCESSING,
    EncoderSpecification,
    MemberSpecification,
    split_name,
)
from prescreen.errors import PredictorMismatch, UsageError, WeightsNotFound
from prescreen.images.views import BOXES, RESAMPLING, Pixels, View
from prescreen.text import unknown_name

IDENTITY_BLOCK: Final = f"{FACE.network}/chip"
"""The face descriptor: its Euclidean distances tell persons apart; see `prescreen.encoders.bundled`."""

IDENTITY_WIDTH: Final = FACE.width

VIEWS: Final = EFFICIENTNET.views
"""Views that ``--views`` chooses from."""

KNOWN: Final = ("bundled", "clip", "clip:large", *FORMS)
"""What ``--encoder`` may be."""


class Encoder:
    """Turns pictures into vectors; its networks are loaded at the first use.

    Parameters
    ----------
    specification : EncoderSpecification
        What the encoder is, or that of a predictor which needs vectors.
    device : str, optional
        What its networks run on, one of `prescreen.encoders.devices.DEVICES`; by default ``PRESCREEN_DEVICE`` or
        ``auto``.
    beside : sequence of Path
        Folders where weights may be that are not in their place, see `prescreen.encoders.weights_search`.

    Attributes
    ----------
    specification : EncoderSpecification
        That of its vectors, under which the cache keeps them: the one given or, where its precision is ``bf16`` and the
        device does not compute that fast, the same in ``f32``.

    Raises
    ------
    PredictorMismatch
        If the specification has a preprocessing or precision that this version of prescreen does not support.
    UsageError
        If there is no such device.
    """

    def __init__(
        self, specification: EncoderSpecification, device: str | None = None, beside: Sequence[Path] = ()
    ) -> None:
        device = device or chosen_device()
        check_name(device)
        self.device = device
        if specification.preprocessing not in READABLE_PREPROCESSING:
            raise PredictorMismatch(
                f"encoder {specification.name}: made with preprocessing ({specification.preprocessing}), this version "
                f"of prescreen has ({PREPROCESSING_VERSION}); train again or install the version that made it"
            )
        if specification.precision not in PRECISIONS:
            raise PredictorMismatch(
                f"encoder {specification.name}: precision {specification.precision!r} is unknown to this version of "
                "prescreen; train again or install the version that made it"
            )
        self.specification = replace(specification, precision=computable(specification.precision, device))
        precision = self.specification.precision
        self._networks = [_network(member, precision, device, beside) for member in specification.members]
        self._views = {
            m.network: [View(name, m.side, m.interpolation) for name in m.views] for m in specification.members
        }

    def load(self) -> None:
        """Load all networks, so that anything missing is known before the first picture is read."""
        for network in self._networks:
            network.load()

    @property
    def must_convert(self) -> bool:
        """Whether loading converts some network for this machine first, which takes up to a minute."""
        return any(network.must_convert for network in self._networks)

    @property
    def views(self) -> tuple[View, ...]:
        """All views that the networks need."""
        return tuple(dict.fromkeys(view for views in self._views.values() for view in views))

    def encode(self, pictures: Sequence[Mapping[View, Pixels]]) -> NDArray[np.float16]:
        """Turn the views of n pictures into vectors.

        The cache keeps half precision; rounding here makes new vectors equal to cached ones.

        Returns
        -------
        ndarray of float16, shape (n, dimension)
        """
        columns = []
        for network in self._networks:
            views = self._views[network.specification.network]
            pixels = np.stack([picture[view] for picture in pictures for view in views])
            if self.specification.mirror or network.specification.network == FACE.network:
                both = network(np.concatenate([pixels, pixels[:, :, ::-1]]))
                features = (both[: len(pixels)] + both[len(pixels) :]) * np.float32(0.5)
            else:
                features = network(pixels)
            features = features.reshape(len(pictures), len(views), -1)
            places = {view.name: place for place, view in enumerate(views)}
            columns += [features[:, places[view], block] for _, view, block in network.specification.blocks]
        return np.concatenate(columns, axis=1).astype(np.float16)


def make_encoder(
    name: str,
    precision: str = "auto",
    device: str | None = None,
    *,
    views: Sequence[str] | None = None,
    mirror: bool | None = None,
    texts: bool = False,
) -> Encoder:
    """Make an encoder by its name.

    Parameters
    ----------
    name : str
        ``bundled``, ``clip``, ``clip:large``, ``clip:MODEL/PRETRAINED``, ``clip:MODEL@PATH``,
        ``clip:MODEL/PRETRAINED@PATH``, or several joined by ``+``.
    precision : str
        Arithmetic of the networks: ``f32``, ``bf16`` where the device computes it fast, or ``auto``, which is the
        second of these where it can be. The specification has the one that was chosen.
    device : str, optional
        As in `Encoder`.
    views : sequence of str, optional
        Which of `VIEWS` the networks see, without the face network, which has its own; by default all four with
        ``bundled``, and `prescreen.encoders.clip.VIEWS` with CLIP.
    mirror : bool, optional
        Whether they also see mirror images, at twice the cost, as the face network always does; by default not.
    texts : bool
        Whether pictures will be compared with texts: what that needs is checked before weights are fetched.

    Raises
    ------
    UsageError
        If there is no such encoder, view, precision or device.
    EncoderError
        If this machine has no such device, or the device lacks the precision.
    WeightsNotFound
        If its weights are not on this machine and cannot be fetched.
    """
    precision = choose_precision(precision, device or chosen_device())
    seen = None if views is None else _in_order(views)
    members: list[MemberSpecification] = []
    names: list[str] = []
    for part in split_name(name):
        kind, _, choice = part.partition(":")
        if kind == "clip" and (choice or part == "clip"):
            choice = clip.NAMES.get(choice, choice)
            try:
                members.append(clip.describe(choice, seen or clip.VIEWS, texts=texts))
            except WeightsNotFound as error:
                other = "" if texts else ", or use --encoder bundled"  # which knows no texts
                either = "" if "@" in choice else "or "  # the hub's errors have a remedy
                raise WeightsNotFound(f"{error}; {either}name a file with --encoder clip:MODEL@PATH{other}") from error
            names.append(f"clip:{choice}")
        elif part == "bundled":
            members.append(EFFICIENTNET if seen is None else _only(EFFICIENTNET, seen))
            names.append(part)
        else:
            raise UsageError(unknown_name(part, KNOWN, "encoder"))
    if len({member.network for member in members}) < len(members):
        raise UsageError(f"encoder {name}: the same network is named twice")
    specification = EncoderSpecification("+".join(names), (*members, FACE), mirror=bool(mirror), precision=precision)
    return Encoder(specification, device)


def _in_order(views: Sequence[str]) -> tuple[str, ...]:
    """Return the views in the order of `VIEWS`, so that the same ones give the same specification."""
    if not views:
        raise UsageError(f"no views; expected some of {', '.join(VIEWS)}")
    for view in views:
        if view not in VIEWS:
            raise UsageError(unknown_name(view, VIEWS, "view"))
    return tuple(view for view in VIEWS if view in views)


def _only(member: MemberSpecification, views: tuple[str, ...]) -> MemberSpecification:
    """Return a network that sees only some of its views."""
    layouts = (replace(lay, views=tuple(view for view in lay.views if view in views)) for lay in member.layouts)
    return replace(member, views=views, layouts=tuple(layouts))


def _network(member: MemberSpecification, precision: str, device: str, beside: Sequence[Path]) -> Network:
    parts = (member.pooled, *(layout.views for layout in member.layouts))
    for names, known in [(member.views, {"whole", *BOXES}), *((part, {*member.views}) for part in parts)]:
        if unknown := set(names) - known:
            raise PredictorMismatch(f"unknown view {min(unknown)!r}: made by another version of prescreen")
    if member.interpolation not in RESAMPLING:
        raise PredictorMismatch(f"unknown interpolation {member.interpolation!r}: made by another version of prescreen")
    if member.network.startswith(clip.PREFIX):
        return clip.ClipNetwork(member, precision, device, beside)
    if member.network in (EFFICIENTNET.network, FACE.network):
        return BundledNetwork(member, precision, device)
    raise PredictorMismatch(f"unknown network {member.network!r}: made by another version of prescreen")
