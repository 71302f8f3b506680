"""``rank --zero-shot`` with a tiny CLIP model of random weights: the arithmetic, the marks and the refusals."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from prescreen.cli.main import main
from prescreen.embeddings.pipeline import EmbeddingCache
from prescreen.encoders import make_encoder
from prescreen.encoders.text_similarity import embed_texts
from prescreen.ranking.prompts import CAPTIONS, captions
from prescreen.storage.tables import read_table

SAMPLE = Path(__file__).parents[2] / "data" / "sample"


@pytest.fixture(scope="module")
def work(tmp_path_factory, clip_folder):
    """A folder with four pictures, one of them twice, a broken one and one of nobody."""
    folder = tmp_path_factory.mktemp("zero-shot")
    pictures = folder / "portraits"
    pictures.mkdir()
    for name in ("001.jpg", "010.jpg", "020.jpg", "027.jpg"):
        shutil.copy(SAMPLE / "candidates" / name, pictures / name)
    shutil.copy(pictures / "020.jpg", pictures / "copy.jpg")
    (pictures / "broken.jpg").write_bytes((pictures / "001.jpg").read_bytes()[:500])
    Image.new("RGB", (300, 300), (90, 120, 150)).save(pictures / "nobody.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRESCREEN_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def encoder(clip_folder):
    return f"clip:tiny@{clip_folder}"


def rank(*words):
    return CliRunner().invoke(main, ["rank", "portraits", "--zero-shot", *map(str, words)])


@pytest.fixture(scope="module")
def done(work, encoder):
    words = ["--encoder", encoder, "--baseline", SAMPLE / "baseline.jpg", "--budget", "2", "--no-gates", "person"]
    done = rank(*words, "--output", "order.csv", "--report", "order.html")
    assert done.exit_code == 0, done.stderr
    return done


@pytest.fixture
def table(done, work):
    return read_table(work / "order.csv")


def test_every_picture_has_a_row_and_doubtful_ones_stand_behind(table):
    assert sorted(table["image"]) == sorted(
        ["001.jpg", "010.jpg", "020.jpg", "027.jpg", "broken.jpg", "copy.jpg", "nobody.png"]
    )
    assert table["rank"].tolist() == list(range(1, 8))
    assert table["selected"].tolist() == [True, True] + [False] * 5
    by = table.set_index("image")
    assert by.loc["broken.jpg", "status"] == "failed"
    assert by.loc["broken.jpg", "rank"] == 7
    assert "faces" in by.loc["nobody.png", "gates"]
    twins = by.loc[["020.jpg", "copy.jpg"], "duplicate_of"].tolist()
    assert sorted(twins) == ["", "020.jpg"] or sorted(twins) == ["", "copy.jpg"]
    assert not by.loc[by["gates"] != "", "selected"].any()


def test_the_order_is_that_of_the_captions_and_the_pictures_of_the_model(table, work, encoder, done):
    specification = make_encoder(encoder).specification
    said = embed_texts(specification.members[0], captions())
    seen = {}
    with EmbeddingCache() as cache:
        for name in table.loc[table["status"] == "ok", "image"]:
            content = hashlib.sha256((work / "portraits" / name).read_bytes()).hexdigest()
            vector = cache.get(content, specification.fingerprint, specification.dimension)[0]
            whole = vector[specification.blocks["open_clip:tiny/whole"]].astype(float)
            seen[name] = said @ whole / np.linalg.norm(whole)
    contrast = pd.Series({name: row[:3].mean() - row[3:6].mean() for name, row in seen.items()})
    expected = (contrast - contrast.mean()) / contrast.std(ddof=0)
    found = table.set_index("image")["competence_words"]
    np.testing.assert_allclose(found[expected.index], expected, atol=2e-3)
    chosen = table[table["selected"]]["order_by"]
    assert chosen.is_monotonic_decreasing
    free = table[(table["gates"] == "") & (table["status"] == "ok")]
    assert free["order_by"].max() == chosen.iloc[0]


def test_it_is_marked_as_uncalibrated_in_table_note_page_and_message(table, work, done):
    assert set(table["basis"]) == {"words alone, uncalibrated"}
    note = json.loads((work / "order.csv.meta.json").read_text())
    assert (note["kind"], note["calibrated"]) == ("zero-shot", False)
    assert set(note["captions"]) == set(CAPTIONS)
    page = (work / "order.html").read_text()
    assert "Uncalibrated: an order, no scores" in page
    assert page.count('<article class="card">') == 6
    assert "http" not in re.sub(r"http-equiv", "", page)
    assert done.stdout.count("(words alone, uncalibrated)") == 2
    assert "6 ranked, 1 failed: 1 " in done.stderr
    assert "no ratings were learned from, nothing is calibrated" in done.stderr


def test_nothing_looks_like_a_score_an_interval_or_a_chance(table):
    assert not {*CAPTIONS, "p_better", "competence_low", "competence_raw", "p_competence"} & set(table.columns)
    assert "%" not in " ".join(table["why"])


def test_the_same_order_again_and_without_a_present_picture_around_the_mean(table, work, encoder, done):
    before = (work / "order.csv").read_bytes()
    again = rank("--encoder", encoder, "--baseline", SAMPLE / "baseline.jpg", "--budget", "2", "--no-gates", "person",
                 "--output", "again.csv", "-q")  # fmt: skip
    assert (again.exit_code, again.stderr) == (0, "")
    assert (work / "again.csv").read_bytes() == before
    rank("--encoder", encoder, "--improve", "likeability", "--keep", "", "--gates", "none", "--output", "mean.csv")
    mean = read_table(work / "mean.csv")
    ok = mean[mean["status"] == "ok"]
    assert ok["order_by"].mean() == pytest.approx(0, abs=0.01)
    np.testing.assert_allclose(ok["order_by"], ok["likeability_words"])
    assert ok["image"].tolist()[:2] == mean.loc[mean["selected"], "image"].tolist()[:2]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--encoder", "bundled"], "learned from pictures alone and cannot compare them with words"),
        (["--votes", "100"], "--votes: has no meaning with --zero-shot"),
        (["--wanted", "10"], "--wanted: has no meaning with --zero-shot"),
        (["--improve-margin", "0.5"], "--improve-margin: has no meaning"),
        (["--baseline", "competence=8"], "scores cannot be compared with words"),
        (["--baseline", "none.jpg"], "no such picture"),
        (["--predictor", "models/x"], "--predictor: has no meaning"),
        (["--improve", "charm"], "charm"),
    ],
)
def test_what_has_no_meaning_is_refused_with_the_reason(work, encoder, words, says):
    given = words if "--encoder" in words else [*words, "--encoder", encoder]
    refused = rank(*given, "--output", "refused.csv")
    assert refused.exit_code == 2
    assert says in refused.stderr
    assert not (work / "refused.csv").exists()


def test_a_folder_without_usable_pictures_is_nothing_scored(work, encoder):
    (work / "empty").mkdir(exist_ok=True)
    words = ["rank", "empty", "--zero-shot", "--encoder", encoder, "--output", "refused.csv"]
    assert CliRunner().invoke(main, words).exit_code == 3
    shutil.copy(work / "portraits" / "broken.jpg", work / "empty" / "broken.jpg")
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 3
    assert "none of the 1 pictures could be used" in done.stderr


def test_its_table_is_not_taken_for_scores(work, done):
    refused = CliRunner().invoke(main, ["rank", "order.csv", "--baseline", "competence=5", "--output", "refused.csv"])
    assert refused.exit_code == 2
    assert "a zero-shot ranking, without scores" in refused.stderr


def test_the_options_that_belong_to_one_way_of_ranking_are_refused_by_the_other(work):
    foreign = CliRunner().invoke(main, ["rank", "scores.csv", "--encoder", "clip", "--output", "x.csv"])
    assert foreign.exit_code == 2
    assert "--encoder: goes with --zero-shot" in foreign.stderr
