"""Scored candidates compared with the baseline by all that the predictor knows."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prescreen.predictor.predictor import Predictor
from prescreen.ranking.comparison import Comparison
from prescreen.ranking.goals import Goals
from prescreen.ranking.posterior import Prior
from prescreen.ratings.vote_noise import score_to_z
from prescreen.shortlist.baseline import Baseline
from prescreen.text import OK

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
        Vectors by name. A candidate without one is compared by its scores alone.
    """
    traits, calibration = predictor.traits, predictor.calibration
    scored, results = predictor.scored()
    errors = predictor.errors(*([] if baseline.descriptor is None else [baseline.descriptor]))
    if baseline.vector is None:
        anchors, given = scored, baseline.given_covariance(traits)
        spread = calibration.error_covariance + given
    else:
        anchors, given = scored.concatenate(predictor.featurize(baseline.vector[None], [baseline.content])), None
        # Both show one person, whose share of the errors cancels in the difference.
        spread = 2 * (1 - calibration.person_share) * calibration.error_covariance
    level = baseline.z(traits)
    points = table[list(traits)].to_numpy(np.float64)
    usable = (table["status"] == OK).to_numpy() & np.isfinite(points).all(axis=1)
    names, contents = table["image"].tolist(), table["content"].tolist()
    # What a predictor without human scores says stands in the table already.
    raw = table[[f"{trait}_raw" for trait in traits]].to_numpy(np.float64) if predictor.results is None else None

    def prior(rows: NDArray[np.intp], jointly: bool) -> Prior:
        stacked = np.stack([vectors[names[row]] for row in rows])
        others = predictor.featurize(stacked, [contents[row] for row in rows], None if raw is None else raw[rows])
        return errors.prior(anchors, others, jointly=jointly)

    return Comparison(
        traits=traits,
        goals=goals,
        level=level,
        alone=(np.where(usable[:, None], score_to_z(points) - level, np.nan), spread),
        comparable=usable & np.array([name in vectors for name in names], dtype=bool),
        prior=prior,
        scores=results.scores(),
        anchors=len(anchors),
        given=given,
    )
