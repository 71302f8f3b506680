import numpy as np
import pandas as pd

from prescreen.ratings.other_columns import with_auxiliary
from prescreen.ratings.reading import read_ratings


def saved(frame, folder):
    frame.to_csv(folder / "ratings.csv", index=False)
    return folder / "ratings.csv"


def test_the_other_traits_of_the_file(folder, scores):
    scores.loc[3, "influence"] = np.nan
    scores["alike"] = 5.0
    scores["rarely"] = [1.0, 2.0, *[np.nan] * 10]
    columns = {"C": "competence"}
    rated = with_auxiliary(read_ratings(saved(scores, folder), columns), columns)
    expected = scores.set_index("image")[["likeability", "influence"]]
    pd.testing.assert_frame_equal(rated.auxiliary, expected, check_names=False)
    assert rated.traits == ("C",)


def test_only_pictures_that_are_rated_in_what_was_asked_for(folder, votes):
    kept = (votes["trait"] == "kind") | (votes["image"] < "12.jpg")
    columns = {"smart": "smart"}
    rated = with_auxiliary(read_ratings(saved(votes[kept], folder), columns), columns)
    assert list(rated.auxiliary.columns) == ["kind"]
    assert list(rated.auxiliary.index) == list(rated.wide().index)
    assert "12.jpg" not in rated.auxiliary.index


def test_a_column_that_is_no_trait_does_not_keep_the_others_out(folder, scores):
    scores["notes"] = "hello"
    columns = {trait: trait for trait in ("competence", "likeability")}
    before = read_ratings(saved(scores, folder), columns)
    rated = with_auxiliary(before, columns)
    assert list(rated.auxiliary.columns) == ["influence"]
    assert rated.wide().equals(before.wide())
