"""The ballot of pairs in a real browser: two pictures at once, on a phone, on a desk and with a keyboard."""

import io
import json
import re
import threading

import pytest
import uvicorn
from PIL import Image
from tests.browser.conftest import DESK, ODD, PHONE, downloaded, opened, picture, start

from prescreen.ratings.reading import read_ratings
from prescreen.reports.ballot_page import render_ballot
from prescreen.reports.ballot_server import BallotServer
from prescreen.reports.collected_votes import CHOICES, Choice, CollectedVotes, read_votes
from prescreen.reports.local_server import listen

TRAITS = ("competence", "influence")
WORDS = {"competence": "competent", "influence": "influential"}
IMAGES = {name: picture(seed) for seed, name in enumerate([*ODD, *(f"{n:02d}.png" for n in range(9))])}
PAIRS = len(IMAGES)
TOKEN = "t" * 43


@pytest.fixture(scope="module")
def ballot(tmp_path_factory):
    path = tmp_path_factory.mktemp("ballot") / "ballot.html"
    path.write_text(render_ballot(IMAGES, WORDS, pairs=PAIRS), "utf-8")
    return path


def shown_pair(page):
    """Return the names of the two pictures on the page, found by their content."""
    places = page.evaluate(
        "[...document.querySelectorAll('.photo')].map((photo) =>"
        " [...document.getElementsByClassName('picture')].findIndex((one) => one.textContent === photo.src))"
    )
    return tuple(list(IMAGES)[place] for place in places)


def gone(page, pair):
    page.wait_for_function("pair => byId('vote').hidden || !byId('place').textContent.startsWith(pair)", arg=pair)
    page.wait_for_timeout(250)  # a second tap is not taken before


def choose(page, sides):
    """Answer all questions about the pair that is shown; return what was said."""
    pair, place = shown_pair(page), page.locator("#place").text_content()
    for question, side in enumerate(sides):
        page.locator(".question").nth(question).get_by_role("button").nth(side).click()
    gone(page, place)
    return {
        (min(pair, pair[::-1]), trait): Choice(pair[side], pair[1 - side], ("left", "right")[side])
        for trait, side in zip(TRAITS, sides, strict=True)
    }


@pytest.mark.parametrize("device", [PHONE, DESK], ids=["phone", "desk"])
def test_votes_close_come_back_finish_and_export(watched, ballot, tmp_path, device):
    context = watched(offline=True, **device)
    page = opened(context, ballot)
    assert f"{PAIRS} pairs" in page.locator("#start").text_content()
    start(page)
    given = choose(page, (0, 1)) | choose(page, (1, 1))
    page.locator(".question").first.get_by_role("button").nth(1).click()
    begun = shown_pair(page)
    page.close()

    page = opened(context, ballot)  # right where it was
    assert page.locator("#place").text_content() == f"3 of {PAIRS}"
    assert shown_pair(page) == begun
    assert page.locator(".question").first.get_by_role("button").nth(1).get_attribute("aria-pressed") == "true"
    while page.locator("#vote").is_visible():
        given |= choose(page, (1, 0))
    assert page.locator("#done").text_content() == f"You answered for all {PAIRS} pairs."
    path = downloaded(page, tmp_path)
    assert re.fullmatch(r"votes-Anna-B-[a-z2-9]{6}-\d{8}-\d{4}\.csv", path.name)
    votes = read_votes(path, CHOICES)[0]
    (rater,) = {rater for rater, _, _ in votes}
    assert votes == {(rater, item, trait): choice for (item, trait), choice in given.items()}
    assert len(votes) == PAIRS * len(TRAITS)
    assert {url.split(":")[0] for url in watched.asked} <= {"file", "data", "blob"}
    for name, content in IMAGES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    rated = read_ratings(path, images_dir=tmp_path)
    assert len(rated.table) == len(IMAGES) * len(TRAITS)  # one rater connects all pictures


def test_both_pictures_fit_a_phone_and_a_desk(watched, tmp_path):
    """Each as large as the screen allows: one above the other or side by side."""
    shapes = {"square": ((80, 80), 230), "upright": ((60, 90), 180), "wide": ((120, 60), 180)}
    for shape, (size, least) in shapes.items():
        images = {}
        for n in range(3):
            stream = io.BytesIO()
            Image.new("RGB", size, (80 * n, 60, 60)).save(stream, "PNG")
            images[f"{n}.png"] = stream.getvalue()
        path = tmp_path / f"{shape}.html"
        path.write_text(render_ballot(images, {**WORDS, "warm": "likeable"}, pairs=3), "utf-8")
        screens = ((390, 844, True), (390, 664, shape == "wide"), (844, 390, False), (1280, 800, False))
        for width, height, stacked in screens:
            page = opened(watched(offline=True, viewport={"width": width, "height": height}, has_touch=True), path)
            start(page)
            page.wait_for_function("[...document.querySelectorAll('.photo')].every((photo) => photo.naturalWidth)")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (shape, width)
            one, other = (photo.bounding_box() for photo in page.locator(".photo").all())
            beside = one["y"] == other["y"]
            if height not in (664, 390):
                assert beside != (stacked and shape != "upright"), (shape, width)
            assert one["x"] + one["width"] <= other["x"] if beside else one["y"] + one["height"] <= other["y"]
            scale = min(one["width"] / size[0], one["height"] / size[1])
            if height == 844:
                assert scale * max(size) >= least, (shape, width)
            labels = page.locator(".question").first.get_by_role("button").all_inner_texts()
            assert [label.lstrip("12") for label in labels] == (["Left", "Right"] if beside else ["Upper", "Lower"])
            buttons = page.locator(".answers button").evaluate_all("all => all.map((b) => b.getBoundingClientRect())")
            assert all(size["bottom"] <= height and size["right"] <= width for size in buttons), (shape, width, height)
            assert all(size["height"] >= 40 and size["width"] >= 60 for size in buttons)


def test_a_touched_picture_answers_the_open_question(watched, ballot):
    page = opened(watched(offline=True, **PHONE), ballot)
    start(page)
    place = page.locator("#place").text_content()
    first, item = shown_pair(page), page.evaluate("state.order[0]")
    page.locator(".photo").nth(1).tap()
    assert page.locator(".question").first.get_by_role("button").nth(1).get_attribute("aria-pressed") == "true"
    page.locator(".photo").nth(0).tap()
    gone(page, place)
    assert shown_pair(page) != first
    assert json.loads(page.evaluate("JSON.stringify(state.votes)")) == {item: [1, 0]}


def test_by_keyboard_alone(watched, ballot):
    page = opened(watched(offline=True, **DESK), ballot)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator("#vote").wait_for()
    first, item = shown_pair(page), page.evaluate("state.order[0]")
    for key in ("ArrowRight", "1"):
        page.keyboard.press(key)
    page.wait_for_timeout(500)
    assert shown_pair(page) != first
    page.keyboard.press("0")  # skipped
    assert page.locator("#place").text_content() == f"3 of {PAIRS}"
    page.keyboard.press("Backspace")
    page.keyboard.press("Backspace")
    assert shown_pair(page) == first
    page.locator(".question").nth(1).get_by_role("button").nth(1).focus()
    page.keyboard.press("Enter")  # a changed answer stays on its pair
    page.wait_for_timeout(300)
    assert shown_pair(page) == first
    assert json.loads(page.evaluate("JSON.stringify(state.votes)")) == {item: [1, 1]}


def test_pairs_show_all_pictures_alike(watched, ballot):
    page = opened(watched(offline=True), ballot)

    def pairs(count, rater):
        made = page.evaluate("([count, rater]) => pairsOn(data.images, count, rater)", [count, rater])
        return [tuple(json.loads(pair)) for pair in made]

    assert pairs(5, "x") == pairs(5, "x") != pairs(5, "y")
    lefts = dict.fromkeys(IMAGES, 0)
    for count in (1, 5, PAIRS // 2, PAIRS, PAIRS + 4, 3 * PAIRS, PAIRS * (PAIRS - 1) // 2):
        for rater in "abcdefgh":
            made = pairs(count, rater)
            assert len({frozenset(pair) for pair in made}) == count
            assert all(one != other for one, other in made)
            seen = [sum(image in pair for pair in made) for image in IMAGES]
            assert max(seen) - min(seen) <= (5 if count > PAIRS else 1 if count != PAIRS else 0), count
            if count == PAIRS:  # a circle: all are connected, and each is on the left once
                assert sorted(one for one, _ in made) == sorted(IMAGES)
                for one, _ in made[:1]:
                    lefts[one] += 1
    assert len([n for n in lefts.values() if n]) > 3  # each rater begins elsewhere


def test_a_server_keeps_one_answer_for_each_rater_pair_and_trait(watched, tmp_path):
    path = tmp_path / "votes.csv"
    listener = listen(0)
    votes = CollectedVotes(path, {}, list(IMAGES), TRAITS, CHOICES)
    app = BallotServer(render_ballot(IMAGES, WORDS, pairs=3, served=True), votes, TOKEN).app()
    running = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", ws="none"))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/{TOKEN}/"
        given, seen = {}, set()
        for name, device in (("Anna", PHONE), ("Ben", DESK)):
            page = opened(watched(**device), address)
            start(page, name)
            rater = page.evaluate("state.rater")
            choose(page, (0, 0))
            page.locator("#back").click()
            pair = shown_pair(page)
            page.locator(".question").nth(0).get_by_role("button").nth(1).click()  # changed
            page.locator("#next").click()
            said = {(min(pair, pair[::-1]), TRAITS[0]): Choice(pair[1], pair[0], "right")}
            said |= {(min(pair, pair[::-1]), TRAITS[1]): Choice(pair[0], pair[1], "left")}
            said |= choose(page, (1, 0)) | choose(page, (0, 1))
            page.get_by_text("All your answers have arrived").wait_for()
            given |= {(rater, item, trait): choice for (item, trait), choice in said.items()}
            shown_now = {image for item, _ in said for image in item}
            assert not shown_now & seen  # those that were seen least come first
            seen |= shown_now
        assert read_votes(path, CHOICES)[0] == given
        assert len(given) == 2 * 3 * len(TRAITS)
    finally:
        running.should_exit = running.force_exit = True
        thread.join(20)
        listener.close()
