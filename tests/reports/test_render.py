import base64
import hashlib
import json
import os
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from prescreen.evaluation.metrics import Estimate
from prescreen.evaluation.report import TraitEvaluation
from prescreen.reports.ratings_origin import RatingsOrigin
from prescreen.reports.render import render_ranking

ROWS = {"best.jpg": (9.0, 8.5, 8.0), "copy.jpg": (8.9, 8.4, 8.0), "broken.jpg": None}
WEBP = b"RIFF\x00\x00\x00\x00WEBPVP8 "
JPEG = b"\xff\xd8\xff\xe0 jpeg"


class Page(HTMLParser):
    """What a browser would see: the text, the elements, and the content of style and script."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.blocks, self.words, self._inside = [], [], [], None
        self.feed(html)
        self.close()
        self.text = " ".join("".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag in ("td", "th", "dd"):
            self.words.append(" ")
        if tag in ("script", "style"):
            self._inside = (tag, dict(attrs))
            self.blocks.append((*self._inside, ""))

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside:
            self.blocks[-1] = (*self._inside, self.blocks[-1][2] + data)
        else:
            self.words.append(data)

    def block(self, **attrs):
        return next(text for _, found, text in self.blocks if attrs.items() <= found.items())

    def all(self, tag):
        return [attrs for found, attrs in self.elements if found == tag]


@pytest.fixture
def page(summary):
    return lambda images=(), baseline=None, **options: Page(render_ranking(summary(**options), dict(images), baseline))


def rows(page):
    return json.loads(page.block(id="candidates"))["rows"]


def test_first_come_the_pictures_to_send_with_chance_and_reason(page):
    text = page().text
    assert text.index("Test best.jpg and good.jpg") < text.index("All candidates")
    card = text[text.index("Your current photo now.jpg") :]
    assert re.search(r"best\.jpg \d+ % chance to meet all goals .*?Competence.*?9\.0 \+3\.0", card, re.IGNORECASE)


def test_every_picture_stands_in_the_data_once_and_failures_in_a_table(page):
    made = page()
    assert sorted(row["name"] for row in rows(made)) == [
        "best.jpg", "broken.jpg", "copy.jpg", "good.jpg", "low.jpg", "mixed.jpg",
    ]  # fmt: skip
    assert "broken.jpg no face </script><script>alert(1)</script>" in made.text


def test_the_data_carry_what_the_grid_shows(page):
    best, *_ = rows(page({"best.jpg": WEBP}.items()))
    assert best["traits"][0]["score"] == 9.0
    assert best["traits"][0]["change"] == 3.0
    assert best["selected"]
    assert best["picture"]
    copy = next(row for row in rows(page()) if row["name"] == "copy.jpg")
    assert copy["excluded"] == "near-copy of best.jpg"
    assert not copy["picture"]


def test_pictures_travel_in_the_page_in_the_order_of_the_rows(page):
    made = page({"best.jpg": WEBP, "low.jpg": JPEG}.items(), JPEG)
    pictures = [text for _, found, text in made.blocks if found.get("class") == "picture"]
    where = {row["name"]: picture for row, picture in zip(rows(made), pictures, strict=True)}
    assert where["best.jpg"] == "data:image/webp;base64," + base64.b64encode(WEBP).decode()
    assert where["low.jpg"] == "data:image/jpeg;base64," + base64.b64encode(JPEG).decode()
    assert where["good.jpg"] == ""
    alts = {image["alt"] for image in made.all("img") if image.get("src")}
    assert alts == {"Your current photo", "Candidate best.jpg"}


def test_bytes_that_are_no_picture_are_refused(page):
    with pytest.raises(ValueError, match="WebP, JPEG or PNG"):
        page({"best.jpg": b"<svg onload=alert(1)>"}.items())


def test_nothing_comes_from_outside_and_only_the_own_script_may_run(page):
    made = page({"best.jpg": WEBP}.items())
    policy = next(meta["content"] for meta in made.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data: blob:"
    assert "connect-src" not in rules
    for tag, attrs, content in made.blocks:
        if attrs.get("type") not in ("application/json", "text/plain"):
            digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
            assert rules[f"{tag}-src"] == f"'sha256-{digest}'"
    for _, attrs in made.elements:
        assert not {name for name in attrs if name.startswith("on") or name == "style"}
        for name in ("src", "href"):
            assert attrs.get(name, "#").startswith(("#", "data:image/"))
    code = (made.block() + made.blocks[-1][2]).replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|url\(|@import|innerHTML|insertAdjacentHTML|eval\(", code)


def test_a_served_page_may_ask_its_own_server_and_holds_the_token(summary):
    made = Page(render_ranking(summary(), {}, None, "</script>token"))
    policy = next(meta["content"] for meta in made.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert "connect-src 'self';" in policy
    assert json.loads(made.block(id="service")) == "</script>token"


def test_checks_stacks_and_tags_travel_with_the_rows(page):
    made = {row["name"]: row for row in rows(page(rows={**ROWS, "formal/stage/x.jpg": (5.0, 5.0, 5.0)}))}
    assert made["copy.jpg"]["stack"] == made["best.jpg"]["stack"] == "best.jpg"
    assert made["copy.jpg"]["checks"] == ["a near-copy of a better candidate"]
    assert made["broken.jpg"]["stack"] == "broken.jpg"
    assert made["formal/stage/x.jpg"]["tags"] == ["formal", "stage"]


@pytest.mark.parametrize(
    "name",
    [
        "</script><script>alert(1)</script>.jpg",
        "<img src=x onerror=alert(1)>.jpg",
        "\"' onload='x",
        "<!--",
        "{{ 7 * 7 }}",
        "__proto__",
        "two\nlines.jpg",
        os.fsdecode(b"caf\xe9.jpg"),
    ],
)
def test_no_name_escapes_its_place(page, name):
    usual, odd = page(rows={"a.jpg": (9.0, 8.0, 8.0)}), page(rows={name: (9.0, 8.0, 8.0)})
    assert [tag for tag, _ in odd.elements] == [tag for tag, _ in usual.elements]
    printable = name.replace("\n", "\\n").replace("\udce9", "\\udce9")
    assert rows(odd)[0]["name"] == printable
    assert printable in odd.text


def test_the_page_is_valid_utf8_and_equal_input_gives_equal_text(summary):
    odd = {os.fsdecode(b"\xff.jpg"): (9.0, 8.0, 8.0)}
    first, second = (render_ranking(summary(odd), {}) for _ in range(2))
    assert first.encode() == second.encode()


def test_simulated_votes_are_called_so_and_real_ones_are_not(page):
    assert "Simulated votes." in page(ratings=RatingsOrigin("made.csv", 100, 90, simulated=True)).text
    assert "imulated" not in page(ratings=RatingsOrigin("real.csv", 100, 90)).text


def test_warning_origin_and_accuracy_are_told(page):
    text = page().text
    assert "Please note. 1 of 6 pictures could not be scored" in text
    assert "Predictor models/made" in text
    assert "Encoder" not in text  # it is not known
    assert "competence 0.81 [0.78, 0.83] 0.93 24 803" in text


def test_what_is_not_known_is_called_that(page):
    unknown = TraitEvaluation("competence", 12, pearson=Estimate(0.5))
    assert "competence 0.50 unknown unknown 12" in page(accuracy=[unknown]).text
    assert "competence unknown unknown unknown 12" in page(accuracy=[TraitEvaluation("competence", 12)]).text


def test_the_page_explains_itself(page):
    text = page().text
    for phrase in ("How to read this", "share of the training portraits", "nothing true about anybody", "90 %"):
        assert phrase in text


def test_bars_are_told_in_words(page):
    labels = [svg["aria-label"] for svg in page().all("svg") if svg.get("role") == "img"]
    assert "competence 9.0, 90 % interval 8.0 to 9.5, your current photo 6.0" in labels


def test_an_empty_shortlist_and_no_failures_render(page):
    assert "no picture is left to test" in page(rows={"copy.jpg": (9.0, 8.0, 8.0)}).text
    assert "could not be scored" not in page(rows={"a.jpg": (9.0, 8.0, 8.0)}).text


def test_folders_that_candidates_lie_in_are_compared_where_there_are_several(summary):
    assert 'id="folders"' not in render_ranking(summary(), {})
    rows = [
        {"value": "<suit>", "against": "the rest", "trait": trait, "pictures": 20, "raters": 0.5, "raters_low": low,
         "raters_high": 1.2, "verdict": verdict}
        for trait, low, verdict in zip(
            ("competence", "likeability", "influence"),
            (-0.2, 0.1, np.nan),
            ("predicted only", "raises", "too few pictures"),
            strict=True,
        )
    ]  # fmt: skip
    page = render_ranking(summary(folders=pd.DataFrame(rows)), {})
    row = re.search(r"<bdi>&lt;suit&gt;</bdi>, 20 pictures.*?</tr>", page, re.DOTALL)[0]
    assert "+0.5 (−0.2 to +1.2)" in row
    assert row.count("<td>") == 3
    assert re.search(r'<td><span class="fine">too few pictures</span></td>', row)
