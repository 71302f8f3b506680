"""The rating files of a training: what belongs to each of them, and those beyond the first, read and joined."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from prescreen.encoders import Encoder
from prescreen.errors import UsageError
from prescreen.progress import ProgressReporter
from prescreen.ratings.licences import LICENCES
from prescreen.ratings.reading import Ratings, UnusableTraits, read_ratings
from prescreen.ratings.scale import Scale
from prescreen.text import shown
from prescreen.training.dataset import Dataset, join
from prescreen.training.other_ratings import with_others
from prescreen.workflow.inputs import embed_inputs, rated_images, report_ratings

if TYPE_CHECKING:
    from prescreen.workflow.train import TrainingOptions

T = TypeVar("T")


@dataclass(frozen=True)
class RatingsFile:
    """A rating file, and how to read it.

    Parameters
    ----------
    ratings, images, traits, columns, scale
        As in `prescreen.workflow.train.TrainingOptions`.
    """

    ratings: Path
    images: Path | None = None
    traits: Mapping[str, str] | None = None
    columns: Mapping[str, str] | None = None
    scale: Scale | None = None


def in_step(
    ratings: Sequence[Path],
    *,
    images: Sequence[Path | None] = (),
    traits: Sequence[Mapping[str, str] | None] = (),
    columns: Sequence[Mapping[str, str] | None] = (),
    scale: Sequence[Scale | None] = (),
) -> tuple[RatingsFile, ...]:
    """Pair rating files with what was given for each of them, in the same order.

    What was given once is for all files, but not for folders after the first one, which have their own pictures and
    scale; a folder of pictures that was given once is not for the first one either, if a file follows. Traits that were
    given once are those of the first.

    Raises
    ------
    UsageError
        If something was given more than once and not as often as ratings.
    """
    folders = [path.is_dir() for path in ratings]
    own = [place > 0 and folder for place, folder in enumerate(folders)]
    first_only = [place > 0 for place in range(len(ratings))]
    parts = zip(
        ratings,
        _for_each("--images", images, own if all(folders) else folders),
        _for_each("--traits", traits, first_only),
        _for_each("--columns", columns, own),
        _for_each("--scale", scale, own),
        strict=True,
    )
    return tuple(RatingsFile(*part) for part in parts)


def _for_each(option: str, values: Sequence[T], own: Sequence[bool]) -> list[T | None]:
    """Return a value for each file; a single one is not for those that have their own."""
    if len(values) <= 1:
        (value,) = values or (None,)
        return [None if has else value for has in own]
    if len(values) != len(own):
        times = f"{len(own)} time{'s' * (len(own) > 1)}"
        raise UsageError(
            f"{option} is given {len(values)} times, --ratings {times}; give {option} once for "
            f"{'the first' if option == '--traits' else 'all'}, or once for each --ratings in the same order"
        )
    return list(values)


def check_others(options: "TrainingOptions") -> None:
    """Refuse options that do not go with several rating files."""
    if options.others and options.forget_portraits:
        other = shown(options.others[0].ratings)
        raise UsageError(
            "--forget-portraits: goes with one --ratings only; train a predictor on "
            f"{other} with --forget-portraits, and give it as --base"
        )


def read_others(options: "TrainingOptions", first: Ratings, reporter: ProgressReporter) -> list[Ratings]:
    """Read the rating files beyond the first; of its own file what it does not learn itself.

    Traits that cannot be learned are left out of those that were not chosen by name.

    Raises
    ------
    UsageError
        If a file is given twice.
    """
    known = [(first.fingerprint, frozenset((options.traits or dict.fromkeys(first.traits)).keys()))]
    learned = set((options.traits or {trait: trait for trait in first.traits}).values())
    read = []
    for file in options.others:
        traits = file.traits
        rated = _read(file, traits, options.leave_out_raters, reporter)
        if rated.fingerprint == first.fingerprint and traits is None:
            traits = {trait: trait for trait in rated.traits if trait not in learned}
            rated = _read(file, traits, options.leave_out_raters, reporter) if traits else rated
        key = (rated.fingerprint, frozenset(rated.traits))
        if key in known or traits == {}:
            raise UsageError(f"--ratings {shown(file.ratings)}: the same ratings are given twice; give them once")
        known.append(key)
        report_ratings(rated, reporter, f"helped by  {shown(file.ratings)}: ")
        if licence := LICENCES.get(rated.format):
            reporter.info(f"helped by  {shown(file.ratings)}: licence of its ratings: {licence}")
        read.append(rated)
    return read


def _read(
    file: RatingsFile, traits: Mapping[str, str] | None, leave_out_raters: bool, reporter: ProgressReporter
) -> Ratings:
    try:
        return read_ratings(
            file.ratings,
            traits,
            file.scale,
            file.images,
            columns=file.columns,
            leave_out_raters=leave_out_raters,
        )
    except UnusableTraits as error:
        if file.traits is not None or not error.others:
            raise
        reporter.info(f"helped by  {error.fault}: left out")
        return _read(file, error.others, leave_out_raters, reporter)


def join_others(
    dataset: Dataset,
    first: Ratings,
    others: Sequence[Ratings],
    encoder: Encoder,
    seed: int,
    reporter: ProgressReporter,
) -> Dataset:
    """Embed the pictures of the other files, and learn from their ratings as well."""
    parts = []
    for rated in others:
        embedded = embed_inputs(
            rated_images(rated), encoder, reporter, title=f"embedding for {shown(rated.source.name)}"
        )
        parts.append(join(rated, list(embedded), encoder.specification))
    joined = with_others(dataset, parts, seed)
    for rated, other in zip(others, joined.others, strict=True):
        shared = np.isin(other.data.groups, joined.groups).sum()
        if shared:
            reporter.info(
                f"helped by  {shown(rated.source)}: persons of {shown(first.source)} are on {shared} of its "
                f"{len(other.data.images)} pictures, too; those ratings never predict those persons"
            )
    return joined


def describe_other(file: RatingsFile, rated: Ratings, dataset: Dataset, simulated: bool) -> dict[str, Any]:
    """Return what a manifest says of a file: as of a base, but one that is no predictor and has no fingerprint."""
    names = {trait: (file.traits or {}).get(trait, trait) for trait in dataset.traits}
    return {
        "name": rated.source.stem,
        "fingerprint": "",
        "traits": list(dataset.traits),
        "source": rated.source.name,
        "sha256": rated.fingerprint,
        "images": len(dataset.images),
        "licence": LICENCES.get(rated.format),
        "simulated": simulated,
        "forgotten": False,
        "bases": [],
        "scale": str(rated.scale),
        "columns": rated.told(names),
        "raters_left_out": rated.crowd.raters_left_out,
    }
