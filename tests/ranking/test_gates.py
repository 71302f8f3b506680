import numpy as np
import pandas as pd

from prescreen.ranking.gates import another_person, no_single_face


def test_pictures_without_exactly_one_face_are_held_back():
    scores = pd.DataFrame({"status": ["ok", "ok", "ok", "failed"], "faces": [1.0, 0.0, 3.0, np.nan]})
    assert no_single_face(scores).tolist() == ["", "no face found", "3 faces in the picture", ""]


def test_a_face_far_from_the_reference_is_held_back_with_its_distance():
    descriptors = np.array([[0.0, 0.0], [0.3, 0.0], [0.6, 0.8], [np.nan, np.nan]])
    reasons = another_person(descriptors, np.zeros(2), pd.RangeIndex(4), most=0.5)
    assert reasons[[0, 1, 3]].tolist() == ["", "", ""]
    assert "1.00 from the present picture" in reasons[2]


def test_without_a_reference_the_odd_one_out_is_found():
    generator = np.random.default_rng(0)
    descriptors = np.vstack([generator.normal(0, 0.01, (20, 8)), np.ones((1, 8))])
    reasons = another_person(descriptors, None, pd.RangeIndex(21))
    assert (reasons[:20] == "").all()
    assert "the other candidates" in reasons[20]


def test_without_descriptors_nobody_is_held_back():
    assert (another_person(np.full((3, 128), np.nan), None, pd.RangeIndex(3)) == "").all()
