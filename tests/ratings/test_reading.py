import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from prescreen.errors import UsageError
from prescreen.ratings.reading import read_ratings
from prescreen.ratings.reliability import Reliability
from prescreen.ratings.scale import Scale

IMAGES = [f"{i:02d}.jpg" for i in range(1, 13)]


def saved(frame: pd.DataFrame, folder: Path, name: str = "ratings.csv") -> Path:
    path = folder / name
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    return path


def omi(folder: Path, rows: pd.DataFrame) -> Path:
    (folder / "images").mkdir(exist_ok=True)
    for stimulus in rows["stimulus"].unique():
        (folder / "images" / f"{stimulus}.jpg").write_bytes(b"picture")
    with zipfile.ZipFile(folder / "attribute_ratings.zip", "w") as archive:
        archive.writestr("attribute_ratings.csv", rows.to_csv(index=False))
    return folder


def omi_rows(rating_type="normal"):
    rows = [
        ((7 * stimulus + 3 * vote + shift) % 101, attribute, rating_type, stimulus)
        for shift, attribute in enumerate(["smart", "happy"])
        for stimulus in range(1, 12)
        for vote in range(4)
    ]
    return pd.DataFrame(rows, columns=["rating", "attribute", "rating_type", "stimulus"])


class TestVotes:
    def test_means_counts_and_spread(self, folder, votes):
        path = saved(votes.drop(columns="rater"), folder)
        result = read_ratings(path)
        assert (result.format, result.method, result.scale, result.is_score) == ("votes", "mean", Scale(0, 3), False)
        assert result.traits == ("smart", "kind")
        assert list(result.table.columns) == ["image", "trait", "mean", "votes", "std"]
        assert list(result.table["trait"]) == ["smart"] * 12 + ["kind"] * 12
        assert list(result.table["image"]) == IMAGES * 2
        expected = votes.groupby(["trait", "image"])["vote"].agg(["mean", "std"]).loc["kind"]
        np.testing.assert_allclose(result.wide()["kind"], expected["mean"])
        np.testing.assert_allclose(result.table["std"][12:], expected["std"])
        assert set(result.table["votes"]) == {3.0}
        assert result.images_dir == folder
        assert result.source == path
        assert result.fingerprint == hashlib.sha256(path.read_bytes()).hexdigest()

    def test_order_of_the_rows_does_not_matter(self, folder, votes):
        first = read_ratings(saved(votes, folder), {"smart": "smart", "kind": "kind"})
        shuffled = votes.sample(frac=1, random_state=3)
        second = read_ratings(saved(shuffled, folder, "b.csv"), {"smart": "smart", "kind": "kind"})
        assert_frame_equal(first.table, second.table)
        assert first.fingerprint != second.fingerprint

    def test_raters_are_levelled_where_they_overlap(self, folder):
        rng = np.random.default_rng(0)
        quality, bias = rng.normal(5, 1, 12), np.array([-2.0, 0, 2.0, 0])
        rows = [
            (image, "smart", np.clip(quality[i] + bias[r], 0, 10), f"r{r}")
            for i, image in enumerate(IMAGES)
            for r in range(4)
            if (i + r) % 4
        ]
        table = pd.DataFrame(rows, columns=["image", "trait", "vote", "rater"])
        levelled = read_ratings(saved(table, folder))
        plain = read_ratings(saved(table.drop(columns="rater"), folder))
        assert (levelled.method, plain.method) == ("two-way", "mean")
        assert (
            np.corrcoef(levelled.wide()["smart"], quality)[0, 1]
            > 0.98
            > np.corrcoef(plain.wide()["smart"], quality)[0, 1]
        )
        assert levelled.reliability["smart"].of_mean > plain.reliability["smart"].of_mean
        assert levelled.sampling_variance().loc["01.jpg", "smart"] < plain.sampling_variance().loc["01.jpg", "smart"]
        assert levelled.table["mean"].between(0, 10).all()

    def test_raters_of_single_votes_are_left_alone(self, folder, votes):
        votes["rater"] = [f"r{i}" for i in range(len(votes))]
        assert read_ratings(saved(votes, folder)).method == "mean"

    def test_levelling_goes_on_beside_votes_without_rater(self, folder, votes):
        rng = np.random.default_rng(1)
        quality, bias = rng.normal(5, 1, 12), np.tile([-2.0, 0, 2.0, 0], 3)
        rows = [
            (image, "smart", np.clip(quality[i] + bias[r] + rng.normal(0, 0.3), 0, 10), f"r{r}")
            for i, image in enumerate(IMAGES)
            for r in range(12)
            if (i + r) % 4
        ]
        table = pd.DataFrame(rows, columns=["image", "trait", "vote", "rater"])
        table.loc[rng.choice(len(table), 20, replace=False), "rater"] = ""
        found = read_ratings(saved(table, folder))
        assert found.method == "two-way"
        assert "raters     20 votes without a rater: each counts as a rater of its own" in found.notes
        assert found.table["votes"].sum() == len(table)
        plain = read_ratings(saved(table.drop(columns="rater"), folder))
        errors = [np.std(one.wide()["smart"] - quality) for one in (found, plain)]
        assert errors[0] < 0.6 * errors[1]  # the leniency that was planted is taken out

    def test_most_votes_without_rater_rule_levelling_out_which_is_said(self, folder, votes):
        assert read_ratings(saved(votes, folder)).method == "two-way"
        votes.loc[votes.index % 3 > 0, "rater"] = ""
        found = read_ratings(saved(votes, folder))
        assert found.method == "mean"
        assert found.notes == ("raters     48 votes without a rater: raters' leniency is not taken out",)

    def test_traits_choose_rename_and_order(self, folder, votes):
        result = read_ratings(saved(votes, folder), {"likeability": "kind", "competence": "smart"})
        assert result.traits == ("likeability", "competence")
        assert list(result.table["trait"].unique()) == ["likeability", "competence"]
        everything = read_ratings(saved(votes, folder))
        np.testing.assert_allclose(result.wide()["likeability"], everything.wide()["kind"])

    def test_faults_in_traits_not_chosen_do_not_matter(self, folder, votes):
        votes["vote"] = votes["vote"].astype(object)
        votes.loc[votes["trait"] == "smart", "vote"] = "?"
        assert read_ratings(saved(votes, folder), {"kind": "kind"}).traits == ("kind",)


class TestRatings:
    def test_values_come_through(self, folder, means):
        result = read_ratings(saved(means, folder))
        assert (result.format, result.method, result.scale) == ("ratings", "mean", Scale(0, 10))
        expected = means.astype({"votes": float, "image": str, "trait": str})
        assert_frame_equal(result.table, expected)

    def test_sampling_variance_is_pooled_and_divided_by_the_votes(self, folder, means):
        variance = read_ratings(saved(means, folder)).sampling_variance()
        assert variance.loc["01.jpg", "smart"] == pytest.approx(1.5**2 / 5)
        assert variance.loc["12.jpg", "kind"] == pytest.approx(1.5**2 / 16)

    def test_without_spread_reliability_is_unknown(self, folder, means):
        result = read_ratings(saved(means.drop(columns="std"), folder))
        assert result.reliability["smart"].icc1 is None
        assert result.reliability["smart"].votes_per_image == pytest.approx(12 / np.sum(1 / (5 + np.arange(12))))
        assert result.sampling_variance().isna().all(axis=None)

    def test_votes_and_their_summary_give_the_same(self, folder, votes):
        single = read_ratings(saved(votes.drop(columns="rater"), folder))
        summary = votes.groupby(["image", "trait"])["vote"].agg(mean="mean", votes="size", std="std").reset_index()
        chosen = {"smart": "smart", "kind": "kind"}
        again = read_ratings(saved(summary, folder), chosen, Scale(0, 3))
        assert_frame_equal(single.table, again.table)
        assert again.reliability["kind"].icc1 == pytest.approx(single.reliability["kind"].icc1)


class TestScores:
    def test_values_are_scores(self, folder, scores):
        result = read_ratings(saved(scores, folder))
        assert (result.format, result.is_score, result.scale) == ("scores", True, Scale(0, 10))
        assert result.traits == ("competence", "likeability", "influence")
        np.testing.assert_array_equal(result.wide().to_numpy(), scores.iloc[:, 1:].to_numpy())
        assert result.wide().index.tolist() == IMAGES
        assert result.reliability["competence"] == Reliability(None, None, None)
        assert result.table["votes"].isna().all()

    def test_another_scale_is_no_photofeeler_score(self, folder, scores):
        assert read_ratings(saved(scores, folder), scale=Scale(0, 20)).is_score is False

    def test_a_blank_cell_is_not_rated(self, folder, scores):
        scores["votes"] = 40
        path = saved(scores, folder)
        path.write_text(path.read_text().replace("02.jpg,0.5,", "02.jpg,,").replace("03.jpg,1.0,", "03.jpg,NaN,"))
        result = read_ratings(path)
        assert result.wide()["competence"].isna().tolist() == [False, True, True] + [False] * 9
        assert result.sampling_variance().shape == result.wide().shape
        assert len(result.table) == 34
        assert set(result.table["votes"]) == {40.0}

    def test_columns_with_other_things_are_left_out_by_choosing(self, folder, scores):
        scores["remark"] = "nice"
        assert read_ratings(saved(scores, folder), {"influence": "influence"}).traits == ("influence",)

    def test_names_of_columns_may_be_capital(self, folder, scores):
        path = saved(scores.rename(columns={"image": "Image", "competence": " Competence "}), folder)
        assert read_ratings(path).traits[0] == "Competence"

    def test_as_few_pictures_as_came_back_from_a_test(self, folder, scores):
        assert len(read_ratings(saved(scores[:1], folder), min_images=1).table) == 3


class TestOneMillionImpressions:
    def test_normal_and_fill_in_are_votes_and_repeats_are_not(self, tmp_path):
        rows = pd.concat([omi_rows(), omi_rows("fill-in")[:44:4], omi_rows("repeat")])
        result = read_ratings(omi(tmp_path, rows))
        assert (result.format, result.scale, result.method) == ("omi", Scale(0, 100), "mean")
        assert result.traits == ("smart", "happy")
        assert set(result.table.loc[result.table["trait"] == "smart", "votes"]) == {5.0}
        assert set(result.table.loc[result.table["trait"] == "happy", "votes"]) == {4.0}
        kept = rows[(rows["rating_type"] != "repeat") & (rows["attribute"] == "smart")]
        assert result.wide().loc["11.jpg", "smart"] == pytest.approx(kept[kept["stimulus"] == 11]["rating"].mean())
        assert result.images_dir == tmp_path / "images"
        assert result.fingerprint == hashlib.sha256((tmp_path / "attribute_ratings.zip").read_bytes()).hexdigest()

    def test_without_the_votes_the_means_are_read(self, tmp_path):
        omi(tmp_path, omi_rows())
        (tmp_path / "attribute_ratings.zip").unlink()
        pd.DataFrame({"stimulus": range(1, 12), "smart": np.linspace(0, 100, 11), "happy": 50.5}).to_csv(
            tmp_path / "attribute_means.csv", index=False
        )
        result = read_ratings(tmp_path, {"competence": "smart"})
        assert result.wide().loc["11.jpg", "competence"] == 100
        assert result.table["votes"].isna().all()
        assert result.reliability["competence"] == Reliability(None, None, None)


class TestPictures:
    def test_subfolder_images_is_used_if_the_names_are_there(self, tmp_path, scores):
        (tmp_path / "images").mkdir()
        for name in IMAGES:
            (tmp_path / "images" / name).write_bytes(b"picture")
        assert read_ratings(saved(scores, tmp_path)).images_dir == tmp_path / "images"

    def test_a_folder_that_is_given_is_taken(self, folder, scores, tmp_path_factory):
        elsewhere = tmp_path_factory.mktemp("elsewhere")
        assert read_ratings(saved(scores, elsewhere), images_dir=folder).images_dir == folder

    def test_spellings_of_one_name_are_one(self, folder, scores):
        (folder / "sub").mkdir()
        (folder / "sub" / "x y.jpg").write_bytes(b"picture")
        scores["image"] = [f"./{IMAGES[0]}", str(folder / IMAGES[1]), "sub//x y.jpg", *IMAGES[3:]]
        names = read_ratings(saved(scores, folder)).wide().index.tolist()
        assert names == ["01.jpg", "02.jpg", *IMAGES[3:], "sub/x y.jpg"]

    @pytest.mark.parametrize(
        "name", ["a\nb.jpg", 'quo"te,.jpg', "=cmd.jpg", "<script>.jpg", " lead.jpg", "NA", "007", "Ω.jpg"]
    )
    def test_odd_names_survive(self, folder, scores, name):
        (folder / name).write_bytes(b"picture")
        scores.loc[4, "image"] = name
        for kind in ("csv", "parquet"):
            assert name in read_ratings(saved(scores, folder, f"r.{kind}")).wide().index

    def test_names_that_are_numbers_stay_as_written(self, folder, scores):
        scores["image"] = [f"{i:03d}" for i in range(12)]
        for name in scores["image"]:
            (folder / name).write_bytes(b"picture")
        assert read_ratings(saved(scores, folder)).wide().index.tolist() == scores["image"].tolist()


def test_persons(folder, scores):
    scores["person"] = ["anna"] * 6 + ["ben"] * 5 + [""]
    result = read_ratings(saved(scores, folder))
    assert result.persons == dict(zip(IMAGES[:11], scores["person"], strict=False))
    assert read_ratings(saved(scores.drop(columns="person"), folder)).persons == {}
    assert "person" not in result.traits


def test_persons_of_votes(folder, votes):
    votes["person"] = votes["image"].str[0]
    assert read_ratings(saved(votes, folder)).persons["11.jpg"] == "1"


@pytest.mark.parametrize("kind", ["votes", "means", "scores"])
def test_parquet_gives_the_same(folder, kind, request):
    frame = request.getfixturevalue(kind)
    as_csv = read_ratings(saved(frame, folder, "a.csv"))
    as_parquet = read_ratings(saved(frame.astype({"image": "category"}), folder, "a.parquet"))
    assert_frame_equal(as_csv.table, as_parquet.table)
    assert as_csv.traits == as_parquet.traits


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_byte_order_mark_line_ends_and_empty_lines(folder, scores, encoding, end):
    text = scores.to_csv(index=False, lineterminator="\n").replace("05.jpg", "\n05.jpg") + "\n,,,\n\n"
    (folder / "r.csv").write_bytes(text.replace("\n", end).encode(encoding))
    assert len(read_ratings(folder / "r.csv").table) == 36


class TestScale:
    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            ([0, 1, 2, 3] * 3, Scale(0, 3)),
            ([0, 1, 2, 2.5] * 3, Scale(0, 10)),
            ([1, 4, 6, 2] * 3, Scale(0, 10)),
            ([0, 4, 5, 2] * 3, Scale(0, 10)),
            ([1, 4, 5, 2.5] * 3, Scale(0, 10)),
            ([1, 4, 5, 2] * 3, Scale(1, 5)),
            ([1, 4, 7, 2] * 3, Scale(1, 7)),
            ([1, 4, 9, 2] * 3, Scale(1, 9)),
            ([1, 40, 5, 20] * 3, Scale(0, 100)),
        ],
    )
    def test_of_votes_is_inferred(self, folder, values, expected):
        table = pd.DataFrame({"image": IMAGES, "trait": "smart", "vote": values})
        assert read_ratings(saved(table, folder)).scale == expected

    def test_of_means_is_never_taken_for_whole_votes(self, folder):
        table = pd.DataFrame({"image": IMAGES, "trait": "smart", "mean": [0, 1, 2, 3] * 3, "votes": 9})
        assert read_ratings(saved(table, folder)).scale == Scale(0, 10)

    def test_from_1_on_is_said_with_what_else_it_could_be(self, folder):
        table = pd.DataFrame({"image": IMAGES, "trait": "smart", "vote": [1, 4, 7, 2] * 3})
        said = "scale      1:7: all votes are whole, from 1 to 7; if raters could go further, say so with --scale"
        assert read_ratings(saved(table, folder)).notes == (said,)
        assert read_ratings(folder / "ratings.csv", scale=Scale(1, 7)).notes == ()

    @pytest.mark.parametrize(
        ("column", "values", "usual", "expected"),
        [
            ("vote", [1, 4, 6, 2], "1:7", "1:7"),  # nobody gave the last step this time
            ("vote", [1, 4, 5, 2], "1:7", "1:7"),
            ("mean", [1.5, 4, 6.4, 2], "1:7", "1:7"),
            ("vote", [1, 4, 7, 2], "0:10", "0:10"),  # from before the scales from 1 on were told apart
            ("vote", [1, 4, 8, 2], "1:7", "0:10"),
            ("vote", [0, 1, 2, 3], "0:10", "0:3"),
            ("vote", [1, 4, 7, 2], "0:100", "1:7"),
            ("vote", [1, 4, 6, 2], "0:100", "0:10"),
        ],
    )
    def test_that_of_the_predictor_counts_where_both_fit(self, folder, column, values, usual, expected):
        table = pd.DataFrame({"image": IMAGES, "trait": "smart", column: values * 3})
        found = read_ratings(saved(table, folder), expected_scale=Scale.parse(usual))
        assert str(found.scale) == expected
        assert any("as the predictor's" in note for note in found.notes) == (usual == expected)

    def test_told_goes_before_inferred(self, folder, votes):
        assert read_ratings(saved(votes, folder), scale=Scale(-5, 5)).scale == Scale(-5, 5)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.floats(0, 10), min_size=12, max_size=12),
    votes=st.lists(st.integers(1, 10**6), min_size=12, max_size=12),
    stds=st.lists(st.one_of(st.none(), st.floats(0, 7)), min_size=12, max_size=12),
    trait=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Z"]), min_size=1),
)
def test_any_ratings_make_the_round_trip(folder, values, votes, stds, trait):
    assume(np.ptp(values) > 1e-6)
    table = pd.DataFrame({"image": IMAGES, "trait": trait, "mean": values, "votes": votes, "std": stds})
    table = table.astype({"votes": float, "std": float, "image": str, "trait": str})
    for name in ("r.csv", "r.parquet"):
        path = folder / name
        table.to_parquet(path) if name == "r.parquet" else table.to_csv(path, index=False)
        assert_frame_equal(read_ratings(path, scale=Scale(0, 10)).table, table, check_exact=False, rtol=1e-12)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(IMAGES), st.integers(0, 10)), max_size=60))
def test_votes_are_neither_lost_nor_made_up(folder, extra):
    rows = [(image, 10 * (place % 2)) for place, image in enumerate(IMAGES)] + extra
    table = pd.DataFrame(rows, columns=["image", "vote"]).assign(trait="smart")
    result = read_ratings(saved(table, folder), scale=Scale(0, 10)).table
    assert result["votes"].sum() == len(rows)
    assert (result["votes"] * result["mean"]).sum() == pytest.approx(sum(vote for _, vote in rows))


def test_unknown_trait_is_a_usage_error_with_the_near_one(folder, votes, scores):
    for frame, asked, near in [(votes, "smrat", "smart"), (scores, "likability", "likeability")]:
        with pytest.raises(UsageError, match=f"unknown trait '{asked}'; did you mean '{near}'"):
            read_ratings(saved(frame, folder), {"x": asked})


def test_unknown_folder_of_pictures_is_a_usage_error(folder, scores):
    with pytest.raises(UsageError, match="no such folder of pictures"):
        read_ratings(saved(scores, folder), images_dir=folder / "nowhere")
