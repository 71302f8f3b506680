"""The ballot as a file: everything in it, nothing from outside, nothing of a name but as text."""

import json
import re
from html.parser import HTMLParser

import pytest
from PIL import Image

from prescreen.errors import NothingScored, UsageError
from prescreen.reports.ballot_page import render_ballot, words_for
from prescreen.reports.collected_votes import read_votes, write_votes
from prescreen.workflow import ballot, ballot_pictures
from prescreen.workflow.ballot import BallotOptions, write_ballot

TRAITS = {"competence": "competent", "warmth": "warm"}
WEBP = b"RIFF\x00\x00\x00\x00WEBP"


class Reporter:
    def __init__(self):
        self.warnings, self.infos = [], []

    def info(self, message):
        self.infos.append(message)

    def warn(self, message):
        self.warnings.append(message)

    progress = ballot.NullReporter.progress


def draw(path, side=64, **options):
    exif = Image.Exif()
    exif[0x013B] = "Secret Photographer"
    Image.new("RGB", (side, side * 3 // 4), "teal").save(path, exif=exif, **options)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "portraits"
    (folder / "stage").mkdir(parents=True)
    for name in ("=a.jpg", "b.png", "stage/c.webp"):
        draw(folder / name)
    return folder


def contents(page):
    """Return the data of a page and its pictures."""
    parts = re.findall(r'<script type="text/plain" class="picture">(.*?)</script>', page)
    return json.loads(re.search(r'id="ballot">(.*?)</script>', page)[1]), parts


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        self.found += [
            (tag, name) for name, value in attributes if name in ("src", "href", "action", "srcset") and value
        ]


def test_the_page_holds_all_pictures_and_asks_nobody_for_anything(folder, tmp_path):
    pictures, size = write_ballot(folder, BallotOptions(TRAITS), tmp_path / "new" / "ballot.html")
    page = (tmp_path / "new" / "ballot.html").read_text()
    assert (pictures, size) == (3, len(page))
    data, held = contents(page)
    assert data["images"] == ["=a.jpg", "b.png", "stage/c.webp"]
    assert len(held) == 3
    assert all(picture.startswith("data:image/webp;base64,") for picture in held)
    links = Links()
    links.feed(page)
    assert links.found == []
    assert not re.search(r"https?://|@import|url\(", re.sub(r'class="picture">.*?</script>', "", page))
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "connect-src" not in policy
    assert "unsafe" not in policy


def test_equal_input_gives_equal_pages_and_other_ballots_have_other_keys():
    page = render_ballot({"a.jpg": WEBP}, TRAITS)
    assert page == render_ballot({"a.jpg": WEBP}, TRAITS)
    identities = {
        contents(render_ballot(pictures, traits, each=each))[0]["id"]
        for pictures, traits, each in [
            ({"a.jpg": WEBP}, TRAITS, None),
            ({"b.jpg": WEBP}, TRAITS, None),
            ({"a.jpg": WEBP + b"x"}, TRAITS, None),
            ({"a.jpg": WEBP}, {"warmth": "warm"}, None),
            ({"a.jpg": WEBP}, TRAITS, 1),
        ]
    }
    assert len(identities) == 5


def test_no_name_escapes_its_place():
    odd = "\"'></script><script>alert(1)</script><!--.png"
    page = render_ballot({odd: WEBP}, {odd: odd})
    assert page.count("<script>") == 1
    assert "alert(1)</script>" not in page
    assert contents(page)[0]["images"] == [odd]


def test_pictures_that_cannot_be_shown_are_left_out_and_said(folder, tmp_path):
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("no picture")
    draw(folder / "cut.jpg", 400, quality=95)
    (folder / "cut.jpg").write_bytes((folder / "cut.jpg").read_bytes()[:-800])
    draw(folder / "two\nlines.jpg")
    (folder / "out.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    draw(tmp_path / "elsewhere.jpg")
    reporter = Reporter()
    pictures, _ = write_ballot(folder, BallotOptions(TRAITS), tmp_path / "ballot.html", reporter)
    assert pictures == 3
    said = dict(line.split(": left out: ") for line in reporter.warnings)
    assert said.keys() == {"cut.jpg", "empty.jpg", "out.jpg", "text.jpg", r"two\nlines.jpg"}
    assert "truncated" in said["cut.jpg"]
    assert "empty" in said["empty.jpg"]
    assert "link leads out" in said["out.jpg"]
    assert "rename the file" in said[r"two\nlines.jpg"]
    draw(folder / "z.jpg")
    (folder / "zz.jpg").write_text("no picture")
    reporter = Reporter()
    write_ballot(folder, BallotOptions(TRAITS), tmp_path / "ballot.html", reporter)
    assert reporter.warnings[-1] == "1 more left out"


def test_a_name_that_a_table_of_votes_gives_back_as_another_one_is_left_out(folder, tmp_path):
    draw(folder / r"half\ud83d.jpg")
    reporter = Reporter()
    assert write_ballot(folder, BallotOptions(TRAITS), tmp_path / "ballot.html", reporter)[0] == 3
    (warning,) = reporter.warnings
    assert warning.startswith(r"half\ud83d.jpg: left out: its name")
    write_votes({("anna", r"half\ud83d.jpg", "warm"): 1}, tmp_path / "votes.csv")
    assert [image for _, image, _ in read_votes(tmp_path / "votes.csv")[0]] != [r"half\ud83d.jpg"]


def test_pictures_are_drawn_anew_without_what_they_tell(folder, tmp_path):
    assert b"Secret" in (folder / "=a.jpg").read_bytes()
    draw(folder / "large.jpg", 3000)
    files = ballot_pictures.find_inputs([folder], follow_links=False)
    drawn = ballot_pictures.draw_pictures(files, Reporter())
    assert not any(b"Secret" in picture or b"EXIF" in picture for picture in drawn.values())
    (tmp_path / "drawn.webp").write_bytes(drawn["large.jpg"])
    with Image.open(tmp_path / "drawn.webp") as picture:
        assert picture.size == (800, 600)


def test_many_pictures_are_drawn_smaller(folder, monkeypatch):
    sides = []
    monkeypatch.setattr(
        ballot_pictures.shared_workers(), "thumbnail", lambda data, side, *_, **__: sides.append(side) or WEBP
    )
    for weight in (60_000, 40_000, 20_000, 5_000):
        monkeypatch.setattr(ballot_pictures, "PICTURE_BYTES", 3 * weight)
        ballot_pictures.draw_pictures(ballot_pictures.find_inputs([folder], follow_links=False), Reporter())
    assert sides[::3] == [800, 640, 480, 320]


def test_a_page_too_large_for_mail_and_phones_is_warned_of(folder, tmp_path, monkeypatch):
    reporter = Reporter()
    _, size = write_ballot(folder, BallotOptions(TRAITS), tmp_path / "ballot.html", reporter)
    assert reporter.warnings == []
    monkeypatch.setattr(ballot, "PAGE_BYTES", size - 1)
    write_ballot(folder, BallotOptions(TRAITS), tmp_path / "ballot.html", reporter)
    (warning,) = reporter.warnings
    assert "much for mail and phones; choose fewer than 3 pictures" in warning


def test_a_folder_without_a_picture_that_can_be_shown_ends_the_command(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_text("no picture")
    with pytest.warns(UserWarning, match="left out"), pytest.raises(NothingScored, match=r"none of the 1 .* a\.jpg"):
        write_ballot(tmp_path / "in", BallotOptions(TRAITS), tmp_path / "ballot.html")
    assert not (tmp_path / "ballot.html").exists()


def test_words_of_the_traits():
    assert words_for("Influence") == "influential"
    assert words_for("warm") == "warm"
    given = BallotOptions({"competence": "competence", "likeability": "nice to talk to"})
    assert given.words() == {"competence": "competent", "likeability": "nice to talk to"}


@pytest.mark.parametrize("traits", [{}, {"image": "image"}, {"warm": "warm", "Warm": "Warm"}, {"two\nlines": "x"}])
def test_traits_that_no_predictor_could_have_are_refused_before_anybody_votes(traits):
    with pytest.raises(UsageError, match="trait"):
        BallotOptions(traits)


def test_a_page_of_pairs(folder, tmp_path):
    output = tmp_path / "ballot.html"
    assert write_ballot(folder, BallotOptions(TRAITS, pairs=True), output)[0] == 3
    page = output.read_text()
    assert contents(page)[0]["pairs"] == 3  # a circle
    assert page.count('class="photo"') == 2
    assert "More competent?" in page
    assert "Somewhat" not in page
    for n in range(50):
        draw(folder / f"{n}.jpg", side=8)
    write_ballot(folder, BallotOptions(TRAITS, pairs=True), output)
    assert contents(output.read_text())[0]["pairs"] == 40
    write_ballot(folder, BallotOptions(TRAITS, each=9999, pairs=True), output)
    assert contents(output.read_text())[0]["pairs"] == 53 * 52 // 2  # there are no more


def test_one_picture_makes_no_pair(tmp_path):
    draw(tmp_path / "a.jpg")
    with pytest.raises(NothingScored, match="--pairs: there is one picture only"):
        write_ballot(tmp_path, BallotOptions(TRAITS, pairs=True), tmp_path / "ballot.html")


class TestShortlist:
    @pytest.fixture
    def shortlist(self, tmp_path):
        path = tmp_path / "shortlist.csv"
        path.write_text("rank,image,selected,votes\n1,stage/c.webp,True,40\n2,'=a.jpg,True,40\n3,b.png,False,0\n")
        return path

    def written(self, folder, tmp_path, **options):
        reporter = Reporter()
        write_ballot(folder, BallotOptions(TRAITS, **options), tmp_path / "ballot.html", reporter)
        return contents((tmp_path / "ballot.html").read_text())[0]["images"], reporter.infos

    def test_only_the_pictures_to_send_are_asked_about(self, folder, tmp_path, shortlist):
        images, told = self.written(folder, tmp_path, shortlist=shortlist)
        assert images == ["stage/c.webp", "=a.jpg"]
        assert told == ["plan       2 pictures, 80 votes: 40 raters, asked about all of them"]

    def test_the_current_photo_goes_along(self, folder, tmp_path, shortlist):
        draw(tmp_path / "now.jpg", side=32)
        images, told = self.written(folder, tmp_path, shortlist=shortlist, baseline=tmp_path / "now.jpg", each=2)
        assert images == ["stage/c.webp", "=a.jpg", "now.jpg"]
        assert told == ["plan       3 pictures, 120 votes: 60 raters, asked about 2 each"]
        draw(folder / "now.jpg", side=32)
        images, _ = self.written(folder, tmp_path, baseline=tmp_path / "now.jpg")
        assert images.count("now.jpg") == 1
        draw(folder / "now.jpg", side=48)
        with pytest.raises(UsageError, match="another picture in .* is named now.jpg"):
            self.written(folder, tmp_path, baseline=tmp_path / "now.jpg")

    def test_the_current_photo_is_asked_about_once_wherever_it_lies(self, folder, tmp_path, shortlist):
        inside = folder / "stage" / "c.webp"
        for baseline in (inside, tmp_path / "copy.webp"):
            baseline.write_bytes(inside.read_bytes())
            images, _ = self.written(folder, tmp_path, baseline=baseline)
            assert images == ["=a.jpg", "b.png", baseline.name]
        images, told = self.written(folder, tmp_path, shortlist=shortlist, baseline=inside)
        assert images == ["=a.jpg", "c.webp"]
        assert told == ["plan       2 pictures, 80 votes: 40 raters, asked about all of them"]

    def test_uneven_votes_need_as_many_raters_as_the_picture_with_most(self, folder, tmp_path):
        """No rater votes twice on a picture."""
        path = tmp_path / "uneven.csv"
        path.write_text("image,selected,votes\n=a.jpg,True,40\nb.png,True,10\nstage/c.webp,True,10\n")
        _, told = self.written(folder, tmp_path, shortlist=path, each=2)
        assert told == ["plan       3 pictures, 60 votes: 40 raters, asked about 2 each"]

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("image,votes\nb.png,3\n", "expected the table that prescreen rank --output wrote"),
            ("image,selected\nb.png,False\n", "no picture is to be sent"),
            ("image,selected\nb.png,False\n=a.jpg,\n", "expected True or False in every row of the column selected"),
            ("image,selected\ngone.png,True\n", r"gone\.png is not in .*; name the folder that was scored"),
        ],
    )
    def test_what_is_wrong_with_it_is_said(self, folder, tmp_path, text, says):
        (tmp_path / "odd.csv").write_text(text)
        with pytest.raises((UsageError, NothingScored), match=says):
            self.written(folder, tmp_path, shortlist=tmp_path / "odd.csv")

    def test_a_planned_test_is_about_single_pictures(self, shortlist):
        with pytest.raises(UsageError, match="leave --pairs or --shortlist out"):
            BallotOptions(TRAITS, pairs=True, shortlist=shortlist)
