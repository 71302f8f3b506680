"""The ballot in a real browser: from disk without a network and served, on a phone and with a keyboard."""

import json
import re
import threading

import pytest
import uvicorn
from tests.browser.conftest import DESK, ODD, PHONE, downloaded, opened, picture, start

from prescreen.reports.ballot_page import render_ballot
from prescreen.reports.ballot_server import BallotServer
from prescreen.reports.collected_votes import CollectedVotes, read_votes
from prescreen.reports.local_server import listen
from prescreen.workflow.ballot import BallotOptions, collect

TRAITS = ("competence", "likeability", "influence")
WORDS = BallotOptions(dict(zip(TRAITS, TRAITS, strict=True))).words()
IMAGES = {name: picture(seed) for seed, name in enumerate([*ODD, *(f"{n:02d}.png" for n in range(5))])}
TOKEN = "t" * 43


@pytest.fixture(scope="module")
def ballot(tmp_path_factory):
    path = tmp_path_factory.mktemp("ballot") / "ballot.html"
    path.write_text(render_ballot(IMAGES, WORDS), "utf-8")
    return path


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PRESCREEN_CACHE", str(tmp_path / "cache"))


def shown_picture(page):
    """Return the name of the picture on the page, found by its content."""
    place = page.evaluate(
        "[...document.getElementsByClassName('picture')].findIndex((one) => one.textContent === byId('photo').src)"
    )
    return list(IMAGES)[place]


def vote(page, answers):
    """Answer all questions about the picture that is shown; return its name when the next one is there."""
    name, source = shown_picture(page), page.locator("#photo").get_attribute("src")
    for question, answer in enumerate(answers):
        page.locator(".question").nth(question).get_by_role("button").nth(answer).click()
    page.wait_for_function("source => byId('vote').hidden || byId('photo').src !== source", arg=source)
    page.wait_for_timeout(250)  # a second tap is not taken before
    return name


@pytest.mark.parametrize("device", [PHONE, DESK], ids=["phone", "desk"])
def test_votes_close_come_back_finish_and_export(watched, ballot, tmp_path, device):
    context = watched(offline=True, **device)
    page = opened(context, ballot)
    start(page)
    given = {vote(page, answers): answers for answers in [(3, 0, 2), (1, 1, 1), (0, 3, 3)]}
    page.locator(".question").first.get_by_role("button").nth(2).click()
    begun = shown_picture(page)
    page.close()

    page = opened(context, ballot)  # right where it was
    assert page.locator("#place").text_content() == f"4 of {len(IMAGES)}"
    assert shown_picture(page) == begun
    assert page.locator(".question").first.get_by_role("button").nth(2).get_attribute("aria-pressed") == "true"
    given[vote(page, (2, 1, 0))] = (2, 1, 0)
    while page.locator("#vote").is_visible():
        given[vote(page, (1, 2, 3))] = (1, 2, 3)
    assert page.locator("#done").text_content() == f"You answered for all {len(IMAGES)} pictures."
    path = downloaded(page, tmp_path)
    assert re.fullmatch(r"votes-Anna-B-[a-z2-9]{6}-\d{8}-\d{4}\.csv", path.name)
    votes = read_votes(path)[0]
    (rater,) = {rater for rater, _, _ in votes}
    assert path.name.startswith(f"votes-{rater}-")
    assert votes == {
        (rater, image, trait): answer
        for image, answers in given.items()
        for trait, answer in zip(TRAITS, answers, strict=True)
    }
    assert given.keys() == IMAGES.keys()
    assert {url.split(":")[0] for url in watched.asked} <= {"file", "data", "blob"}
    assert page.locator("#csv").input_value() == path.read_text()


def test_a_page_fits_a_phone(watched, ballot):
    for width, height in ((390, 844), (390, 664), (360, 640), (844, 390)):
        page = opened(watched(offline=True, viewport={"width": width, "height": height}, has_touch=True), ballot)
        start(page)
        for part in ("vote", "end"):
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (part, width)
            page.locator("#finish").click() if part == "vote" else None
        page.locator("#more").click()
        sizes = page.locator(".answers button").evaluate_all("all => all.map((one) => one.getBoundingClientRect())")
        assert all(size["bottom"] <= height and size["right"] <= width for size in sizes), (width, height)
        assert all(size["height"] >= 40 and size["width"] >= 60 for size in sizes)
        assert page.locator("#photo").bounding_box()["height"] >= 230


def test_by_keyboard_alone(watched, ballot):
    page = opened(watched(offline=True, **DESK), ballot)
    page.keyboard.press("Tab")
    page.keyboard.type("Kim")
    page.keyboard.press("Enter")
    page.locator("#vote").wait_for()
    first = shown_picture(page)
    for key in "413":
        page.keyboard.press(key)
    page.wait_for_timeout(500)
    assert shown_picture(page) != first
    page.keyboard.press("ArrowRight")  # skipped
    assert page.locator("#place").text_content() == f"3 of {len(IMAGES)}"
    page.keyboard.press("Backspace")
    page.keyboard.press("ArrowLeft")
    assert shown_picture(page) == first
    pressed = page.locator(".answers [aria-pressed=true]").all_text_contents()
    assert [text.lstrip("1234") for text in pressed] == ["Very", "No", "Yes"]
    page.locator(".question").nth(1).get_by_role("button").nth(3).focus()
    page.keyboard.press("Enter")  # a changed answer stays on its picture
    page.wait_for_timeout(300)
    assert shown_picture(page) == first
    assert json.loads(page.evaluate("JSON.stringify(state.votes)")) == {first: [3, 3, 2]}


def test_each_rater_has_an_order_that_lasts(watched, ballot):
    orders = []
    for name in ("Anna", "Anna", ""):
        context = watched(offline=True)
        page = opened(context, ballot)
        start(page, name)
        orders.append(page.evaluate("state.order"))
        page.close()
        assert opened(context, ballot).evaluate("state.order") == orders[-1]
    assert all(sorted(order) == sorted(IMAGES) for order in orders)
    assert len(set(map(tuple, orders))) == 3
    page = opened(watched(offline=True), ballot)
    assert page.evaluate("shuffled(data.images, 'x')") == page.evaluate("shuffled(data.images, 'x')")
    firsts = page.evaluate("Array.from({ length: 1600 }, (_, n) => shuffled(data.images, 'rater-' + n)[0])")
    counts = [firsts.count(image) for image in IMAGES]
    assert min(counts) > 140  # 200 are expected, with a standard deviation of 13
    assert max(counts) < 260


def test_a_browser_that_keeps_nothing_still_votes_and_says_so(watched, ballot, tmp_path):
    context = watched(offline=True)
    context.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } })"
    )
    page = opened(context, ballot)
    start(page, "")
    vote(page, (3, 3, 3))
    assert "not kept by this browser" in page.locator("#state").text_content()
    page.locator("#finish").click()
    assert len(read_votes(downloaded(page, tmp_path))[0]) == 3


def test_a_page_runs_in_browsers_of_2020(watched, tmp_path):
    """Chromium without what came later; what it would not even parse must not be in the script."""
    page = render_ballot(IMAGES, WORDS)
    script = page[page.rindex("<script>") :]
    assert not re.search(r"\|\|=|&&=|\?\?=|\.at\(|#\w+ *[=(;]|\(\?<[=!]|static \{|\d_\d", script)
    (tmp_path / "ballot.html").write_text(page, "utf-8")
    context = watched(offline=True, **PHONE)
    context.add_init_script(
        """
        delete Object.hasOwn;
        delete String.prototype.replaceAll;
        delete AbortSignal.timeout;
        const matches = Element.prototype.matches;
        Element.prototype.matches = function (text) {
          if (text.includes(":focus-visible")) throw new SyntaxError(text);
          return matches.call(this, text);
        };
        """
    )
    opened_page = opened(context, tmp_path / "ballot.html")
    assert not opened_page.locator("#unable").is_visible()
    start(opened_page)
    for _ in IMAGES:
        vote(opened_page, (1, 2, 3))
    assert len(read_votes(downloaded(opened_page, tmp_path))[0]) == 3 * len(IMAGES)


def test_a_browser_that_cannot_run_the_page_or_show_its_pictures_says_so(watched, tmp_path, ballot):
    old = watched(offline=True, java_script_enabled=False).new_page()
    old.goto(ballot.as_uri())
    assert "the browser is too old" in old.locator("#unable").text_content()
    assert old.locator("#unable").is_visible()
    (tmp_path / "webp.html").write_text(render_ballot({"a.jpg": b"RIFF\x00\x00\x00\x00WEBP"}, WORDS), "utf-8")
    page = opened(watched(offline=True), tmp_path / "webp.html")
    page.locator("#name").fill("Anna")
    page.get_by_role("button", name="Start").click()
    page.locator("#unable").wait_for()
    assert not page.locator("#vote").is_visible()


def test_what_is_in_the_storage_may_be_damaged(watched, ballot):
    context = watched(offline=True)
    page = opened(context, ballot)
    for text in (
        "{",
        "[]",
        "null",
        '{"order": 3}',
        '{"rater": "x"}',
        '{"rater": "x", "order": [], "votes": null}',
        '{"rater": "x", "order": [], "votes": {"00.png": [1]}}',
    ):
        page.evaluate("text => localStorage.setItem(key, text)", text)
        page.reload()
        page.locator("#start").wait_for()


def test_a_second_tap_does_not_answer_for_the_next_picture(watched, ballot):
    page = opened(watched(offline=True), ballot)
    start(page)
    first = shown_picture(page)
    for question in range(3):
        page.locator(".question").nth(question).get_by_role("button").nth(1).click()
    page.locator(".question").nth(2).get_by_role("button").nth(1).dblclick()
    page.wait_for_timeout(500)
    assert shown_picture(page) != first
    assert page.locator(".answers [aria-pressed=true]").count() == 0


def test_the_next_person_gets_another_ballot_after_the_file_was_saved(watched, ballot, tmp_path):
    page = opened(watched(offline=True), ballot)
    start(page)
    vote(page, (1, 1, 1))
    page.locator("#finish").click()
    assert not page.locator("#other").is_visible()
    first = downloaded(page, tmp_path)
    page.locator("#other").click()
    start(page, "Ben")
    vote(page, (2, 2, 2))
    page.locator("#finish").click()
    assert collect([first, downloaded(page, tmp_path)], tmp_path / "votes.csv") == "2 votes of 2 raters (6 ratings)"


def test_the_file_can_be_shared_or_copied_where_a_phone_saves_none(watched, ballot):
    context = watched(offline=True, **PHONE)
    context.add_init_script(
        """
        navigator.canShare = ({ files }) => files.length === 1;
        navigator.share = async ({ files: [file] }) => { window.shared = [file.name, file.type, await file.text()]; };
        """
    )
    page = opened(context, ballot)
    start(page, "")
    vote(page, (1, 2, 3))
    page.locator("#finish").click()
    page.get_by_role("button", name="Share the file").click()
    page.locator("#other").wait_for()  # it has left the device
    name, kind, text = page.evaluate("shared")
    assert re.fullmatch(r"votes-rater-[a-z2-9]{6}-\d{8}-\d{4}\.csv", name)
    assert kind == "text/csv"
    assert text.splitlines()[0] == "image,trait,vote,rater"
    assert len(text.splitlines()) == 4
    page.locator("summary").click()
    page.locator("#copy").click()
    page.get_by_text("Copied").wait_for()
    assert page.evaluate("getSelection().toString() || byId('csv').value") == text


def test_what_was_shared_too_early_is_not_taken_for_sent(watched, ballot, tmp_path):
    page = opened(watched(offline=True), ballot)
    start(page)
    vote(page, (1, 1, 1))
    page.locator("#finish").click()
    downloaded(page, tmp_path)
    page.locator("#more").click()
    vote(page, (2, 2, 2))
    page.locator("#finish").click()
    assert not page.locator("#other").is_visible()


def test_some_pictures_each(watched, tmp_path):
    (tmp_path / "some.html").write_text(render_ballot(IMAGES, WORDS, each=2), "utf-8")
    page = opened(watched(offline=True), tmp_path / "some.html")
    assert "2 pictures" in page.locator("#start").text_content()
    start(page)
    vote(page, (0, 0, 0))
    vote(page, (0, 0, 0))
    assert page.locator("#done").text_content() == "You answered for all 2 pictures."


class Served:
    """A server of the ballot that can be ended, and started again at the same address."""

    def __init__(self, path):
        self.path, self.port = path, 0
        self.start()

    def start(self):
        listener = listen(self.port)
        self.port = listener.getsockname()[1]
        votes = CollectedVotes(self.path, read_votes(self.path)[0] if self.path.exists() else {}, list(IMAGES), TRAITS)
        app = BallotServer(render_ballot(IMAGES, WORDS, served=True), votes, TOKEN).app()
        self._running = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", ws="none"))
        self._thread = threading.Thread(target=self._running.run, kwargs={"sockets": [listener]})
        self._thread.start()
        self._listener = listener

    def end(self):
        self._running.should_exit = self._running.force_exit = True
        self._thread.join(20)
        self._listener.close()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}/{TOKEN}/"


@pytest.fixture
def served(tmp_path):
    server = Served(tmp_path / "votes.csv")
    yield server
    server.end()


def test_two_raters_vote_at_once_and_the_least_voted_pictures_come_first(watched, served):
    first, second = (opened(watched(**device), served.address) for device in (PHONE, DESK))
    start(first, "Anna")
    seen = [vote(first, (3, 2, 1))]
    start(second, "Ben")
    orders = second.evaluate("state.order")
    assert orders[-1] == seen[0]  # the one that Anna has voted on
    for _ in range(3):
        seen.append(vote(first, (3, 2, 1)))
        vote(second, (0, 0, 0))
    for page in (first, second):
        page.locator("#finish").click()
        page.get_by_text("All your answers have arrived").wait_for()
    votes = read_votes(served.path)[0]
    assert len(votes) == 3 * (4 + 3)
    anna = next(rater for rater, _, _ in votes if rater.startswith("Anna-"))
    assert {image for rater, image, _ in votes if rater == anna} == set(seen)
    assert not first.locator("#file").is_visible()


def test_a_served_page_that_is_not_kept_says_so_before_a_reload_makes_another_rater(watched, served):
    context = watched()
    context.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } })"
    )
    page = opened(context, served.address)
    start(page)
    assert "do not reload this page" in page.locator("#state").text_content()


def test_start_pressed_twice_is_one_rater_and_slow_counts_are_not_waited_for(watched, served):
    context = watched()
    context.add_init_script(
        "AbortSignal.timeout = ((timeout) => (ms) => timeout.call(AbortSignal, ms / 10))(AbortSignal.timeout)"
    )
    page = opened(context, served.address)
    page.route("**/counts", lambda route: None)  # never answered
    page.evaluate("window.raters = []; setInterval(() => state && raters.push(state.rater), 10);")
    for _ in range(2):
        page.evaluate("byId('enter').requestSubmit()")
    assert page.locator("#enter button").is_disabled()
    page.locator("#vote").wait_for(timeout=5000)
    page.wait_for_timeout(600)
    assert page.evaluate("new Set(raters).size") == 1


def test_somebody_else_in_another_tab_gets_none_of_the_answers_that_wait_here(watched, served):
    context = watched()
    first = opened(context, served.address)
    start(first, "Anna")
    first.route("**/votes", lambda route: route.abort())
    seen = vote(first, (3, 2, 1))
    second = opened(context, served.address)  # sends what the browser kept
    second.locator("#finish").click()
    second.get_by_text("All your answers have arrived").wait_for()
    second.locator("#other").click()
    first.wait_for_function("left")
    assert not first.locator("#vote").is_visible()
    start(second, "Ben")
    ben = vote(second, (0, 0, 0))
    first.unroute("**/votes")
    first.locator("#vote").wait_for(timeout=40_000)  # Ben's by now
    second.locator("#finish").click()
    second.get_by_text("All your answers have arrived").wait_for()
    by_rater = {(rater.split("-")[0], image) for rater, image, _ in read_votes(served.path)[0]}
    assert by_rater == {("Anna", seen), ("Ben", ben)}
    assert first.evaluate("state.rater") == second.evaluate("state.rater")
    watched.errors[:] = [text for text in watched.errors if "ERR_FAILED" not in text]


def test_answers_given_while_the_server_is_away_arrive_later(watched, served):
    page = opened(watched(), served.address)
    start(page)
    vote(page, (1, 1, 1))
    served.end()
    vote(page, (2, 2, 2))
    page.get_by_text("not sent yet, trying again").wait_for()
    page.locator("#finish").click()
    page.get_by_text("Some answers have not arrived yet").wait_for()
    assert page.locator("#save").is_visible()  # they can leave as a file all the same
    served.start()
    page.get_by_text("All your answers have arrived").wait_for(timeout=40_000)
    assert sorted(read_votes(served.path)[0].values()) == [1, 1, 1, 2, 2, 2]
    page.reload()
    page.locator("#vote").wait_for()
    assert page.locator("#place").text_content() == f"3 of {len(IMAGES)}"
    watched.errors[:] = [text for text in watched.errors if "ERR_CONNECTION_REFUSED" not in text]


def test_very_many_votes_arrive_in_parts_and_those_on_gone_pictures_stop_no_others(watched, tmp_path, monkeypatch):
    many = {f"{n:04d}.png": IMAGES["00.png"] for n in range(450)}
    monkeypatch.setitem(globals(), "IMAGES", many)
    server = Served(tmp_path / "votes.csv")
    page = opened(watched(), server.address)
    start(page)
    server.end()
    monkeypatch.setitem(globals(), "IMAGES", {name: data for name, data in many.items() if name != "0000.png"})
    page.evaluate("for (const image of data.images) { state.votes[image] = [1, 2, 3]; Post.add(image); }")
    server.start()
    sizes = []
    page.on("request", lambda request: sizes.append(len(request.post_data_json["votes"])))
    page.locator("#finish").click()
    page.get_by_text("All your answers have arrived").wait_for(timeout=40_000)
    server.end()
    assert len(read_votes(server.path)[0]) == 3 * 449
    assert max(sizes) == 200
    watched.errors[:] = [text for text in watched.errors if "ERR_CONNECTION_REFUSED" not in text]
