"""Candidates against the present picture: means and errors of the differences, and which few to send together.

Everything that is known goes in at once: the predictions, how their errors go together (one person, similar pictures,
traits), what people said about pictures of the person so far, and how far the baseline itself is known.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prescreen.calibration import score_to_z
from prescreen.learned import Errors, HumanResults, Pictures
from prescreen.predictor import Predictor
from prescreen.ranking.goals import Goals
from prescreen.ranking.posterior import condition
from prescreen.ranking.probability import difference_covariance
from prescreen.ranking.rounds import CONSIDERED, choose_from
from prescreen.ranking.selection import Selection

Floats = NDArray[np.float64]
Vectors = Mapping[str, NDArray[np.float16]]

_CHUNK = 512


@dataclass(frozen=True)
class KnownBaseline:
    """The present picture as candidates are compared with it.

    Parameters
    ----------
    levels : ndarray of float, shape (t,)
        Scores from 0 to 10, NaN where not known.
    covariance : ndarray of float, shape (t, t)
        Errors of scores that were given, in z. Not used for a picture.
    vector : ndarray of float16, shape (d,), or None
        The picture's vector, where it is one.
    content : str
        SHA-256 of the picture's file.
    face : ndarray of float, shape (128,), or None
        The picture's face descriptor.
    """

    levels: Floats
    covariance: Floats
    vector: NDArray[np.float16] | None = None
    content: str = ""
    face: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Comparison:
    """n candidates minus the baseline.

    Attributes
    ----------
    difference : ndarray of float, shape (n, t)
        Means in z.
    covariance : ndarray of float, shape (n, t, t)
        Covariance between traits of each difference.
    """

    difference: Floats
    covariance: Floats
    _anchors: Pictures
    _others: "_Others"
    _errors: Errors
    _results: HumanResults
    _baseline: KnownBaseline

    def choose(
        self, rows: NDArray[np.intp], traits: Sequence[str], goals: Goals, k: int, *, seed: int = 0
    ) -> tuple[NDArray[np.intp], Selection | None]:
        """Choose k candidates of which, as likely as possible, at least one meets all goals.

        Parameters
        ----------
        rows : ndarray of int
            Those that may be sent, the most likely first.
        traits, goals, k, seed
            As in `prescreen.ranking.selection.choose_together`.

        Returns
        -------
        chosen : ndarray of int, at most k of ``rows``
            In the order of choice.
        selection : Selection or None
            With the chance that one of them meets all goals; None where pictures have no vectors to compare.
        """
        among = rows[self._others.has[rows]][:CONSIDERED]
        if len(among) < min(k, len(rows), CONSIDERED):
            return rows[:k], None
        if not len(among):
            return rows[:0], None
        prior = self._errors.prior(self._anchors, self._others.pictures(among), jointly=True)
        posterior = condition(prior, self._results.scores())
        places = np.arange(len(among), dtype=np.intp) + len(self._anchors)
        level = score_to_z(self._baseline.levels)
        given = len(self._results) if self._baseline.vector is not None else (level, self._baseline.covariance)
        selection = choose_from(posterior, places, given, level, traits, goals, k, seed)
        chosen = among[selection.chosen]
        rest = rows[~np.isin(rows, chosen)]
        return np.concatenate([chosen, rest[: k - len(chosen)]]), selection


@dataclass(frozen=True)
class _Others:
    """The candidates' vectors, turned into `Pictures` a part at a time."""

    predictor: Predictor
    vectors: Sequence[NDArray[np.float16] | None]
    contents: Sequence[str]
    raw: Floats

    @property
    def has(self) -> NDArray[np.bool_]:
        """Which have a vector."""
        return np.array([vector is not None for vector in self.vectors], dtype=bool)

    def pictures(self, rows: NDArray[np.intp]) -> Pictures:
        stacked = np.stack([vector for i in rows if (vector := self.vectors[i]) is not None])
        # What an untaught predictor says stands in the table already.
        raw = None if self.predictor.results is not None else self.raw[rows]
        return self.predictor.see(stacked, [self.contents[i] for i in rows], raw)


def compare(table: pd.DataFrame, predictor: Predictor, baseline: KnownBaseline, vectors: Vectors) -> Comparison:
    """Compare all candidates with the baseline.

    Parameters
    ----------
    table : DataFrame
        Scores of the candidates by this predictor.
    predictor : Predictor
        Which may have learned from people.
    baseline : KnownBaseline
        The present picture.
    vectors : mapping of str to ndarray
        Vectors by name. A candidate without one is compared by its scores alone.
    """
    traits, calibration = predictor.traits, predictor.calibration
    usable = (table["status"] == "ok").to_numpy()
    level = score_to_z(baseline.levels)
    is_picture = baseline.vector is not None
    shared = calibration.person_share if is_picture else 0.0
    known = None if is_picture else baseline.covariance
    alone = difference_covariance(calibration.error_covariance, known, shared, len(traits))
    difference = score_to_z(table[list(traits)].to_numpy(np.float64)) - level
    covariance = np.repeat(alone[None], len(table), axis=0)

    scored, results = predictor.scored()
    errors = predictor.errors(*([] if baseline.face is None else [baseline.face]))
    anchors = scored
    if baseline.vector is not None:
        anchors = scored.and_(predictor.see(baseline.vector[None], [baseline.content]))
    raw = table[[f"{trait}_raw" for trait in traits]].to_numpy(np.float64)
    names = table["image"].tolist()
    found = [vectors.get(name) if fine else None for name, fine in zip(names, usable, strict=True)]
    others = _Others(predictor, found, table["content"].tolist(), raw)
    with_vector = np.flatnonzero(others.has)
    for start in range(0, len(with_vector), _CHUNK):
        rows = with_vector[start : start + _CHUNK]
        posterior = condition(errors.prior(anchors, others.pictures(rows)), results.scores())
        if is_picture:
            means, spreads = posterior.difference(len(scored))
        else:
            means, spreads = posterior.difference_from(level, baseline.covariance)
        difference[rows], covariance[rows] = means[len(anchors) :], spreads[len(anchors) :]
    return Comparison(difference, covariance, anchors, others, errors, results, baseline)


def chooser(
    comparison: Comparison, traits: Sequence[str], goals: Goals, k: int
) -> Callable[[NDArray[np.intp]], NDArray[np.intp]]:
    """Return a function from the rows that may be sent, best first, to the few that are sent."""
    return lambda rows: comparison.choose(rows, traits, goals, k)[0]
