import csv
import io
import re
import zipfile
from pathlib import Path

import pytest

from prescreen.storage.tables import read_table, table_bytes


def names(page):
    return page.locator("#grid .tile bdi").all_text_contents()


def tile(page, name):
    return page.locator("#grid li").filter(has=page.get_by_text(name, exact=True))


def choose(page, **values):
    for key, value in values.items():
        page.locator(f"#{key}").select_option(value)


def exported(made, kept):
    """Return what is exported: the proposed pictures and those that were kept, best first."""
    best = made.scored().sort_values("p_better", ascending=False, kind="stable")
    return best["image"][best["selected"] | best["image"].isin(kept)].tolist()


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)


def download(page, button):
    with page.expect_download() as waiting:
        page.locator(button).click()
    return Path(waiting.value.path()), waiting.value.suggested_filename


def test_sorting_follows_the_trait_that_is_chosen(page, made):
    page.locator("#stacked").uncheck()
    for key, column in (("0", "competence"), ("2", "influence"), ("merit", "p_better")):
        choose(page, sort=key)
        expected = made.scored().sort_values(column, ascending=False, kind="stable")["image"].tolist()
        assert names(page) == expected, column


def test_names_are_sorted_as_people_count(page):
    page.locator("#stacked").uncheck()
    choose(page, sort="name")
    listed = [name for name in names(page) if name.startswith("office/")]
    assert listed == sorted(listed)


def test_odd_names_are_shown_as_they_are(page, made):
    for name in made.table["image"][made.table["image"].str.contains("script|cmd|quoted")]:
        choose(page, sort="merit")
        assert tile(page, name).count() == 1
        tile(page, name).locator(".tile").click()
        assert page.locator("#viewer-name").text_content() == name
        press(page, "Escape")


def test_near_copies_are_stacked_and_unstacked(page, made):
    stack = tile(page, "+3 near-copies")
    assert stack.count() == 1
    copies = set(made.copies)
    assert len(copies & set(names(page))) <= 1
    stack.locator(".tile").click()
    assert page.locator("#viewer-copies button").count() == 4
    page.locator("#viewer-copies button").nth(1).click()
    assert page.locator("#viewer-name").text_content() in copies | {"office/0000.png"}
    press(page, "Escape")
    page.locator("#stacked").uncheck()
    assert copies <= set(names(page))


def test_checks_filter(page, made):
    page.locator("#clear").click()
    assert page.locator("#check").input_value() == "passed"
    page.locator("#stacked").uncheck()
    assert not {*made.copies, made.excluded, made.failed} & set(names(page))
    choose(page, check="excluded")
    assert set(names(page)) == {*made.copies, made.excluded}
    choose(page, check="check:a blurred face")
    assert names(page) == [made.excluded]
    choose(page, check="failed")
    assert names(page) == [made.failed]
    assert "no face <b>" in page.locator("#grid").text_content()
    choose(page, check="scored")
    assert len(names(page)) > 30


def test_ranges_filter_what_the_tile_shows(page, made):
    page.locator("#stacked").uncheck()
    page.locator(".ranges summary").click()
    page.locator(".from[data-trait='1']").fill("6")
    page.locator(".to[data-trait='0']").fill("8")
    scored = made.scored()
    fits = (scored["likeability"].round(1) >= 6) & (scored["competence"].round(1) <= 8)
    assert set(names(page)) == set(scored["image"][fits])
    assert f"{fits.sum()} of 40 shown" in page.locator("#shown").text_content()


def test_folders_and_own_tags_filter(page):
    choose(page, tag="stage")
    assert all(name.startswith("stage/") for name in names(page))
    first = names(page)[0]
    page.locator("#grid .tile").first.click()
    page.locator("#viewer-tags").fill("smiling, red tie")
    press(page, "Tab", "Escape")
    page.locator("#clear").click()
    choose(page, tag="red tie")
    assert names(page) == [first]


def test_keys_keep_reject_and_take_back(page):
    order = names(page)
    page.locator("#grid .tile").first.focus()
    press(page, "k", "ArrowRight", "x", "ArrowRight", "k", "k", "ArrowRight", "k", "u")
    assert page.locator("#holds").text_content() == "Export 3: 2 proposed, 1 kept"
    assert "1 rejected" in page.locator("#rejected-count").text_content()
    assert page.locator("#live").text_content() == f"{order[3]} undecided"
    choose(page, decided="keep")
    assert names(page) == [order[0]]
    choose(page, decided="reject")
    assert names(page) == [order[1]]


def test_the_viewer_shows_the_pair_and_deciding_moves_on(page, made):
    order = names(page)
    page.locator("#grid .tile").first.focus()
    press(page, "Enter")
    best = made.table.iloc[0]
    assert page.locator("#viewer-name").text_content() == best["image"]
    assert page.locator("#viewer-why").text_content().replace("−", "-").replace("\xa0", " ") == best["why"]
    cells = page.locator("#viewer-traits tr").first.locator("th, td").all_text_contents()
    assert cells[:3] == [
        "competence",
        f"{best['competence']:.1f}",
        f"{best['competence_low']:.1f}–{best['competence_high']:.1f}",
    ]
    assert page.locator("#viewer figure img").count() == 2
    press(page, "k")
    assert page.locator("#viewer-name").text_content() == order[1]
    press(page, "x", "ArrowLeft")
    assert page.locator("#viewer-reject").get_attribute("aria-pressed") == "true"
    press(page, "Escape")
    page.locator("#grid .tile:focus bdi").get_by_text(order[1], exact=True).wait_for()


def test_decisions_outlive_the_page(page):
    first = names(page)[9]
    tile(page, first).hover()
    tile(page, first).locator(".marks .keep").click()
    page.get_by_text("Export 4: 3 proposed, 1 kept", exact=True).wait_for()
    page.get_by_text("kept in this browser").wait_for()
    page.reload()
    page.get_by_text("Export 4: 3 proposed, 1 kept", exact=True).wait_for()
    choose(page, check="scored")
    assert "✓ kept" in tile(page, first).text_content()


def test_dots_open_pictures_and_the_front_is_a_front(page, made):
    choose(page, across="2", up="0")
    page.locator("#stacked").uncheck()
    front = page.locator("#scatter [role=button]")
    found = front.evaluate_all("dots => dots.map(dot => dot.row.name)")
    scored = made.scored().set_index("image")
    pairs = scored[["influence", "competence"]]
    unbeaten = [n for n, p in pairs.iterrows() if not ((pairs >= p).all(axis=1) & (pairs > p).any(axis=1)).any()]
    assert set(found) == set(unbeaten)
    assert page.locator("#scatter circle").count() == len(scored)
    front.nth(1).click()
    assert page.locator("#viewer-name").text_content() == found[1]
    press(page, "Escape")
    front.first.focus()
    press(page, "ArrowLeft", "Enter")
    assert page.locator("#viewer-name").text_content() == found[1]


def test_csv_holds_the_kept_in_upload_order_and_runs_no_formula(page, made, tmp_path):
    formula = next(name for name in made.table["image"] if name.startswith("="))
    page.locator("#stacked").uncheck()
    for name in (formula, made.table["image"][5], made.table["image"][2]):
        tile(page, name).hover()
        tile(page, name).locator(".marks .keep").click()
    path, name = download(page, "#export-csv")
    assert name == "shortlist.csv"
    lines = list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"), newline="")))
    kept = exported(made, {formula, *made.table["image"][[5, 2]]})
    assert [line["image"].removeprefix("'") for line in lines] == kept
    assert not any(line["image"].startswith("=") for line in lines)
    copy = tmp_path / "shortlist.csv"
    copy.write_bytes(path.read_bytes())
    assert read_table(copy)["image"].tolist() == kept


def test_a_formula_in_a_tag_is_defused_as_in_tables(page, made, tmp_path):
    tags = "a;=1+1, \u00a0=1+1, ;\u200b-1, plain;x"
    name = made.table["image"][2]
    page.locator("#stacked").uncheck()
    tile(page, name).click()
    page.locator("#viewer-tags").fill(tags)
    page.keyboard.press("Tab")
    page.locator("#viewer-keep").click()
    page.keyboard.press("Escape")
    path, _ = download(page, "#export-csv")
    text = path.read_text("utf-8-sig")
    written = next(csv.DictReader(io.StringIO(text, newline="")))["tags"]
    assert not re.search("(^|[;\t\r\n])[\\s\u200b]*[=-]", written), ascii(written)
    (tmp_path / "t.csv").write_text(text, "utf-8")
    table = read_table(tmp_path / "t.csv", text={"image", "tags"})
    again = table_bytes(table[["tags"]].assign(n=1), "t.csv").decode()
    assert next(csv.DictReader(io.StringIO(again, newline="")))["tags"] == written


def test_without_decisions_the_proposed_shortlist_is_exported(page, made):
    path, _ = download(page, "#export-csv")
    lines = list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"), newline="")))
    images = [line["image"].removeprefix("'") for line in lines]
    assert images == made.table["image"][made.table["selected"]].tolist()


def test_the_zip_holds_the_originals_in_upload_order(page, made):
    chosen = [name for name in made.table["image"] if "office" in name][:3]
    page.locator("#stacked").uncheck()
    for name in chosen:
        tile(page, name).hover()
        tile(page, name).locator(".marks .keep").click()
    with page.expect_file_chooser() as chooser:
        page.locator("#export-zip").click()
    with page.expect_download() as waiting:
        chooser.value.set_files(str(made.folder))
    with zipfile.ZipFile(waiting.value.path()) as archive:
        assert archive.testzip() is None
        files = archive.namelist()
        chosen = exported(made, chosen)
        plain = [re.sub(r'[\\/:*?"<>|]', "_", name.split("/")[-1]) for name in chosen]
        assert files == [*(f"{i}-{name}" for i, name in enumerate(plain, 1)), "shortlist.csv"]
        for file, name in zip(files, chosen, strict=False):
            assert archive.read(file) == made.images[name]


def test_everything_has_a_name_for_a_screen_reader(page):
    page.locator("#grid .tile").first.click()
    unnamed = page.evaluate(
        """[...document.querySelectorAll('button, select, input, [role=button], [role=img], dialog')].filter(e =>
        !(e.hidden || e.textContent.trim() || e.getAttribute('aria-label') || e.getAttribute('aria-labelledby')
          || e.labels?.length)).map(e => e.outerHTML)"""
    )
    assert unnamed == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_light_and_dark(page, scheme):
    page.emulate_media(color_scheme=scheme)
    ratio = page.evaluate(
        """() => {
          const light = (colour) => { const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((c) => {
            const s = c / 255; return s <= 0.03928 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4; });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
          const of = (text, ground) => { const [a, b] = [light(text), light(ground)].sort((x, y) => y - x);
            return (a + 0.05) / (b + 0.05); };
          const css = (q, p) => getComputedStyle(document.querySelector(q))[p];
          const tile = css('.tile', 'backgroundColor'), body = css('body', 'backgroundColor');
          return Math.min(of(css('.tile', 'color'), tile), of(css('.tile .quiet', 'color'), tile),
            of(css(".verdict", "color"), body), of(css(".lead", "color"), body),
            of(css(".gain.change", "color"), tile));
        }"""
    )
    assert ratio >= 4.5


def test_a_phone_needs_no_sideways_scrolling(page):
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.locator("#grid .tile").first.click()
    assert page.evaluate(
        "document.getElementById('viewer').scrollWidth <= document.getElementById('viewer').clientWidth"
    )
    page.locator("#viewer-keep").click()
    assert page.locator("#holds").text_content() == "Export 3: 2 proposed, 1 kept"
