import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from prescreen.evaluation import metrics


@pytest.fixture
def pair():
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 8, size=120).astype(float)
    return truth, truth + 2 * generator.standard_normal(120).round(1)


REFERENCES = {
    "pearson": lambda y, p: scipy.stats.pearsonr(y, p)[0],
    "spearman": lambda y, p: scipy.stats.spearmanr(y, p)[0],
    "r2": r2_score,
    "mae": mean_absolute_error,
    "rmse": root_mean_squared_error,
}


@pytest.mark.parametrize("name", list(REFERENCES))
def test_figures_and_every_resample_equal_the_textbook(pair, name):
    truth, predictions = pair
    groups = np.arange(120) // 3
    counts = metrics.multiplicities(120, groups, seed=1, n_resamples=20)
    computed = getattr(metrics, name)(truth, predictions, counts)
    for row, value in zip(counts.astype(int), computed, strict=True):
        drawn = np.repeat(np.arange(120), row)
        assert value == pytest.approx(REFERENCES[name](truth[drawn], predictions[drawn]))
    estimate = metrics.resample(getattr(metrics, name), truth, predictions, counts).estimate()
    assert estimate.value == pytest.approx(REFERENCES[name](truth, predictions))
    assert estimate.low < estimate.value < estimate.high


def test_groups_are_drawn_as_wholes():
    groups = np.array([5, 5, 5, 9, 9, 2])
    counts = metrics.multiplicities(6, groups, seed=0, n_resamples=300)
    assert (counts[:, 0] == counts[:, 1]).all()
    assert (counts[:, 3] == counts[:, 4]).all()
    assert (counts[:, [0, 3, 5]].sum(axis=1) == 3).all()
    assert counts[:, 0].mean() == pytest.approx(1, abs=0.15)


def test_the_seed_decides():
    first, again, other = (metrics.multiplicities(30, None, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_constant_values_have_no_correlation():
    counts = metrics.multiplicities(20, None, seed=0)
    constant = np.full(20, 0.1)
    varied = np.arange(20.0)
    assert metrics.resample(metrics.pearson, varied, constant, counts).estimate() == metrics.Estimate(None)
    assert metrics.resample(metrics.spearman, constant, varied, counts).estimate() == metrics.Estimate(None)
    assert metrics.resample(metrics.r2, constant, varied, counts).estimate() == metrics.Estimate(None)
    assert metrics.resample(metrics.mae, np.array([]), np.array([]), counts[:, :0]).estimate() == metrics.Estimate(None)


def test_a_resampled_figure_without_upper_limit_keeps_its_lower_one():
    figure = metrics.Resampled(5.0, np.append(np.arange(90.0), np.full(10, np.inf)))
    assert figure.estimate() == metrics.Estimate(5.0, 2.0, None)
    assert metrics.Resampled(np.nan, np.zeros(3)).estimate() == metrics.Estimate(None)


def test_averages_leave_out_traits_without_the_figure():
    parts = [
        metrics.Resampled(v, np.array(draws)) for v, draws in ((1.0, [1.0, 2]), (np.nan, [np.nan, 9]), (3.0, [3, 6]))
    ]
    result = metrics.average(parts)
    assert result.value == 2
    assert result.draws.tolist() == [2, 4]
    assert np.isnan(metrics.average([]).value)


def test_an_average_is_not_defined_where_a_figure_is_infinite_in_both_directions():
    parts = [metrics.Resampled(1.0, np.array([np.inf, 1.0, np.inf])), metrics.Resampled(3.0, np.array([-np.inf, 2, 5]))]
    assert metrics.average(parts).draws.tolist() == pytest.approx([np.nan, 1.5, np.inf], nan_ok=True)


def test_the_interval_of_an_average_is_narrower_where_traits_err_independently():
    generator = np.random.default_rng(0)
    truth = generator.standard_normal((400, 8))
    independent = truth + generator.standard_normal((400, 8))
    same = truth[:, :1] + generator.standard_normal((400, 1))
    counts = metrics.multiplicities(400, None, 0, 400)
    widths = []
    for y, p in ((truth, independent), (np.repeat(truth[:, :1], 8, axis=1), np.repeat(same, 8, axis=1))):
        parts = [metrics.resample(metrics.pearson, y[:, k], p[:, k], counts) for k in range(8)]
        mean = metrics.average(parts).estimate()
        widths.append(mean.high - mean.low)
    assert widths[0] < 0.5 * widths[1]


def test_shares_have_wilsons_interval():
    inside = np.arange(20) < 18
    assert metrics.share(inside, np.arange(20)) == metrics.Estimate(
        0.9, *(pytest.approx(end, abs=2e-4) for end in (0.6990, 0.9721))
    )
    certain = metrics.share(np.ones(20, bool), np.arange(20))
    assert certain.low < 0.9
    assert metrics.share(inside, np.arange(20) // 2).low < 0.69
    assert metrics.share(inside[:0], np.array([])) == metrics.Estimate(None)


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (metrics.Estimate(), "unknown"),
        (metrics.Estimate(None, 0.1, 0.2), "unknown"),
        (metrics.Estimate(0.5), "0.50"),
        (metrics.Estimate(0.5, 0.1, 0.75), "0.50 [0.10, 0.75]"),
        (metrics.Estimate(0.5, 0.1), "0.50 [0.10, no limit]"),
        (metrics.Estimate(0.5, None, 0.75), "0.50 [no limit, 0.75]"),
    ],
)
def test_a_figure_as_readers_see_it(estimate, text):
    assert estimate.text(2) == text
    assert estimate.text(2, interval=False) == text.partition(" ")[0]


@pytest.mark.parametrize(
    ("draws", "span", "known"),
    [
        (np.linspace(-1, 1, 100), 2.0, False),  # all that a correlation can be
        (np.linspace(-1, 1, 100), 20.0, True),
        (np.full(100, 0.3), 2.0, False),  # as certain as nothing is
        (np.concatenate([np.linspace(0, 1, 50), np.full(50, np.nan)]), 2.0, False),  # of half of the resamples
        (np.concatenate([np.linspace(0, 1, 51), np.full(49, np.nan)]), 2.0, True),
        (np.full(100, np.inf), np.inf, False),
        (np.zeros(0), 2.0, False),
    ],
)
def test_an_interval_that_says_nothing_is_none(draws, span, known):
    found = metrics.Resampled(0.3, draws, span).estimate()
    assert found.value == 0.3
    assert (found.low is not None, found.high is not None) == (known, known)


def test_a_correlation_takes_three_pairs():
    assert metrics.correlation(np.array([1.0, 2]), np.array([1.0, 3])) is None
    assert metrics.correlation(np.array([1.0, 2, 3]), np.array([1.0, 1, 1])) is None
    assert metrics.correlation(np.array([1.0, 2, 3]), np.array([3.0, 2, 1])) == pytest.approx(-1)
