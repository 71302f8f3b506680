"""Every fault of a ratings file is one line with file, row and value."""

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from prescreen.errors import RatingsError, UsageError
from prescreen.ratings.reading import read_ratings
from prescreen.ratings.scale import Scale


def refusal(frame, folder, name="ratings.csv", **options):
    path = folder / name
    if isinstance(frame, bytes):
        path.write_bytes(frame)
    elif path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    with pytest.raises(RatingsError) as caught:
        read_ratings(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def with_cell(frame, row, column, value):
    """Set a cell of the row that a spreadsheet shows as ``row``."""
    frame = frame.astype({column: object})
    frame.loc[row - 2, column] = value
    return frame


@pytest.mark.parametrize("kind", ["votes", "means", "scores"])
def test_picture_that_is_not_there(folder, kind, request):
    message = refusal(with_cell(request.getfixturevalue(kind), 7, "image", "gone.jpg"), folder)
    assert message.startswith(f"row 7: image 'gone.jpg' is not in {folder};")
    assert "--images" in message


def test_many_rows_are_counted_and_the_first_are_named(folder, votes):
    (folder / "02.jpg").unlink()
    (folder / "03.jpg").unlink()
    message = refusal(votes, folder)
    assert message.startswith("row 5: image '02.jpg' is not in")
    assert "(12 such rows: 5, 6, 7, 8, 9, ...)" in message


@pytest.mark.parametrize("name", ["../a.jpg", "x/../../a.jpg", "/somewhere/a.jpg", ".", "a\0.jpg"])
def test_picture_outside_the_folder_or_impossible(folder, scores, name):
    (folder.parent / "a.jpg").write_bytes(b"picture")
    message = refusal(with_cell(scores, 3, "image", name), folder)
    assert message.startswith("row 3: image ")


def test_picture_without_name(folder, scores):
    assert refusal(with_cell(scores, 4, "image", ""), folder).startswith("row 4: the image is blank")


def test_folder_is_no_picture(folder, scores):
    (folder / "sub").mkdir()
    assert refusal(with_cell(scores, 4, "image", "sub"), folder).startswith("row 4: image 'sub' is not in")


@pytest.mark.parametrize(("kind", "column"), [("votes", "vote"), ("means", "mean"), ("means", "votes")])
@pytest.mark.parametrize("value", ["seven", "inf", "7,5", True])
def test_value_that_is_no_number(folder, kind, column, value, request):
    message = refusal(with_cell(request.getfixturevalue(kind), 6, column, value), folder)
    assert message.startswith(f"row 6: {column} ")
    assert str(value).lower() in message.lower()
    assert "expected a number" in message


@pytest.mark.parametrize("value", ["?", "-", "8/10", "7.5 points"])
def test_score_that_is_no_number(folder, scores, value):
    message = refusal(with_cell(scores, 6, "likeability", value), folder)
    assert message.startswith(f"row 6: likeability '{value}' is not a number")


@pytest.mark.parametrize(("kind", "column"), [("votes", "vote"), ("means", "mean")])
@pytest.mark.parametrize("name", ["r.csv", "r.parquet"])
def test_a_row_without_a_number_is_left_out_and_counted(folder, kind, column, name, request):
    frame = request.getfixturevalue(kind)
    frame.loc[[3, 20], column] = np.nan
    write = {".csv": lambda f, path: f.to_csv(path, index=False), ".parquet": lambda f, path: f.to_parquet(path)}
    write[Path(name).suffix](frame, folder / name)
    write[".csv"](frame.drop(index=[3, 20]), folder / "plain.csv")
    found = read_ratings(folder / name)
    assert_frame_equal(found.table, read_ratings(folder / "plain.csv").table)
    assert found.notes == (f"ignored    2 rows without a {column}",)


def test_a_mean_whose_votes_are_not_known(folder, means):
    means["votes"] = means["votes"].astype(object)
    found = with_cell(means, 6, "votes", "")
    found.to_csv(folder / "r.csv", index=False)
    assert read_ratings(folder / "r.csv").table["votes"].isna().sum() == 1


@pytest.mark.parametrize(("kind", "column", "value", "name"), [
    ("votes", "vote", 4, "vote"),
    ("votes", "vote", -1, "vote"),
    ("means", "mean", 55, "mean"),
    ("scores", "influence", 10.5, "influence"),
])  # fmt: skip
def test_value_outside_the_scale(folder, kind, column, value, name, request):
    message = refusal(with_cell(request.getfixturevalue(kind), 9, column, value), folder)
    assert message.startswith(f"row 9: {name} {value} is outside the scale 0:")
    assert "--scale" in message


def test_value_outside_the_scale_told(folder, votes):
    assert refusal(votes, folder, scale=Scale(0, 2)).startswith("row 7: vote 3 is outside the scale 0:2 ")


def test_values_that_fit_no_usual_scale(folder, votes):
    votes["vote"] -= 2
    assert "give it with --scale" in refusal(votes, folder)


def test_second_vote_of_a_rater(folder, votes):
    twice = pd.concat([votes, votes[4:5].assign(vote=0, image="./02.jpg")])
    message = refusal(twice, folder)
    assert message.startswith(f"row {len(votes) + 2}: a second vote of the same rater on image './02.jpg'")


def test_raters_without_id_may_be_the_same(folder, votes):
    votes["rater"] = ""
    path = folder / "votes.csv"
    pd.concat([votes, votes]).to_csv(path, index=False)
    assert set(read_ratings(path).table["votes"]) == {6.0}


@pytest.mark.parametrize("kind", ["means", "scores"])
def test_second_rating_of_a_picture(folder, kind, request):
    frame = request.getfixturevalue(kind)
    message = refusal(pd.concat([frame, frame[2:3]]), folder)
    assert message.startswith(f"row {len(frame) + 2}: a second rating of image '03.jpg'")


@pytest.mark.parametrize(("column", "value"), [("votes", 0), ("votes", -3), ("std", -0.5), ("std", 9)])
def test_impossible_votes_and_spread(folder, means, column, value):
    assert refusal(with_cell(means, 5, column, value), folder).startswith(f"row 5: {column} {value} is ")


def test_impossible_votes_of_scores(folder, scores):
    scores["votes"] = 20
    assert refusal(with_cell(scores, 5, "votes", -2), folder).startswith("row 5: votes -2 ")
    assert refusal(with_cell(scores, 5, "votes", 0), folder).startswith("row 5: votes 0 ")


def test_trait_that_nobody_rated(folder, scores):
    scores["influence"] = np.nan
    wanted = {"leads": "influence", "kind": "likeability", "competence": "competence"}
    assert refusal(scores, folder, traits=wanted) == (
        "nobody rated 'leads'; leave it out: --traits kind=likeability,competence"
    )
    assert refusal(scores, folder, traits={"influence": "influence"}) == "nobody rated 'influence'"


def test_trait_that_few_rated(folder, scores):
    scores.loc[3:, "influence"] = np.nan
    assert refusal(scores, folder) == (
        "'influence' is rated on 3 pictures; at least 10 are needed; leave it out: --traits competence,likeability"
    )


@pytest.mark.parametrize(("kind", "column", "equal"), [("means", "mean", 2.5), ("votes", "vote", 2)])
def test_trait_whose_ratings_are_all_equal(folder, kind, column, equal, request):
    frame = request.getfixturevalue(kind)
    frame.loc[frame["trait"] == "kind", column] = equal
    assert refusal(frame, folder) == f"the ratings of 'kind' are all equal ({equal:g}); leave it out: --traits smart"
    assert read_ratings(folder / "ratings.csv", traits={"smart": "smart"}).traits == ("smart",)


def test_trait_without_name(folder, votes):
    assert refusal(with_cell(votes, 8, "trait", ""), folder).startswith("row 8: the trait is blank")


@pytest.mark.parametrize("rows", [1, 9])
def test_too_few_pictures(folder, scores, rows):
    message = refusal(scores[:rows], folder)
    assert message.startswith(f"'competence' is rated on {rows} picture")
    assert "at least 10" in message


def test_too_few_pictures_for_one_trait(folder, scores):
    scores.loc[3:, "likeability"] = np.nan
    assert refusal(scores, folder).startswith("'likeability' is rated on 3 pictures")


def test_two_persons_on_one_picture(folder, votes):
    votes["person"] = "anna"
    message = refusal(with_cell(votes, 10, "person", "ben"), folder)
    assert message.startswith("row 10: person 'ben' is on a picture")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "the file is empty"),
        (b" \n\n", "the file is empty"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", "not a CSV"),
        (b"image,competence\n", "it has a header but no rows"),
        (b"Results,,\nPhoto,kind,smart\n1.jpg,3,4\n", "no column image (columns: Results, , ); the first row must"),
        (b"portrayal,competence\n01.jpg,3\n", "no column image (columns: portrayal, competence); say which column"),
        (b"image,trait\n01.jpg,smart\n", "columns image, trait are no known format"),
        (b"image,trait,vote,mean,votes\n01.jpg,smart,3,3,3\n", "columns image, trait, vote, mean, votes are no known"),
        (b"image,vote\n01.jpg,3\n", "column vote but no column trait"),
        (b"image,votes\n01.jpg,3\n", "no column holds a trait"),
        (b",image,competence\n7,01.jpg,3\n", "a column has no name"),
        (b"image,competence,competence\n01.jpg,3,4\n", "two columns are named 'competence'"),
        (b"image,competence\n01.jpg,3,4\n02.jpg,3,5\n", "row 2 has 3 cells, the header 2"),
        (b"image,competence\n01.jpg,3\n02.jpg,3,5\n", "row 3 has 3 cells, the header 2"),
        (b'image,competence\n"01.jpg,3\n', "not a CSV"),
        (b"PAR1 and then nothing", "not a readable Parquet file"),
    ],
)  # fmt: skip
def test_no_ratings_file(folder, content, expected):
    assert refusal(content, folder).startswith(expected)


def test_row_that_is_cut_short(folder, scores):
    text = scores.to_csv(index=False).replace("05.jpg,2.0,8.0,5.5", "05.jpg,2.0")
    assert refusal(text.encode(), folder).startswith("row 6 has 2 cells, the header 4")


def test_rows_are_counted_past_empty_lines(folder, votes):
    text = votes.to_csv(index=False).replace("01.jpg,smart,2,", "\n01.jpg,smart,two,", 1)
    assert refusal(text.encode(), folder).startswith("row 5: vote 'two' is not a number")


def test_long_and_odd_values_stay_on_one_short_line(folder, scores):
    message = refusal(with_cell(scores, 3, "image", "line\nbreak" + "x" * 500), folder)
    assert message.startswith("row 3: image 'line\\nbreakxxx")
    assert len(message) < 300 + len(str(folder))


def test_missing_file_and_folder_of_no_kind(tmp_path):
    with pytest.raises(UsageError, match=r"nothing\.csv: no such file or folder; check --ratings"):
        read_ratings(tmp_path / "nothing.csv")
    with pytest.raises(RatingsError, match=r"without ratings .*; a folder of pictures goes to --images"):
        read_ratings(tmp_path)


class TestOneMillionImpressions:
    @pytest.fixture
    def rows(self):
        return pd.DataFrame(
            [(10 * vote, "smart", "normal", face) for face in range(10) for vote in range(3)],
            columns=["rating", "attribute", "rating_type", "stimulus"],
        )

    def refusal(self, rows, folder, member="attribute_ratings.csv"):
        (folder / "images").mkdir()
        for face in range(10):
            (folder / "images" / f"{face}.jpg").write_bytes(b"picture")
        with zipfile.ZipFile(folder / "attribute_ratings.zip", "w") as archive:
            archive.writestr(member, rows.to_csv(index=False))
        with pytest.raises(RatingsError) as caught:
            read_ratings(folder)
        return str(caught.value).removeprefix(f"{folder / 'attribute_ratings.zip'}: ")

    @pytest.mark.parametrize(("column", "value", "expected"), [
        ("rating", 101, "row 6: rating 101 is outside the scale 0:100"),
        ("rating", "high", "row 6: rating 'high' is not a number"),
        ("rating_type", "extra", "row 6: rating_type 'extra' is unknown; expected normal, fill-in, repeat"),
        ("stimulus", 77, "row 6: image '77.jpg' is not in"),
        ("attribute", "", "row 6: the attribute is blank"),
    ])  # fmt: skip
    def test_cell(self, tmp_path, rows, column, value, expected):
        assert self.refusal(with_cell(rows, 6, column, value), tmp_path).startswith(expected)

    def test_missing_column(self, tmp_path, rows):
        assert self.refusal(rows.drop(columns="rating_type"), tmp_path).startswith("no column rating_type")

    def test_archive_with_something_else(self, tmp_path, rows):
        assert "expected a zip archive with attribute_ratings.csv in it" in self.refusal(rows, tmp_path, "other.csv")

    def test_damaged_archive(self, tmp_path):
        (tmp_path / "attribute_ratings.zip").write_bytes(b"PK\3\4 no archive")
        with pytest.raises(RatingsError, match="expected a zip archive"):
            read_ratings(tmp_path)


def test_a_picture_with_one_vote_stays_and_counts_as_one(folder, votes):
    alone = votes.drop(votes.index[1:3])  # of three votes on the first picture, on the first trait
    alone.to_csv(folder / "votes.csv", index=False)
    rated = read_ratings(folder / "votes.csv", traits={"smart": "smart"})
    first = rated.table.set_index("image").loc["01.jpg"]
    assert (first["votes"], first["mean"]) == (1, votes["vote"].iloc[0])
    assert np.isnan(first["std"])
    noise = rated.sampling_variance()["smart"]
    assert noise["01.jpg"] == pytest.approx(3 * noise["02.jpg"])
    assert noise["01.jpg"] == noise.max()


def test_one_vote_on_every_picture_tells_nothing_of_reliability(folder, votes):
    votes[votes["rater"] == "rater 0"].to_csv(folder / "votes.csv", index=False)
    rated = read_ratings(folder / "votes.csv")
    assert (rated.table["votes"] == 1).all()
    assert rated.reliability["smart"].icc1 is None
    assert rated.reliability["smart"].of_mean is None


def test_the_only_rating_of_a_file_is_named(folder, scores):
    assert refusal(scores[:1], folder).startswith("'competence' is rated on 1 picture; at least 10")


def test_a_number_beyond_all_reason(folder, votes):
    assert refusal(with_cell(votes, 6, "vote", 1e308), folder).startswith("row 6: vote 1e+308 is too large")
