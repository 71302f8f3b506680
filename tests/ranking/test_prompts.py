import numpy as np
import pytest

from prescreen.ranking.goals import Goals
from prescreen.ranking.prompts import CAPTIONS, captions, contrasts, fit

TRAITS = tuple(CAPTIONS)


def likeness(rows):
    """Likenesses of pictures from {trait: contrast} a row: half above and half below the middle."""
    columns = []
    for row in rows:
        column = []
        for trait, words in CAPTIONS.items():
            half = row.get(trait, 0.0) / 2
            column += [0.2 + half] * len(words.more) + [0.2 - half] * len(words.less)
        columns.append(column)
    return np.array(columns).T


def test_the_three_traits_are_put_into_pairs_of_captions():
    assert TRAITS == ("competence", "likeability", "influence")
    assert all(len(words.more) == len(words.less) >= 2 for words in CAPTIONS.values())
    assert len(set(captions())) == len(captions())


def test_contrasts_are_in_standard_deviations_of_the_pictures():
    rows = [{"competence": 0.1}, {"competence": 0.3}, {"competence": -0.1, "influence": 0.5}]
    found = contrasts(likeness(rows))
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(found.std(axis=0), [1, 0, 1], atol=1e-12)
    assert found[:, 0].argmax() == 1
    assert found[:, 2].argmax() == 2


def test_the_present_picture_and_failed_ones_do_not_move_the_middle():
    rows = [{"competence": 0.1}, {"competence": 0.3}, {"competence": 9.0}]
    found = contrasts(likeness(rows), 2)
    np.testing.assert_allclose(found[:2, 0], [-1, 1])
    failed = likeness(rows)
    failed[:, 0] = np.nan
    assert np.isnan(contrasts(failed)[0]).all()
    assert np.isfinite(contrasts(failed)[1:]).all()
    assert np.isnan(contrasts(np.full((len(captions()), 2), np.nan))).all()


def test_what_is_kept_counts_only_where_it_falls():
    goals, none = Goals(("competence", "influence"), ("likeability",)), np.zeros(3)
    contrast = np.array([[1.0, 0.0, 1.0], [1.0, 5.0, 1.0], [1.0, -2.0, 1.0], [0.0, 0.0, 3.0]])
    assert fit(contrast, TRAITS, goals, none).tolist() == pytest.approx([1, 1, -1, 1.5])
    level = np.array([1.0, -2.0, 0.0])
    assert fit(contrast, TRAITS, goals, level).tolist() == pytest.approx([0.5, 0.5, 0.5, 1])
    either = Goals(("competence", "influence"), any_of=True)
    assert fit(contrast, TRAITS, either, none).tolist() == pytest.approx([1, 1, 1, 3])
