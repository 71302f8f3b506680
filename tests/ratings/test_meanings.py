"""Columns are understood by the names that people give them, or as they are told, and never guessed twice over."""

import shlex

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from prescreen.errors import RatingsError, UsageError
from prescreen.ratings.reading import read_ratings
from prescreen.ratings.scale import Scale
from prescreen.text import parse_columns

IMAGES = [f"{i:02d}.jpg" for i in range(1, 13)]


def saved(frame, folder, name="r.csv"):
    frame.to_csv(folder / name, index=False)
    return folder / name


@pytest.mark.parametrize(
    ("named", "said"),
    [
        (
            {"image": "photo", "trait": "question", "vote": "answer", "rater": "worker"},
            "photo is the image, question is the trait, answer is a vote, worker is the rater",
        ),
        (
            {"image": "File Name", "trait": "Attribute", "vote": "Score", "rater": "Participant ID"},
            "File Name is the image, Attribute is the trait, Score is a vote, Participant ID is the rater",
        ),
        ({"image": " IMAGE_URL ", "vote": "rating"}, "IMAGE_URL is the image, rating is a vote"),
        ({"image": "Image", "trait": "TRAIT", "vote": " Vote", "rater": "RATER"}, None),
    ],
)
def test_votes_under_other_names(folder, votes, named, said):
    plain = read_ratings(saved(votes, folder, "plain.csv"))
    found = read_ratings(saved(votes.rename(columns=named), folder))
    assert_frame_equal(found.table, plain.table)
    assert (found.format, found.method) == ("votes", "two-way")
    assert found.notes == ((f"columns    {said}",) if said else ())


def test_means_under_other_names(folder, means):
    plain = read_ratings(saved(means, folder, "plain.csv"))
    named = {"image": "picture", "trait": "dimension", "mean": "average", "votes": "n", "std": "SD"}
    assert_frame_equal(read_ratings(saved(means.rename(columns=named), folder)).table, plain.table)
    named["mean"] = "score"  # a value beside a number of votes is a mean
    found = read_ratings(saved(means.rename(columns=named), folder))
    assert_frame_equal(found.table, plain.table)
    assert "score is the mean, n is the votes" in found.notes[0]


def test_a_value_that_stands_alone_is_a_mean_and_one_of_several_a_vote(folder, means, votes):
    alone = means[["image", "trait", "mean"]].rename(columns={"mean": "rating"})
    found = read_ratings(saved(alone, folder))
    assert found.format == "ratings"
    assert found.table["votes"].isna().all()
    several = votes[["image", "trait", "vote"]].rename(columns={"vote": "rating"})
    assert set(read_ratings(saved(several, folder)).table["votes"]) == {3.0}


def pasted(error):
    """Return the columns that a message tells to give, as a shell would pass them on."""
    words = shlex.split(str(error).split("; ")[-1])
    return parse_columns(words[words.index("--columns") + 1])


def test_two_columns_that_could_be_the_same_are_named(folder, votes):
    both = votes.rename(columns={"image": "photo"}).assign(url="http://host/x.jpg")
    with pytest.raises(RatingsError, match="photo and url could both be the image; say which: --columns image=photo"):
        read_ratings(saved(both, folder))
    found = read_ratings(saved(both, folder), columns={"image": "photo"})
    assert found.notes == ("ignored    column url",)


def test_its_own_name_goes_before_any_other(folder, votes):
    found = read_ratings(saved(votes.assign(photo="x", user="y"), folder))
    assert (found.method, found.notes) == ("two-way", ("ignored    columns photo, user",))


class TestColumns:
    @pytest.fixture
    def batch(self, votes):
        """Return the votes as Mechanical Turk exports them: a row a rater and picture, a column a trait."""
        wide = votes.pivot(index=["image", "rater"], columns="trait", values="vote").reset_index()
        return pd.DataFrame(
            {
                "HITId": [f"H{i}" for i in range(len(wide))],
                "WorkerId": wide["rater"],
                "WorkTimeInSeconds": 12,
                "Input.image_url": "https://host/a%20b/" + wide["image"] + "?x=1",
                "Answer.smart": wide["smart"],
                "Answer.kind": wide["kind"],
            }
        )

    def test_an_export_of_a_survey_is_read_as_it_is_told(self, folder, votes, batch):
        told = parse_columns("image=Input.image_url,rater=WorkerId,smart=Answer.smart,kind=answer.KIND")
        plain = read_ratings(saved(votes, folder, "plain.csv"))
        found = read_ratings(saved(batch, folder), columns=told)
        assert_frame_equal(found.table, plain.table)
        assert found.method == plain.method == "two-way"
        assert "ignored    columns HITId, WorkTimeInSeconds" in found.notes
        renamed = read_ratings(folder / "r.csv", {"competence": "smart"}, columns=told)
        assert renamed.traits == ("competence",)

    def test_a_vote_out_of_the_scale_is_named_by_its_column(self, folder, batch):
        batch.loc[3, "Answer.kind"] = 9
        told = parse_columns("image=Input.image_url,smart=Answer.smart,kind=Answer.kind")
        with pytest.raises(RatingsError, match=r"row 5: Answer.kind 9 is outside the scale 0:3"):
            read_ratings(saved(batch, folder), columns=told, scale=Scale(0, 3))

    def test_a_column_that_is_not_there_is_named_with_the_near_one(self, folder, batch):
        with pytest.raises(UsageError, match=r"no column 'Input.imag'; did you mean 'Input.image_url'\?"):
            read_ratings(saved(batch, folder), columns={"image": "Input.imag"})

    def test_without_a_picture_the_option_is_shown(self, folder, batch):
        with pytest.raises(RatingsError, match=r"no column image .*--columns image=Input.image_url"):
            read_ratings(saved(batch, folder))

    def test_without_anything_like_a_picture_no_column_is_guessed(self, folder, scores):
        with pytest.raises(RatingsError, match=r"--columns image=COLUMN; where each picture has a column, \* stands"):
            read_ratings(saved(scores.rename(columns={"image": "StartDate"}), folder))

    def test_the_traits_to_choose_are_no_times_and_ids(self, folder, batch):
        batch["WorkTimeInSeconds"] = range(len(batch))
        batch["batch_id"] = 7
        with pytest.raises(RatingsError, match="HITId 'H0' is not a number .*--traits Answer.smart,Answer.kind$"):
            read_ratings(saved(batch, folder), columns={"image": "Input.image_url"})

    def test_a_column_has_one_meaning(self, folder, batch):
        with pytest.raises(UsageError, match="'WorkerId' is given two meanings"):
            read_ratings(
                saved(batch, folder), columns={"image": "Input.image_url", "rater": "WorkerId", "x": "WorkerId"}
            )

    def test_what_is_told_goes_before_the_name(self, folder, scores):
        scores["file"] = scores["image"]
        scores["image"] = "thumbnail"
        found = read_ratings(saved(scores, folder), columns={"image": "file"})
        assert found.wide().index.tolist() == IMAGES
        assert found.notes == ("ignored    column image",)

    def test_a_trait_without_a_name_gets_one(self, folder, votes):
        one = votes[votes["trait"] == "smart"].drop(columns="trait")
        with pytest.raises(RatingsError, match="column vote but no column trait.*--columns competence=vote"):
            read_ratings(saved(one.drop(columns="rater"), folder))
        found = read_ratings(saved(one, folder), columns={"competence": "vote"})
        assert (found.traits, found.format, set(found.table["votes"])) == (("competence",), "votes", {3.0})

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("image=photo, rater=WorkerId", {"image": "photo", "rater": "WorkerId"}),
            (
                'image=p,competence="How competent, on the whole?"',
                {"image": "p", "competence": "How competent, on the whole?"},
            ),
            ("competence=a=b", {"competence": "a=b"}),
            ('competence="Q1 [*]"', {"competence": "Q1 [*]"}),
        ],
    )
    def test_the_option_is_parsed(self, text, expected):
        assert parse_columns(text) == expected

    @pytest.mark.parametrize("text", ["", "image", "image=", "=photo", "image=a,image=b", ","])
    def test_a_faulty_option_is_refused(self, text):
        with pytest.raises(UsageError, match="columns"):
            parse_columns(text)


class TestOneColumnAPicture:
    @pytest.fixture
    def form(self, votes):
        """Return the votes as Google Forms exports two grids: a row a rater, a column a question and picture."""
        names = {"smart": "How smart, at first sight?", "kind": "How  kind?"}
        rows = votes.assign(
            column=[f"{names[t]} [photo {i}]" for t, i in zip(votes["trait"], votes["image"], strict=True)]
        )
        wide = rows.pivot(index="rater", columns="column", values="vote").reset_index(names="E-mail")
        return wide.assign(Timestamp="2026/01/01 10:00")

    TOLD = 'rater=E-mail,smart="How smart, at first sight? [photo *]",kind=How kind? [photo *]'

    def test_it_is_read_when_told(self, folder, votes, form):
        plain = read_ratings(saved(votes, folder, "plain.csv"), {"smart": "smart", "kind": "kind"})
        found = read_ratings(saved(form, folder), columns=parse_columns(self.TOLD))
        assert_frame_equal(found.table, plain.table)
        assert found.method == "two-way"
        assert found.notes == ("ignored    column Timestamp",)

    def test_otherwise_it_is_said_how_to_tell(self, folder, form):
        with pytest.raises(RatingsError) as refused:
            read_ratings(saved(form, folder))
        told = pasted(refused.value)
        assert told == {"competence": "How  kind? [photo *]"}
        assert read_ratings(folder / "r.csv", columns=told).table["votes"].sum() == 36

    def test_pictures_without_a_file_name_stand_in_brackets(self, folder, form):
        with pytest.raises(RatingsError) as refused:
            read_ratings(saved(form.rename(columns=lambda name: name.replace(".jpg", "")), folder))
        assert pasted(refused.value) == {"competence": "How  kind? [photo *]"}
        with pytest.raises(RatingsError) as refused:
            read_ratings(
                saved(form.rename(columns=lambda name: name.replace("photo ", "").replace(".jpg", "")), folder)
            )
        assert pasted(refused.value) == {"competence": "How  kind? [*]"}

    def test_names_of_files_as_columns(self, folder, votes):
        smart = votes[votes["trait"] == "smart"]
        wide = smart.pivot(index="rater", columns="image", values="vote").reset_index()
        with pytest.raises(RatingsError, match=r"--columns 'competence=\*\.jpg'"):
            read_ratings(saved(wide, folder))
        wide.loc[0, "03.jpg"] = None
        found = read_ratings(saved(wide, folder), columns={"competence": "*.jpg"})
        assert found.table["votes"].sum() == 35
        assert found.method == "two-way"  # the column rater is known by its name
        assert found.notes == ("ignored    1 blank answer",)

    def test_a_trait_whose_columns_are_all_anothers_is_named(self, folder, form):
        told = parse_columns("smart=How smart*,kind=How kind? [photo *],nice=How kind? [*]")
        with pytest.raises(UsageError, match=r"nice=How kind\? \[\*\]: every such column belongs to a trait"):
            read_ratings(saved(form, folder), {"nice": "nice"}, columns=told)

    def test_without_a_rater_each_row_is_one(self, folder, form):
        found = read_ratings(saved(form, folder), columns=parse_columns(self.TOLD.removeprefix("rater=E-mail,")))
        assert found.method == "two-way"
        assert "ignored    columns E-mail, Timestamp" in found.notes

    def test_a_picture_that_is_not_there_is_named(self, folder, form):
        named = form.rename(columns={"How  kind? [photo 02.jpg]": "How  kind? [photo 99.jpg]"})
        with pytest.raises(RatingsError, match="image '99.jpg' is not in"):
            read_ratings(saved(named, folder), columns=parse_columns(self.TOLD))
