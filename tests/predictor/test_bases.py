import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from tests.predictor.test_predictor import CONTENTS, MANIFEST, SPECIFICATION, D

from prescreen.errors import PredictorError
from prescreen.evaluation.report import Evaluation
from prescreen.predictor.bases import Base, blocks, predict_all
from prescreen.predictor.calibration import Calibration, sorted_columns
from prescreen.predictor.predictor import Predictor
from prescreen.predictor.training_portraits import NEAR_DUPLICATE_DISTANCE, TrainingPortraits, content_keys
from prescreen.regressors.stacking import fit_final

NOBODY = np.zeros(1, np.uint64)
WEIGHTS = np.random.default_rng(1).normal(size=(D, 2)) / 10


@pytest.fixture(scope="module")
def pictures():
    """Pictures that differ in twelve ways: 60 of them tell much of a trait, 20 tell little."""
    generator = np.random.default_rng(0)
    ways = generator.normal(size=(120, 12)) @ generator.normal(size=(12, D)) / np.sqrt(12)
    return (ways + 0.3 * generator.normal(size=(120, D))).astype(np.float32)


def trained(X, rows, weights, contents, bases=()):
    """Train on some rows and on what the bases say of them; cross-validated predictions are all 7."""
    Y = X[rows] @ weights
    keys = content_keys([contents[row] for row in rows])
    names = tuple(f"trait {column}" for column in range(Y.shape[1]))
    prior = predict_all(bases, names, X[rows], keys)
    portraits = TrainingPortraits(keys, X[rows].astype(np.float16), np.full(Y.shape, 7.0))
    regressors = fit_final(
        X[rows], Y, None, SPECIFICATION.blocks, prior=prior, prior_blocks=blocks([base.traits for base in bases], names)
    )
    return Base(names, regressors, portraits, tuple(bases)), Y


@pytest.fixture(scope="module")
def base(pictures):
    return trained(pictures, range(60), WEIGHTS, CONTENTS * 2)[0]


@pytest.fixture(scope="module")
def second(pictures):
    weights = np.random.default_rng(2).normal(size=(D, 1)) / 10
    return trained(pictures, range(60, 100), weights, [""] * 120)[0]


def with_bases(pictures, *bases):
    """Return a predictor of what the bases predict, of which it has rated 20 pictures that they have not seen."""
    rows = np.arange(100, 120)
    said = predict_all(bases, MANIFEST.traits, pictures, np.zeros(len(pictures), np.uint64))
    Y = said[:, [0, -1]] + 0.05 * np.random.default_rng(3).normal(size=(len(said), 2))
    regressors = fit_final(
        pictures[rows],
        Y[rows],
        None,
        SPECIFICATION.blocks,
        prior=said[rows],
        prior_blocks=blocks([base.traits for base in bases], MANIFEST.traits),
    )
    keys = content_keys([f"{row:016x}" for row in range(100, 120)])
    return Predictor(
        manifest=replace(
            MANIFEST, data=MANIFEST.data | {"bases": [MANIFEST.as_base(str(k)) for k in range(len(bases))]}
        ),
        regressors=regressors,
        calibration=Calibration(sorted_columns(Y[rows]), np.ones(2), np.eye(2), is_score=False),
        portraits=TrainingPortraits(keys, pictures[rows].astype(np.float16), Y[rows]),
        evaluation=Evaluation(),
        bases=bases,
    )


def test_a_picture_that_it_has_seen_gets_the_cross_validated_prediction(base, pictures):
    said = base.predict(pictures[:3], content_keys([CONTENTS[0], "", CONTENTS[59]]))
    assert (said[[0, 2]] == 7).all()
    assert (said[1] != 7).all()


def test_so_does_a_near_duplicate_where_faces_are_given(base, pictures):
    faces = base.portraits.faces[:2].astype(np.float32)
    faces[0, 5] += 0.9 * NEAR_DUPLICATE_DISTANCE
    faces[1, 5] += 1.1 * NEAR_DUPLICATE_DISTANCE
    said = base.predict(pictures[:2], np.zeros(2, np.uint64), faces)
    assert (said[0] == 7).all()
    assert (said[1] != 7).all()
    forgets = replace(base, portraits=TrainingPortraits.none(2))
    assert (forgets.predict(pictures[:2], content_keys(CONTENTS[:2]), faces) != 7).all()


def test_bases_have_their_own_columns(base, second, pictures):
    unknown = np.zeros(5, np.uint64)
    said = predict_all([base, second], ["other"], pictures[:5], unknown)
    assert said.shape == (5, 3)
    assert blocks([base.traits, second.traits], ["other"]) == {"0": slice(0, 2), "1": slice(2, 3)}
    np.testing.assert_array_equal(said[:, 2:], second.predict(pictures[:5], unknown))
    assert predict_all([], ["other"], pictures[:5], unknown).shape == (5, 0)


def test_what_has_the_name_of_a_trait_has_a_block_too(base, second, pictures):
    asked = [base, second], ["trait 0", "new"]
    said = predict_all(*asked, pictures[:5], np.zeros(5, np.uint64))
    np.testing.assert_array_equal(said[:, 3:], said[:, [0, 2]])
    assert blocks([found.traits for found in asked[0]], asked[1])["namesakes"] == slice(3, 5)


@pytest.mark.parametrize("names", [("base",), ("base", "second"), ("nested",)])
def test_a_saved_predictor_needs_nothing_of_its_bases(names, base, second, pictures, tmp_path):
    nested, _ = trained(pictures, range(100, 120), WEIGHTS, [""] * 120, [base, second])
    assert nested.regressors.needs_prior
    bases = [{"base": base, "second": second, "nested": nested}[name] for name in names]
    predictor = with_bases(pictures, *bases)
    assert predictor.regressors.needs_prior
    predictor.save(tmp_path / "mine")
    loaded = Predictor.load(shutil.move(tmp_path / "mine", tmp_path / "elsewhere"))
    asked = pictures[:40].astype(np.float16)
    for contents in (None, CONTENTS[:40]):
        np.testing.assert_array_equal(loaded.predict(asked, contents).raw, predictor.predict(asked, contents).raw)
    assert loaded.fingerprint == predictor.fingerprint
    alone = replace(predictor, bases=tuple(replace(found, portraits=second.portraits) for found in bases))
    assert alone.fingerprint != predictor.fingerprint


def test_it_holds_what_its_bases_hold(base, second, pictures):
    predictor = with_bases(pictures, base, second)
    face = next(number for what, number in predictor.holdings.items() if what.startswith("face descriptor"))
    assert face == 60 + 40 + 20


def test_of_the_same_portraits_the_most_counts_that_a_part_holds(base, pictures):
    rich, poor = (Base(base.traits, SimpleNamespace(rows_held=held), base.portraits) for held in (50, 0))
    predictor = replace(with_bases(pictures, base), bases=(rich, poor))
    assert [number for number in predictor.holdings.values() if number] == [
        60 + 20,
        60 + 20,
        50 + predictor.regressors.rows_held,
    ]


def test_scoring_knows_files_and_no_near_copies(base, pictures):
    predictor = with_bases(pictures, base)
    known, near = predictor.predict(np.repeat(pictures[:1], 2, axis=0), [CONTENTS[0], "f" * 16]).raw
    said = predict_all([base], predictor.traits, pictures[:1], content_keys([CONTENTS[0]]))
    np.testing.assert_allclose(known, predictor.regressors.predict(pictures[:1], said)[0])
    said = predict_all([base], predictor.traits, pictures[:1], NOBODY)
    np.testing.assert_allclose(near, predictor.regressors.predict(pictures[:1], said)[0])
    assert (known != near).all()


def test_a_base_without_its_description_is_refused(base, pictures, tmp_path):
    replace(with_bases(pictures, base), manifest=MANIFEST).save(tmp_path / "mine")
    with pytest.raises(PredictorError, match="0 bases in the manifest, 1 in the arrays"):
        Predictor.load(tmp_path / "mine")
