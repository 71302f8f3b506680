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
from prescreen.errors import RatingsError, UsageError
from prescreen.images.files import ImageFile, find_images
from prescreen.predictor.human_scores import SERVICE_OFFSET
from prescreen.predictor.predictor import Predictor
from prescreen.progress import ProgressReporter
from prescreen.ranking.checks import References
from prescreen.ranking.goals import Goals, as_known
from prescreen.ranking.options import DEFAULT_VOTES, RankingOptions
from prescreen.ranking.posterior import HumanScores
from prescreen.ratings.reliability import DEFAULT_ICC
from prescreen.ratings.results import TypedResults, read_results
from prescreen.ratings.scale import Scale
from prescreen.ratings.vote_noise import noise_of_vote, score_to_z, z_to_score
from prescreen.text import describe_list, is_file, parse_levels, shown, unknown_name

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
    votes_assumed : bool
        Whether nothing said how many votes these scores come from.
    notes : tuple of str
        What was understood of the file that its scores come from.
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
    votes_assumed: bool = False
    notes: tuple[str, ...] = ()

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
    text: str | None, options: RankingOptions, predictor: Predictor, encoder: Encoder, cache: EmbeddingCache
) -> Baseline | None:
    """Read ``--baseline`` and ``--baseline-scores``: a picture, which is scored, its scores from people, or both.

    Parameters
    ----------
    text : str, optional
        A path, or scores such as ``competence=8.2,likeability=9.0``.
    options : RankingOptions
        With the scores of the picture from people, their votes, and whether the predictor's raters gave them.
    predictor, encoder, cache
        What scores a picture.

    Returns
    -------
    Baseline or None
        None where neither is given.

    Raises
    ------
    UsageError
        If it is neither, the picture cannot be scored, or an option says something of scores that are not given.
    """
    scores = options.baseline_scores
    is_picture = text is not None and is_file(text)
    if text is not None and not is_picture:
        if "=" not in text:
            raise UsageError(
                f"baseline {text!r}: no such picture; or give scores such as competence=8.2,likeability=9.0"
            )
        if scores:
            raise UsageError(f"--baseline-scores: --baseline is {text!r}, which are scores too; give one of them")
        scores = text
    if not scores:
        _refuse_idle(options, photo=text is not None)
    if text is None or not is_picture:
        alone = Baseline(f"scores from {options.votes_of_baseline} votes", {}, {}, {}, None)
        return with_scores(alone, _read_scores(scores, "", predictor), options, predictor) if scores else None
    photo = read_photo(Path(text), encoder, cache)
    predicted = predictor.predict(np.asarray(photo.vector)[None], [photo.content])
    values = (predicted.score, predicted.score_low, predicted.score_high)
    levels, low, high = (dict(zip(predictor.traits, map(float, v[0]), strict=True)) for v in values)
    photo = replace(photo, levels=levels, low=low, high=high)
    return with_scores(photo, _read_scores(scores, photo.name, predictor), options, predictor) if scores else photo


def _refuse_idle(options: RankingOptions, *, photo: bool) -> None:
    """Refuse options that mean nothing without scores of the current photo, or without the photo either."""
    if options.baseline_votes is not None:
        raise UsageError("--baseline-votes: says how many votes scores come from; give the photo's --baseline-scores")
    if options.same_raters:
        raise UsageError("--same-raters: says where scores come from; give the photo's --baseline-scores")
    beating = {
        "--votes": options.votes is not None,
        "--any-of": options.any_of,
        "--improve-margin": options.improve_margin != 0,
        "--keep-margin": options.keep_margin != 0,
    }
    for option, given in beating.items():
        if given and not photo:
            raise UsageError(f"{option}: is about beating your current photo; give it with --baseline")


def _read_scores(text: str, photo: str, predictor: Predictor) -> TypedResults:
    """Read scores of the photo: as text, or from a file of results in which the photo is."""
    traits = predictor.traits
    if not is_file(text):
        if "=" not in text:
            raise UsageError(
                f"--baseline-scores {text!r}: no such file; give one, or scores such as competence=8.2,likeability=9.0"
            )
        levels = parse_levels(text)
        for given, name in zip(levels, as_known(list(levels), traits), strict=True):
            if name not in traits:
                raise UsageError(f"--baseline-scores: {unknown_name(given, traits)}")
        return TypedResults.of_one(photo, dict(zip(as_known(list(levels), traits), levels.values(), strict=True)))
    if not photo:
        raise UsageError(
            f"--baseline-scores {text}: a file of scores goes with the picture that they are of: --baseline"
        )
    typed = read_results(
        Path(text), traits, [photo], where=text, training=Scale.parse(predictor.manifest.scale), only=photo
    )
    if not typed.images or typed.scores.isna().all(axis=None):
        raise RatingsError(f"{shown(text)}: no score of {shown(photo)} there; add it, or leave --baseline-scores out")
    return typed


def announce_comparison(
    goals: Goals, baseline: Baseline | None, predictor: Predictor, reporter: ProgressReporter
) -> None:
    """Say what candidates are compared with, and what was assumed of its scores."""
    if baseline is None:
        reporter.note(f"ranked by  the mean of the predicted scores on {describe_list(goals.traits)}")
        reporter.note("           with your current photo the ranking says which pictures beat it: --baseline")
        return
    for note in baseline.notes:
        reporter.note(note)
    reporter.note(f"goals      {goals.describe()}; your current photo: {baseline.describe()}")
    if baseline.votes_assumed:
        reporter.note(f"           its scores count as {DEFAULT_VOTES} votes each; say how many with --baseline-votes")
    if baseline.human is not None and baseline.human.offset is not None and baseline.human.offset.any():
        reporter.note(
            "           its scores are ranks among the pictures of the service that gave them, predicted ones among "
            "the training portraits: that makes every chance less sure; --same-raters if both are the same"
        )
    tested = baseline.vector is not None and predictor.was_tested([baseline.content])[0]
    if tested and baseline.human is not None:
        reporter.warn(
            f"{shown(baseline.name)} is among the pictures that {shown(predictor.manifest.name)} has learned from: "
            "--baseline-scores counts in addition; leave it out where these are the same votes"
        )
    if not tested and baseline.human is None:
        reporter.note("           if people have rated it, their scores make chances surer: --baseline-scores")
    if baseline.vector is None:
        reporter.note(
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


def with_scores(photo: Baseline, typed: TypedResults, options: RankingOptions, predictor: Predictor) -> Baseline:
    """Add human scores of the current photo; its level is where they put it, as sure as their votes make it.

    Parameters
    ----------
    photo : Baseline
        The picture, or one of which nothing else is known.
    typed : TypedResults
        Its scores, as the only row.
    options : RankingOptions
        With the votes behind a score where ``typed`` does not say, and whether the predictor's raters gave them.
    predictor : Predictor
        What predicts the candidates.
    """
    z, variance = (part[0] for part in typed_in_z(typed, predictor, options.votes_of_baseline))
    levels, low, high = dict(photo.levels), dict(photo.low), dict(photo.high)
    for t, trait in enumerate(predictor.traits):
        if np.isfinite(z[t]):
            levels[trait], low[trait], high[trait] = (
                float(z_to_score(z[t] + end * ndtri(0.95) * np.sqrt(variance[t]))) for end in (0, -1, 1)
            )
    offset = np.full(len(z), 0.0 if options.same_raters or typed.raw else SERVICE_OFFSET**2)
    human = HumanScores(np.zeros(1, dtype=np.intp), z[None], variance[None], offset)
    predicted = None if photo.vector is None else photo
    silent = typed.scores.notna() & typed.votes.isna() & typed.errors.isna()
    assumed = options.baseline_votes is None and bool(silent.to_numpy().any())
    return replace(
        photo,
        levels=levels,
        low=low,
        high=high,
        predicted=predicted,
        human=human,
        votes_assumed=assumed,
        notes=typed.notes,
    )


def typed_in_z(typed: TypedResults, predictor: Predictor, votes: int) -> tuple[Floats, Floats]:
    """Return typed scores of m pictures in z, and the variance of each as a mean of votes; NaN without a score.

    Parameters
    ----------
    typed : TypedResults
        The scores.
    predictor : Predictor
        Whose scale and traits they are on.
    votes : int
        Votes behind a score whose file does not say. The noise of a score follows from its votes and its level
        (`prescreen.ratings.vote_noise`), or from its 90 % range where the file has one.

    Returns
    -------
    z, variance : ndarray (m, t)
    """
    traits = list(predictor.traits)
    values, errors, counted = (
        part.reindex(columns=traits).to_numpy(np.float64) for part in (typed.scores, typed.errors, typed.votes)
    )
    told = np.isfinite(values)
    middle = predictor.calibration.raw(np.zeros((1, len(traits)))) if typed.raw else np.full((1, 1), 5.0)

    def in_z(points: Floats) -> Floats:
        known = np.where(np.isfinite(points), points, middle)
        return predictor.calibration.z(known) if typed.raw else score_to_z(known)

    z, end = in_z(values), float(ndtri(0.95))
    single = np.column_stack([noise_of_vote(z[:, t], noise) for t, noise in enumerate(noise_of_one_vote(predictor))])
    from_votes = single / np.where(np.isfinite(counted), counted, votes)
    from_range = ((in_z(values + end * errors) - in_z(values - end * errors)) / (2 * end)) ** 2
    variance = np.where(np.isfinite(errors), from_range, from_votes)
    return np.where(told, z, np.nan), np.where(told, variance, np.nan)


def read_references(
    places: Sequence[Path], baseline: Baseline | None, encoder: Encoder, cache: EmbeddingCache
) -> References:
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
    descriptor = None if baseline is None else baseline.descriptor
    person = [] if descriptor is None else [descriptor]
    irises = [] if baseline is None or baseline.irises is None else [baseline.irises]
    for row in embed_images(files, encoder, cache):
        if row.vector is None or row.quality is None:
            raise UsageError(f"reference {row.name}: {row.reason}")
        if not row.quality.faces:
            raise UsageError(f"reference {row.name}: no face found; give pictures that show the person's face")
        person.append(row.vector[block].astype(np.float32))
        irises.append(_irises(row))
    return References(
        person=np.array(person, dtype=np.float64).reshape(-1, NO_FACE.size),
        baseline=descriptor,
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
