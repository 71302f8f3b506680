"""Opens the bases of a training: predictors whose predictions on the rated pictures are learned from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prescreen.encoders import PREPROCESSING_VERSION, Encoder, make_encoder
from prescreen.encoders.devices import choose_precision, chosen_device
from prescreen.errors import PredictorMismatch, UsageError
from prescreen.predictor import reproducibility
from prescreen.predictor.predictor import Predictor
from prescreen.predictor.training_portraits import content_keys
from prescreen.progress import ProgressReporter
from prescreen.ratings.reading import Ratings
from prescreen.text import shown
from prescreen.training.dataset import Dataset
from prescreen.training.grouping import group
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

    @property
    def forgetful(self) -> list[Mapping[str, Any]]:
        """What manifests say of those that forget their portraits: of it and its bases, theirs and so on."""
        itself = [self.describe()] if self.predictor.manifest.forgets else []
        return [*itself, *self.predictor.manifest.forgetful]

    def part(self, described: Mapping[str, Any]) -> str:
        """Return how a message calls it, or one of its bases."""
        return (
            "it" if described["fingerprint"] == self.predictor.fingerprint else f"its base {shown(described['name'])}"
        )

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
        If bases cannot be given its vectors.
    """
    views, mirror, precision = options.views, options.mirror, options.precision
    if precision == "auto" and any(base.predictor.manifest.encoder.precision == "f32" for base in bases):
        precision = "f32"
    if options.encoder is None and bases:
        if views is not None or mirror is not None:
            raise UsageError("--views, --mirror: the encoder is that of the base, with its views; leave them out")
        of_base = bases[0].predictor.manifest.encoder
        precision = choose_precision(precision, options.device or chosen_device())
        today = replace(of_base, precision=precision, preprocessing=PREPROCESSING_VERSION)
        encoder = Encoder(today, options.device, bases[0].predictor.beside)
    else:
        name = options.encoder or "clip"
        encoder = make_encoder(name, precision, options.device, views=views, mirror=mirror)
    for base in bases:
        wanted, given = base.predictor.manifest.encoder, encoder.specification
        if wanted.takes(given):
            continue
        if given.precision == "f32":  # which never stands in the way
            wanted = replace(wanted, precision="f32")
        if wanted.options == given.options:
            what, remedy = "is not today's with the same name", "train the base again"
        else:
            what, remedy = f"is another than {given.options}", f"give {wanted.options}"
        raise PredictorMismatch(f"--base {shown(base.place)}: its encoder {what}; {remedy}")
    return encoder


def describe_encoder(options: "TrainingOptions", bases: Sequence[OpenedBase], encoder: Encoder) -> str:
    """Say which encoder a training takes, and why."""
    specification = encoder.specification
    seen = f"; it sees {specification.sees}"
    if specification.name == "bundled" and options.views is None and options.mirror is None:
        seen = ""  # as ever
    name = shown(specification.choice)
    if options.encoder is None:
        return (
            f"{name}, that of the base{seen}"
            if bases
            else f"{name}, the default{seen}; --encoder bundled needs no download"
        )
    own = ": its weights came with the installation" if specification.name == "bundled" else ", as asked for"
    return f"{name}{own}{seen}"


def check_ratings(rated: Ratings, bases: Sequence[OpenedBase]) -> None:
    """Refuse a base that forgets its portraits, or has such a base, and was trained on these ratings.

    Raises
    ------
    UsageError
        What it says of these pictures has seen their ratings, and it cannot tell which pictures those are.
    """
    for base in bases:
        for forgetful in base.forgetful:
            if forgetful["sha256"] == rated.fingerprint:
                raise UsageError(
                    f"--base {shown(base.place)}: {base.part(forgetful)} was trained on these ratings with "
                    "--forget-portraits, so it has no cross-validated predictions of them; train it without "
                    "--forget-portraits, or leave it out"
                )


def known_persons(dataset: Dataset, bases: Sequence[OpenedBase]) -> NDArray[np.bool_]:
    """Tell which pictures look like persons of whom bases have seen other pictures; as far as they hold faces.

    Of these pictures a base has seen no rating, so its cross-validated predictions do not replace what it says of them;
    but it has seen the person's. `docs/bases.md` has what that does to the cross-validated accuracy.
    """
    keys, known = content_keys(dataset.contents), np.zeros(len(dataset.images), dtype=bool)
    for part in (part for base in bases for part in base.predictor.as_base().parts()):
        others = np.flatnonzero(part.portraits.find(keys, dataset.faces) < 0)
        if not len(others) or not len(part.portraits.faces):
            continue
        faces = np.concatenate([dataset.faces[others], part.portraits.faces.astype(np.float32)])
        names = np.concatenate([dataset.persons[others], np.full(len(part.portraits.faces), "")])
        pictures, portraits = np.split(group(faces, names).labels, [len(others)])
        known[others] |= np.isin(pictures, portraits)
    return known


def report_bases(dataset: Dataset, bases: Sequence[OpenedBase], encoder: Encoder, reporter: ProgressReporter) -> None:
    """Report what each base is, what it has seen of the rated pictures, and whether it scores differently now."""
    keys = content_keys(dataset.contents)
    for base in bases:
        predictor, manifest = base.predictor, base.predictor.manifest
        reproducibility.check_reproducibility(predictor, encoder, reporter)
        votes = ", simulated votes" if manifest.simulated else ""
        licence = "" if manifest.licence is None else f"; licence of its ratings: {manifest.licence}"
        reporter.info(f"base       {shown(base.place)}: {', '.join(map(shown, predictor.traits))}{votes}{licence}")
        if weak := predictor.usability.describe():
            reporter.info(f"base       it is itself {weak}")
        found = [part.portraits.find(keys, dataset.faces) >= 0 for part in predictor.as_base().parts()]
        seen = np.any(found, axis=0)
        if seen.any():
            reporter.info(
                f"base       it was trained on {seen.sum()} of the {len(keys)} pictures, or near-copies of them: its "
                "cross-validated predictions are used for these"
            )
        if others := (known_persons(dataset, [base]) & ~seen).sum():
            reporter.info(
                f"base       other pictures of persons that it was trained on: {others} of {len(keys)}; for new "
                "persons the accuracy that follows may be too high"
            )
        for forgetful in base.forgetful:
            reporter.info(
                f"base       {base.part(forgetful)} was told to forget its training portraits: if the rated pictures "
                "are among them, the accuracy that follows is too high"
            )
