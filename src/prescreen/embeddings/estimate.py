"""How long embedding will take on this machine, from a second's measurement."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from prescreen.embeddings.workers import Workers, shared_workers
from prescreen.encoders import Encoder
from prescreen.encoders.devices import resolve
from prescreen.errors import PictureError
from prescreen.images.files import ImageFile, read_bytes
from prescreen.settings import processors

_MEASURED: Final = 1.0
"""Seconds that the networks are measured for."""
_SHARE: Final = 0.05
"""... or this share of what they will take, if that is less."""
_READ: Final = 4
"""Pictures that are decoded for the measurement."""
_BATCH: Final = 16
"""Views in a batch that keeps every device busy; processors take four at a time."""


@dataclass(frozen=True)
class Estimate:
    """What embedding takes.

    Parameters
    ----------
    pictures : int
        How many.
    networks : float
        Seconds of the networks a picture, on the whole device.
    reading : float
        Seconds a picture for decoding, finding the face and cutting views, in one process; 0 if it was not measured.
    on_card : bool
        Whether the networks leave the processors to the decoding.
    """

    pictures: int
    networks: float
    reading: float
    on_card: bool

    @property
    def seconds(self) -> float:
        """Wall-clock time in seconds."""
        reading = self.reading / processors()
        return self.pictures * (max(self.networks, reading) if self.on_card else self.networks + reading)

    def with_share(self, share: float) -> "Estimate":
        """Return the estimate for networks that take a share of the time."""
        return replace(self, networks=self.networks * share)

    def text(self) -> str:
        """Return the time for people.

        Examples
        --------
        >>> [Estimate(1, seconds, 0.0, True).text() for seconds in (4.2, 44, 840, 6100)]
        ['5 seconds', '45 seconds', '14 minutes', '1.7 hours']
        """
        if self.seconds < 90:
            return f"{max(5, 5 * round(self.seconds / 5))} seconds"
        if self.seconds < 5400:
            return f"{self.seconds / 60:.0f} minutes"
        return f"{self.seconds / 3600:.1f} hours"


def estimate(
    encoder: Encoder, pictures: int, files: Sequence[ImageFile] = (), *, workers: Workers | None = None
) -> Estimate:
    """Measure for about a second how fast this machine embeds; loads the networks.

    Other work on the machine slows it down now, and counts as if it went on.

    Parameters
    ----------
    encoder : Encoder
        What embeds.
    pictures : int
        How many are to be embedded.
    files : sequence of ImageFile
        Some of them, of which the first few are decoded. Without any, the time of the networks is all that is told.
    workers : Workers, optional
        Where pictures are decoded; by default the workers of this process.

    Raises
    ------
    WeightsNotFound, EncoderError
        As from `Encoder.load`.
    """
    encoder.load()
    networks = _time_networks(encoder, pictures)
    reading = _time_reading(encoder, files, workers or shared_workers()) if files else 0.0
    return Estimate(pictures, networks, reading, resolve(encoder.device) != "cpu")


def _time_networks(encoder: Encoder, pictures: int) -> float:
    """Return seconds a picture; the first batch is slower and counts only where it takes the whole time."""
    views = {view: np.zeros((view.side, view.side, 3), np.uint8) for view in encoder.views}
    most = max(len(m.views) for m in encoder.specification.members) * (1 + encoder.specification.mirror)
    batch = [views] * max(1, _BATCH // most)
    began = time.perf_counter()
    encoder.encode(batch)
    taken, done = time.perf_counter() - began, len(batch)
    enough = min(_MEASURED, _SHARE * pictures * taken / done)
    if taken < enough:
        began, done, taken = time.perf_counter(), 0, 0.0
        while taken < enough:
            encoder.encode(batch)
            done += len(batch)
            taken = time.perf_counter() - began
    return taken / done


def _time_reading(encoder: Encoder, files: Sequence[ImageFile], workers: Workers) -> float:
    """Return the mean seconds a picture; the first one starts a worker and does not count."""
    taken = []
    for file in files[: _READ + 1]:
        began = time.perf_counter()
        try:
            workers.inspect(read_bytes(file), encoder.views, tolerant=True)
        except PictureError:  # said when its turn comes
            continue
        taken.append(time.perf_counter() - began)
    return float(np.mean(taken[1:])) if len(taken) > 1 else 0.0
