"""A ratings file in, checked ratings out: per picture and trait the mean, the votes, their spread and reliability.

**Pictures.** Names are relative to the folder of pictures; without ``images_dir`` that is the folder of the file or its
subfolder ``images``, whichever holds more of the names (One Million Impressions: ``images``). A rating of a picture
that is not there is an error; a picture without ratings is not.

**Scale.** Without ``scale``, scores are on 0:10 and One Million Impressions on 0:100. For votes and ratings it is the
smallest of 0:3 (whole votes only), 0:10 and 0:100 that holds nine in ten of the values; a value beyond it is an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from prescreen.errors import RatingsError
from prescreen.ratings.columns import refuse
from prescreen.ratings.formats import Rows, read_rows
from prescreen.ratings.pictures import images_folder, is_picture, relative_name
from prescreen.ratings.raters import PictureVotes, plain_means, raters_overlap, two_way_means
from prescreen.ratings.reliability import Reliability, pooled_variance, reliability
from prescreen.tables import shown
from prescreen.traits import Scale

MIN_IMAGES = 10
"""Fewer rated pictures than this teach nothing about a trait."""

_SCORES = Scale(0, 10)
_SCALES = (Scale(0, 3), Scale(0, 10), Scale(0, 100))
_SHARE_ON_SCALE = 0.9
_SAME = 1e-9  # of the scale's width; two-way means that should be equal differ by rounding

Codes = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Ratings:
    """What a crowd made of pictures.

    Parameters
    ----------
    table : DataFrame
        One row a rated picture and trait, ordered by trait (as in ``traits``) and picture. Columns: ``image`` (str,
        POSIX path relative to the folder of pictures), ``trait`` (str), ``mean`` (float, on ``scale``), ``votes``
        (float, independent votes, NaN if unknown) and ``std`` (float, sample standard deviation of the votes, NaN if
        unknown; with method ``two-way`` that of the noise which is left in single votes).
    traits : tuple of str
        In the order asked for, otherwise as in the file.
    scale : Scale
        Lowest and highest possible vote.
    reliability : mapping of str to Reliability
        For each trait, that of the means in ``table``.
    persons : mapping of str to str
        Who is on a picture, for the pictures of which the file says it.
    format : str
        ``votes``, ``ratings``, ``scores`` or ``omi``.
    source : Path
        File or folder that was read.
    images_dir : Path or None
        Folder of the pictures; None for ratings that were not read from a file.
    fingerprint : str
        SHA-256 of the bytes that were read, in hexadecimal.
    is_score : bool
        Whether the values are already 0-10 scores as Photofeeler shows them.
    method : str
        How votes became means: ``mean``, or ``two-way`` where rater ids allowed to take out the raters' own levels and
        spreads (see :mod:`prescreen.ratings.raters`).
    auxiliary : DataFrame
        Mean votes in other traits of the file, indexed like :meth:`wide`, a column a trait, NaN where not rated. Empty
        unless :func:`prescreen.ratings.with_auxiliary` added them.
    """

    table: pd.DataFrame
    traits: tuple[str, ...]
    scale: Scale
    reliability: Mapping[str, Reliability]
    persons: Mapping[str, str]
    format: str
    source: Path
    images_dir: Path | None
    fingerprint: str
    is_score: bool
    method: str
    auxiliary: pd.DataFrame = field(default_factory=pd.DataFrame)

    def wide(self) -> pd.DataFrame:
        """Return the means as one row a picture (sorted) and one column a trait; NaN where not rated."""
        return self._wide("mean")

    def spreads(self) -> pd.DataFrame:
        """Return the sample standard deviations of the votes, shaped like :meth:`wide`; NaN where unknown."""
        return self._wide("std")

    def votes(self) -> pd.DataFrame:
        """Return the numbers of independent votes, shaped like :meth:`wide`; NaN where unknown."""
        return self._wide("votes")

    def sampling_variance(self) -> pd.DataFrame:
        """Return the variance of each mean that is vote noise, shaped like :meth:`wide`.

        It is the variance of votes within pictures, pooled over a trait's pictures, divided by the picture's votes, in
        squared units of the scale; NaN where votes or their spread are unknown.
        """
        stds, votes = self.spreads(), self.votes()
        pooled = [pooled_variance(stds[t].to_numpy(np.float64), votes[t].to_numpy(np.float64)) for t in self.traits]
        return votes.rdiv(np.array(pooled), axis="columns")

    def _wide(self, column: str) -> pd.DataFrame:
        pivoted = self.table.pivot(index="image", columns="trait", values=column)
        return pivoted.reindex(columns=pd.Index(self.traits, name="trait"))


def read_ratings(
    path: Path,
    traits: Mapping[str, str] | None = None,
    scale: Scale | None = None,
    images_dir: Path | None = None,
    min_images: int = MIN_IMAGES,
) -> Ratings:
    """Read ratings of any of the four formats (:mod:`prescreen.ratings.formats`); refuse them if anything is not right.

    Parameters
    ----------
    path : Path
        File, or folder in the layout of One Million Impressions.
    traits : mapping of str to str, optional
        New name of each trait wanted, and its name in the file; without it all traits are read under their own names.
        Rows and columns of other traits are not looked at.
    scale : Scale, optional
        Lowest and highest possible vote, if the default does not fit.
    images_dir : Path, optional
        Folder of the pictures.
    min_images : int
        How many rated pictures each trait must have.

    Raises
    ------
    RatingsError
        Naming file, row and value: for a picture that is not there, a missing column, a vote outside the scale, a value
        that is no number, two votes of one rater (or two ratings) for one picture and trait, a trait that nobody rated
        or whose ratings are all equal, too few pictures, or something that is no ratings file at all.
    UsageError
        For a trait that is not in the file, or a folder of pictures that does not exist.
    """
    rows = read_rows(Path(path), traits)
    frame = rows.frame
    wanted = tuple(str(name) for name in frame["trait"].cat.categories)
    folder, names, images = _pictures(rows, images_dir)
    scale = _checked_scale(rows, scale)
    _refuse_repeats(rows, images)
    by_trait = [np.flatnonzero(frame["trait"].cat.codes == code) for code in range(len(wanted))]
    _refuse_few(rows, wanted, [images[chosen] for chosen in by_trait], min_images)
    two_way = rows.single_votes and _raters_known(frame, images, by_trait)
    parts = [_summed(frame.iloc[chosen], images[chosen], len(names), two_way) for chosen in by_trait]
    tables = [_table(trait, names, part, scale) for trait, part in zip(wanted, parts, strict=True)]
    _refuse_constant(rows, wanted, tables, scale)
    return Ratings(
        table=pd.concat(tables, ignore_index=True),
        traits=wanted,
        scale=scale,
        reliability={trait: reliability(*_arrays(t)) for trait, t in zip(wanted, tables, strict=True)},
        persons=_persons(rows, names, images),
        format=rows.format,
        source=Path(path),
        images_dir=folder,
        fingerprint=rows.fingerprint,
        is_score=rows.format == "scores" and scale == _SCORES,
        method="two-way" if two_way else "mean",
    )


def _pictures(rows: Rows, images_dir: Path | None) -> tuple[Path, npt.NDArray[np.object_], Codes]:
    """Return the folder of the pictures, their names in order, and which of them each row is about."""
    written = rows.frame["image"].cat.remove_unused_categories()
    codes = written.cat.codes.to_numpy().astype(np.intp)
    texts = [str(name) for name in written.cat.categories]
    folder = images_folder(texts, images_dir, rows.folders)
    names = [relative_name(text, folder) for text in texts]

    def check(fault: list[bool], problem: str, remedy: str) -> None:
        refuse(rows.source, rows.frame, np.array(fault, dtype=bool)[codes], problem, remedy, rows.frame["image"])

    check([name is None for name in names], f"image {{}} is outside {shown(folder)}", "expected a relative path")
    unknown = [not is_picture(folder, name) for name in names]
    check(unknown, f"image {{}} is not in {shown(folder)}", "correct the name, or give the folder with --images")
    places, distinct = pd.factorize(np.array(names, dtype=object), sort=True)
    return folder, np.asarray(distinct, dtype=object), places[codes]


def _checked_scale(rows: Rows, scale: Scale | None) -> Scale:
    """Return the scale: the one told, or what the format or the values imply. No value may be beyond it."""
    values = rows.frame["value"].to_numpy(np.float64)
    told = scale or rows.scale
    chosen = told or _inferred_scale(values, rows.single_votes)
    if chosen is None:
        span = f"{values.min():g} to {values.max():g}"
        raise RatingsError(
            f"{shown(rows.source)}: values from {span} fit no usual scale; give it with --scale LOW:HIGH"
        )
    beyond = (values < chosen.low) | (values > chosen.high)
    which = f"the scale {chosen}" if told else f"the scale {chosen} of the others"
    remedy = "correct it, or give the scale with --scale LOW:HIGH"
    refuse(rows.source, rows.frame, beyond, f"{rows.value_name} {{}} is outside {which}", remedy, values)
    if "std" in rows.frame:
        stds = rows.frame["std"].to_numpy(np.float64)
        widest = (chosen.high - chosen.low) / np.sqrt(2)  # of two votes, one at each end
        impossible = stds > widest * (1 + 1e-9)
        refuse(rows.source, rows.frame, impossible, f"std {{}} is impossible on the scale {chosen}", remedy, stds)
    return chosen


def _inferred_scale(values: npt.NDArray[np.float64], votes: bool) -> Scale | None:
    for scale in _SCALES:
        fits = (values >= scale.low) & (values <= scale.high)
        if scale == _SCALES[0]:
            fits &= (values == np.round(values)) & votes
        if fits.size and fits.mean() >= _SHARE_ON_SCALE:
            return scale
    return None


def _refuse_repeats(rows: Rows, images: Codes) -> None:
    """Refuse two votes of one rater, or two ready means, for the same picture and trait."""
    frame = rows.frame
    keys = pd.DataFrame({"trait": frame["trait"].cat.codes.to_numpy(), "image": images})
    if not rows.single_votes:
        repeated = keys.duplicated().to_numpy()
        problem, remedy = "a second rating of image {} for the same trait", "keep one row for each picture and trait"
    elif "rater" in frame:
        keys["rater"] = frame["rater"].cat.codes.to_numpy()
        repeated = keys.duplicated().to_numpy() & (frame["rater"] != "").to_numpy()
        problem = "a second vote of the same rater on image {} for the same trait"
        remedy = "a rater has one vote for each picture and trait: keep one"
    else:
        return
    refuse(rows.source, frame, repeated, problem, remedy, frame["image"])


def _refuse_few(rows: Rows, traits: tuple[str, ...], images: list[Codes], min_images: int) -> None:
    for trait, rated in zip(traits, images, strict=True):
        count = np.unique(rated).size
        if count == 0:
            raise RatingsError(f"{shown(rows.source)}: nobody rated {trait!r}; leave it out with --traits")
        if count < min_images:
            pictures = f"{count} picture{'s' if count > 1 else ''}"
            raise RatingsError(
                f"{shown(rows.source)}: {trait!r} is rated on {pictures}; at least {min_images} are needed"
            )


def _refuse_constant(rows: Rows, traits: tuple[str, ...], tables: list[pd.DataFrame], scale: Scale) -> None:
    """Refuse a trait on which the pictures do not differ at all: nothing can be learned of it or measured with it."""
    for trait, table in zip(traits, tables, strict=True):
        means = table["mean"].to_numpy(np.float64)
        if means.size > 1 and np.ptp(means) <= _SAME * (scale.high - scale.low):
            raise RatingsError(
                f"{shown(rows.source)}: the ratings of {trait!r} are all equal ({means[0]:g}); "
                "leave it out with --traits"
            )


def _raters_known(frame: pd.DataFrame, images: Codes, by_trait: list[Codes]) -> bool:
    if "rater" not in frame or (frame["rater"] == "").any():
        return False
    raters = frame["rater"].cat.codes.to_numpy().astype(np.intp)
    return all(raters_overlap(images[chosen], raters[chosen]) for chosen in by_trait)


def _summed(frame: pd.DataFrame, images: Codes, n_images: int, two_way: bool) -> PictureVotes:
    """Return the rows of one trait by picture."""
    values = frame["value"].to_numpy(np.float64)
    if "votes" in frame:
        means, stds, votes = np.full((3, n_images), np.nan)
        means[images], stds[images], votes[images] = values, frame["std"], frame["votes"]
        return PictureVotes(means, stds, votes)
    if two_way:
        raters = frame["rater"].cat
        return two_way_means(images, raters.codes.to_numpy().astype(np.intp), values, n_images, len(raters.categories))[
            0
        ]
    return plain_means(images, values, n_images)


def _table(trait: str, names: npt.NDArray[np.object_], summed: PictureVotes, scale: Scale) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "image": pd.Series(names, dtype=str),
            "trait": pd.Series([trait] * len(names), dtype=str),
            "mean": summed.means.clip(scale.low, scale.high),  # a two-way mean can leave the scale
            "votes": summed.votes,
            "std": summed.stds,
        }
    )
    return table[np.isfinite(summed.means)]


def _arrays(table: pd.DataFrame) -> tuple[npt.NDArray[np.float64], ...]:
    return tuple(table[column].to_numpy(np.float64) for column in ("mean", "std", "votes"))


def _persons(rows: Rows, names: npt.NDArray[np.object_], images: Codes) -> dict[str, str]:
    """Return who is on which picture; refuse two persons on one."""
    if "person" not in rows.frame:
        return {}
    told = pd.DataFrame({"image": images, "person": rows.frame["person"].cat.codes.to_numpy()}, index=rows.frame.index)
    told = told[(rows.frame["person"] != "").to_numpy()]
    pairs = told.drop_duplicates()
    twice = pairs["image"].duplicated().to_numpy()
    persons = rows.frame["person"].cat.categories
    refuse(
        rows.source,
        pairs,
        twice,
        "person {} is on a picture that another row gives to somebody else",
        "a picture shows one person",
        persons[pairs["person"].to_numpy()],
    )
    return {str(names[i]): str(persons[p]) for i, p in zip(pairs["image"], pairs["person"], strict=True)}
