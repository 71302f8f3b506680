"""Boosted trees (LightGBM) on the leading principal components of each block.

LightGBM is imported only to fit or load trees: it needs a system library that a machine may lack. It trusts the text of
a model: a wrong size or index ends the process or reads beyond its memory. A predictor may come from a stranger, so
:func:`check_trees` checks everything in that text that LightGBM uses.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from prescreen.errors import PredictorError, PrescreenError
from prescreen.regressors.base import BlockRegressor, State, rated_together
from prescreen.regressors.blocks import BlockDesign, Float32, Float64, product
from prescreen.regressors.folds import grouped_folds
from prescreen.regressors.threads import Step

_THREADS: Final = 1  # at a thousand rows a second thread only waits for the first

_NUMBER: Final = r"-?(?:\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|inf|nan)"
_HEAD: Final = re.compile(
    r"tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=(\d{1,6})\n"
    r"objective=regression\nfeature_names=([\w ]+)\n"
    rf"feature_infos=((?:\[{_NUMBER}:{_NUMBER}\]|none)(?: (?:\[{_NUMBER}:{_NUMBER}\]|none))*)\n"
    r"tree_sizes=(\d{1,9}(?: \d{1,9})*)\n\n"
)
_TAIL: Final = re.compile(
    r"end of trees\n\nfeature_importances:\n(?:\w+=\d+\n)*\nparameters:\n(?:\[\w+: [\w.,+\- ]*\]\n)*\n?"
    r"end of parameters\n(?:\npandas_categorical:(?:null|\[\])\n)?"
)
_INTEGERS: Final = ("split_feature", "decision_type", "left_child", "right_child", "leaf_count", "internal_count")
_SPLITS: Final = ("split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child")
_NODES: Final = ("internal_value", "internal_weight", "internal_count")
_KEYS: Final = ("num_leaves", "num_cat", *_SPLITS, "leaf_value", "leaf_weight", "leaf_count", *_NODES, "is_linear")
_NO_SPLIT: Final = {"leaf_weight"}  # empty for a tree of one leaf
_CATEGORICAL: Final = 1  # a bit of decision_type


@dataclass(eq=False)
class BoostedTrees(BlockRegressor):
    """LightGBM for each column, on principal components of each block.

    Parameters
    ----------
    n_components : int
        Components of a block, fewer where the block or the data are smaller.
    n_trees, n_leaves, min_leaf : int
        Trees of each model, leaves of each tree, rows of each leaf.
    learning_rate, column_share, l2 : float
        Shrinkage of each tree, share of the components that a tree sees, penalty on leaf values.
    cv_splits : int
        Grouped folds behind ``cv_predictions_``. The components are learned once from all training rows.
    seed : int
        For the trees and the folds.

    Attributes
    ----------
    components_ : list of ndarray of float32, shape (d_block, k)
        One for each block.
    models_ : list of lightgbm.Booster
        One for each column.
    """

    n_components: int = 20
    n_trees: int = 150
    n_leaves: int = 6
    min_leaf: int = 10
    learning_rate: float = 0.06
    column_share: float = 0.3
    l2: float = 5.0
    cv_splits: int = 3
    seed: int = 0

    def _fit(self, design: BlockDesign, Y: Float64, weight: Float64, codes: NDArray[np.intp], step: Step) -> None:
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

    def predict_standardised(self, Z: Float32) -> Float64:
        """Predict standardised rows (m, d); returns (m, t)."""
        inputs = self._project(Z)
        return np.column_stack([model.predict(inputs, num_threads=_THREADS) for model in self.models_])

    def state(self) -> State:
        """Return components and models; a model is its text."""
        arrays: dict[str, NDArray[Any]] = {
            f"components/{k}": components for k, components in enumerate(self.components_)
        }
        return arrays, {"models": [model.model_to_string() for model in self.models_]}

    def _set_state(self, arrays: Mapping[str, NDArray[Any]], config: Mapping[str, Any]) -> None:
        self.components_ = [arrays[f"components/{k}"] for k in range(len(self.scaler_.blocks))]
        inputs = sum(part.shape[1] for part in self.components_)
        lightgbm = _lightgbm()
        try:
            for text in config["models"]:
                check_trees(text, inputs)
            self.models_ = [lightgbm.Booster(model_str=text) for text in config["models"]]
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
        lightgbm = _lightgbm()
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


def _lightgbm() -> Any:
    try:
        import lightgbm
    except (ImportError, OSError) as error:
        raise PrescreenError(
            f"boosted trees need LightGBM, which cannot be loaded here ({error}); install it and its system library "
            "libgomp (Debian and Ubuntu: apt install libgomp1; macOS: brew install libomp), or train without trees"
        ) from error
    return lightgbm


def check_trees(text: str, n_features: int) -> None:
    """Refuse anything but the text of a regression without categories on so many features.

    Raises
    ------
    ValueError
        If anything in it is not as LightGBM writes it.
    """
    head = _HEAD.match(text)
    if head is None or not text.isascii():
        raise ValueError("trees: an unknown head")
    names, ranges = head[2].split(" "), head[3].split(" ")
    if not len(names) == len(ranges) == int(head[1]) + 1 == n_features:
        raise ValueError(f"trees: for {len(names)} features, expected {n_features}")
    start = head.end()
    for number, size in enumerate(map(int, head[4].split(" "))):
        _check_tree(text[start : start + size], number, n_features)
        start += size
    if not _TAIL.fullmatch(text, start):
        raise ValueError("trees: an unknown end")


def _check_tree(text: str, number: int, n_features: int) -> None:
    lines = text.rstrip("\n").split("\n")
    values = dict(line.partition("=")[::2] for line in lines[1:])
    if lines[0] != f"Tree={number}" or tuple(values) != (*_KEYS, "shrinkage") or len(lines) != len(values) + 1:
        raise ValueError(f"tree {number}: unknown parts")
    if (
        values["num_cat"] != "0"
        or values["is_linear"] != "0"
        or not re.fullmatch(r"[1-9]\d{0,5}", values["num_leaves"])
    ):
        raise ValueError(f"tree {number}: of an unknown kind")
    leaves = int(values["num_leaves"])
    for name in (*_KEYS[2:-1], "shrinkage"):
        found = values[name].split(" ") if values[name] else []
        wanted = 1 if name == "shrinkage" else leaves - (name in _SPLITS or name in _NODES)
        kind = r"-?\d{1,9}" if name in _INTEGERS else _NUMBER
        if len(found) != (0 if leaves == 1 and name in _NO_SPLIT else wanted):
            raise ValueError(f"tree {number}: {len(found)} values of {name} for {leaves} leaves")
        if not all(re.fullmatch(kind, value) for value in found):
            raise ValueError(f"tree {number}: {name} is not numbers")
    _check_order(values, number, leaves, n_features)


def _check_order(values: dict[str, str], number: int, leaves: int, n_features: int) -> None:
    features, kinds, left, right = (
        [int(value) for value in values[name].split()]
        for name in ("split_feature", "decision_type", "left_child", "right_child")
    )
    if not all(0 <= feature < n_features for feature in features):
        raise ValueError(f"tree {number}: splits a feature that is not there")
    if not all(0 <= kind < 16 and not kind & _CATEGORICAL for kind in kinds):
        raise ValueError(f"tree {number}: a split of an unknown kind")
    for children in (left, right):  # a child that is a leaf has a negative number; a node comes after its parent
        if not all(-leaves <= child < 0 or node < child < leaves - 1 for node, child in enumerate(children)):
            raise ValueError(f"tree {number}: a branch that leads nowhere")
