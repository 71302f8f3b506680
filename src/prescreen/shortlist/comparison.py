"""Scored candidates compared with the baseline by all that the predictor knows."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prescreen.predictor.human_scores import Pictures
from prescreen.predictor.predictor import Predictor
from prescreen.predictor.training_portraits import content_keys
from prescreen.ranking.comparison import Comparison
from prescreen.ranking.goals import Goals
from prescreen.ranking.posterior import HumanScores, Prior
from prescreen.shortlist.baseline import Baseline
from prescreen.text import OK

Floats = NDArray[np.float64]
Vectors = Mapping[str, NDArray[np.float16]]


def compare(
    table: pd.DataFrame, predictor: Predictor, baseline: Baseline, goals: Goals, vectors: Vectors
) -> Comparison:
    """Compare all candidates with the baseline.

    Parameters
    ----------
    table : DataFrame
        Scores of the candidates by this predictor.
    predictor : Predictor
        Which may have learned from people.
    baseline : Baseline
        The current photo.
    goals : Goals
        What to improve and what to keep.
    vectors : mapping of str to ndarray
        Vectors by name. A candidate without one counts as any picture of the person with its scores.
    """
    traits = predictor.traits
    scored, results = predictor.scored()
    scores = results.scores()
    errors = predictor.errors(*([] if baseline.descriptor is None else [baseline.descriptor]))
    usable = (table["status"] == OK).to_numpy() & np.isfinite(table[list(traits)].to_numpy(np.float64)).all(axis=1)
    names, contents = table["image"].tolist(), table["content"].tolist()
    if predictor.results is not None:
        # What a predictor with human results wrote of a picture that is gone is moved by them already.
        usable &= np.array([name in vectors for name in names], dtype=bool)
    raw = _raw_predictions(table, predictor, vectors)
    of_candidates = predictor.calibration.z(raw[usable])
    level, given = baseline.z(traits), None
    if baseline.vector is not None:
        photo = predictor.featurize(baseline.vector[None], [baseline.content])
        anchors = scored.concatenate(photo)
        centre = _mean(np.concatenate([anchors.z, of_candidates]))
        if baseline.human is not None:
            scores = scores.with_row(len(scored), baseline.human)
    elif baseline.human is not None:
        # A picture of the person like the candidates, of which people have said more than was ever predicted.
        centre = _mean(np.concatenate([scored.z, of_candidates]))
        anchors = scored.concatenate(_unseen(scored, centre[None]))
        around = np.zeros((len(traits),) * 2)
        if len(of_candidates) > 1:
            slope = predictor.calibration.within_person.mean_slope
            around = slope**2 * np.atleast_2d(np.cov(of_candidates, rowvar=False, ddof=0))
        level, given = level_of_scores(baseline.human, centre, around + predictor.calibration.error_covariance)
        scores = scores.with_row(len(scored), baseline.human, np.diag(around))
    else:
        raise ValueError(f"baseline {baseline.name}: expected a picture, or its scores")

    def pictures(rows: NDArray[np.intp]) -> Pictures:
        keys = content_keys([contents[row] for row in rows])
        found = replace(_unseen(scored, predictor.calibration.z(raw[rows])), keys=keys)
        here = np.array([place for place, row in enumerate(rows) if names[row] in vectors], dtype=np.intp)
        if len(here):  # what is not there any more is not known to look like anything
            stacked = np.stack([vectors[names[row]] for row in rows[here]])
            seen = predictor.featurize(stacked, [contents[row] for row in rows[here]], raw[rows[here]])
            found.features[here], found.faces[here] = seen.features, seen.faces
        return found

    def priors(rows: NDArray[np.intp], jointly: bool) -> Iterator[Prior]:
        return errors.priors(anchors, pictures(rows), centre, jointly=jointly)

    return Comparison(
        traits=traits,
        goals=goals,
        level=level,
        usable=usable,
        beliefs=predictor.calibration.within_person,
        priors=priors,
        scores=scores,
        anchors=len(anchors),
        given=given,
    )


def _mean(z: Floats) -> Floats:
    return z.mean(axis=0) if len(z) else np.zeros(z.shape[1])


def _unseen(like: Pictures, z: Floats) -> Pictures:
    """Return pictures of which nothing is known but predictions in z."""
    features, faces = (np.full((len(z), part.shape[1]), np.nan, np.float32) for part in (like.features, like.faces))
    return Pictures(z, features, faces, np.zeros(len(z), np.uint64))


def level_of_scores(human: HumanScores, centre: Floats, covariance: Floats) -> tuple[Floats, Floats]:
    """Return where a picture stands by its scores alone, (t,), and how sure that is, (t, t); in z.

    Its truth is normal around the person's pictures; scores of few votes are partly luck and are drawn to them.
    """
    z, noise = human.z[0], human.variance[0] + (0.0 if human.offset is None else human.offset)
    known = np.flatnonzero(np.isfinite(z))
    gain = np.linalg.solve(covariance[np.ix_(known, known)] + np.diag(noise[known]), covariance[known]).T
    level = np.where(np.isfinite(z), centre + gain @ (z - centre)[known], np.nan)
    left = covariance - gain @ covariance[known]
    return level, (left + left.T) / 2


def _raw_predictions(table: pd.DataFrame, predictor: Predictor, vectors: Vectors) -> NDArray[np.float64]:
    """Return what was predicted of the candidates before any human results, raw, (n, t).

    It stands in the table, unless a predictor that has human results wrote it.
    """
    raw = table[[f"{trait}_raw" for trait in predictor.traits]].to_numpy(np.float64, copy=True)
    if predictor.results is None:
        return raw
    here = [row for row, name in enumerate(table["image"]) if name in vectors]
    if here:
        stacked = np.stack([vectors[name] for name in table["image"].iloc[here]])
        raw[here] = predictor.predict_before_results(stacked, content_keys(table["content"].iloc[here].tolist()))
    return raw
