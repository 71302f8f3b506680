"""A name means the picture of that name, or the only one that fits it otherwise; what was passed over is said."""

import unicodedata

import pytest

from prescreen.errors import RatingsError
from prescreen.images.files import SUFFIXES
from prescreen.ratings.image_names import ENDINGS, match_known, suggest
from prescreen.ratings.reading import read_ratings
from prescreen.ratings.results import read_results

IMAGES = [f"{i:02d}.jpg" for i in range(1, 13)]


def found(name, *known):
    (match,) = match_known([name], known)
    return match.name, match.how, match.among


@pytest.mark.parametrize(
    ("name", "known", "how"),
    [
        ("./a/1.jpg", "a/1.jpg", ""),
        ("A/1.JPG", "a/1.jpg", "case"),
        ("a\\1.jpg", "a/1.jpg", "separators"),
        (unicodedata.normalize("NFD", "Zoë.jpg"), unicodedata.normalize("NFC", "Zoë.jpg"), "Unicode form"),
        (unicodedata.normalize("NFC", "Zoë.jpg"), unicodedata.normalize("NFD", "Zoë.jpg"), "Unicode form"),
        (" 1.jpg ", "1.jpg", ""),
        ("a/1", "a/1.jpg", "without its ending"),
        ("a/1.png", "a/1.webp", "without its ending"),
        ("1.jpg", "a/b/1.jpg", "without folder"),
        ("C:\\Users\\Me\\1.JPG", "a/1.jpg", "without folder"),
        ("/somewhere/else/1.jpg", "1.jpg", "without folder"),
        ("https://host/a/b/my%20photo.jpg?size=3#x", "my photo.jpg", "without folder"),
        ("x/1", "a/1.jpg", "without folder and ending"),
        ("1a2b3c4d-001.jpg", "a/001.jpg", "Label Studio's prefix"),
        ("1", "001.jpg", "zeros"),
        ("001", "1.jpg", "zeros"),
    ],
)
def test_one_picture_that_fits_is_meant(name, known, how):
    other = "unlike.jpg"
    match, said, among = found(name, known, other)
    assert (match, among) == (known, ())
    assert how in said
    assert (how == "") == (said == "") or name != name.strip()


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("1.jpg", ("1.jpg", "a/1.jpg", "1.png"), "1.jpg"),  # exactly
        ("b/1.jpg", ("x/a/1.jpg", "x/b/1.jpg"), "x/b/1.jpg"),  # more of its folders fit
        ("1", ("1.jpg", "001.jpg"), "1.jpg"),  # before zeros are passed over
        ("1a2b3c4d-1.jpg", ("1a2b3c4d-1.jpg", "1.jpg"), "1a2b3c4d-1.jpg"),
    ],
)
def test_the_nearest_goes_before_others(name, known, meant):
    assert found(name, *known)[0] == meant


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("1", ("1.jpg", "1.png")),
        ("1.jpg", ("a/1.jpg", "b/1.jpg")),
        ("x/1", ("a/1.jpg", "b/1.png")),
        ("7", ("07.jpg", "007.jpg")),
    ],
)
def test_several_that_fit_are_none(name, known):
    assert found(name, *known) == (None, "", known)


@pytest.mark.parametrize(
    "name", ["", "2.jpg", "photo.1", "11", "abcdefgh-1.jpg", "1a2b3c4d-", "../1.txt", "http://[half"]
)
def test_what_fits_nothing_stays_unknown(name):
    assert found(name, "1.jpg", "photo.2.jpg")[0] is None


def test_the_endings_are_those_of_pictures():
    assert ENDINGS == SUFFIXES


def test_what_was_probably_meant():
    known = ["formal/027.jpg", "stage/028.jpg"]
    assert suggest("casual/027.jpg", known) == "formal/027.jpg"
    assert suggest("stage/O28.jpg", known) == "stage/028.jpg"
    assert suggest("O27.jpg", known) == "formal/027.jpg"
    assert suggest("nothing like it", known) is None


class TestInRatings:
    def test_matches_are_counted_with_an_example(self, folder, scores):
        exact = read_ratings(self.saved(scores, folder))
        assert exact.notes == ()
        scores["image"] = [
            *(name.removesuffix(".jpg") for name in IMAGES[:7]),
            *(f"D:\\x\\{name}" for name in IMAGES[7:]),
        ]
        matched = read_ratings(self.saved(scores, folder))
        assert matched.table.equals(exact.table)
        assert matched.notes == (
            "matched    7 pictures by name without its ending: 01 is 01.jpg",
            "matched    5 pictures by name without folder: D:\\x\\08.jpg is 08.jpg",
        )

    @staticmethod
    def saved(frame, folder):
        frame.to_csv(folder / "r.csv", index=False)
        return folder / "r.csv"

    def test_several_files_that_fit_are_named(self, folder, scores):
        (folder / "03.png").write_bytes(b"picture")
        scores["image"] = [name.removesuffix(".jpg") for name in IMAGES]
        with pytest.raises(
            RatingsError, match=r"row 4: image '03' fits several pictures in .*; 03.jpg, 03.png fit it; .*--images"
        ):
            read_ratings(self.saved(scores, folder))

    def test_texts_beside_pictures_are_no_pictures(self, folder, scores):
        (folder / "03.txt").write_text("caption")
        scores["image"] = [name.removesuffix(".jpg") for name in IMAGES]
        assert read_ratings(self.saved(scores, folder)).wide().index.tolist() == IMAGES

    def test_two_names_for_one_file_are_refused(self, folder, scores):
        scores.loc[1, "image"] = "other/01.jpg"
        with pytest.raises(RatingsError, match=r"row 3: image 'other/01.jpg' fits 01.jpg only, as does '01.jpg'"):
            read_ratings(self.saved(scores, folder))

    def test_a_slip_is_met_with_what_was_meant(self, folder, scores):
        scores.loc[4, "image"] = "o5.jpg"
        with pytest.raises(RatingsError, match=r"image 'o5.jpg' is not in .*; did you mean '05.jpg'\?.*--images"):
            read_ratings(self.saved(scores, folder))

    def test_the_subfolder_images_is_found_by_names_without_ending(self, tmp_path, scores):
        (tmp_path / "images").mkdir()
        for name in IMAGES:
            (tmp_path / "images" / name).write_bytes(b"picture")
        scores["image"] = [name.removesuffix(".jpg") for name in IMAGES]
        matched = read_ratings(self.saved(scores, tmp_path))
        assert matched.images_dir == tmp_path / "images"
        assert matched.wide().index.tolist() == IMAGES


def test_results_are_matched_alike(tmp_path):
    path = tmp_path / "results.csv"
    path.write_text("photo;competence\n027;7,5\nSTAGE\\028.JPG;8\n")
    known = ["formal/027.jpg", "stage/028.jpg"]
    typed = read_results(path, ("competence",), known, where="scores.csv")
    assert typed.images == ("formal/027.jpg", "stage/028.jpg")
    assert typed.scores["competence"].tolist() == [7.5, 8]
    assert typed.notes == (
        "read       semicolons, decimal commas",
        "columns    photo is the image",
        "matched    1 picture by name without folder and ending: 027 is formal/027.jpg",
        "matched    1 picture by name in another spelling (case, blanks, separators, Unicode form): "
        "STAGE\\028.JPG is stage/028.jpg",
    )
    path.write_text("photo,competence\nformal/O27.jpg,7\n")
    with pytest.raises(RatingsError, match=r"is not in scores.csv; did you mean 'formal/027.jpg'\? correct the name"):
        read_results(path, ("competence",), known, where="scores.csv")
