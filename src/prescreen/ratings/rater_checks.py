"""Finds raters whose votes say nothing of the pictures, or the opposite of what the others say.

Four kinds, each with a chance of about `LEVEL` that an honest rater is taken for one:

- *same*: always the same vote. How often honest raters would do so follows from how much the other raters repeat
  themselves (beta-binomial), so a lenient rater on a scale of four steps is none.
- *one-sided*: where pairs are compared, nearly always the picture on the same side.
- *reversed*: votes go against those of the others.
- *random*: votes have nothing to do with those of the others, and less than any usual rater's. Who uses one end of the
  scale cannot agree as well as others; what the votes allow at most is taken into account.

Few votes prove nothing, and nothing is found among fewer than `MIN_RATERS` raters or where raters hardly agree.

References
----------
Meade & Craig (2012), Identifying careless responses in survey data, Psychological Methods 17(3).
Fisher (1921), On the probable error of a coefficient of correlation, Metron 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.special import betainc, betaln, ndtri, stdtrit

from prescreen.ratings.rater_fit import Codes, Flags, Floats

LEVEL: Final = 0.0005
"""Chance of a check to name an honest rater."""

MIN_VOTES: Final = 8
MIN_TOGETHER: Final = 3 * MIN_VOTES
MIN_RATERS: Final = 5

_ONE_SIDED: Final = 0.9  # of the answers; fewer still say something
_CLEAR: Final = 0.02  # chance that a rater at random seems to agree with the others in one of the traits
_SLIGHT: Final = 0.4  # of the usual agreement
_ROUNDS: Final = 5
_PRIOR_VOTES: Final = 2.0  # the mean of the others' votes is drawn to the middle as by so many votes


@dataclass(frozen=True, eq=False)
class TraitVotes:
    """The votes of one trait.

    Parameters
    ----------
    images, raters : ndarray of int, shape (n_votes,)
        Picture of each vote, 0 to ``n_images - 1``, and its rater, 0 to ``n_raters - 1``.
    votes : ndarray of float64, shape (n_votes,)
    """

    images: Codes
    raters: Codes
    votes: Floats


@dataclass(frozen=True, eq=False)
class CheckedRaters:
    """What was found among the raters of one trait, or of all together; arrays have shape (n_raters,).

    Parameters
    ----------
    same, reversed, random : ndarray of bool
        Who is of which kind; nobody is of two.
    votes : ndarray of float64
        Number of votes.
    correlation : ndarray of float64
        Of the rater's votes with the mean votes of the others; NaN where it is not known.
    usual : float
        Median of it; NaN where it is not known.
    """

    same: Flags
    reversed: Flags
    random: Flags
    votes: Floats
    correlation: Floats
    usual: float

    @property
    def found(self) -> Flags:
        """Who is of any kind."""
        return self.same | self.reversed | self.random


@dataclass(frozen=True, eq=False)
class CheckedTraits:
    """What was found in each trait, and over several of them, where there are any."""

    single: tuple[CheckedRaters, ...]
    together: CheckedRaters | None

    def found(self, trait: int) -> Flags:
        """Who stands out in a trait."""
        found = self.single[trait].found
        return found if self.together is None else found | self.together.found


def check_raters(traits: Sequence[TraitVotes], n_images: int, n_raters: int, level: float = LEVEL) -> CheckedTraits:
    """Check the raters in each trait, and over all of them.

    Parameters
    ----------
    traits : sequence of TraitVotes
    n_images, n_raters : int
    level : float
        Chance, for each kind, that an honest rater is named at all.
    """
    if len(traits) == 1:
        return CheckedTraits((_check_trait(traits[0], n_images, n_raters, level),), None)
    share = level / (2 * len(traits))
    single = tuple(_check_trait(trait, n_images, n_raters, share) for trait in traits)
    return CheckedTraits(single, _check_together(traits, single, n_images, n_raters, level / 2))


def one_sided(raters: Codes, left: Flags, n_raters: int, level: float = LEVEL) -> Flags:
    """Tell who answers by the side on which a picture stands, shape (n_raters,); nobody where most do so.

    Parameters
    ----------
    raters : ndarray of int, shape (n_answers,)
    left : ndarray of bool, shape (n_answers,)
        Whether the left picture was found better.
    n_raters : int
    level : float
        As in `check_raters`.
    """
    count = np.bincount(raters, minlength=n_raters).astype(np.float64)
    n = np.maximum(count, 1)
    share = np.bincount(raters, left, n_raters) / n
    most = np.maximum(share, 1 - share) * n
    enough = count >= MIN_VOTES
    usual = float(np.median(share[enough])) if enough.any() else np.nan
    if not 1 - _ONE_SIDED < usual < _ONE_SIDED:
        return np.zeros(n_raters, dtype=bool)  # the better ones were put there
    chance = 2 * betainc(most, n - most + 1, 0.5)  # that so many, or more, are on one side
    return np.asarray(enough & (most >= _ONE_SIDED * n) & (chance < level))


def with_sides(checked: CheckedTraits, sided: Sequence[Flags]) -> CheckedTraits:
    """Count those who are one-sided in a trait among those whose answers are always the same."""
    single = tuple(
        replace(found, same=found.same | one, reversed=found.reversed & ~one, random=found.random & ~one)
        for found, one in zip(checked.single, sided, strict=True)
    )
    return replace(checked, single=single)


def _check_trait(trait: TraitVotes, n_images: int, n_raters: int, level: float) -> CheckedRaters:
    count = np.bincount(trait.raters, minlength=n_raters).astype(np.float64)
    if _too_few(count):
        return _nobody(count)
    same = _always_the_same(trait.raters, trait.votes, count, level)
    standard = _standardized(trait.raters, trait.votes, count)
    told = ~same[trait.raters]
    reverse, random, agreement, usual = _opposed(trait.images, trait.raters, standard, told, n_images, n_raters, level)
    return CheckedRaters(same & agreement.seen, reverse & ~same, random & ~same, count, agreement.correlation, usual)


def _too_few(count: Floats, least: int = MIN_VOTES) -> bool:
    """Whether the raters' numbers of votes allow no comparison."""
    return bool(np.count_nonzero(count >= least) < MIN_RATERS)


def _nobody(count: Floats) -> CheckedRaters:
    nobody = np.zeros(count.size, dtype=bool)
    return CheckedRaters(nobody, nobody, nobody, count, np.full(count.size, np.nan), np.nan)


def _check_together(
    traits: Sequence[TraitVotes], single: Sequence[CheckedRaters], n_images: int, n_raters: int, level: float
) -> CheckedRaters:
    """Check raters over all their traits; a picture's votes in several traits may err together."""
    raters = np.concatenate([trait.raters for trait in traits])
    count = np.bincount(raters, minlength=n_raters).astype(np.float64)
    if _too_few(count, MIN_TOGETHER):
        return _nobody(count)
    pictures = np.concatenate([trait.images for trait in traits])
    images = np.concatenate([place * n_images + trait.images for place, trait in enumerate(traits)])
    told = np.concatenate([~found.found[trait.raters] for trait, found in zip(traits, single, strict=True)])
    standard = np.concatenate(
        [_standardized(trait.raters, trait.votes, found.votes) for trait, found in zip(traits, single, strict=True)]
    )
    total = len(traits) * n_images
    reverse, random, agreement, usual = _opposed(images, raters, standard, told, total, n_raters, level, pictures)
    voted = np.array([found.votes > 0 for found in single])
    agrees = np.array([np.nan_to_num(found.correlation) * np.sqrt(found.votes) for found in single])
    spoken = voted.sum(axis=0) > 1
    clear = float(-ndtri(_CLEAR / len(traits)))
    random &= spoken & (np.abs(agrees) < clear).all(axis=0)
    reverse &= spoken & (agrees < clear).all(axis=0)
    nobody = np.zeros(n_raters, dtype=bool)
    return CheckedRaters(nobody, reverse, random, count, agreement.correlation, usual)


def _opposed(
    images: Codes,
    raters: Codes,
    standard: Floats,
    told: Flags,
    n_images: int,
    n_raters: int,
    level: float,
    pictures: Codes | None = None,
) -> tuple[Flags, Flags, "_Agreement", float]:
    """Return who votes in reverse, who at random, how raters agree with the others, and how they usually do.

    Votes that are not ``told`` do not speak for a picture. ``pictures`` say which votes may err together.
    """
    reverse = random = np.zeros(n_raters, dtype=bool)
    for _ in range(_ROUNDS):
        before, kept = reverse | random, ~(reverse | random)
        agreement = _agreement(images, raters, standard, told & kept[raters], n_images, n_raters, pictures)
        reverse, random = agreement.opposed(kept, level)
        if np.array_equal(before, reverse | random):
            break
    judged = kept & agreement.judged
    usual = float(np.median(agreement.correlation[judged])) if judged.any() else np.nan
    return reverse, random, agreement, usual


def _always_the_same(raters: Codes, votes: Floats, count: Floats, level: float) -> Flags:
    """Who gave one vote only, and so often that an honest rater of this crowd would not."""
    order = np.lexsort((votes, raters))
    new = np.diff(raters[order], prepend=-1).astype(bool) | np.diff(votes[order], prepend=np.nan).astype(bool)
    starts = np.flatnonzero(new)
    most = np.zeros(count.size)
    np.maximum.at(most, raters[order][starts], np.diff(starts, append=order.size))
    constant = (most == count) & (count >= MIN_VOTES)
    others = (count >= MIN_VOTES) & ~constant
    if np.count_nonzero(others) < MIN_RATERS:
        return np.zeros(count.size, dtype=bool)
    shares = most[others] / count[others]
    mean = float(shares.mean())
    between = float(shares.var(ddof=1) - np.mean(shares * (1 - shares) / count[others]))
    size = mean * (1 - mean) / max(between, 1e-4) - 1
    if size <= 0:
        return np.zeros(count.size, dtype=bool)
    a, b = mean * size, (1 - mean) * size
    return np.asarray(constant & (betaln(a + count, b) - betaln(a, b) < np.log(level / 5)))


def _standardized(raters: Codes, votes: Floats, count: Floats) -> Floats:
    """Return the votes with mean 0 and standard deviation 1 in each rater; 0 of one who never differs."""
    n = np.maximum(count, 1)
    centred = votes - (np.bincount(raters, votes, n.size) / n)[raters]
    std = np.sqrt(np.bincount(raters, centred**2, n.size) / n)
    differs = std > 1e-6 * std.max(initial=0.0)
    return np.divide(centred, std[raters], out=np.zeros(votes.size), where=differs[raters])


@dataclass(frozen=True, eq=False)
class _Agreement:
    """How raters go with the others: the correlation, the highest possible one, and votes that could be compared."""

    correlation: Floats
    highest: Floats
    count: Floats
    seen: Flags

    @property
    def judged(self) -> Flags:
        """Whose votes differ, are enough, and are on pictures that differ."""
        return self.seen & (self.count >= MIN_VOTES) & (self.highest > 0)

    def opposed(self, kept: Flags, level: float) -> tuple[Flags, Flags]:
        """Return who votes in reverse and who at random, compared with those who are ``kept``."""
        nobody = np.zeros(self.count.size, dtype=bool)
        usual = self.judged & kept
        if np.count_nonzero(usual) < MIN_RATERS:
            return nobody, nobody
        limit = float(-ndtri(level))
        strict = float(-stdtrit(np.count_nonzero(usual), level / 2))  # of few raters, what is usual is hardly known
        with np.errstate(invalid="ignore", divide="ignore"):
            root = np.sqrt(self.count - 3)
            plain = np.arctanh(np.clip(self.correlation, -0.99, 0.99)) * root
            adjusted = np.arctanh(np.clip(self.correlation / self.highest, -0.99, 0.99))
            error = 1 / (self.highest * root)
        centre = float(np.median(adjusted[usual]))
        spread = 1.4826 * float(np.median(np.abs(adjusted[usual] - centre)))
        if centre < limit * max(spread, float(np.median(error[usual]))) / np.sqrt(np.count_nonzero(usual)):
            return nobody, nobody  # raters hardly agree: nobody is far from the others
        between = max(spread**2 - float(np.median(error[usual] ** 2)), 0.0)
        unusual = (adjusted - centre < -strict * np.sqrt(between + error**2)) & (adjusted + error < _SLIGHT * centre)
        slight = adjusted + limit * error < _SLIGHT * centre
        reverse = self.judged & (plain < -limit)
        return reverse, self.judged & (unusual | slight) & (plain < 1) & ~reverse


def _agreement(
    images: Codes,
    raters: Codes,
    standard: Floats,
    kept: Flags,
    n_images: int,
    n_raters: int,
    pictures: Codes | None,
) -> _Agreement:
    """Compare each rater's votes with the mean of the others' among those ``kept``, shape (n_votes,)."""
    own = np.where(kept, standard, 0.0)
    others = np.bincount(images, kept, n_images)[images] - kept
    x = (np.bincount(images, own, n_images)[images] - own) / (others + _PRIOR_VOTES)
    compared = others > 0
    x, y, of = x[compared], standard[compared], raters[compared]
    count = np.bincount(of, minlength=n_raters).astype(np.float64)
    n = np.maximum(count, 1)
    x = x - (np.bincount(of, x, n_raters) / n)[of]
    y = y - (np.bincount(of, y, n_raters) / n)[of]
    sxx, sxy, syy = (np.bincount(of, product, n_raters) for product in (x * x, x * y, y * y))
    sorted_x, sorted_y = x[np.lexsort((x, of))], y[np.lexsort((y, of))]
    together = np.bincount(np.sort(of), sorted_x * sorted_y, n_raters)
    scale = np.sqrt(sxx * syy)
    known = scale > 1e-9 * np.sqrt(n)
    correlation = np.divide(sxy, scale, out=np.full(n_raters, np.nan), where=known)
    highest = np.divide(together, scale, out=np.zeros(n_raters), where=known)
    variance = sxx / n
    if pictures is not None:
        error = x * (y - np.divide(sxy, sxx, out=np.zeros(n_raters), where=known)[of] * x)
        count = count / _design_effect(error, of, pictures[compared])
    enough = count >= MIN_VOTES
    seen = enough & (variance > 0.25 * (float(np.median(variance[enough])) if enough.any() else 0.0))
    return _Agreement(correlation, highest, count, seen)


def _design_effect(errors: Floats, raters: Codes, pictures: Codes) -> float:
    """Return by how much votes of a rater on one picture count less for going together."""
    _, cells = np.unique(raters * (int(pictures.max(initial=0)) + 1) + pictures, return_inverse=True)
    return max(float(np.sum(np.bincount(cells, errors) ** 2)) / max(float(errors @ errors), 1e-12), 1.0)
