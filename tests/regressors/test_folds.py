import numpy as np
import pytest

from prescreen.errors import RatingsError
from prescreen.regressors.folds import grouped_folds


def test_groups_stay_whole_and_every_row_is_tested_once():
    groups = np.random.default_rng(0).integers(0, 40, size=200)
    folds = grouped_folds(groups, 5, seed=1)
    assert len(folds) == 5
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(200))
    for train, test in folds:
        assert not set(groups[train]) & set(groups[test])
        assert sorted([*train, *test]) == list(range(200))


def test_folds_of_single_pictures_are_balanced():
    sizes = [len(test) for _, test in grouped_folds(np.arange(103), 10, seed=0)]
    assert max(sizes) - min(sizes) <= 1


def test_the_seed_decides():
    def first(seed):
        return grouped_folds(np.arange(60), 5, seed)[0][1].tolist()

    assert first(3) == first(3)
    assert first(3) != first(4)


def test_fewer_groups_than_splits_gives_as_many_folds_as_groups():
    assert len(grouped_folds(np.array(["a", "a", "b", "c"]), 10, seed=0)) == 3


def test_one_group_cannot_be_split():
    with pytest.raises(RatingsError, match=r"all pictures are of one person or near-copies.*1 group.*at least 2"):
        grouped_folds(np.zeros(20), 5, seed=0)
