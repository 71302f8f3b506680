import numpy as np
import pandas as pd
import pytest

from prescreen.errors import UsageError
from prescreen.ranking.gate_names import GATES, gates_off
from prescreen.ranking.gates import References, another_person, copy_of_baseline, reasons_to_exclude

SOUND = {
    "status": "ok", "faces": 1.0, "face_share": 0.25, "width": 1000.0, "height": 1200.0, "sharpness": 15.0,
    "face_margin": 0.2, "novelty": 0.5, "nose_offset": 0.01, "eye_crossing": -0.03, "eye_skew": 0.0,
    "iris_a": 2.0, "iris_b": -5.0, "iris_gap": 2.0,
}  # fmt: skip
FAULTS = {
    "faces": {"faces": 2.0},
    "small": {"face_share": 0.03},
    "blurred": {"sharpness": 3.0},
    "cut": {"face_margin": -0.1},
    "novelty": {"novelty": 1.4},
    "nose": {"nose_offset": -0.2},
    "eyes": {"eye_crossing": 0.3},
    "eye-colour": {"iris_a": 10.0, "iris_b": 15.0},
}
IRISES = np.array([[2.0, -5.0]])


def table(*rows):
    return pd.DataFrame([SOUND | row for row in rows])


def nobody(scores):
    return np.full((len(scores), 4), np.nan)


@pytest.mark.parametrize("gate", FAULTS)
def test_a_gate_holds_back_its_fault_and_nothing_else(gate):
    scores = table({}, FAULTS[gate])
    found = reasons_to_exclude(scores, nobody(scores), References(irises=IRISES))
    assert {name for name, reasons in found.items() if reasons[1]} == {gate}
    assert not any(reasons[0] for reasons in found.values())


@pytest.mark.parametrize("gate", FAULTS)
def test_a_gate_that_is_off_holds_nothing_back(gate):
    scores = table(FAULTS[gate])
    found = reasons_to_exclude(scores, nobody(scores), References(irises=IRISES), off=(gate,))
    assert gate not in found
    assert not any(reasons[0] for reasons in found.values())


def test_what_cannot_be_seen_is_not_held_back_and_old_tables_pass():
    unseen = dict.fromkeys(["nose_offset", "eye_crossing", "eye_skew", "iris_a", "iris_b", "iris_gap", "novelty"])
    for scores in (table(unseen), table({}).drop(columns=list(unseen))):
        found = reasons_to_exclude(scores, nobody(scores), References(irises=IRISES))
        assert not any(reasons[0] for reasons in found.values())


def test_pictures_without_exactly_one_face_are_held_back_but_failed_ones_have_their_own_reason():
    scores = table({"faces": 1.0}, {"faces": 0.0}, {"faces": 3.0}, {"status": "failed", "faces": np.nan})
    reasons = reasons_to_exclude(scores, nobody(scores), References())["faces"]
    assert reasons.tolist() == ["", "no face found", "3 faces in the picture", ""]


@pytest.mark.parametrize(
    ("on", "off", "left"),
    [
        ("all", "", set(GATES)),
        ("none", "", set()),
        ("faces,nose", "nose", {"faces"}),
        ("all", "eyes", {*GATES} - {"eyes"}),
    ],
)
def test_gates_are_switched_by_name(on, off, left):
    assert set(GATES) - set(gates_off(on, off)) == left


@pytest.mark.parametrize(("on", "off"), [("nos", ""), ("all", "nos")])
def test_an_unknown_gate_is_named_with_the_one_that_was_meant(on, off):
    with pytest.raises(UsageError, match=r"gate 'nos'.*'nose'"):
        gates_off(on, off)


def test_a_face_far_from_the_reference_is_held_back_with_its_distance():
    descriptors = np.array([[0.0, 0.0], [0.3, 0.0], [0.6, 0.8], [np.nan, np.nan]])
    reasons = another_person(descriptors, np.zeros((1, 2)), pd.RangeIndex(4), most=0.5)
    assert reasons[[0, 1, 3]].tolist() == ["", "", ""]
    assert "from the reference" in reasons[2]


def test_without_a_reference_the_odd_one_out_is_found():
    generator = np.random.default_rng(0)
    descriptors = np.vstack([generator.normal(0, 0.01, (20, 8)), np.ones((1, 8))])
    reasons = another_person(descriptors, np.empty((0, 8)), pd.RangeIndex(21))
    assert (reasons[:20] == "").all()
    assert "the other candidates" in reasons[20]


def test_an_unlucky_reference_does_no_harm_where_the_candidates_agree():
    generator = np.random.default_rng(0)
    descriptors = np.vstack([generator.normal(0, 0.02, (30, 8)), np.eye(8)[:1] * -0.55])
    reference = np.eye(8)[:1] * 0.45  # at the edge of the person: without help it would hold back nearly everybody
    reasons = another_person(descriptors, reference, pd.RangeIndex(31), most=0.3)
    assert (reasons[:30] == "").all()
    assert reasons[30]


def test_many_pictures_of_somebody_else_do_not_carry_the_person_away():
    generator = np.random.default_rng(0)
    own, other = generator.normal(0, 0.02, (5, 8)), generator.normal(0, 0.02, (40, 8)) + np.eye(8)[0] * 0.8
    reasons = another_person(np.vstack([own, other]), np.zeros((1, 8)), pd.RangeIndex(45))
    assert (reasons[:5] == "").all()
    assert (reasons[5:] != "").all()


def test_a_near_copy_of_the_present_picture_is_held_back():
    present = np.array([1.0, 0.0])
    reasons = copy_of_baseline(np.array([[2.0, 0.001], [1.0, 0.5], [np.nan, 0]]), present, pd.RangeIndex(3))
    assert [bool(reason) for reason in reasons] == [True, False, False]


def test_without_descriptors_nobody_is_held_back():
    assert (another_person(np.full((3, 128), np.nan), np.empty((0, 128)), pd.RangeIndex(3)) == "").all()
