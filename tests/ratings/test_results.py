import numpy as np
import pytest

from prescreen.errors import RatingsError, UsageError
from prescreen.ratings.results import read_results
from prescreen.ratings.scale import Scale
from prescreen.text import parse_columns

TRAITS = ("competence", "likeability")
KNOWN = ("a/1.jpg", "2.jpg", "3.jpg")


def read(tmp_path, text, traits=TRAITS, **options):
    path = tmp_path / "results.csv"
    path.write_text(text, "utf-8")
    return read_results(path, traits, KNOWN, where="scores.csv", **options)


def test_wide_and_long_say_the_same(tmp_path):
    wide = read(tmp_path, "image,competence,likeability,votes\n2.jpg,7.5,8,40\na/1.jpg,6,5.5,20\n")
    long = read(
        tmp_path,
        "image,trait,mean,votes\n2.jpg,competence,7.5,40\n2.jpg,likeability,8,40\n"
        "a/1.jpg,likeability,5.5,20\na/1.jpg,competence,6,20\n",
    )
    for one in (wide, long):
        assert one.images == ("2.jpg", "a/1.jpg")
        assert one.scores.to_numpy().tolist() == [[7.5, 8], [6, 5.5]]
        assert one.votes.to_numpy().tolist() == [[40, 40], [20, 20]]


def test_votes_may_be_left_out_and_columns_may_be_capitalised(tmp_path):
    found = read(tmp_path, "image,Competence,Likeability,note\n./2.jpg,7.5,8,new suit\n")
    assert found.images == ("2.jpg",)
    assert np.isnan(found.votes.to_numpy()).all()


def test_chosen_traits_need_no_others(tmp_path):
    assert read(tmp_path, "image,likeability\n2.jpg,8\n", traits=("likeability",)).scores.shape == (1, 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("image,competence,likeability\n1.jpeg.jpg,7,8\n", ("1.jpeg.jpg", "did you mean 'a/1.jpg'?")),
        ("image,competence,likeability\n2.jpg,7,80\n", ("80", "0:10")),
        ("image,competence,likeability\n2.jpg,seven,8\n", ("seven",)),
        ("image,competence,likeability\n2.jpg,7,\n", ("row 2", "likeability")),
        ("image,competence,likeability\n2.jpg,7,8\n2.jpg,7,8\n", ("2.jpg", "second")),
        ("image,competence,likeability,votes\n2.jpg,7,8,0\n", ("votes 0",)),
        ("image,competence\n2.jpg,7\n", ("likeability", "--traits")),
        ("image,competence,likabillity\n2.jpg,7,8\n", ("likabillity",)),
        ("portrayal,competence,likeability\n2.jpg,7,8\n", ("no column image",)),
        ("", ("empty",)),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, expected):
    with pytest.raises(RatingsError) as caught:
        read(tmp_path, text)
    assert "results.csv" in str(caught.value)
    for part in expected:
        assert part in str(caught.value)


def test_a_misspelt_trait_is_named(tmp_path):
    with pytest.raises(RatingsError, match=r"competence.*is it 'competense'"):
        read(tmp_path, "image,trait,mean\n2.jpg,competense,7\n")


def test_columns_under_near_names_can_be_told_as_the_message_says(tmp_path):
    text = "Photo,Competence,Likable\n2.jpg,7,8\n"
    with pytest.raises(RatingsError, match=r"--columns competence=Competence,likeability=Likable$") as caught:
        read(tmp_path, text)
    told = parse_columns(str(caught.value).rpartition("--columns ")[2])
    assert read(tmp_path, text, columns=told).scores.to_numpy().tolist() == [[7, 8]]


def test_the_traits_that_are_there_are_named_as_the_ones_to_choose(tmp_path):
    with pytest.raises(
        RatingsError, match=r"no scores of 'likeability'.* those that were tested: --traits competence$"
    ):
        read(tmp_path, "image,competence\n2.jpg,7\n")


def test_another_scale(tmp_path):
    found = read(tmp_path, "image,competence,likeability\n2.jpg,2.5,1\n", training=Scale(0, 3), raw=True)
    assert found.scores.to_numpy().tolist() == [[2.5, 1]]


@pytest.mark.parametrize(
    "head",
    [
        "image,status,content,competence,competence_raw_low,likeability",
        "image,p_better,selected,competence,likeability",
    ],
)
def test_predictions_are_not_what_people_said(tmp_path, head):
    row = ",".join({"image": "2.jpg", "status": "ok"}.get(name, "1") for name in head.split(","))
    with pytest.raises(RatingsError, match="predictions that prescreen wrote"):
        read(tmp_path, f"{head}\n{row}\n")


def test_what_raters_platforms_add_is_no_sign_of_predictions(tmp_path):
    text = "image,competence,likeability,votes,status,reason,content\n2.jpg,7,8,40,done,paid,x\n"
    assert read(tmp_path, text).scores.to_numpy().tolist() == [[7, 8]]


def test_a_web_page_is_named(tmp_path):
    with pytest.raises(RatingsError, match="a web page and no table"):
        read(tmp_path, "<!doctype html><p>report")


def test_a_file_that_is_not_there_is_a_mistake_in_the_request(tmp_path):
    with pytest.raises(UsageError, match=r"none\.csv: no such file"):
        read_results(tmp_path / "none.csv", TRAITS, KNOWN, where="scores.csv")


def test_of_one_picture_all_others_may_be_unknown_and_traits_may_be_missing(tmp_path):
    found = read(
        tmp_path, "Photo;Likeability;Votes\ngone.jpg;0;1\ndesk/2.jpg;8,5;40\n", only="2.jpg", columns={"image": "Photo"}
    )
    assert found.images == ("2.jpg",)
    assert found.scores.loc["2.jpg", "likeability"] == 8.5
    assert np.isnan(found.scores.loc["2.jpg", "competence"])
    assert found.votes.loc["2.jpg", "likeability"] == 40


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("image,competence\n21.jpg,4\n", "no row of 2.jpg; did you mean '21.jpg'"),
        ("image,warmth\n2.jpg,4\n", "scores of none of competence, likeability"),
    ],
)
def test_where_the_one_picture_or_all_traits_are_missing_it_is_said(tmp_path, text, expected):
    with pytest.raises(RatingsError, match=expected):
        read(tmp_path, text, only="2.jpg")


def test_votes_of_a_ballot_are_answers_where_the_training_had_another_scale(tmp_path):
    votes = "image,trait,vote,rater\n" + "".join(
        f"{image},{trait},{vote},{rater}\n"
        for image in ("2.jpg", "a/1.jpg")
        for trait in ("competence", "likeability")
        for rater, vote in (("x", 0), ("y", 3), ("z", 3))
    )
    stretched = read(tmp_path, votes, training=Scale(0, 100))
    np.testing.assert_allclose(stretched.scores.to_numpy(), 200 / 3)
    assert any("taken for answers on 0:3" in note for note in stretched.notes)
    np.testing.assert_allclose(read(tmp_path, votes, training=Scale(1, 7)).scores.to_numpy(), 5)
    np.testing.assert_allclose(read(tmp_path, votes, training=Scale(0, 3)).scores.to_numpy(), 2)
    larger = votes.replace(",3,y", ",9,y")
    np.testing.assert_allclose(read(tmp_path, larger, training=Scale(0, 10)).scores.to_numpy(), 4)


def test_copies_and_what_the_page_exported_are_their_originals(tmp_path):
    text = "image,competence,likeability\n1-1.jpg,7,8\n02_2.jpg,6,5\n"
    found = read(tmp_path, text, copies={"1-1.jpg": "a/1.jpg"})
    assert found.images == ("a/1.jpg", "2.jpg")
    assert any("by the name of its copy: 1-1.jpg is a/1.jpg" in note for note in found.notes)
    assert any("without the number that the page's export put before it: 02_2.jpg is 2.jpg" in n for n in found.notes)
    with pytest.raises(RatingsError, match="a second score"):
        read(tmp_path, "image,competence,likeability\n1-1.jpg,7,8\na/1.jpg,6,5\n", copies={"1-1.jpg": "a/1.jpg"})
