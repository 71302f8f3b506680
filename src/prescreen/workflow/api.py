"""The Python interface: what the commands do, on objects and data frames.

>>> import prescreen
>>> predictor = prescreen.Predictor.load("models/mine")  # doctest: +SKIP
>>> table = predictor.score("portraits/")  # doctest: +SKIP
>>> table.nlargest(3, "influence")[["image", "influence", "influence_low", "influence_high"]]  # doctest: +SKIP
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import pandas as pd

from prescreen.predictor import predictor as saved
from prescreen.ratings.scale import Scale
from prescreen.text import parse_traits
from prescreen.workflow import evaluate, inputs, score, train

PathLike = str | os.PathLike[str]


class Predictor:
    """A trained predictor, made by `load` or `train`: pictures in, a table of scores out.

    Attributes
    ----------
    place : str
        The directory or MLflow model URI that it came from.
    """

    def __init__(self, inner: saved.Predictor, place: str) -> None:
        self._inner = inner
        self.place = place

    @classmethod
    def load(cls, place: PathLike) -> Self:
        """Load a predictor.

        Parameters
        ----------
        place : path or str
            A directory that ``prescreen train`` wrote, or an MLflow model URI such as ``models:/prescreen@champion``.

        Raises
        ------
        prescreen.errors.PredictorError
            If there is none, or it is damaged.
        prescreen.errors.StoreError
            If the MLflow store has no such model.
        """
        return cls(inputs.load_predictor(os.fspath(place)), os.fspath(place))

    @classmethod
    def train(
        cls,
        ratings: PathLike,
        *,
        images: PathLike | None = None,
        traits: Mapping[str, str] | Iterable[str] | None = None,
        columns: Mapping[str, str] | None = None,
        scale: tuple[float, float] | None = None,
        bases: PathLike | Iterable[PathLike] = (),
        encoder: str | None = None,
        output: PathLike | None = None,
        experiment: str | None = None,
        seed: int = 0,
        simulated: bool = False,
        leave_out_raters: bool = False,
        forget_portraits: bool = False,
        trees: bool = False,
    ) -> Self:
        """Train a predictor on ratings, save it, and log it to MLflow.

        It is logged to a run of its own: your active run stays active, and nothing is logged to it. The arguments are
        described in `prescreen.workflow.train.TrainingOptions`; ``traits`` may also be names that are the same in the
        ratings, and ``scale`` is a pair of the lowest and highest vote.
        """
        options = train.TrainingOptions(
            Path(ratings),
            images=_path(images),
            traits=_as_mapping(traits),
            columns=columns,
            scale=_scale(scale),
            bases=tuple(os.fspath(base) for base in ([bases] if isinstance(bases, str | os.PathLike) else bases)),
            encoder=encoder,
            output=_path(output),
            experiment=experiment,
            seed=seed,
            simulated=simulated,
            leave_out_raters=leave_out_raters,
            forget_portraits=forget_portraits,
            trees=trees,
        )
        return cls.load(train.train(options).output)

    @property
    def name(self) -> str:
        """Name, that of its directory at training."""
        return self._inner.manifest.name

    @property
    def traits(self) -> tuple[str, ...]:
        """Traits that it predicts."""
        return self._inner.traits

    @property
    def encoder(self) -> str:
        """Name of the encoder whose vectors it takes."""
        return self._inner.manifest.encoder.name

    @property
    def simulated(self) -> bool:
        """Whether it was trained on simulated votes."""
        return self._inner.manifest.simulated

    @property
    def evaluation(self) -> Mapping[str, Any]:
        """The cross-validated evaluation, as in ``evaluation.json``."""
        return self._inner.evaluation.to_json()

    def score(
        self, pictures: PathLike | Iterable[PathLike], *, tolerant: bool = False, follow_links: bool = False
    ) -> pd.DataFrame:
        """Score pictures; vectors come from the cache where it has them.

        Parameters
        ----------
        pictures : path, or paths
            Folders or image files.
        tolerant : bool
            Score truncated pictures as far as they go instead of failing them.
        follow_links : bool
            Follow links that lead out of the folders; otherwise they are failed rows.

        Returns
        -------
        DataFrame
            One row a picture, sorted by path; the columns are those of ``docs/tables.md``. A picture that cannot be
            scored has ``status`` ``failed`` and its ``reason``.

        Raises
        ------
        prescreen.errors.NothingScored
            If there is no picture there. Pictures that all fail are rows here, and no error.
        """
        given = [pictures] if isinstance(pictures, str | os.PathLike) else pictures
        return score.score_table(
            [Path(path) for path in given], self._inner, tolerant=tolerant, follow_links=follow_links
        )

    def evaluate(
        self,
        ratings: PathLike,
        *,
        images: PathLike | None = None,
        traits: Mapping[str, str] | Iterable[str] | None = None,
        columns: Mapping[str, str] | None = None,
        scale: tuple[float, float] | None = None,
    ) -> Mapping[str, Any]:
        """Measure it against ratings of pictures that it was not trained on; the arguments are those of `train`.

        Returns
        -------
        mapping
            As ``prescreen evaluate --json`` writes it.
        """
        options = evaluate.EvaluationOptions(
            self._inner,
            Path(ratings),
            images=_path(images),
            traits=_as_mapping(traits),
            columns=columns,
            scale=_scale(scale),
        )
        return evaluate.evaluate(options).to_json()

    def __repr__(self) -> str:
        """Say what it is."""
        votes = ", simulated votes" if self.simulated else ""
        return f"<prescreen.Predictor {self.name}: {', '.join(self.traits)} from {self.encoder}{votes}>"


def _path(place: PathLike | None) -> Path | None:
    return None if place is None else Path(place)


def _scale(ends: tuple[float, float] | None) -> Scale | None:
    return None if ends is None else Scale(*ends)


def _as_mapping(traits: Mapping[str, str] | Iterable[str] | None) -> Mapping[str, str] | None:
    if traits is None or isinstance(traits, Mapping):
        return traits
    return parse_traits(traits) if isinstance(traits, str) else {name: name for name in traits}


__all__: Sequence[str] = ["Predictor"]
