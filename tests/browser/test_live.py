"""The page after decisions: what it proposes, says and exports, and that `prescreen rank --decisions` says the same."""

import csv
import io
import threading
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from tests.browser.conftest import picture

from prescreen.images.files import content_hash, find_images
from prescreen.ranking.comparison import MAX_CANDIDATES
from prescreen.reports.decisions import Decisions, read_decided
from prescreen.reports.local_server import listen
from prescreen.reports.render import render_ranking
from prescreen.reports.review_server import ReviewServer
from prescreen.reports.thumbnails import thumbnail
from prescreen.text import chance_with_range, percent
from simulated_person import Person

NAMES = [f"{'stage' if i % 2 else 'office'}/{i:03d}.png" for i in range(40)]
TOKEN, CODE = "a-token-for-tests", "a-code-for-tests"
WAYS = [("file", 1280), ("file", 390), ("served", 1280), ("served", 390)]


class Album:
    """Pictures in a folder, and a person's candidates with these names."""

    def __init__(self, folder):
        self.folder = folder / "portraits"
        self.images = {name: picture(i) for i, name in enumerate(NAMES)}
        for name, data in self.images.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(data)

    def page(self, person, done, token=None, decided=None):
        return render_ranking(person.summary(done, decided), self.images, picture(99), token)


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    return Album(tmp_path_factory.mktemp("album"))


@pytest.fixture(scope="module")
def person():
    return Person(NAMES)


@pytest.fixture
def show(browser, album, tmp_path):
    """Return a function that opens a ranking from disk or from the review server; errors in the page fail the test."""
    with contextmanager(_shown)(browser, album, tmp_path) as opened:
        yield opened


def _shown(browser, album, tmp_path):
    contexts, servers, errors = [], [], []

    def opened(person, done, way="file", width=1280, decided=None, token=None):
        address = (tmp_path / "report.html").as_uri()
        if way == "file":
            (tmp_path / "report.html").write_text(album.page(person, done, decided=decided), "utf-8")
        else:
            address = serve(person, done)
        context = browser.new_context(accept_downloads=True, viewport={"width": width, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(address)
        page.locator("#grid .tile").first.wait_for(state="attached")
        return page

    def serve(person, done):
        decisions = Decisions(tmp_path / "decisions.csv", done.table["image"].tolist())
        files = {file.name: file for file in find_images([album.folder])}
        contents = {name: content_hash(data) for name, data in album.images.items()}
        page = album.page(person, done, TOKEN)
        server = ReviewServer(page, files, decisions, TOKEN, CODE, lambda file: thumbnail(file, 640), contents)
        listener = listen(0).__enter__()
        running = uvicorn.Server(uvicorn.Config(server.app(), log_level="error", lifespan="off", ws="none"))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        servers.append((running, thread, listener))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/?code={CODE}"

    yield opened
    for context in contexts:
        context.close()
    for running, thread, listener in servers:
        running.should_exit = True
        thread.join(10)
        listener.close()
    assert errors == []


def cards(page):
    return page.locator("#cards .card:not(.baseline) h3").all_text_contents()


def selected(done):
    return done.table.loc[done.table["selected"], "image"].tolist()


def said(page):
    return page.locator("#verdict").text_content().replace("\xa0", " ").replace("−", "-")


def agrees(page, done):
    """Tell that the page proposes and says what a ranking does."""
    advice = done.advice
    assert cards(page) == selected(done)
    assert said(page).startswith(advice.describe())
    shown = [page.locator(f"#joint-{part}").text_content().replace("\xa0", " ") for part in ("chance", "range")]
    ends = [percent(advice.low), percent(advice.high)]
    assert shown[0] == percent(advice.chance)
    assert shown[1] in ("", " to ".join(ends))
    assert chance_with_range(advice.chance, advice.low, advice.high) in said(page)


def act(page, name, what):
    page.locator("#cards .card").filter(has=page.get_by_text(name, exact=True)).locator(f".{what}").click()


def keep_in_grid(page, name):
    tile = page.locator("#grid li").filter(has=page.get_by_text(name, exact=True))
    tile.hover()
    tile.locator(".marks .keep").click()


def export_csv(page):
    with page.expect_download() as waiting:
        page.locator("#export-csv").click()
    path = Path(waiting.value.path())
    return path, [row["image"] for row in csv.DictReader(io.StringIO(path.read_text("utf-8-sig"), newline=""))]


def export_zip(page, album, way):
    if way == "served":
        with page.expect_download() as waiting:
            page.locator("#export-zip").click()
    else:
        with page.expect_file_chooser() as chooser:
            page.locator("#export-zip").click()
        with page.expect_download() as waiting:
            chooser.value.set_files(str(album.folder))
    with zipfile.ZipFile(waiting.value.path()) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize(("way", "width"), WAYS)
def test_reject_a_proposed_picture_keep_another_and_export(show, album, person, tmp_path, way, width):
    first = person.rank()
    page = show(person, first, way, width)
    agrees(page, first)
    gone, *_ = selected(first)
    act(page, gone, "reject")
    after = person.rank(rejected=[gone])
    assert gone not in selected(after)
    agrees(page, after)
    assert page.locator("#holds").text_content() == "Export 3: 3 proposed"
    extra = after.table["image"][8]
    keep_in_grid(page, extra)
    final = person.rank(rejected=[gone], kept=[extra])
    agrees(page, final)
    assert len(selected(final)) == 4
    assert page.locator("#holds").text_content() == "Export 4: 3 proposed, 1 kept"
    assert page.locator("#rejected-count").text_content() == "1 rejected"
    path, exported = export_csv(page)
    assert exported == selected(final)
    files = export_zip(page, album, way)
    assert list(files) == [f"{i}-{Path(name).name}" for i, name in enumerate(exported, 1)] + ["shortlist.csv"]
    assert [files[name] for name in list(files)[:-1]] == [album.images[name] for name in exported]
    assert files["shortlist.csv"] == path.read_bytes()
    assert gone not in page.locator("#headline").text_content()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_exported_list_is_read_as_decisions_and_proposed_as_it_is(show, person, tmp_path):
    page = show(person, person.rank())
    page.keyboard.press("x")
    keep_in_grid(page, person.rank().table["image"][10])
    path, exported = export_csv(page)
    copy = tmp_path / "mine.csv"
    copy.write_bytes(path.read_bytes())
    decided = read_decided(copy)
    assert decided.exported
    again = person.rank(rejected=decided.rejected, kept=decided.kept, only_kept=decided.exported)
    assert selected(again) == exported
    agrees(page, again)


@pytest.mark.parametrize("way", ["file", "served"])
def test_saved_decisions_give_the_same_ranking(show, person, tmp_path, way):
    first = person.rank()
    page = show(person, first, way)
    gone, *_ = selected(first)
    act(page, gone, "reject")
    extra = first.table["image"][12]
    keep_in_grid(page, extra)
    saved = tmp_path / "decisions.csv"
    if way == "file":
        with page.expect_download() as waiting:
            page.locator("#save-decisions").click()
        saved.write_bytes(Path(waiting.value.path()).read_bytes())
    else:
        page.get_by_text("saved", exact=True).wait_for()
        page.wait_for_timeout(300)
    decided = read_decided(saved)
    assert (decided.rejected, decided.kept, decided.exported) == ({gone}, {extra}, False)
    again = person.rank(rejected=decided.rejected, kept=decided.kept)
    agrees(page, again)
    page = show(person, again, decided=decided.by_name())  # the page of that ranking starts there
    agrees(page, again)
    assert page.locator("#holds").text_content() == "Export 4: 3 proposed, 1 kept"


def test_a_near_copy_moves_up_when_the_better_one_is_rejected(show, person):
    first = person.rank(budget=40)
    page = show(person, first)
    (copy,) = first.table.loc[first.table["gates"] == "copies", "image"].head(1)
    better = first.table.set_index("image").loc[copy, "duplicate_of"]
    act(page, better, "reject")
    after = person.rank(rejected=[better], budget=40)
    assert copy in selected(after)
    agrees(page, after)
    page.locator("#check").select_option("passed")
    page.locator("#stacked").uncheck()
    assert page.locator("#grid li").filter(has=page.get_by_text(copy, exact=True)).locator(".doubt").is_hidden()


def test_many_decisions_in_a_row_agree_with_the_ranking(show, person):
    page = show(person, person.rank(budget=5))
    rejected, kept = [], []
    for step in range(6):
        name = cards(page)[step % 3]
        act(page, name, "reject")
        rejected.append(name)
        if name in kept:
            kept.remove(name)
        if step % 2:
            kept.append(cards(page)[0])
            if page.locator("#cards .card.kept").count() < len(kept):
                act(page, kept[-1], "keep")
        agrees(page, person.rank(rejected=rejected, kept=kept, budget=5))


def test_keys_work_before_anything_was_clicked(show, person):
    first = person.rank()
    page = show(person, first)
    page.keyboard.press("x")
    gone = selected(first)[0]
    agrees(page, person.rank(rejected=[gone]))
    page.keyboard.press("k")
    assert page.locator("#holds").text_content() == "Export 3: 2 proposed, 1 kept"
    page.keyboard.press("k")
    page.keyboard.press("x")
    page.keyboard.press("u")
    agrees(page, person.rank(rejected=[gone]))
    page.keyboard.press("Enter")
    assert page.locator("#viewer-name").text_content() in cards(page)
    page.keyboard.press("Escape")
    page.locator("#cards .open:focus").wait_for()
    page.locator("#all").scroll_into_view_if_needed()
    page.locator("#grid").scroll_into_view_if_needed()
    page.evaluate("document.activeElement.blur(); document.getElementById('grid').scrollIntoView()")
    page.keyboard.press("ArrowRight")
    page.locator("#grid .tile:focus").wait_for()


def test_a_card_opens_its_large_picture_and_deciding_there_changes_the_cards(show, person):
    first = person.rank()
    page = show(person, first)
    page.locator("#cards .open").first.click()
    page.locator("#viewer-reject").click()
    assert page.locator("#viewer-name").text_content() == selected(first)[1]
    page.keyboard.press("Escape")
    agrees(page, person.rank(rejected=selected(first)[:1]))


def said_of(page):
    return page.locator("#viewer-reasons li").all_text_contents()


def test_what_moves_up_is_shown_in_the_viewer_and_its_marks_follow_the_decisions(show, person):
    first = person.rank()
    page = show(person, first)
    page.locator("#cards .open").last.click()
    last = page.locator("#viewer-name").text_content()
    assert page.locator("#next").is_disabled()
    assert "proposed" in said_of(page)
    page.keyboard.press("x")
    (moved,) = set(selected(person.rank(rejected=[last]))) - set(selected(first))
    assert page.locator("#viewer-name").text_content() == moved
    assert "proposed" in said_of(page)
    page.keyboard.press("ArrowLeft")
    assert page.locator("#viewer-name").text_content() == last
    assert "proposed" not in said_of(page)
    page.keyboard.press("u")
    assert "proposed" in said_of(page)
    page.locator("#close").click()
    (copy,) = first.table.loc[first.table["gates"] == "copies", "image"].head(1)
    better = first.table.set_index("image").loc[copy, "duplicate_of"]
    page.locator("#check").select_option("scored")
    page.locator("#stacked").uncheck()
    page.locator("#grid li").filter(has=page.get_by_text(copy, exact=True)).locator(".tile").click()
    assert any(text.startswith("excluded: ") for text in said_of(page))
    page.locator("#viewer-copies").get_by_label(f"Open {better}").click()
    page.locator("#viewer-reject").click()
    page.locator("#close").click()
    page.locator("#grid li").filter(has=page.get_by_text(copy, exact=True)).locator(".tile").click()
    assert not any(text.startswith("excluded: ") for text in said_of(page))


def test_of_pictures_that_were_not_among_the_best_no_chance_is_told(show):
    many = Person([f"{i:04d}.png" for i in range(MAX_CANDIDATES + 30)])
    first = many.rank(budget=1)
    (*_, worst) = first.table.loc[first.table["gates"] == "", "image"]
    assert worst not in first.contenders.images
    best = first.table["image"][0]
    page = show(many, many.rank(kept=[best], only_kept=True), decided={best: "keep"})
    page.evaluate("name => Decisions.decide(rows.find((row) => row.name === name), 'keep')", worst)
    assert page.locator("#joint").is_visible()  # of the one that is counted
    page.keyboard.press("k")  # it was kept: not any more
    assert cards(page) == [worst]
    assert page.locator("#joint").is_hidden()
    assert page.locator("#headline").text_content() == "Not enough is known to tell"
    assert said(page).startswith(f"This page knows no joint chance of pictures that were not among the best ({worst})")
    assert "under 1 %" not in said(page)


def test_a_table_in_focus_keeps_the_arrow_keys(show, person):
    page = show(person, person.rank())
    page.evaluate("""() => {
        const table = document.createElement("div");
        table.className = "scroll";
        table.tabIndex = 0;
        document.querySelector(".first").prepend(table);
        table.focus();
    }""")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.className") == "scroll"
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("ArrowRight")
    assert "open" in page.evaluate("document.activeElement.className")


def test_the_advice_changes_with_what_is_left(show):
    weak = Person(NAMES, shift=-1.2)
    first = weak.rank(budget=1)
    page = show(weak, first)
    rejected = []
    verdicts = {first.advice.verdict}
    for _ in range(12):
        agrees(page, done := weak.rank(rejected=rejected, budget=1))
        assert done.advice.verdict in page.locator("#top").get_attribute("class").split()
        verdicts.add(done.advice.verdict)
        rejected.append(cards(page)[0])
        page.keyboard.press("x")
    assert {"test", "keep"} <= verdicts


def test_without_a_current_photo_the_next_best_by_predicted_scores_moves_up(show):
    alone = Person(NAMES, current=False)
    first = alone.rank()
    page = show(alone, first)
    assert cards(page) == selected(first)
    assert page.locator("#joint").count() == 0
    page.keyboard.press("x")
    after = alone.rank(rejected=selected(first)[:1], kept=[first.table["image"][9]])
    keep_in_grid(page, first.table["image"][9])
    assert cards(page) == selected(after)
    assert said(page) == after.advice.describe()
    assert page.locator("#headline").text_content().startswith("Best by predicted scores: ")
    assert export_csv(page)[1] == selected(after)


def test_of_an_unusable_predictor_nothing_is_proposed_and_what_is_kept_is_exported(show):
    lost = Person(NAMES, unusable="r -0.10 on 40 pictures, not above 0")
    first = lost.rank()
    page = show(lost, first)
    assert cards(page) == []
    assert page.locator("#holds").text_content() == "Nothing to export"
    assert page.locator("#export-csv").is_disabled()
    keep_in_grid(page, first.table["image"][3])
    assert cards(page) == [first.table["image"][3]]
    assert page.locator("#headline").text_content() == "The predictor is not usable for these goals"
    assert "%" not in said(page)
    assert export_csv(page)[1] == [first.table["image"][3]]


def test_a_list_is_filled_up_by_single_chances_and_the_plan_of_votes_is_not_told_any_more(show, person):
    first = person.rank(wanted=6)
    page = show(person, first)
    agrees(page, first)
    act(page, selected(first)[2], "reject")
    agrees(page, person.rank(wanted=6, rejected=[selected(first)[2]]))
    planned = person.rank(votes=160)
    page = show(person, planned)
    assert page.locator("#plan").is_visible()
    page.keyboard.press("x")
    assert page.locator("#plan").is_hidden()
    assert page.locator("#plan-again").is_visible()


def test_the_page_says_the_same_with_its_script_and_without(browser, show, person, album, tmp_path):
    (tmp_path / "plain.html").write_text(album.page(person, person.rank()), "utf-8")
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 900})
    plain = context.new_page()
    plain.goto((tmp_path / "plain.html").as_uri())
    live = show(person, person.rank())
    live.evaluate("document.querySelectorAll('.decide').forEach((buttons) => buttons.remove())")
    for place in ("#top", "#shortlist", "#cards"):
        texts = [" ".join(page.locator(place).inner_text().split()) for page in (plain, live)]
        assert texts[0] == texts[1]
    labels = [
        page.locator("#cards svg").evaluate_all("all => all.map(svg => svg.getAttribute('aria-label'))")
        for page in (plain, live)
    ]
    assert labels[0] == labels[1]
    context.close()


def test_the_first_screen_has_the_advice_its_reasons_and_where_they_come_from(show, person):
    page = show(person, person.rank())
    for place in ("#headline", "#joint", ".source", "#cards .card .traits", "#cards .card:last-child li:last-child"):
        box = page.locator(place).last.bounding_box()
        assert box["y"] + box["height"] <= page.locator("#tray").bounding_box()["y"], place
    assert "simulated ratings" in page.locator(".source").text_content()
