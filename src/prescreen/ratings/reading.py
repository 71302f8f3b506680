"""Reads a ratings file and checks it: for each picture and trait the mean, the votes, their spread and reliability.

Names of pictures are relative to the folder of pictures. Without ``images_dir`` that is the folder of the file or its
subfolder ``images``, whichever has more of the names (One Million Impressions: ``images``). A name that fits no file
exactly is matched as in `prescreen.ratings.image_names`. A rating of a picture that is missing is an error; a picture
without ratings is not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from prescreen.errors import RatingsError, UsageError
from prescreen.ratings.columns import counted, refuse
from prescreen.ratings.crowd import (
    Crowd,
    check_crowd,
    describe_unheard,
    describe_unknown_raters,
    known_raters,
    leave_out,
    silent_raters,
)
from prescreen.ratings.formats import read_rows
from prescreen.ratings.image_names import files_below, images_folder, match_files, named_pictures
from prescreen.ratings.pair_rows import describe_unconnected, pairs_of, refuse_odd_pairs
from prescreen.ratings.pairs import pair_ratings
from prescreen.ratings.rater_checks import CheckedRaters
from prescreen.ratings.raters import PictureVotes, plain_means, two_way_means
from prescreen.ratings.reliability import Reliability, pooled_variance, reliability
from prescreen.ratings.rows import Rows, find_scale
from prescreen.ratings.scale import SCORES, Scale
from prescreen.text import shown, traits_option

MIN_IMAGES = 10
"""Fewer rated pictures than this teach nothing about a trait."""

_SAME = 1e-9  # of the scale's width; two-way means that should be equal differ by rounding

Codes = npt.NDArray[np.intp]


class UnusableTraits(RatingsError):
    """A trait of which nothing can be learned; ``others`` are those that can, as {new name: name in the file}."""

    def __init__(self, source: Path, fault: str, others: Mapping[str, str]) -> None:
        self.fault, self.others = f"{shown(source)}: {fault}", others
        remedy = f"; leave it out: {traits_option(others)}" if others else ""
        super().__init__(f"{self.fault}{remedy}")


@dataclass(frozen=True, eq=False)
class Ratings:
    """Checked ratings of pictures by a crowd.

    Parameters
    ----------
    table : DataFrame
        One row a rated picture and trait, ordered by trait (as in ``traits``) and picture. Columns: ``image`` (str,
        POSIX path relative to the folder of pictures), ``trait`` (str), ``mean`` (float, on ``scale``), ``votes``
        (float, independent votes, NaN if unknown) and ``std`` (float, sample standard deviation of the votes, NaN if
        unknown; without method ``mean`` that of the noise which is left in single votes).
    traits : tuple of str
        In the order asked for, otherwise as in the file.
    scale : Scale
        Lowest and highest possible vote.
    reliability : mapping of str to Reliability
        For each trait, that of the means in ``table``.
    persons : mapping of str to str
        Who is on each picture, where the file says so.
    format : str
        ``votes``, ``ratings``, ``scores``, ``answers``, ``pairs`` or ``omi``.
    source : Path
        File or folder that was read.
    images_dir : Path or None
        Folder of the pictures; None for ratings that were not read from a file.
    fingerprint : str
        SHA-256 of the bytes that were read, in hexadecimal.
    is_score : bool
        Whether the values are already 0-10 scores as Photofeeler shows them.
    method : str
        How votes became means: ``mean``, ``two-way`` where rater ids allowed to take out the raters' own levels and
        spreads, or ``own noise`` where on some trait they have noise of their own, too (see
        :mod:`prescreen.ratings.raters`); ``bradley-terry`` for pairs (:mod:`prescreen.ratings.pairs`).
    crowd : Crowd
        Who the raters are, and which of them stand out.
    columns : mapping of str to str
        Meanings of columns that the user gave; see `read_ratings`.
    errors : DataFrame
        Standard errors of means where the file gives them, shaped like :meth:`wide`, NaN elsewhere; empty where it
        gives none.
    notes : tuple of str
        Lines for the user: what was understood of the file, how names were matched, what was left out.
    auxiliary : DataFrame
        Mean votes in other traits of the file, indexed like :meth:`wide`, a column a trait, NaN where not rated. Empty
        unless :func:`prescreen.ratings.other_columns.with_auxiliary` added them.
    others : DataFrame or None
        Mean votes in all other traits and of all pictures of the file; None as long as nobody read them.
    only_others : int
        Number of pictures of the file that are rated in other traits only, as far as they were looked at.
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
    crowd: Crowd = Crowd()
    columns: Mapping[str, str] = field(default_factory=dict)
    errors: pd.DataFrame = field(default_factory=pd.DataFrame)
    notes: tuple[str, ...] = ()
    auxiliary: pd.DataFrame = field(default_factory=pd.DataFrame)
    others: pd.DataFrame | None = None
    only_others: int = 0

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

        It is the squared standard error where the file gives one; otherwise the variance of votes within
        pictures, pooled over a trait's pictures, divided by the picture's votes. In squared units of the scale; NaN
        where neither is known.
        """
        stds, votes = self.spreads(), self.votes()
        pooled = [pooled_variance(stds[t].to_numpy(np.float64), votes[t].to_numpy(np.float64)) for t in self.traits]
        from_votes = votes.rdiv(np.array(pooled), axis="columns")
        return from_votes if self.errors.empty else (self.errors**2).fillna(from_votes)

    def told(self, names: Mapping[str, str]) -> dict[str, str]:
        """Return {trait: its column} for {trait: its name in the file}, where the user gave the column of a trait."""
        return {trait: self.columns.get(name, name) for trait, name in names.items()}

    def _wide(self, column: str) -> pd.DataFrame:
        pivoted = self.table.pivot(index="image", columns="trait", values=column)
        return pivoted.reindex(columns=pd.Index(self.traits, name="trait"))


def read_ratings(
    path: Path,
    traits: Mapping[str, str] | None = None,
    scale: Scale | None = None,
    images_dir: Path | None = None,
    min_images: int = MIN_IMAGES,
    columns: Mapping[str, str] | None = None,
    expected_scale: Scale | None = None,
    *,
    leave_out_raters: bool = False,
) -> Ratings:
    """Read ratings of any format (:mod:`prescreen.ratings.formats`); refuse them if anything is not right.

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
    columns : mapping of str to str, optional
        {meaning, or name of a trait: column}, where the names of the columns do not tell
        (:mod:`prescreen.ratings.meanings`).
    expected_scale : Scale, optional
        That of the ratings that these go with; see `prescreen.ratings.rows.find_scale`.
    leave_out_raters : bool
        Whether the votes of raters who stand out are left out; see `prescreen.ratings.rater_checks`.

    Raises
    ------
    RatingsError
        Naming file, row and value: for a picture that is not there, a missing column, a vote outside the scale, a value
        that is no number, two votes of one rater (or two ratings) for one picture and trait, a trait that nobody rated
        or whose ratings are all equal, too few pictures, or something that is no ratings file at all.
    UsageError
        For a trait or a column that is not in the file, or a folder of pictures that does not exist.
    """
    rows = read_rows(Path(path), traits, columns, scale)
    paired = rows.format == "pairs"
    if paired and scale is not None:
        raise UsageError(f"--scale {scale}: {shown(rows.source)} says which of two pictures is better; leave it out")
    frame = rows.frame
    wanted = tuple(str(name) for name in frame["trait"].cat.categories)
    folder, names, images, matched = _pictures(rows, images_dir)
    scale, guessed = find_scale(rows, scale, expected_scale)
    by_trait = [np.flatnonzero(frame["trait"].cat.codes == code) for code in range(len(wanted))]
    if paired:
        refuse_odd_pairs(rows, images, by_trait)
    else:
        _refuse_repeats(rows, images)
    called = traits or {name: name for name in wanted}
    _refuse_few(rows, called, [np.unique(images[chosen]).size for chosen in by_trait], min_images)
    crowd, checked = check_crowd(rows, images, by_trait, len(names))
    left: tuple[str, ...] = ()
    if leave_out_raters:
        crowd = replace(crowd, left_out=True)
        by_trait, left = leave_out(rows, images, by_trait, checked)
        _refuse_few(rows, called, [np.unique(images[chosen]).size for chosen in by_trait], min_images)
    raters = None if paired else known_raters(rows, images, by_trait)
    summed = [
        (pair_ratings(pairs_of(rows, images, chosen, len(names))), False)
        if paired
        else _summed(
            frame.iloc[chosen],
            images[chosen],
            len(names),
            None if raters is None else raters[chosen],
            None if checked is None else checked.single[trait],
        )
        for trait, chosen in enumerate(by_trait)
    ]
    rated = [np.isfinite(part.means) for part, _ in summed]
    _refuse_few(rows, called, [int(np.count_nonzero(known)) for known in rated], min_images)
    unheard = sum(
        np.unique(images[chosen]).size - int(np.count_nonzero(known))
        for chosen, known in zip(by_trait, rated, strict=True)
    )
    own_noise = any(own for _, own in summed)
    tables = [_table(trait, names, part, scale) for trait, (part, _) in zip(wanted, summed, strict=True)]
    _refuse_constant(rows, called, tables, scale)
    return Ratings(
        table=pd.concat(tables, ignore_index=True),
        traits=wanted,
        scale=scale,
        reliability={trait: _reliability(table, paired) for trait, table in zip(wanted, tables, strict=True)},
        persons=_persons(rows, names, images),
        format=rows.format,
        source=Path(path),
        images_dir=folder,
        fingerprint=rows.fingerprint,
        is_score=rows.format == "scores" and scale == SCORES,
        method="bradley-terry" if paired else "mean" if raters is None else "own noise" if own_noise else "two-way",
        crowd=crowd,
        columns=dict(columns or {}),
        errors=_errors(frame, images, names, wanted),
        notes=(
            *rows.notes,
            *matched,
            *guessed,
            *left,
            *(describe_unconnected(unheard) if paired else describe_unheard(unheard)),
            *(
                describe_unknown_raters(frame[frame["value"] == 1], True, "answer")
                if paired
                else describe_unknown_raters(frame, raters is not None, "vote")
            ),
        ),
    )


def _pictures(rows: Rows, images_dir: Path | None) -> tuple[Path, npt.NDArray[np.object_], Codes, tuple[str, ...]]:
    """Return the folder of the pictures, their names in order, which of them each row is about, and what to say."""
    texts = [str(name) for name in rows.frame["image"].cat.remove_unused_categories().cat.categories]
    folder = images_folder(texts, images_dir, rows.folders)
    remedy = "correct the name, or give the folder with --images"
    match, known = partial(match_files, folder=folder), partial(files_below, folder)
    named, matched = named_pictures(rows, shown(folder), match, known, remedy)
    places, distinct = pd.factorize(named, sort=True)
    return folder, np.asarray(distinct, dtype=object), places, matched


def _refuse_repeats(rows: Rows, images: Codes) -> None:
    """Refuse two votes of one rater, or two ready means, for the same picture and trait."""
    frame = rows.frame
    keys = pd.DataFrame({"trait": frame["trait"].cat.codes.to_numpy(), "image": images})
    problem, remedy = "a second rating of image {} for the same trait", "keep one row for each picture and trait"
    if rows.format == "answers":  # one row of the file holds many
        keys["row"] = frame.index.to_numpy()
        first_of_row = ~keys.duplicated().to_numpy()
        repeated = first_of_row & keys.duplicated(["trait", "image"]).to_numpy()
    elif not rows.single_votes:
        repeated = keys.duplicated().to_numpy()
    elif "rater" in frame:
        keys["rater"] = frame["rater"].cat.codes.to_numpy()
        repeated = keys.duplicated().to_numpy() & (frame["rater"] != "").to_numpy()
        problem = "a second vote of the same rater on image {} for the same trait"
        remedy = "a rater has one vote for each picture and trait: keep one"
    else:
        return
    refuse(rows.source, frame, repeated, problem, remedy, frame["image"])


def _refuse_few(rows: Rows, traits: Mapping[str, str], counts: Sequence[int], min_images: int) -> None:
    """Refuse a trait that too few pictures are rated on."""
    faults = {}
    for trait, count in zip(traits, counts, strict=True):
        if count == 0:
            faults[trait] = f"nobody rated {trait!r}"
        elif count < min_images:
            faults[trait] = f"{trait!r} is rated on {counted(count, 'picture')}; at least {min_images} are needed"
    _refuse_traits(rows, traits, faults)


def _refuse_constant(rows: Rows, traits: Mapping[str, str], tables: list[pd.DataFrame], scale: Scale) -> None:
    """Refuse a trait on which the pictures do not differ at all: nothing can be learned of it or measured with it."""
    faults = {}
    for trait, table in zip(traits, tables, strict=True):
        means = table["mean"].to_numpy(np.float64)
        if means.size > 1 and np.ptp(means) <= _SAME * (scale.high - scale.low):
            faults[trait] = f"the ratings of {trait!r} are all equal ({means[0]:g})"
    _refuse_traits(rows, traits, faults)


def _refuse_traits(rows: Rows, traits: Mapping[str, str], faults: Mapping[str, str]) -> None:
    """Raise if a trait is at fault; the remedy chooses the others."""
    if not faults:
        return
    others = {new: old for new, old in traits.items() if new not in faults}
    raise UnusableTraits(rows.source, next(iter(faults.values())), others)


def _errors(
    frame: pd.DataFrame, images: Codes, names: npt.NDArray[np.object_], traits: tuple[str, ...]
) -> pd.DataFrame:
    """Return the standard errors that the file gives, one row a picture and one column a trait."""
    if "error" not in frame or frame["error"].isna().all():
        return pd.DataFrame()
    errors = frame[["trait", "error"]].assign(image=names[images])
    wide = errors.pivot(index="image", columns="trait", values="error")
    return wide.set_axis(wide.index.astype(str), axis="index").reindex(columns=pd.Index(traits, name="trait"))


def _summed(
    frame: pd.DataFrame, images: Codes, n_images: int, raters: Codes | None, checked: CheckedRaters | None
) -> tuple[PictureVotes, bool]:
    """Return the rows of one trait by picture, and whether raters have noise of their own.

    ``raters`` are given where their levels are to be taken out.
    """
    values = frame["value"].to_numpy(np.float64)
    if "votes" in frame:
        means, stds, votes = np.full((3, n_images), np.nan)
        means[images], stds[images], votes[images] = values, frame["std"], frame["votes"]
        return PictureVotes(means, stds, votes), False
    if raters is None:
        return plain_means(images, values, n_images), False
    distinct, codes = np.unique(raters, return_inverse=True)
    found = two_way_means(images, codes, values, n_images, distinct.size, silent_raters(distinct, checked))
    return found.ratings, found.own_noise


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


def _reliability(table: pd.DataFrame, paired: bool) -> Reliability:
    """Return the reliability of one trait's ratings; a single answer about two pictures has no ICC."""
    found = reliability(*(table[column].to_numpy(np.float64) for column in ("mean", "std", "votes")))
    return replace(found, icc1=None) if paired else found


def _persons(rows: Rows, names: npt.NDArray[np.object_], images: Codes) -> dict[str, str]:
    """Return who is on which picture; refuse two persons on one."""
    if "person" not in rows.frame:
        return {}
    pairs = rows.frame[["person"]].assign(image=images)
    pairs = pairs[(pairs["person"] != "").to_numpy()].drop_duplicates()
    problem = "person {} is on a picture that another row gives to somebody else"
    twice = pairs["image"].duplicated().to_numpy()
    refuse(rows.source, pairs, twice, problem, "a picture shows one person", pairs["person"].astype(str))
    return {str(names[i]): str(person) for i, person in zip(pairs["image"], pairs["person"], strict=True)}
