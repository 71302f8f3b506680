import numpy as np
import pytest

from prescreen.regressors.blocks import BlockDesign, in_chunks


def fitted(regressor, X, Y, sample_weight=None, groups=None, blocks=None):
    """Fit on features as they come."""
    return regressor.fit(BlockDesign.fit(X, blocks), Y, sample_weight, groups)


def predict(regressor, X):
    """Predict features as they come."""
    return in_chunks(regressor.predict_standardised, regressor.scaler_, X)


@pytest.fixture
def problem():
    """Features in two blocks, two traits, groups of one to three rows."""
    generator = np.random.default_rng(5)
    X = generator.standard_normal((90, 24)).astype(np.float32)
    signal = np.column_stack([X[:, 0] + X[:, 20], np.sin(2 * X[:, 1])])
    Y = 5 + signal + 0.3 * generator.standard_normal((90, 2))
    groups = np.sort(generator.integers(0, 55, size=90))
    return X, Y, groups, {"first": slice(0, 16), "second": slice(16, 24)}
