"""900 pictures, as in the folder that prescreen is made for."""

import pytest
from tests.browser.conftest import Made


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    made = Made(folder, 900)
    path = folder / "report.html"
    path.write_text(made.page(), "utf-8")
    return made, path


def test_900_pictures_load_lazily_sort_filter_and_keep(browser, many):
    made, path = many
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(path.as_uri())
    page.locator("#check").select_option("scored")
    page.locator("#stacked").uncheck()
    assert page.locator("#grid li").count() == 899
    page.locator("#grid .tile").first.scroll_into_view_if_needed()
    page.locator("#grid img[src]").first.wait_for()
    assert page.locator("#grid img[src]").count() < 300
    page.locator("#sort").select_option("1")
    expected = made.scored().sort_values("likeability", ascending=False, kind="stable")["image"].tolist()
    assert page.locator("#grid .tile bdi").all_text_contents() == expected
    page.locator("#grid li").last.scroll_into_view_if_needed()
    page.locator("#grid .block:last-child li:last-child img[src]").wait_for()
    assert page.locator("#grid img[src]").count() < 600
    page.locator("#find").fill("stage/0777")
    page.locator("#grid .tile").first.focus()
    page.keyboard.press("k")
    assert "1 kept" in page.locator("#holds").text_content()
    assert "1 of 900 shown" in page.locator("#shown").text_content()
    page.close()
