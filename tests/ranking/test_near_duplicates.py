import numpy as np
import pytest

from prescreen.ranking.near_duplicates import near_duplicates


def on_circle(*degrees):
    angles = np.radians(degrees)
    return np.column_stack([np.cos(angles), np.sin(angles)])


def naive(vectors, order, threshold):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    kept, copy_of = [], np.full(len(vectors), -1)
    for i in order:
        similar = [(unit[i] @ unit[k], -rank, k) for rank, k in enumerate(kept)]
        best = max(similar, default=(-1, 0, -1))
        if best[0] >= threshold:
            copy_of[i] = best[2]
        else:
            kept.append(i)
    return copy_of


def test_the_worse_of_a_pair_is_the_copy():
    vectors = on_circle(0, 1, 90)
    assert near_duplicates(vectors, np.array([1, 0, 2]), 0.99).tolist() == [1, -1, -1]
    assert near_duplicates(vectors, np.array([0, 1, 2]), 0.99).tolist() == [-1, 0, -1]


def test_a_chain_is_thinned_not_thrown_away():
    vectors = on_circle(0, 10, 20, 30)
    assert near_duplicates(vectors, np.arange(4), np.cos(np.radians(12))).tolist() == [-1, 0, -1, 2]


def test_length_does_not_matter_and_equal_vectors_are_copies_at_threshold_one():
    vectors = np.random.default_rng(0).normal(size=(1, 128)) * np.array([[1.0], [1e-3], [1e4]])
    assert near_duplicates(vectors, np.arange(3), 1.0).tolist() == [-1, 0, 0]


@pytest.mark.parametrize("seed", [0, 1])
def test_chunks_agree_with_a_plain_loop(seed):
    rng = np.random.default_rng(seed)
    sources = rng.normal(size=(300, 16))
    vectors = (sources[rng.integers(300, size=1500)] + 0.15 * rng.normal(size=(1500, 16))).astype(np.float32)
    order = rng.permutation(1500)
    found = near_duplicates(vectors, order, 0.95)
    expected = naive(vectors.astype(float), order, 0.95)
    assert (found == expected).mean() > 0.999
    assert 900 < (found >= 0).sum() < 1400


def test_pictures_without_a_vector_or_out_of_the_running_have_no_copies():
    vectors = on_circle(0, 0, 0, 0)
    vectors[1] = np.nan
    vectors[2] = 0
    assert near_duplicates(vectors, np.array([1, 2, 3]), 0.9).tolist() == [-1, -1, -1, -1]


def test_no_pictures_at_all():
    assert near_duplicates(np.empty((0, 4)), np.array([], dtype=int), 0.9).tolist() == []


@pytest.mark.parametrize(
    ("order", "threshold", "said"), [([0, 0], 0.9, "order"), ([3], 0.9, "order"), ([0], 0.0, "cosine")]
)
def test_input_that_makes_no_sense_is_refused(order, threshold, said):
    with pytest.raises(ValueError, match=said):
        near_duplicates(on_circle(0, 10), np.array(order), threshold)
