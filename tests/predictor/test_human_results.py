"""Typed scores become z and variances: by their level and votes, by their range, or by the answers that they count."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import ndtri

from prescreen.errors import RatingsError
from prescreen.predictor.calibration import Calibration
from prescreen.predictor.human_scores import HumanResults
from prescreen.ratings.results import read_results
from prescreen.ratings.scale import Scale
from prescreen.ratings.vote_noise import score_to_z
from prescreen.shortlist.feedback import TestedPicture, human_results

TRAITS = ("competence", "influence")
NAMES = ("a.jpg", "b.jpg")


def predictor(scale, *, is_score=False, icc1=0.25):
    """Return what `human_results` asks of a predictor: trained on ratings that are evenly spread on the scale."""
    low, high = (float(end) for end in scale.split(":"))
    trained = np.repeat(np.linspace(low, high, 201)[1:-1, None], 2, axis=1)
    return SimpleNamespace(
        traits=TRAITS,
        calibration=Calibration(trained, np.ones(2), np.eye(2), is_score),
        manifest=SimpleNamespace(scale=scale, reliability={trait: {"icc1": icc1} for trait in TRAITS}),
        results=None,
    )


@pytest.fixture
def learned(tmp_path):
    def learn(text, model, *, raw=False, votes=20):
        (tmp_path / "results.csv").write_text(text)
        training = Scale.parse(model.manifest.scale)
        typed = read_results(tmp_path / "results.csv", TRAITS, NAMES, where="scores.csv", training=training, raw=raw)
        pictures = [
            TestedPicture(name, f"{row:064x}", np.zeros(3, np.float16)) for row, name in enumerate(typed.images)
        ]
        return human_results(typed, pictures, model, votes=votes)

    return learn


def test_noise_falls_with_the_votes_and_grows_toward_the_ends(learned):
    found = learned(
        "image,competence,influence,votes\na.jpg,5,9.9,40\nb.jpg,5,9.9,10\n", predictor("0:10", is_score=True)
    )
    np.testing.assert_allclose(found.z[0], score_to_z([5, 9.9]))
    np.testing.assert_allclose(found.variance[1], 4 * found.variance[0])
    assert 1.2 < found.variance[0, 1] / found.variance[0, 0] < 2
    assert found.variance[0, 0] == pytest.approx(3 / 40, rel=0.1)


def test_votes_of_one_trait_are_its_own(learned):
    text = "image,competence,influence,competence_votes,influence_votes\na.jpg,5,5,40,\nb.jpg,5,5,10,20\n"
    variance = learned(text, predictor("0:10", is_score=True), votes=80).variance
    np.testing.assert_allclose(variance[1] / variance[0], [4, 4])


def test_a_range_is_the_noise_of_its_score(learned):
    text = "image,competence,influence,competence_low,competence_high\na.jpg,5,5,4,6\nb.jpg,9,5,8,10\n"
    found = learned(text, predictor("0:10", is_score=True))
    expected = (score_to_z(6) - score_to_z(4)) / (2 * ndtri(0.95))
    assert found.variance[0, 0] == pytest.approx(expected**2)
    assert found.variance[1, 0] > found.variance[0, 0]  # as wide in points, but wider in z
    assert found.variance[0, 1] == found.variance[1, 1]


def test_a_range_covers_the_truth_as_often_as_it_says(learned):
    rng = np.random.default_rng(0)
    truth = np.array([4.0, 7.5])
    inside = []
    for _ in range(200):
        seen = truth + rng.normal(0, 0.5, 2)
        rows = [f"{name},{s:.3f},5,{s - 0.8225:.3f},{s + 0.8225:.3f}" for name, s in zip(NAMES, seen, strict=True)]
        text = "image,competence,influence,competence_low,competence_high\n" + "\n".join(rows)
        found = learned(text, predictor("0:10", is_score=True))
        inside.append(np.abs(found.z[:, 0] - score_to_z(truth)) <= ndtri(0.95) * np.sqrt(found.variance[:, 0]))
    assert 0.86 < np.mean(inside) < 0.94


ANSWERS = (
    "image,competence_no,competence_somewhat,competence_yes,competence_very,influence_0,influence_1,influence_2,influence_3\n"
    "a.jpg,0,10,10,0,5,5,5,5\nb.jpg,0,0,0,40,20,0,0,0\n"
)


@pytest.mark.parametrize("raw", [False, True])
def test_answers_are_the_votes_that_they_count(learned, raw):
    model = predictor("0:3")
    found = learned(ANSWERS, model, raw=raw)
    np.testing.assert_allclose(found.z, model.calibration.z(np.array([[1.5, 1.5], [3.0, 0.0]])))
    assert found.variance[0, 0] == pytest.approx(3 / 20, rel=0.1)
    middle = learned(ANSWERS.replace("0,0,0,40", "0,20,20,0"), model)
    assert middle.variance[1, 0] == pytest.approx(middle.variance[0, 0] / 2)


@pytest.mark.parametrize(("scale", "middle", "end"), [("0:10", 5.0, 10.0), ("1:7", 4.0, 7.0)])
def test_answers_are_stretched_to_the_scale_of_the_training(learned, scale, middle, end):
    model = predictor(scale, is_score=scale == "0:10")
    found = learned(ANSWERS, model)
    np.testing.assert_allclose(found.z[:, 0], model.calibration.z(np.array([[middle] * 2, [end] * 2]))[:, 0])


VOTES = "image,rater,competence,influence\na.jpg,x,4,1\na.jpg,y,6,3\nb.jpg,x,7,7\nb.jpg,y,7,5\n"


def test_votes_from_0_to_10_are_no_scores_unless_trained_as_such(learned):
    text = "image,rater,competence,influence\na.jpg,x,7,7\nb.jpg,x,5,5\n"
    low = predictor("0:10")
    low.calibration = Calibration(low.calibration.distribution / 2, np.ones(2), np.eye(2), is_score=False)
    assert (learned(text, low).z[0] > 2).all()
    np.testing.assert_allclose(learned(text, predictor("0:10", is_score=True)).z[0], score_to_z([7, 7]))


@pytest.mark.parametrize("raw", [False, True])
def test_single_votes_are_on_the_scale_of_the_training(learned, raw):
    model = predictor("1:7")
    found = learned(VOTES, model, raw=raw)
    np.testing.assert_allclose(found.z, model.calibration.z(np.array([[5.0, 2.0], [7.0, 6.0]])))
    with pytest.raises(
        RatingsError, match=r"row 2: competence 4 is outside the scale of the training, 0:3 .*; give votes on it"
    ):
        learned(VOTES, predictor("0:3"), raw=raw)


def test_pictures_with_scores_on_all_of_some_traits_are_known_also_from_several_tests():
    z = np.array([[1.0, np.nan], [np.nan, 2.0], [0.5, np.nan], [np.nan, np.nan]])
    results = HumanResults(
        np.array([7, 7, 8, 9], dtype=np.uint64), np.zeros((4, 3), np.float16), z, np.where(np.isnan(z), np.nan, 0.1),
        np.array([1, 2, 1, 1]), np.ones(4, dtype=bool),
    )  # fmt: skip
    assert results.complete_on([0, 1]).tolist() == [7]
    assert results.complete_on([0]).tolist() == [7, 8]
    assert HumanResults.none(3, 2).complete_on([0]).tolist() == []
