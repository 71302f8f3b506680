"""Bases: predictors whose predictions another predictor uses, and which it carries in itself."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from prescreen.predictor.training_portraits import TrainingPortraits
from prescreen.regressors.base import State, below
from prescreen.regressors.stacking import TraitRegressors


@dataclass(frozen=True)
class Base:
    """What predicts raw ratings from vectors: all that a predictor needs of its base.

    Parameters
    ----------
    traits : tuple of str
        Names of the t traits that it predicts.
    regressors : TraitRegressors
        From vectors, and from what the bases say, to raw ratings.
    portraits : TrainingPortraits
        What it was trained on.
    bases : tuple of Base
        Its own bases.
    """

    traits: tuple[str, ...]
    regressors: TraitRegressors
    portraits: TrainingPortraits
    bases: tuple["Base", ...] = ()

    def predict(
        self,
        features: NDArray[np.floating],
        keys: NDArray[np.uint64],
        faces: NDArray[np.floating] | None = None,
    ) -> NDArray[np.float64]:
        """Predict raw ratings of n pictures, shape (n, t).

        A picture that it was trained on, or a near-duplicate of one, gets the cross-validated prediction: what a model
        says of a picture whose rating it has seen is no prediction.

        Parameters
        ----------
        features : ndarray, shape (n, d)
            Their vectors.
        keys, faces
            As in `TrainingPortraits.find`.
        """
        raw = self.regressors.predict(features, predict_all(self.bases, self.traits, features, keys, faces))
        rows = self.portraits.find(keys, faces)
        raw[rows >= 0] = self.portraits.predictions[rows[rows >= 0]]
        return raw

    def parts(self) -> Iterator["Base"]:
        """Yield this one, its bases, their bases and so on."""
        yield self
        for base in self.bases:
            yield from base.parts()

    def check_shapes(self) -> None:
        """Raise ValueError if regressors and training portraits do not fit together."""
        shapes = [getattr(self.portraits, field.name).shape for field in fields(TrainingPortraits)]
        m, t = len(self.portraits.keys), len(self.traits)
        if self.regressors.weights.shape[1] != t:
            raise ValueError(f"{t} traits, {self.regressors.weights.shape[1]} in the regressors")
        if shapes != [(m,), (m, *shapes[1][1:]), (m, t)]:
            raise ValueError(f"training portraits of shapes {shapes}")

    def to_state(self) -> State:
        """Return arrays and a JSON-able configuration."""
        arrays, configuration = self.regressors.to_state()
        arrays = {f"regressors/{name}": array for name, array in arrays.items()}
        arrays |= {f"portraits/{field.name}": getattr(self.portraits, field.name) for field in fields(self.portraits)}
        if self.bases:
            configuration["bases"] = []
        for number, base in enumerate(self.bases):
            of_base, below_it = base.to_state()
            arrays |= {f"bases/{number}/{name}": array for name, array in of_base.items()}
            configuration["bases"].append({"traits": list(base.traits), **below_it})
        return arrays, configuration

    @classmethod
    def from_state(
        cls, traits: Sequence[str], arrays: Mapping[str, NDArray[Any]], configuration: Mapping[str, Any]
    ) -> Self:
        """Read what `to_state` returned."""
        return cls(
            traits=tuple(map(str, traits)),
            regressors=TraitRegressors.from_state(below("regressors/", arrays), configuration),
            portraits=TrainingPortraits(**below("portraits/", arrays)),
            bases=tuple(
                cls.from_state(of_base["traits"], below(f"bases/{number}/", arrays), of_base)
                for number, of_base in enumerate(configuration.get("bases", ()))
            ),
        )


def predict_all(
    bases: Sequence[Base],
    traits: Sequence[str],
    features: NDArray[np.floating],
    keys: NDArray[np.uint64],
    faces: NDArray[np.floating] | None = None,
) -> NDArray[np.float64]:
    """Return what bases say of n pictures, shape (n, k): side by side, and then again what has the name of a trait.

    Parameters
    ----------
    bases : sequence of Base
    traits : sequence of str
        Names of the traits that are predicted from it.
    features, keys, faces
        As in `Base.predict`.
    """
    said = np.hstack([np.zeros((len(features), 0)), *(base.predict(features, keys, faces) for base in bases)])
    return with_namesakes(said, [base.traits for base in bases], traits)


def with_namesakes(
    said: NDArray[np.float64], names: Sequence[Sequence[str]], traits: Sequence[str]
) -> NDArray[np.float64]:
    """Repeat at the end the columns of what bases say that have the name of a trait; ``names`` as in `blocks`."""
    return np.hstack([said, said[:, _namesakes(names, traits)]])


def blocks(names: Sequence[Sequence[str]], traits: Sequence[str]) -> dict[str, slice]:
    """Return the columns of each base in what `predict_all` returns, and of the traits of the same name.

    Each block counts as much as another one: with few rated pictures what a base says of the very trait is worth more
    than what it says of all others.

    Parameters
    ----------
    names : sequence of sequences of str
        Names of the traits of each base.
    traits : sequence of str
        Names of the traits that are predicted from it.
    """
    sizes = {str(number): len(of_base) for number, of_base in enumerate(names)}
    if namesakes := _namesakes(names, traits):
        sizes["namesakes"] = len(namesakes)
    ends = np.cumsum([0, *sizes.values()]).tolist()
    return {name: slice(*ends[place : place + 2]) for place, name in enumerate(sizes)}


def _namesakes(names: Sequence[Sequence[str]], traits: Sequence[str]) -> list[int]:
    """Return the columns of all bases whose trait has the name of one of these."""
    return [column for column, name in enumerate(name for of_base in names for name in of_base) if name in traits]
