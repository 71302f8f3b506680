"""LightGBM's text of a model, checked before LightGBM reads it.

LightGBM trusts its text: a wrong size or index in it ends the process or reads beyond its memory. A predictor may come
from a stranger, so everything that it will follow is looked at here first.
"""

import re
from typing import Final

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


def check_trees(text: str, n_features: int) -> None:
    """Refuse what is no text of a regression without categories on so many features.

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
