"""Tables with a column a trait: what is no rating is named, answers are votes, a range is the noise of its score."""

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from prescreen.errors import RatingsError
from prescreen.ratings.reading import read_ratings
from prescreen.ratings.scale import Scale

IMAGES = [f"{i:02d}.jpg" for i in range(1, 13)]
LEVELS = ("no", "somewhat", "yes", "very")


def saved(frame, folder, name="r.csv"):
    frame.to_csv(folder / name, index=False)
    return folder / name


class TestColumnsThatAreNoRatings:
    @pytest.mark.parametrize(
        ("name", "cells", "says"),
        [
            ("age", [28 + i for i in range(12)], r"column age \(28, 29, ...\) looks like no rating"),
            ("id", list(range(12)), r"column id \(0, 1, ...\) looks like no rating"),
            ("date", ["2026-05-01"] * 12, r"row 2: date '2026-05-01' is not a number"),
            ("remark", ["", "nice", *[""] * 10], r"row 3: remark 'nice' is not a number"),
            ("height_cm", [170] * 12, r"row 2: height_cm 170 is outside the scale 0:10"),
        ],
    )
    def test_they_are_named_with_the_traits_to_choose(self, folder, scores, name, cells, says):
        scores.insert(2, name, cells)
        with pytest.raises(RatingsError, match=says + r".*--traits competence,likeability,influence(;|$)"):
            read_ratings(saved(scores, folder))
        chosen = {trait: trait for trait in ("competence", "likeability", "influence")}
        found = read_ratings(folder / "r.csv", chosen)
        assert len(found.table) == 36
        assert found.notes == (f"ignored    column {name}",)

    def test_what_could_be_a_rating_is_kept_for_learning_and_not_ignored(self, folder, scores):
        assert read_ratings(saved(scores, folder), {"influence": "influence"}).notes == ()

    def test_one_score_out_of_the_scale_is_a_slip_and_named_by_its_column(self, folder, scores):
        scores.loc[4, "likeability"] = 80
        with pytest.raises(RatingsError, match=r"row 6: likeability 80 is outside the scale 0:10; correct it"):
            read_ratings(saved(scores, folder))

    def test_all_beyond_the_scale_ask_for_the_scale(self, folder, scores):
        scores.iloc[:, 1:] = 50 + scores.iloc[:, 1:] * 5
        with pytest.raises(RatingsError, match="competence 50 is outside the scale 0:10.*--scale LOW:HIGH"):
            read_ratings(saved(scores, folder))
        assert read_ratings(folder / "r.csv", scale=Scale(0, 100)).scale == Scale(0, 100)

    def test_blank_scores_are_counted(self, folder, scores):
        scores.loc[3, ["competence", "likeability", "influence"]] = np.nan
        scores.loc[5, "influence"] = np.nan
        found = read_ratings(saved(scores, folder))
        assert found.notes == ("ignored    1 row without a score; 1 blank score",)

    def test_what_says_that_it_is_blank_is_blank(self, folder, scores):
        scores["influence"] = ["NA"] * 7 + [3, 4, 5, 6, 7]
        found = read_ratings(saved(scores, folder), min_images=5)
        assert len(found.table) == 29
        assert found.notes == ("ignored    7 blank scores",)

    @pytest.mark.parametrize("nothing", ["", "NA", "n/a", " nan "])
    def test_a_column_in_which_nothing_is_said_is_left_out_and_named(self, folder, scores, nothing):
        plain = read_ratings(saved(scores, folder, "plain.csv"))
        found = read_ratings(saved(scores.assign(remark=nothing), folder))
        assert_frame_equal(found.table, plain.table)
        assert found.notes == ("ignored    blank column remark",)

    def test_a_trait_of_that_name_can_be_asked_for(self, folder, scores):
        scores["age"] = scores["competence"]
        assert read_ratings(saved(scores, folder), {"age": "age"}).traits == ("age",)


def test_a_row_a_rater_is_votes(folder, votes):
    wide = votes.pivot(index=["image", "rater"], columns="trait", values="vote").reset_index()
    wide.loc[5, "kind"] = np.nan
    plain = read_ratings(
        saved(votes.drop(index=(wide.loc[5, "image"] == votes["image"]).to_numpy().nonzero()[0][-1]), folder)
    )
    found = read_ratings(saved(wide.rename(columns={"rater": "user"}), folder), {"smart": "smart", "kind": "kind"})
    assert (found.format, found.method, found.scale, found.is_score) == ("votes", "two-way", Scale(0, 3), False)
    assert found.table["votes"].sum() == plain.table["votes"].sum() == 71
    assert found.notes == ("columns    user is the rater", "ignored    1 blank score")


class TestAnswers:
    @pytest.fixture
    def counted(self, votes):
        """Return the votes as Photofeeler counts them: how many said No, Somewhat, Yes and Very."""
        counts = votes.groupby(["image", "trait", "vote"]).size().unstack(["trait", "vote"], fill_value=0)
        counts.columns = [f"{trait}_{LEVELS[vote]}" for trait, vote in counts.columns]
        for trait in ("smart", "kind"):
            for level in LEVELS:
                if f"{trait}_{level}" not in counts:
                    counts[f"{trait}_{level}"] = 0
        return counts.reset_index()

    @pytest.mark.parametrize(
        "named",
        [
            lambda name: name,
            lambda name: name.replace("_", " ").title(),
            lambda name: name.replace("_", ": "),
            lambda name: f"{name.partition('_')[0]}_{LEVELS.index(name.partition('_')[2])}" if "_" in name else name,
            lambda name: name.replace("_", " (") + ")" if "_" in name else name,
        ],
    )
    def test_they_are_the_votes_that_they_count(self, folder, votes, counted, named):
        plain = read_ratings(
            saved(votes.drop(columns="rater"), folder, "plain.csv"), {"smart": "smart", "kind": "kind"}
        )
        asked = {"smart": "smart", "kind": "kind"}
        found = read_ratings(saved(counted.rename(columns=named), folder), asked)
        assert_frame_equal(found.table, plain.table)
        assert (found.format, found.scale, found.is_score) == ("answers", Scale(0, 3), False)
        assert found.reliability == plain.reliability
        assert_frame_equal(found.sampling_variance(), plain.sampling_variance())

    def test_a_score_beside_them_says_less(self, folder, counted):
        found = read_ratings(saved(counted.assign(Smart=7.5, kind=8.1, kind_votes=3), folder))
        assert set(found.traits) == {"smart", "kind"}
        assert found.scale == Scale(0, 3)
        assert found.notes == ("ignored    columns Smart, kind, kind_votes",)

    def test_they_can_be_told(self, folder, counted):
        plain = read_ratings(saved(counted, folder), {"smart": "smart"})
        named = {f"smart_{level}": f"Q1 {number}." for number, level in enumerate(LEVELS)}
        told = named | {"image": "who"}
        found = read_ratings(saved(counted.rename(columns=told), folder), columns=told)
        assert_frame_equal(found.table, plain.table)
        assert set(found.notes[0].removeprefix("ignored    columns ").split(", ")) == {
            f"kind_{level}" for level in LEVELS
        }

    def test_a_blank_column_is_an_answer_that_nobody_gave(self, folder, counted):
        counted[["smart_very", "kind_very"]] = 0
        plain = read_ratings(saved(counted, folder, "plain.csv"))
        found = read_ratings(saved(counted.assign(smart_very=""), folder))
        assert_frame_equal(found.table, plain.table)
        assert found.format == "answers"

    def test_both_kinds_at_once_are_two_scales(self, folder, counted):
        with pytest.raises(RatingsError, match=r"two scales; choose one kind: --traits kind,smart"):
            read_ratings(saved(counted.assign(warm=7.5), folder))

    @pytest.mark.parametrize("value", [-1, 2.5, 10**9])
    def test_a_count_that_is_none_is_named(self, folder, counted, value):
        counted["smart_yes"] = counted["smart_yes"].astype(float)
        counted.loc[2, "smart_yes"] = value
        with pytest.raises(RatingsError, match=r"row 4: smart_yes .* is no number of answers"):
            read_ratings(saved(counted, folder))

    def test_a_picture_that_stands_twice_is_named(self, folder, counted):
        twice = pd.concat([counted, counted[2:3]])
        with pytest.raises(RatingsError, match="row 14: a second rating of image '03.jpg'"):
            read_ratings(saved(twice, folder))

    def test_three_of_the_four_are_ordinary_columns(self, folder, counted):
        found = read_ratings(saved(counted[["image", "smart_no", "smart_somewhat", "smart_yes"]], folder))
        assert found.format == "scores"


class TestRanges:
    def test_a_score_outside_its_range_is_a_slip(self, folder, scores):
        scores["competence_range"] = [f"{c - 0.5:.2f}-{c + 0.7:.2f}" for c in scores["competence"] + 1]
        scores["competence"] += 1
        scores.loc[4, "competence_range"] = "71-89"
        with pytest.raises(RatingsError, match=r"row 6: competence 3 is outside its range; correct it"):
            read_ratings(saved(scores, folder))

    @pytest.mark.parametrize(
        "ranged",
        [
            lambda f: f.assign(competence_low=f["competence"] - 0.5, competence_high=f["competence"] + 0.7),
            lambda f: f.assign(competence_range=[f"{c - 0.5:.2f}-{c + 0.7:.2f}" for c in f["competence"]]),
            lambda f: f.assign(**{"Competence range": [f"{c - 0.5:.2f} – {c + 0.7:.2f}" for c in f["competence"]]}),
        ],
    )
    def test_it_is_the_noise_of_its_score(self, folder, scores, ranged):
        scores = scores.assign(competence=scores["competence"] + 1, votes=40)
        found = read_ratings(saved(ranged(scores), folder))
        assert found.traits == ("competence", "likeability", "influence")
        noise = found.sampling_variance()
        np.testing.assert_allclose(noise["competence"], (1.2 / (2 * 1.6448536)) ** 2)
        assert noise["likeability"].isna().all()
        assert found.notes == ()

    def test_it_can_be_told(self, folder, scores):
        ranged = scores.assign(lo=scores["influence"] - 1, hi=scores["influence"] + 1)
        told = {"influence": "influence", "influence_low": "lo", "influence_high": "hi"}
        found = read_ratings(saved(ranged, folder), columns=told)
        assert found.traits == ("influence",)
        np.testing.assert_allclose(found.sampling_variance()["influence"], (1 / 1.6448536) ** 2)
        assert found.notes == ("ignored    columns competence, likeability",)

    def test_one_end_alone_is_a_column_like_others(self, folder, scores):
        with pytest.raises(RatingsError, match="competence_low"):
            read_ratings(saved(scores.assign(competence_low=99), folder))

    @pytest.mark.parametrize(("text", "says"), [("about 7", "is no range; expected"), ("8-7", "not above its start")])
    def test_a_faulty_range_is_named(self, folder, scores, text, says):
        ranges = ["7-8"] * 12
        ranges[3] = text
        with pytest.raises(RatingsError, match=f"row 5: .*{says}"):
            read_ratings(saved(scores.assign(influence_range=ranges), folder))


def test_each_trait_may_have_votes_of_its_own(folder, scores):
    found = read_ratings(saved(scores.assign(competence_votes=30, Influence_votes=50, votes=20), folder))
    assert found.votes().iloc[0].to_dict() == {"competence": 30, "likeability": 20, "influence": 50}
