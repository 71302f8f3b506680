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
from prescreen.predictor.human_scores import SERVICE_OFFSET
from prescreen.predictor.predictor import Predictor
from prescreen.progress import ProgressReporter
from prescreen.ranking.checks import References
from prescreen.ranking.goals import Goals
from prescreen.ranking.options import DEFAULT_VOTES, RankingOptions
from prescreen.ranking.posterior import HumanScores
from prescreen.ratings.reliability import DEFAULT_ICC
from prescreen.ratings.vote_noise import noise_of_vote, score_to_z, z_to_score
from prescreen.text import describe_list, parse_levels

Floats = NDArray[np.float64]

NO_FACE: Final = np.full(IDENTITY_WIDTH, np.nan)

LEAST_NOISE: Final = 0.01
"""Least noise variance of one vote in z that is taken for true."""

LEAST_ICC: Final = 0.01
"""Least ICC(1) that is taken for true, and 1 minus it the largest.

With a measured 0 a vote would have infinite noise, with 1 none; so it has 99 times, or 1/99 of, the pictures' variance.
"""


@dataclass(frozen=True)
class Baseline:
    """The current photo, its scores from people, or both.

    Parameters
    ----------
    name : str
        Its file name, or how its scores were given.
    levels, low, high : mapping of str to float
        Scores from 0 to 10 with the ends of their 90 % intervals: those from people where there are any, otherwise
        predicted.
    file : Path or None
        The picture, where there is one.
    descriptor : ndarray of float32, shape (128,), or None
        Its face descriptor.
    irises : ndarray of float, shape (2,), or None
        Colour of its irises, CIELAB's a and b; NaN where they could not be seen.
    vector : ndarray of float16, shape (d,), or None
        The picture's vector.
    content : str
        SHA-256 of its file.
    predicted : Baseline or None
        The same picture with its predicted scores, where ``levels`` are from people.
    human : HumanScores or None
        Human scores of the picture, as the only row; without a vector they are all that is known of it.
    """

    name: str
    levels: Mapping[str, float]
    low: Mapping[str, float]
    high: Mapping[str, float]
    file: Path | None
    descriptor: NDArray[np.float32] | None = field(default=None, repr=False)
    irises: NDArray[np.float64] | None = None
    vector: NDArray[np.float16] | None = field(default=None, repr=False)
    content: str = ""
    predicted: "Baseline | None" = field(default=None, repr=False)
    human: HumanScores | None = field(default=None, repr=False)

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

    def describe(self) -> str:
        """Return the scores as one phrase."""
        return ", ".join(f"{trait} {level:.1f}" for trait, level in self.levels.items())


def read_baseline(
    text: str, options: RankingOptions, predictor: Predictor, encoder: Encoder, cache: EmbeddingCache
) -> Baseline:
    """Read ``--baseline``: a picture, which is scored, or the scores that people gave it; or both with its scores.

    Parameters
    ----------
    text : str
        A path, or scores such as ``competence=8.2,likeability=9.0``.
    options : RankingOptions
        With the scores of the picture from people, their votes, and whether the predictor's raters gave them.
    predictor, encoder, cache
        What scores a picture.

    Raises
    ------
    UsageError
        If it is neither, or the picture cannot be scored.
    """
    path = Path(text)
    if not path.is_file():
        if "=" not in text:
            raise UsageError(
                f"baseline {text!r}: no such picture; or give scores such as competence=8.2,likeability=9.0"
            )
        if options.baseline_scores:
            raise UsageError(f"--baseline-scores: goes with a picture in --baseline, which is {text!r} here")
        alone = Baseline(f"scores from {options.votes_of_baseline} votes", {}, {}, {}, None)
        return with_scores(alone, parse_levels(text), options, predictor)
    photo = read_photo(path, encoder, cache)
    predicted = predictor.predict(np.asarray(photo.vector)[None], [photo.content])
    values = (predicted.score, predicted.score_low, predicted.score_high)
    levels, low, high = (dict(zip(predictor.traits, map(float, v[0]), strict=True)) for v in values)
    photo = replace(photo, levels=levels, low=low, high=high)
    if options.baseline_scores:
        return with_scores(photo, parse_levels(options.baseline_scores), options, predictor)
    if options.baseline_votes is not None:
        raise UsageError("--baseline-votes: says how many votes scores come from; give the photo's --baseline-scores")
    return photo


def announce_comparison(goals: Goals, baseline: Baseline, options: RankingOptions, reporter: ProgressReporter) -> None:
    """Say what candidates are compared with, and what was assumed of its scores."""
    reporter.info(f"goals      {goals.describe()}; your current photo: {baseline.describe()}")
    if baseline.human is not None and options.baseline_votes is None:
        reporter.info(f"           its scores count as {DEFAULT_VOTES} votes each; say how many with --baseline-votes")
    if baseline.human is not None and not options.same_raters:
        reporter.info(
            "           its scores are ranks among the pictures of the service that gave them, predicted ones among "
            "the training portraits: that makes every chance less sure; --same-raters if both are the same"
        )
    if baseline.human is None:
        reporter.info("           if people have rated it, their scores make chances surer: --baseline-scores")
    if baseline.vector is None:
        reporter.info(
            "           without the photo itself chances are less sure: --baseline PHOTO --baseline-scores SCORES"
        )


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


def with_scores(
    photo: Baseline, scores: Mapping[str, float], options: RankingOptions, predictor: Predictor
) -> Baseline:
    """Add human scores of the current photo; its level is where they put it, as sure as their votes make it.

    Raises
    ------
    UsageError
        For a trait that the predictor does not know.
    """
    z, variance = _votes_in_z(scores, options, predictor)
    levels, low, high = dict(photo.levels), dict(photo.low), dict(photo.high)
    for t, trait in enumerate(predictor.traits):
        if trait in scores:
            levels[trait], low[trait], high[trait] = (
                float(z_to_score(z[t] + end * ndtri(0.95) * np.sqrt(variance[t]))) for end in (0, -1, 1)
            )
    offset = np.full(len(z), 0.0 if options.same_raters else SERVICE_OFFSET**2)
    human = HumanScores(np.zeros(1, dtype=np.intp), z[None], variance[None], offset)
    predicted = None if photo.vector is None else photo
    return replace(photo, levels=levels, low=low, high=high, predicted=predicted, human=human)


def _votes_in_z(scores: Mapping[str, float], options: RankingOptions, predictor: Predictor) -> tuple[Floats, Floats]:
    """Return scores from people as z, and the variance of each as a mean of votes, both (t,); NaN without a score."""
    for trait in scores:
        Goals(improve=(trait,)).check(predictor.traits)
    z = score_to_z([scores.get(trait, np.nan) for trait in predictor.traits])
    single = [noise_of_vote(level, noise) for level, noise in zip(z, noise_of_one_vote(predictor), strict=True)]
    return z, np.array(single, dtype=np.float64) / options.votes_of_baseline


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
    """Return the noise variance of one vote on each trait in z, shape (t,), averaged over pictures.

    As it was among the votes of the training ratings; where they do not tell, by their reliability, or else by
    `prescreen.ratings.reliability.DEFAULT_ICC`.
    """
    found = []
    measured = predictor.calibration.vote_noise
    for t, trait in enumerate(predictor.traits):
        reliability = predictor.manifest.reliability.get(trait, {})
        icc, of_mean = reliability.get("icc1"), reliability.get("of_mean")
        icc = DEFAULT_ICC if icc is None or np.isnan(icc) else float(np.clip(icc, LEAST_ICC, 1 - LEAST_ICC))
        # In z the ratings have a variance of 1, of which their reliability is the truth's.
        older = predictor.calibration.older_share is not None  # so that scores learned before are known again
        truth = 1.0 if older or of_mean is None or np.isnan(of_mean) else max(of_mean, LEAST_ICC)
        estimated = (1 - icc) / icc * truth
        known = measured is not None and np.isfinite(measured[t])
        found.append(max(float(measured[t]), LEAST_NOISE) if measured is not None and known else estimated)
    return np.array(found)
