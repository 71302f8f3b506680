"""Rankings and comparisons made for tests, through the functions that users run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from prescreen.ranking.checks import Excluded
from prescreen.ranking.comparison import Chances, Comparison
from prescreen.ranking.error_correlation import ErrorCorrelation
from prescreen.ranking.goals import Goals
from prescreen.ranking.posterior import HumanScores, Prior
from prescreen.ranking.probability import p_better
from prescreen.ranking.ranked_table import best_first, ranked_table
from prescreen.ranking.within_person import WithinPerson
from prescreen.ratings.vote_noise import score_to_z


def correlation_matrix(kernel: ErrorCorrelation, squared_distances: np.ndarray) -> np.ndarray:
    """Return K (n, n) of n different pictures of one person."""
    return kernel.cross_correlation(squared_distances, same_picture=np.eye(len(squared_distances), dtype=bool))


def comparison(
    prior: Prior,
    scores: HumanScores | None,
    traits: Sequence[str],
    goals: Goals,
    baseline: int | tuple[np.ndarray, np.ndarray],
    beliefs: WithinPerson | None = None,
) -> Comparison:
    """Compare all pictures of a prior with one of them, or with a mean and a covariance.

    By beliefs all pictures have the share of each in common, and means are drawn in to their middle by its slope;
    without any the prior is as it is.
    """
    picture = isinstance(baseline, int)
    t = len(traits)
    told = scores or HumanScores(np.zeros(0, dtype=np.intp), np.zeros((0, t)), np.zeros((0, t)))
    anchors = np.append(told.rows, baseline).astype(np.intp) if picture else np.asarray(told.rows, np.intp)
    centre = prior.mean.mean(axis=0)

    def parts(rows: np.ndarray, jointly: bool) -> Iterator[Prior]:
        both = np.concatenate([anchors, rows]).astype(np.intp)
        for share, slope in zip(beliefs.share, beliefs.slope, strict=True) if beliefs else ((None, 1.0),):
            correlation = prior.correlation if share is None else np.full(prior.correlation.shape, share)
            correlation = np.where(np.eye(len(correlation), dtype=bool), 1.0, correlation)[np.ix_(both, both)]
            mean = centre + slope * (prior.mean[both] - centre)
            yield Prior(mean, correlation, prior.covariance, prior.sigma[both], prior.person)

    return Comparison(
        traits=traits,
        goals=goals,
        level=prior.mean[baseline] if picture else baseline[0],
        usable=np.ones(len(prior.mean), dtype=bool),
        beliefs=beliefs or WithinPerson.exactly(0.0),
        priors=parts,
        scores=replace(told, rows=np.arange(len(told.rows))),
        anchors=len(anchors),
        given=None if picture else baseline[1],
    )


def rank(
    scores: pd.DataFrame,
    traits: Sequence[str],
    baseline: Mapping[str, float],
    goals: Goals,
    budget: int = 0,
    *,
    covariance: np.ndarray,
    copies: Mapping[str, str] | None = None,
    reasons: Mapping[str, Mapping[str, str]] | None = None,
) -> pd.DataFrame:
    """Rank against a baseline that is exactly known; reasons by check and copies go by the names of the pictures."""
    names = scores["image"].tolist()
    levels = np.array([baseline.get(trait, np.nan) for trait in traits])
    copy_of = [(copies or {}).get(name, "") for name in names]
    texts = {check: [given.get(name, "") for name in names] for check, given in (reasons or {}).items()}
    excluded = Excluded(texts | {"copies": [f"near-copy of {name}" if name else "" for name in copy_of]}, copy_of)
    points = scores[list(traits)].where(scores["status"] == "ok").to_numpy(float)
    difference = score_to_z(points) - score_to_z(levels)
    found = p_better(difference, covariance, score_to_z(levels), traits, goals)
    chance = Chances(found.joint, found.joint, found.joint, found.per_trait, difference)
    free = [row for row in best_first(names, chance.joint) if not excluded.because[row]]
    return ranked_table(
        scores,
        traits,
        goals=goals,
        merit=chance.joint,
        chance=chance,
        levels=levels,
        excluded=excluded,
        chosen=np.array(free[:budget], dtype=np.intp),
    )
