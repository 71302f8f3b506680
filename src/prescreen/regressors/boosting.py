"""Boosted trees (LightGBM) on the leading principal components of each block."""

from collections.abc import Mapping
from typing import Any, Self

import lightgbm
import numpy as np
from numpy.typing import NDArray

from prescreen.errors import PredictorError
from prescreen.regressors.base import BlockRegressor, State, check_targets, rated_together
from prescreen.regressors.blocks import BlockDesign, Blocks, Float32, Float64, product
from prescreen.regressors.folds import grouped_folds
from prescreen.regressors.tree_text import check_trees

_THREADS = 1  # at a thousand rows a second thread only waits for the first


class BoostedTrees(BlockRegressor):
    """LightGBM for each column, on principal components that are learned for each block from the training rows.

    Parameters
    ----------
    blocks : mapping of str to slice, optional
        Named column ranges that tile the features; one block by default.
    n_components : int
        Components a block, fewer where the block or the data are smaller.
    n_trees, n_leaves, min_leaf : int
        Trees of each model, leaves of each tree, rows of each leaf.
    learning_rate, column_share, l2 : float
        Shrinkage of each tree, share of the components that a tree sees, penalty on leaf values.
    cv_splits : int
        Grouped folds behind ``cv_predictions_``. The components are learned once from all training rows, without
        their ratings.
    seed : int
        For the trees and the folds.

    Attributes
    ----------
    components_ : list of ndarray of float32, shape (d_block, k)
        One for each block.
    models_ : list of lightgbm.Booster
        One for each column.
    """

    def __init__(
        self,
        blocks: Blocks | None = None,
        n_components: int = 20,
        n_trees: int = 150,
        n_leaves: int = 6,
        min_leaf: int = 10,
        learning_rate: float = 0.06,
        column_share: float = 0.3,
        l2: float = 5.0,
        cv_splits: int = 3,
        seed: int = 0,
    ) -> None:
        self.blocks = blocks
        self.n_components = n_components
        self.n_trees = n_trees
        self.n_leaves = n_leaves
        self.min_leaf = min_leaf
        self.learning_rate = learning_rate
        self.column_share = column_share
        self.l2 = l2
        self.cv_splits = cv_splits
        self.seed = seed

    def fit_design(
        self,
        design: BlockDesign,
        Y: NDArray[Any],
        sample_weight: NDArray[Any] | None = None,
        groups: NDArray[Any] | None = None,
    ) -> Self:
        """Fit on rows that are standardised already; see :meth:`fit`."""
        Y, weight, codes = check_targets(Y, sample_weight, groups, len(design))
        self._set_scaler(design.scaler)
        self.components_ = [
            _leading_components(design.block_grams[name], design.features[:, block], self.n_components, self.seed)
            for name, block in design.scaler.blocks.items()
        ]
        inputs = self._project(design.features)
        models: list[Any] = [None] * Y.shape[1]
        self.cv_predictions_ = np.full(Y.shape, np.nan)
        for columns, rows, row_weight in rated_together(weight, codes):
            folds = grouped_folds(codes[rows], self.cv_splits, self.seed)
            own = inputs[rows]
            for column in columns:
                target = Y[rows, column]
                models[column] = self._train(own, target, row_weight)
                for train, test in folds:
                    model = self._train(own[train], target[train], row_weight[train])
                    self.cv_predictions_[rows[test], column] = model.predict(own[test], num_threads=_THREADS)
        self.models_ = models
        return self

    def predict_standardised(self, Z: Float32) -> Float64:
        """Predict rows that ``scaler_`` has transformed."""
        inputs = self._project(Z)
        return np.column_stack([model.predict(inputs, num_threads=_THREADS) for model in self.models_])

    def head_state(self) -> State:
        """Return what was learned beyond the scaler; a model is its text."""
        arrays: dict[str, NDArray[Any]] = {
            f"components/{k}": components for k, components in enumerate(self.components_)
        }
        return arrays, {"models": [model.model_to_string() for model in self.models_]}

    def _set_head(self, arrays: Mapping[str, NDArray[Any]], head: Mapping[str, Any]) -> None:
        self.components_ = [arrays[f"components/{k}"] for k in range(len(self.scaler_.blocks))]
        inputs = sum(part.shape[1] for part in self.components_)
        try:
            for text in head["models"]:
                check_trees(text, inputs)
            self.models_ = [lightgbm.Booster(model_str=text) for text in head["models"]]
        except (lightgbm.basic.LightGBMError, ValueError) as error:
            raise PredictorError(f"the saved trees are damaged ({error}); train the predictor again") from error

    def _project(self, Z: Float32) -> Float32:
        blocks = self.scaler_.blocks.values()
        return np.concatenate(
            [product(Z[:, block], part) for block, part in zip(blocks, self.components_, strict=True)], 1
        )

    def _train(self, inputs: Float32, target: Float64, weight: Float64) -> Any:
        parameters = {
            "objective": "regression",
            "learning_rate": self.learning_rate,
            "num_leaves": self.n_leaves,
            "min_data_in_leaf": self.min_leaf,
            "feature_fraction": self.column_share,
            "lambda_l2": self.l2,
            "max_bin": 63,
            "seed": self.seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": _THREADS,
            "verbosity": -1,
        }
        data = lightgbm.Dataset(inputs, target, weight=weight, params=parameters)
        return lightgbm.train(parameters, data, num_boost_round=self.n_trees)


def _leading_components(gram: Float32, features: Float32, n_components: int, seed: int) -> Float32:
    """Directions (d, k) of the largest variance, from the inner products of the rows; scores have unit scale."""
    from sklearn.utils.extmath import randomized_svd  # slow to load, and scoring does not need it

    n = len(gram)
    k = min(n_components, n - 1, features.shape[1])
    vectors, values, _ = randomized_svd(gram.astype(np.float64), k, random_state=seed)
    kept = values > max(1e-6 * values[0], np.finfo(np.float32).tiny)
    scaled = vectors[:, kept] * np.sqrt(n) / values[kept]
    return np.asarray(features.T @ scaled.astype(np.float32), np.float32)
