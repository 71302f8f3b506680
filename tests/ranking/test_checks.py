from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from prescreen.errors import UsageError
from prescreen.ranking.checks import (
    CHECKS,
    SWITCHABLE,
    Candidates,
    References,
    another_person,
    copy_of_baseline,
    exclude,
    find_reasons,
    parse_checks,
)

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


def candidates(*rows, irises=IRISES):
    scores = pd.DataFrame([SOUND | row for row in rows])
    return Candidates(scores, np.full((len(scores), 4), np.nan), References(irises=irises))


def with_faces(faces, **references):
    faces = np.asarray(faces, float)
    return Candidates(pd.DataFrame([SOUND] * len(faces)), faces, References(**references))


@pytest.mark.parametrize("check", FAULTS)
def test_a_check_excludes_its_fault_and_nothing_else(check):
    found = find_reasons(candidates({}, FAULTS[check]))
    assert {name for name, reasons in found.items() if reasons[1]} == {check}
    assert not any(reasons[0] for reasons in found.values())


@pytest.mark.parametrize("check", FAULTS)
def test_a_check_that_is_off_excludes_nothing(check):
    found = find_reasons(candidates(FAULTS[check]), off=(check,))
    assert check not in found
    assert not any(reasons[0] for reasons in found.values())


def test_what_cannot_be_seen_excludes_nothing_and_old_tables_pass():
    unseen = dict.fromkeys(["nose_offset", "eye_crossing", "eye_skew", "iris_a", "iris_b", "iris_gap", "novelty"])
    old = candidates({})
    for given in (candidates(unseen), replace(old, scores=old.scores.drop(columns=list(unseen)))):
        assert not any(reasons[0] for reasons in find_reasons(given).values())


def test_pictures_without_exactly_one_face_are_excluded_but_failed_ones_have_their_own_reason():
    given = candidates({"faces": 1.0}, {"faces": 0.0}, {"faces": 3.0}, {"status": "failed", "faces": np.nan})
    assert find_reasons(given)["faces"] == ["", "no face found", "3 faces in the picture", ""]


def test_tested_and_rejected_pictures_are_excluded():
    given = replace(
        candidates({}, {}, {}), tested=np.array([True, False, False]), rejected=np.array([False, True, False])
    )
    found = exclude(replace(given, scores=given.scores.assign(image=["a", "b", "c"])), np.arange(3))
    assert found.checks == ["tested", "rejected", ""]
    assert found.because == ["people have scored it already", "rejected by you", ""]


def test_of_two_copies_the_one_that_nothing_else_speaks_against_stays():
    faces = np.eye(3)[[0, 0, 1]]
    scores = pd.DataFrame(
        [SOUND | {"image": "best", "sharpness": 1.0}, SOUND | {"image": "copy"}, SOUND | {"image": "c"}]
    )
    found = exclude(Candidates(scores, faces), np.arange(3), off=("person",))
    assert found.copy_of == ["copy", "", ""]
    assert found.checks == ["blurred,copies", "", ""]
    assert found.because[0] == "blurred: sharpness 1.0, at least 7; near-copy of copy"
    sharp = exclude(Candidates(scores.assign(sharpness=20.0), faces), np.arange(3), off=("person",))
    assert sharp.copy_of == ["", "best", ""]
    assert exclude(Candidates(scores, faces), np.arange(3), off=tuple(CHECKS)).checks == ["", "", ""]


@pytest.mark.parametrize(
    ("names", "on"),
    [
        ("all", SWITCHABLE),
        ("none", ()),
        ("nose,faces", ("faces", "nose")),
        ("present,unfamiliar", ("current", "novelty")),
    ],
)
def test_checks_are_named(names, on):
    assert parse_checks(names) == on


def test_an_unknown_check_is_named_with_the_one_that_was_meant():
    with pytest.raises(UsageError, match=r"check 'nos'.*'nose'"):
        parse_checks("nos")


def test_a_face_far_from_the_reference_is_excluded_with_its_distance():
    given = with_faces([[0, 0], [0.3, 0], [0.6, 0.8], [np.nan, np.nan]], person=np.zeros((1, 2)))
    reasons = another_person(given, most=0.5)
    assert [reasons[i] for i in (0, 1, 3)] == ["", "", ""]
    assert "from the reference" in reasons[2]


def test_without_a_reference_the_odd_one_out_is_found():
    generator = np.random.default_rng(0)
    reasons = another_person(
        with_faces(np.vstack([generator.normal(0, 0.01, (20, 8)), np.ones((1, 8))]), person=np.empty((0, 8)))
    )
    assert not any(reasons[:20])
    assert "the other candidates" in reasons[20]


def test_an_unlucky_reference_does_no_harm_where_the_candidates_agree():
    generator = np.random.default_rng(0)
    descriptors = np.vstack([generator.normal(0, 0.02, (30, 8)), np.eye(8)[:1] * -0.55])
    reference = np.eye(8)[:1] * 0.45  # at the edge of the person: without help it would exclude nearly everybody
    reasons = another_person(with_faces(descriptors, person=reference), most=0.3)
    assert not any(reasons[:30])
    assert reasons[30]


def test_many_pictures_of_somebody_else_do_not_carry_the_person_away():
    generator = np.random.default_rng(0)
    own, other = generator.normal(0, 0.02, (5, 8)), generator.normal(0, 0.02, (40, 8)) + np.eye(8)[0] * 0.8
    reasons = another_person(with_faces(np.vstack([own, other]), person=np.zeros((1, 8))))
    assert not any(reasons[:5])
    assert all(reasons[5:])


def test_a_near_copy_of_the_current_photo_is_excluded():
    reasons = copy_of_baseline(with_faces([[2.0, 0.001], [1.0, 0.5], [np.nan, 0]], baseline=np.array([1.0, 0.0])))
    assert [bool(reason) for reason in reasons] == [True, False, False]


def test_without_descriptors_nobody_is_excluded():
    assert not any(another_person(with_faces(np.full((3, 128), np.nan))))
