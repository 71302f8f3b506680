"""The baseline: the picture, or the scores, that candidates have to beat."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from prescreen.embeddings.pipeline import Embedded, EmbeddingCache, embed_images
from prescreen.encoders.encoder import IDENTITY_BLOCK, IDENTITY_WIDTH, Encoder
from prescreen.errors import UsageError
from prescreen.images.files import ImageFile, find_images
from prescreen.predictor.predictor import Predictor
from prescreen.ranking.checks import References
from prescreen.ranking.goals import Goals
from prescreen.ranking.posterior import vote_noise
from prescreen.ratings.reliability import DEFAULT_ICC, spearman_brown
from prescreen.ratings.vote_noise import score_to_z, z_to_score
from prescreen.text import describe_list, parse_levels

Floats = NDArray[np.float64]

NO_FACE: Final = np.full(IDENTITY_WIDTH, np.nan)

LEAST_ICC: Final = 0.01
"""Least ICC(1) that is taken for true, and 1 minus it the largest.

With a measured 0 a vote would have infinite noise, with 1 none; so it has 99 times, or 1/99 of, the pictures' variance.
"""


@dataclass(frozen=True)
class Baseline:
    """The current photo, or its scores.

    Parameters
    ----------
    name : str
        Its file name, or how its scores were given.
    levels, low, high : mapping of str to float
        Scores from 0 to 10 with the ends of their 90 % intervals, which are missing for scores given by hand.
    file : Path or None
        The picture, where there is one.
    descriptor : ndarray of float32, shape (128,), or None
        Its face descriptor.
    irises : ndarray of float, shape (2,), or None
        Colour of its irises, CIELAB's a and b; NaN where they could not be seen.
    covariance : ndarray of float, shape (t, t), or None
        What is uncertain of scores from a known number of votes, in z.
    vector : ndarray of float16, shape (d,), or None
        The picture's vector.
    content : str
        SHA-256 of its file.
    """

    name: str
    levels: Mapping[str, float]
    low: Mapping[str, float]
    high: Mapping[str, float]
    file: Path | None
    descriptor: NDArray[np.float32] | None = field(default=None, repr=False)
    irises: NDArray[np.float64] | None = None
    covariance: NDArray[np.float64] | None = field(default=None, repr=False)
    vector: NDArray[np.float16] | None = field(default=None, repr=False)
    content: str = ""

    def known_levels(self, traits: Sequence[str], goals: Goals) -> Floats:
        """Return the scores, shape (t,), NaN where a trait has none.

        Raises
        ------
        UsageError
            If a trait that has a goal has no score.
        """
        missing = [name for name in goals.traits if not 0 <= self.levels.get(name, np.nan) <= 10]
        if missing:
            raise UsageError(
                f"baseline: no score from 0 to 10 for {describe_list(missing)}; give one, or leave it out of the goals"
            )
        return np.array([self.levels.get(trait, np.nan) for trait in traits], dtype=np.float64)

    def z(self, traits: Sequence[str]) -> Floats:
        """Return the scores in z, shape (t,); NaN where a trait has none."""
        return score_to_z([self.levels.get(trait, np.nan) for trait in traits])

    def given_covariance(self, traits: Sequence[str]) -> Floats:
        """Return the error covariance of given scores in z, shape (t, t); 0 where they count as exact."""
        return np.zeros((len(traits), len(traits))) if self.covariance is None else self.covariance

    def describe(self) -> str:
        """Return the scores as one phrase."""
        return ", ".join(f"{trait} {level:.1f}" for trait, level in self.levels.items())


def read_baseline(
    text: str, votes: int | None, predictor: Predictor, encoder: Encoder, cache: EmbeddingCache
) -> Baseline:
    """Read ``--baseline``: scores, or a picture, which is scored.

    Parameters
    ----------
    text : str
        A path, or scores such as ``competence=8.2,likeability=9.0``.
    votes : int or None
        Votes behind the scores; without them they count as exact.
    predictor, encoder, cache
        What scores a picture.

    Raises
    ------
    UsageError
        If it is neither, or the picture cannot be scored.
    """
    path = Path(text)
    if path.is_file():
        if votes is not None:
            raise UsageError("--baseline-votes: goes with scores in --baseline, not with a picture")
        photo = read_photo(path, encoder, cache)
        predicted = predictor.predict(np.asarray(photo.vector)[None], [photo.content])
        values = (predicted.score, predicted.score_low, predicted.score_high)
        levels, low, high = (dict(zip(predictor.traits, map(float, v[0]), strict=True)) for v in values)
        return replace(photo, levels=levels, low=low, high=high)
    if "=" not in text:
        raise UsageError(f"baseline {text!r}: no such picture; or give scores such as competence=8.2,likeability=9.0")
    levels = parse_levels(text)
    for trait in levels:
        Goals(improve=(trait,)).check(predictor.traits)
    if votes is None:
        return Baseline("scores from raters", levels, {}, {}, None)
    return _shrunk(levels, votes, predictor)


def read_photo(path: Path, encoder: Encoder, cache: EmbeddingCache) -> Baseline:
    """Read the current photo, without scores.

    Raises
    ------
    UsageError
        If it cannot be embedded.
    """
    (row,) = embed_images([ImageFile(path, path.name)], encoder, cache)
    if row.vector is None:
        raise UsageError(f"baseline {path}: {row.reason}")
    descriptor = row.vector[encoder.specification.blocks[IDENTITY_BLOCK]].astype(np.float32)
    return Baseline(path.name, {}, {}, {}, path, descriptor, _irises(row), vector=row.vector, content=row.content)


def _shrunk(levels: Mapping[str, float], votes: int, predictor: Predictor) -> Baseline:
    """Shrink scores from few votes, which are partly luck.

    In z, where scores of portraits are standard normal, the mean of n votes of reliability r = nρ / (1 + (n − 1)ρ)
    leaves the true score at r z ± √(1 − r).
    """
    means, low, high, noise = {}, {}, {}, np.zeros(len(predictor.traits))
    for trait, level in levels.items():
        reliability = spearman_brown(icc_of_one_vote(predictor, trait), votes)
        centre, spread = reliability * score_to_z(level), np.sqrt(1 - reliability)
        means[trait], low[trait], high[trait] = (
            float(z_to_score(centre + end * ndtri(0.95) * spread)) for end in (0, -1, 1)
        )
        noise[predictor.traits.index(trait)] = spread**2
    return Baseline(f"scores from {votes} votes", means, low, high, None, covariance=np.diag(noise))


def read_references(places: Sequence[Path], baseline: Baseline, encoder: Encoder, cache: EmbeddingCache) -> References:
    """Gather what candidates are compared with: the references, and the baseline where it is a picture.

    Raises
    ------
    UsageError
        If a place has no pictures, or a reference cannot be read or shows no face.
    """
    files = find_images(places) if places else []
    if places and not files:
        raise UsageError(f"reference {places[0]}: no pictures there (JPEG, PNG, WebP)")
    block = encoder.specification.blocks[IDENTITY_BLOCK]
    person = [] if baseline.descriptor is None else [baseline.descriptor]
    irises = [] if baseline.irises is None else [baseline.irises]
    for row in embed_images(files, encoder, cache):
        if row.vector is None or row.quality is None:
            raise UsageError(f"reference {row.name}: {row.reason}")
        if not row.quality.faces:
            raise UsageError(f"reference {row.name}: no face found; give pictures that show the person's face")
        person.append(row.vector[block].astype(np.float32))
        irises.append(_irises(row))
    return References(
        person=np.array(person, dtype=np.float64).reshape(-1, NO_FACE.size),
        baseline=baseline.descriptor,
        irises=np.array(irises, dtype=np.float64).reshape(-1, 2),
    )


def _irises(row: Embedded) -> NDArray[np.float64]:
    measured = row.quality
    return np.array([np.nan, np.nan] if measured is None else [measured.iris_a, measured.iris_b], dtype=np.float64)


def noise_of_one_vote(predictor: Predictor) -> Floats:
    """Return the noise variance of one vote on each trait in z, shape (t,), from the reliability of its ratings."""
    return np.array([vote_noise(icc_of_one_vote(predictor, trait)) for trait in predictor.traits])


def icc_of_one_vote(predictor: Predictor, trait: str) -> float:
    """Return ICC(1) of single votes on a trait in its training ratings, from `LEAST_ICC` to 1 - `LEAST_ICC`.

    Where it was not measured, `prescreen.ratings.reliability.DEFAULT_ICC` stands in.
    """
    measured = predictor.manifest.reliability.get(trait, {}).get("icc1")
    if measured is None or np.isnan(measured):
        return DEFAULT_ICC
    return float(np.clip(measured, LEAST_ICC, 1 - LEAST_ICC))
