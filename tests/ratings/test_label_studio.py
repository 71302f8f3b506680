import json

import pytest
from pandas.testing import assert_frame_equal

from prescreen.errors import RatingsError
from prescreen.ratings.reading import read_ratings
from prescreen.ratings.results import read_results


def number(trait, value, kind="number"):
    return {"id": "a", "from_name": trait, "to_name": "picture", "type": kind, "value": {kind: value}}


def annotation(rater, **votes):
    return {"completed_by": rater, "was_cancelled": False, "result": [number(t, v) for t, v in votes.items()]}


@pytest.fixture
def exported(votes):
    """Return the votes of the fixture as Label Studio exports them."""
    tasks = []
    for image, of_image in votes.groupby("image"):
        annotations = [
            annotation(rater, **dict(zip(rows["trait"], rows["vote"], strict=True)))
            for rater, rows in of_image.groupby("rater")
        ]
        place = f"/data/local-files/?d=portraits/{image}"
        tasks.append({"id": 1, "data": {"image": place, "name": image}, "annotations": annotations, "predictions": []})
    return tasks


def written(folder, tasks):
    path = folder / "project.json"
    path.write_text(json.dumps(tasks))
    return path


def test_an_export_is_read_like_the_same_votes_in_a_table(folder, votes, exported):
    votes.to_csv(folder / "votes.csv", index=False)
    expected = read_ratings(folder / "votes.csv", {"kind": "kind", "smart": "smart"})
    found = read_ratings(written(folder, exported), {"kind": "kind", "smart": "smart"})
    assert_frame_equal(found.table, expected.table)
    assert (found.format, found.method) == ("votes", expected.method)
    assert found.reliability == expected.reliability


@pytest.mark.parametrize("place", ["/data/local-files/?d=some/02.jpg", "https://host/some%20where/02.jpg?x=1"])
def test_without_a_name_the_picture_is_that_of_the_address(folder, exported, place):
    exported[1]["data"] = {"image": place}
    assert "02.jpg" in set(read_ratings(written(folder, exported)).table["image"])


def test_work_that_was_cancelled_and_regions_without_numbers_are_no_votes(folder, exported):
    before = read_ratings(written(folder, exported)).table
    exported[0]["annotations"].append(annotation("later", smart=3, kind=3) | {"was_cancelled": True})
    exported[0]["annotations"][0]["result"].append({"type": "textarea", "from_name": "note", "value": {"text": ["x"]}})
    assert_frame_equal(read_ratings(written(folder, exported)).table, before)


def test_ratings_with_stars_are_votes_and_raters_may_be_objects(folder, exported):
    for task in exported:
        for work in task["annotations"]:
            work["completed_by"] = {"id": work["completed_by"], "email": "somebody"}
            work["result"] = [
                number(region["from_name"], region["value"]["number"], "rating") for region in work["result"]
            ]
    assert read_ratings(written(folder, exported)).table["votes"].eq(3).all()


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        ([{"data": {"image": "a.jpg"}}], "entry 1 is no annotated task"),
        ([{"id": 1, "image": "a.jpg", "smart": 3, "annotation_id": 1, "lead_time": 2.5}], "not as JSON-MIN"),
        ([{"data": {"image": "a.jpg"}, "annotations": []}], "nobody has given a number"),
        ([3], "entry 1"),
    ],
)
def test_what_is_no_export_is_refused_in_one_line(folder, tasks, expected):
    with pytest.raises(RatingsError, match=expected):
        read_ratings(written(folder, tasks))


def test_half_a_file_is_refused(folder, exported):
    path = written(folder, exported)
    path.write_text(path.read_text()[:-20])
    with pytest.raises(RatingsError, match="JSON"):
        read_ratings(path)


def test_results_are_the_means_and_how_many_gave_them(folder):
    work = [annotation(1, smart=7, kind=5), annotation(2, smart=8, kind=6)]
    tasks = [{"data": {"image": "/x/02.jpg", "name": "02.jpg"}, "annotations": work}]
    found = read_results(written(folder, tasks), ("smart", "kind"), ["02.jpg"], where="scores.csv")
    assert found.scores.to_numpy().tolist() == [[7.5, 5.5]]
    assert found.votes.to_numpy().tolist() == [[2, 2]]


@pytest.mark.parametrize("value", ["abc", "3", None, True, 10**400, float("inf")])
def test_a_vote_that_is_no_number_is_named(folder, exported, value):
    exported[1]["annotations"][0]["result"][0]["value"]["number"] = value
    with pytest.raises(RatingsError, match=f"entry 2: smart '{str(value)[:8]}.*' is not a number"):
        read_ratings(written(folder, exported))


def test_an_address_that_is_none_is_no_task(folder, exported):
    exported[0]["data"] = {"image": "http://[half"}
    with pytest.raises(RatingsError, match="entry 1 is no annotated task"):
        read_ratings(written(folder, exported))


def test_a_byte_order_mark_changes_nothing(folder, exported):
    before = read_ratings(written(folder, exported)).table
    path = folder / "project.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert_frame_equal(read_ratings(path).table, before)


@pytest.mark.parametrize("name", ["a\rb.jpg", 'a,"b.jpg', "café.jpg"])
def test_odd_names_are_those_of_the_files(folder, exported, name):
    (folder / name).write_bytes(b"picture")
    exported[0]["data"]["name"] = name
    assert name in set(read_ratings(written(folder, exported)).table["image"])


@pytest.mark.parametrize("half", ["ud800", "udce9"])
def test_a_name_that_is_no_text_is_named(folder, exported, half):
    path = written(folder, exported)
    path.write_text(path.read_text().replace('"name": "01.jpg"', f'"name": "\\{half}.jpg"'))
    with pytest.raises(RatingsError, match=rf"row 1: image '.{half}\.jpg' is no Unicode text"):
        read_ratings(path)


def test_another_name_of_the_picture_is_said_and_can_be_told(folder, exported):
    before = read_ratings(written(folder, exported)).table
    for task in exported:
        task["data"] = {"photo": task["data"]["image"]}
    with pytest.raises(
        RatingsError, match="entry 1: its data has neither name nor image but photo; .*--columns image=photo"
    ):
        read_ratings(written(folder, exported))
    assert_frame_equal(read_ratings(folder / "project.json", columns={"image": "photo"}).table, before)
