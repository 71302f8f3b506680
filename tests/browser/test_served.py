"""The same page from the review server: decisions are saved, large pictures and originals come from their files."""

import threading
import time
import zipfile

import pytest
import uvicorn

from prescreen.images.files import content_hash, find_images
from prescreen.reports.local_server import listen, private_link
from prescreen.reports.review_server import Decisions, ReviewServer
from prescreen.reports.thumbnails import thumbnail
from prescreen.storage.tables import read_table

TOKEN = "a-token-for-tests"
CODE = "a-code-for-tests"


@pytest.fixture
def served(made, tmp_path):
    names = made.table["image"].tolist()
    files = {file.name: file for file in find_images([made.folder])}
    decisions = Decisions(tmp_path / "decisions.csv", names)
    contents = {name: content_hash(data) for name, data in made.images.items()}
    server = ReviewServer(made.page(TOKEN), files, decisions, TOKEN, CODE, lambda file: thumbnail(file, 640), contents)
    with listen(0) as listener:
        config = uvicorn.Config(server.app(), log_level="error", lifespan="off", ws="none")
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/?code={CODE}", decisions.path
        running.should_exit = True
        thread.join(10)


@pytest.fixture
def page(browser, served):
    context = browser.new_context(accept_downloads=True)
    opened = context.new_page()
    errors = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    opened.goto(served[0])
    yield opened
    context.close()
    assert errors == []


def test_decisions_are_saved_beside_the_scores_and_found_again(page, served):
    _, saved = served
    first = page.locator("#grid .tile bdi").first.text_content()
    page.locator("#grid .tile").first.click()
    page.locator("#viewer-tags").fill("smiling")
    page.keyboard.press("Tab")
    page.locator("#viewer-keep").click()
    page.keyboard.press("Escape")
    page.get_by_text("saved", exact=True).wait_for()
    assert _saved_with(saved, "keep") == [{"image": first, "decision": "keep", "tags": "smiling"}]
    page.reload()
    page.get_by_text("Export 3: 2 proposed, 1 kept", exact=True).wait_for()
    assert "smiling" in page.locator("#tag").text_content()


def test_a_decision_is_not_overtaken_by_an_older_one(page, served):
    """The first request is slow; what is decided meanwhile is saved after it."""
    _, saved = served
    held = []
    page.route("**/decisions/*", lambda route: route.continue_() if held else held.append(route))
    first = page.locator("#grid .tile bdi").first.text_content()
    page.locator("#grid .tile").first.click()
    page.locator("#viewer-tags").fill("smiling")
    with page.expect_request("**/decisions/*"):
        page.keyboard.press("Tab")
    page.locator("#viewer-keep").click()
    page.wait_for_timeout(200)  # a second request would be answered by now
    assert not saved.exists()
    held[0].continue_()
    page.get_by_text("saved", exact=True).wait_for()
    assert _saved_with(saved, "keep") == [{"image": first, "decision": "keep", "tags": "smiling"}]


def test_what_could_not_be_saved_is_sent_again_with_the_next_decision(page, served):
    _, saved = served
    page.evaluate("""() => {
      const [fetching, full] = [window.fetch, async () => new Response("the disk is full", { status: 507 })];
      window.fetch = (...request) => { window.fetch = fetching; return full(); };
    }""")
    page.locator("#grid .tile").nth(1).wait_for()
    names = page.locator("#grid .tile bdi").all_text_contents()[:2]
    page.locator("#grid .tile").first.focus()
    page.keyboard.press("k")
    page.get_by_text("not saved: is prescreen review still running?", exact=True).wait_for()
    page.locator("#grid .tile").nth(1).focus()
    page.keyboard.press("x")
    page.get_by_text("saved", exact=True).wait_for()
    assert {row["image"]: row["decision"] for row in _saved_with(saved, "reject")} == dict(
        zip(names, ["keep", "reject"], strict=True)
    )


def _saved_with(path, decision):
    """Return the decisions on disk once one of this kind is among them, or after half a minute."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if path.exists() and decision in path.read_text():
            break
        time.sleep(0.05)
    return read_table(path).to_dict("records")


def test_nothing_that_opens_the_page_stays_in_the_browser(page, served, browser):
    """Neither in the address bar nor in the history, and what stands there opens nothing elsewhere."""
    page.locator("#grid .tile").first.wait_for()
    assert CODE not in page.url
    assert TOKEN not in page.url
    assert page.evaluate("document.cookie") == ""  # no script can read it
    page.reload()
    page.locator("#grid .tile").first.wait_for()
    address = page.url
    other = browser.new_context()
    assert other.new_page().goto(address).status == 403
    assert other.new_page().goto(served[0]).status == 403
    other.close()


def test_the_page_opens_from_a_private_link(browser, served):
    context = browser.new_context()
    page = context.new_page()
    with private_link(served[0]) as link:
        page.goto(link.as_uri())
        page.locator("#grid .tile").first.wait_for()
    assert "/page/" in page.url
    context.close()


def test_the_large_picture_comes_from_its_file(page):
    page.locator("#grid .tile").first.click()
    page.locator("#viewer-picture[src^='blob:']").wait_for()
    assert page.locator("#viewer-picture").evaluate("image => image.decode().then(() => image.naturalWidth)") == 96


def test_the_zip_is_made_from_the_originals(page, made):
    with page.expect_download() as waiting:
        page.locator("#export-zip").click()
    with zipfile.ZipFile(waiting.value.path()) as archive:
        assert archive.testzip() is None
        originals = [made.images[name] for name in made.table["image"][made.table["selected"]]]
        assert [archive.read(name) for name in archive.namelist()[:-1]] == originals


def test_another_site_can_neither_read_nor_write(browser, served, made):
    """A page of another origin tries with real fetches, the token known even."""
    address, saved = served
    base = address.split("?")[0]
    page = browser.new_page()
    page.route("http://evil.example/**", lambda route: route.fulfill(body="<p>evil", content_type="text/html"))
    page.goto("http://evil.example/")
    tried = page.evaluate(
        """async ([base, token, code]) => {
          const attempt = (path, options) => fetch(base + path, options).then((a) => a.text(), () => "refused");
          const headers = { Authorization: "Bearer " + token };
          const body = JSON.stringify({ decision: "keep", tags: [] });
          return [
            await attempt("?code=" + code), await attempt("decisions", { headers }),
            await attempt("decisions/0", { method: "PUT", headers, body }),
            await attempt("decisions/0", { method: "POST", mode: "no-cors", body }),
          ];
        }""",
        [base, TOKEN, CODE],
    )
    page.close()
    assert tried == ["refused"] * 4
    assert not saved.exists()
