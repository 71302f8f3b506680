"""What errors have in common is counted once: by the person, or by the likeness of the pictures."""

import numpy as np
import pytest

from prescreen.ranking.error_correlation import ErrorCorrelation, fit_error_correlation
from prescreen.training.error_model import person_alone, person_share

PERSONS = np.repeat([f"person {number}" for number in range(150)], 3)


@pytest.fixture(scope="module")
def pictures():
    """Pictures of 150 persons, those of one closer together; squared distances."""
    generator = np.random.default_rng(0)
    points = np.repeat(generator.standard_normal((150, 6)), 3, axis=0) + 0.5 * generator.standard_normal((450, 6))
    return ((points[:, None] - points) ** 2).sum(axis=2)


@pytest.mark.parametrize("planted", [ErrorCorrelation(0.0, 1.0, 0.6), ErrorCorrelation(0.5, 0.1, 0.3)])
def test_pictures_of_a_person_share_what_was_measured_and_not_more(pictures, planted):
    same = PERSONS[:, None] == PERSONS
    correlation = planted.similar * np.exp(-planted.gamma * pictures) + planted.person * same
    np.fill_diagonal(correlation, 1.0)
    errors = np.random.default_rng(1).multivariate_normal(np.zeros(450), correlation, size=8, method="cholesky").T
    measured = person_share(errors, errors.var(axis=0), PERSONS)
    likeness = fit_error_correlation(errors, pictures, np.arange(450) // 3 % 10, np.zeros(8), person=measured)
    person = person_alone(measured, likeness, pictures, PERSONS)
    pairs = same & ~np.eye(450, dtype=bool)
    modelled = person + likeness.similar * np.exp(-likeness.gamma * pictures[pairs]).mean()
    assert modelled == pytest.approx(correlation[pairs].mean(), abs=0.1)


def test_without_named_persons_nothing_is_taken_off(pictures):
    nobody = np.full(450, "")
    assert person_alone(0.3, ErrorCorrelation(0.5, 0.1), pictures, nobody) == 0.3
