"""Opens the bases of a training: predictors whose predictions on the rated pictures are learned from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from prescreen.encoders import Encoder, make_encoder
from prescreen.errors import PredictorMismatch, UsageError
from prescreen.predictor import reproducibility
from prescreen.predictor.predictor import Predictor
from prescreen.predictor.training_portraits import content_keys
from prescreen.progress import ProgressReporter
from prescreen.ratings.reading import Ratings
from prescreen.text import shown
from prescreen.training.dataset import Dataset
from prescreen.workflow.inputs import load_predictor, resolve_model_uri

if TYPE_CHECKING:
    from prescreen.workflow.train import TrainingOptions


@dataclass(frozen=True)
class OpenedBase:
    """A predictor that is learned from, and the place that it was loaded from."""

    place: str
    predictor: Predictor

    @property
    def holds_portraits(self) -> bool:
        """Whether its part in another predictor holds anything of single portraits."""
        return any(len(part.portraits.keys) or part.regressors.rows_held for part in self.predictor.as_base().parts())

    def describe(self) -> dict[str, Any]:
        """Return what a manifest says of it."""
        return self.predictor.manifest.as_base(self.predictor.fingerprint)


def open_bases(options: "TrainingOptions") -> list[OpenedBase]:
    """Load the bases.

    Raises
    ------
    UsageError
        If one is named twice, or holds portraits where the new predictor must not.
    """
    bases: list[OpenedBase] = []
    for place in options.bases:
        base = OpenedBase(resolve_model_uri(place), load_predictor(place))
        if any(base.predictor.fingerprint == other.predictor.fingerprint for other in bases):
            raise UsageError(f"--base {shown(place)}: the same predictor is named twice; name each one once")
        if options.forget_portraits and base.holds_portraits:
            raise UsageError(
                f"--base {shown(place)}: it holds vectors of the portraits that it was trained on, and "
                "--forget-portraits allows none; train the base with --forget-portraits too"
            )
        bases.append(base)
    return bases


def make_training_encoder(options: "TrainingOptions", bases: Sequence[OpenedBase]) -> Encoder:
    """Make the encoder of a training, by default that of the first base, or CLIP.

    Raises
    ------
    PredictorMismatch
        If it is not that of every base.
    """
    usual = bases[0].predictor.manifest.encoder.name if bases else "clip"
    encoder = make_encoder(options.encoder or usual, options.precision, options.device)
    for base in bases:
        wanted, given = base.predictor.manifest.encoder, encoder.specification
        if wanted.fingerprint == given.fingerprint:
            continue
        has, this = (f"{shown(found.name)} ({found.precision})" for found in (wanted, given))
        remedy = f"give --encoder {shown(wanted.name)} --precision {wanted.precision}"
        if has == this:
            has, this, remedy = f"other networks than today's {this}", "today's", "train the base again"
        raise PredictorMismatch(
            f"--base {shown(base.place)}: its encoder is {has}, that of this training {this}; {remedy}"
        )
    return encoder


def check_ratings(rated: Ratings, bases: Sequence[OpenedBase]) -> None:
    """Refuse a base that forgets its portraits and was trained on these ratings.

    Raises
    ------
    UsageError
        What it says of these pictures has seen their ratings, and it cannot tell which pictures those are.
    """
    for base in bases:
        manifest = base.predictor.manifest
        if manifest.forgets and manifest.data["sha256"] == rated.fingerprint:
            raise UsageError(
                f"--base {shown(base.place)}: trained on these ratings with --forget-portraits, so it has no "
                "cross-validated predictions of them; train the base without --forget-portraits, or leave it out"
            )


def report_bases(dataset: Dataset, bases: Sequence[OpenedBase], encoder: Encoder, reporter: ProgressReporter) -> None:
    """Report what each base is, what it has seen of the rated pictures, and whether it scores differently now."""
    keys = content_keys(dataset.contents)
    for base in bases:
        predictor, manifest = base.predictor, base.predictor.manifest
        reproducibility.check_reproducibility(predictor, encoder, reporter)
        votes = ", simulated votes" if manifest.simulated else ""
        licence = "" if manifest.licence is None else f"; licence of its ratings: {manifest.licence}"
        reporter.info(f"base       {shown(base.place)}: {', '.join(map(shown, predictor.traits))}{votes}{licence}")
        found = [part.portraits.find(keys, dataset.faces) >= 0 for part in predictor.as_base().parts()]
        if seen := np.any(found, axis=0).sum():
            reporter.info(
                f"base       it was trained on {seen} of the {len(keys)} pictures, or near-copies of them: its "
                "cross-validated predictions are used for these"
            )
        elif not base.holds_portraits:
            reporter.info(
                "base       it was told to forget its training portraits: if the rated pictures are among them, the "
                "accuracy that follows is too high"
            )
