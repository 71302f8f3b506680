import pandas as pd
import pytest

from prescreen.ratings.other_columns import rated_attributes, with_auxiliary
from prescreen.ratings.reading import read_ratings

PICTURES = [f"{number}.jpg" for number in range(12)]


@pytest.fixture
def votes(tmp_path):
    for name in PICTURES:
        (tmp_path / name).touch()
    records = [
        {"image": f"./{name}" if vote else name, "trait": trait, "vote": (number + vote + shift) % 10}
        for number, name in enumerate(PICTURES)
        for shift, trait in enumerate(["smart", "age", "gender"])
        for vote in range(2)
        if not (trait == "gender" and number == 3)
    ]
    path = tmp_path / "votes.csv"
    pd.DataFrame(records).to_csv(path, index=False)
    return path


def test_other_traits_of_the_file_stand_beside_the_learned_ones(votes):
    rated = read_ratings(votes, {"competence": "smart"})
    found = rated_attributes(rated, {"competence": "smart"})
    assert list(found.columns) == ["competence", "age", "gender"]
    assert list(found.index) == list(rated.wide().index)
    pd.testing.assert_series_equal(found["competence"], rated.wide()["competence"])
    assert found.loc["2.jpg", "age"] == (3 + 4) / 2  # both ways of writing the name are one picture
    assert pd.isna(found.loc["3.jpg", "gender"])


def test_a_trait_that_is_learned_under_a_name_that_another_has_in_the_file_stands_once(votes):
    rated = read_ratings(votes, {"age": "smart"})
    found = rated_attributes(rated, {"age": "smart"})
    assert list(found.columns) == ["age", "gender"]
    pd.testing.assert_series_equal(found["age"], rated.wide()["age"])


def test_faults_in_traits_that_are_not_learned_do_no_harm(votes):
    votes.write_text(votes.read_text() + "0.jpg,height,tall\n")
    rated = read_ratings(votes, {"smart": "smart"})
    assert list(rated_attributes(rated).columns) == ["smart"]


def test_the_file_is_not_read_again_for_what_is_known(votes):
    columns = {"competence": "smart"}
    rated = read_ratings(votes, columns)
    expected, known = rated_attributes(rated, columns), with_auxiliary(rated, columns)
    votes.unlink()
    pd.testing.assert_frame_equal(rated_attributes(known, columns), expected)
