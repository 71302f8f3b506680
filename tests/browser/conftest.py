"""A real browser: Debian's chromium, driven by Playwright. Where there is none, the tests are skipped and say so."""

import io
import os
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import simulated
from prescreen.ranking.comparison import MAX_CANDIDATES
from prescreen.ranking.goals import default_goals
from prescreen.ranking.selection import draw_together
from prescreen.ranking.stopping import Advice
from prescreen.ratings.vote_noise import score_to_z
from prescreen.reports.ratings_origin import RatingsOrigin
from prescreen.reports.render import render_ranking
from prescreen.reports.summarize import BaselinePicture, TraitValue, summarize_ranking
from prescreen.shortlist.contenders import Contenders

TRAITS = ("competence", "likeability", "influence")
BASELINE = {"competence": 6.0, "likeability": 7.0, "influence": 5.0}
ODD = ("\"'><script>alert(1)</script>.png", "=cmd|' /C calc'!A0.png", 'formal/it\'s "quoted".png')


PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
DESK = {"viewport": {"width": 1280, "height": 800}}


def chromium():
    """Return the browser to test with: CHROMIUM, or the one on the path."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


@pytest.fixture(scope="session")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install playwright")
    found = chromium()
    if found is None:
        pytest.skip("needs a browser: apt-get install chromium, or set CHROMIUM to its path")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-background-networking", "--disable-gpu"]
        )
        yield started
        started.close()


@pytest.fixture
def watched(browser):
    """Opens contexts in which every error of a page, and every request to anywhere, fails the test."""
    contexts, errors, asked = [], [], []

    def make(**options):
        context = browser.new_context(accept_downloads=True, **options)
        context.on("page", watch)
        contexts.append(context)
        return context

    def watch(page):
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: asked.append(request.url))

    make.errors, make.asked = errors, asked
    yield make
    for context in contexts:
        context.close()
    assert errors == []


def opened(context, ballot):
    page = context.new_page()
    page.goto(ballot.as_uri() if not isinstance(ballot, str) else ballot)
    return page


def start(page, name="Anna B."):
    page.locator("#name").fill(name)
    page.get_by_role("button", name="Start").click()
    page.locator("#vote").wait_for()


def downloaded(page, tmp_path):
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save the file").click()
    path = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


def picture(seed, side=96):
    """Return a PNG whose colour tells which one it is."""
    pixels = np.full((side, side, 3), np.random.default_rng(seed).integers(40, 220, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def make_scores(names, failed=()):
    """Return simulated scores, one row a name, the same for the same names."""
    random = np.random.default_rng(7)
    scores = pd.DataFrame({"image": pd.Series(list(names), dtype=object)})
    scores["status"] = ["failed" if name in failed else "ok" for name in names]
    scores["reason"] = ["no face <b>" if name in failed else "" for name in names]
    for trait in TRAITS:
        values = np.where(scores["status"] == "ok", random.uniform(3, 9.5, len(names)).round(3), np.nan)
        scores[trait], scores[f"{trait}_low"], scores[f"{trait}_high"] = values, values - 1, values + 0.4
    return scores


class Made:
    """Ranked candidates with their pictures in a folder."""

    def __init__(self, folder, count):
        names = [*ODD, *(f"{'stage' if i % 2 else 'office'}/{i:04d}.png" for i in range(count - len(ODD)))]
        self.failed = names[-1]
        self.folder = folder / "portraits"
        self.images = {name: picture(i) for i, name in enumerate(names)}
        for name, data in self.images.items():
            (self.folder / name.rpartition("/")[0]).mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(data)
        scores = make_scores(names, (self.failed,))
        self.excluded = names[9]
        self.copies = names[5:8]
        self.table = simulated.rank(
            scores,
            TRAITS,
            BASELINE,
            default_goals(TRAITS),
            3,
            covariance=0.1 * np.eye(3),
            copies=dict.fromkeys(self.copies, "office/0000.png"),
            reasons={"faces": {self.excluded: "2 faces in the picture"}, "blurred": {self.excluded: "blurred"}},
        )

        free = self.table[(self.table["status"] == "ok") & (self.table["demoted"] == "")]
        free = free.sort_values("p_better", ascending=False, kind="stable").head(MAX_CANDIDATES)
        difference = score_to_z(free[list(TRAITS)].to_numpy()) - score_to_z([BASELINE[trait] for trait in TRAITS])
        moments = [(difference, 0.1 * np.eye(difference.size))]
        draws = draw_together(moments, np.ones(1), score_to_z(list(BASELINE.values())), TRAITS, default_goals(TRAITS))
        n = len(free)
        self.contenders = Contenders(
            tuple(free["image"]), np.zeros(n, dtype=bool), np.zeros((n, n), dtype=bool), 3, together=False, draws=draws
        )
        chance = float(draws.together(np.arange(3)).chance[-1])
        self.advice = Advice(3, chance, chance, chance)

    def page(self, token=None, **options):
        values = {name: TraitValue(value, 4.0, 9.0) for name, value in BASELINE.items()}
        summary = summarize_ranking(
            self.table,
            TRAITS,
            default_goals(TRAITS),
            BaselinePicture("now.jpg", "predicted from the picture", values),
            {"Predictor": "models/made"},
            advice=self.advice,
            contenders=self.contenders,
            ratings=RatingsOrigin("made.csv", 100, 90, simulated=True),
        )
        return render_ranking(summary, self.images, picture(99), token, **options)

    def scored(self):
        return self.table[self.table["status"] == "ok"]


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    return Made(tmp_path_factory.mktemp("made"), 40)


@pytest.fixture(scope="session")
def report(made, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(made.page(), "utf-8")
    return path


@pytest.fixture
def page(browser, report):
    """The report opened from disk, without a network; every error in the page fails the test."""
    context = browser.new_context(accept_downloads=True, offline=True, viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    errors, asked = [], []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    opened.on("dialog", lambda dialog: errors.append(f"dialog: {dialog.message}"))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(report.as_uri())
    opened.locator("#check").select_option("scored")
    yield opened
    context.close()
    assert errors == []
    assert {url.split(":")[0] for url in asked} <= {"file", "data", "blob"}
