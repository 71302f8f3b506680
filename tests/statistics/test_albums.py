"""One person's album among strangers must not flatter the accuracy, named or not."""

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge

from prescreen.regressors.folds import grouped_folds
from prescreen.training.grouping import group

STRANGERS, ALBUM = 200, 40


def world(seed):
    """Ratings of strangers and of one person's album: from what a picture shows, and from who is in it.

    Returns features (with the face descriptor in them), ratings, descriptors and true persons.
    """
    rng = np.random.default_rng(seed)
    persons = np.concatenate([np.zeros(ALBUM, int), np.arange(1, STRANGERS + 1)])
    unit = rng.normal(size=(2, STRANGERS + ALBUM + 1, 128))
    unit /= np.linalg.norm(unit, axis=2, keepdims=True)
    faces = (0.6 * unit[0][persons] + 0.35 / np.sqrt(2) * unit[1][: len(persons)]).astype(np.float32)
    shown = rng.normal(size=(len(persons), 6))
    own = 1.2 * rng.normal(size=STRANGERS + 1)
    own[0] = 3.0
    ratings = shown @ np.full(6, 0.5) + own[persons] + 0.6 * rng.normal(size=len(persons))
    return np.hstack([shown, 4 * faces]), ratings, faces, persons


def accuracy(features, ratings, groups, seed):
    """Pearson's r of cross-validated predictions."""
    predicted = np.zeros_like(ratings)
    for train, test in grouped_folds(groups, 10, seed):
        mean = ratings[train].mean()
        model = KernelRidge(alpha=1.0, kernel="rbf", gamma=0.05).fit(features[train], ratings[train] - mean)
        predicted[test] = model.predict(features[test]) + mean
    return float(np.corrcoef(predicted, ratings)[0, 1])


@pytest.mark.parametrize("named", [0, 5])
def test_an_album_among_strangers_does_not_flatter(named):
    apart, found, true = [], [], []
    for seed in range(5):
        features, ratings, faces, persons = world(seed)
        names = np.full(len(persons), "", dtype="U5")
        names[len(persons) - named :] = [f"s{number}" for number in range(named)]
        apart.append(accuracy(features, ratings, np.arange(len(persons)), seed))
        found.append(accuracy(features, ratings, group(faces, names).labels, seed))
        true.append(accuracy(features, ratings, persons, seed))
    assert np.mean(apart) > np.mean(true) + 0.1
    assert np.mean(found) == pytest.approx(np.mean(true), abs=0.02)
