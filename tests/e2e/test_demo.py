import json
import re

import pandas as pd

from prescreen.predictor.predictor import Predictor


def test_demo_says_what_it_found_where_it_is_and_what_comes_next(shell, demo):
    text = (shell.folder / "demo.txt").read_text()
    for name in ("report.html", "shortlist.csv", "scores.csv", "models/sample"):
        assert name in text
        assert (demo / name).exists()
    assert "simulated votes" in text
    assert "prescreen train --ratings" in text


def test_every_candidate_has_a_row_and_the_broken_one_its_reason(demo):
    scores = pd.read_csv(demo / "scores.csv")
    assert len(scores) == 40
    assert scores["image"].tolist() == sorted(scores["image"])
    failed = scores[scores["status"] == "failed"]
    assert len(failed) == 1
    assert "truncated" in failed["reason"].iloc[0]
    good = scores[scores["status"] == "ok"]
    for trait in ("competence", "likeability", "influence"):
        assert good[trait].between(0, 10).all()
        assert (good[f"{trait}_low"] < good[trait]).all()
        assert (good[trait] < good[f"{trait}_high"]).all()
        assert good[f"{trait}_raw"].between(-0.5, 3.5).all()


def test_the_shortlist_holds_the_likeliest_first_and_no_near_copies(demo):
    table = pd.read_csv(demo / "shortlist.csv", keep_default_na=False)
    assert len(table) == 40
    assert table["rank"].tolist() == list(range(1, 41))
    first = table.head(3)
    assert first["selected"].all()
    assert not table["selected"].iloc[3:].any()
    chances = pd.to_numeric(first["p_better"])
    assert chances.is_monotonic_decreasing
    assert (first["demoted"] == "").all()


def test_cross_validated_accuracy_of_the_sample_is_well_above_chance_and_below_its_ceiling(demo):
    evaluation = Predictor.load(demo / "models" / "sample").evaluation.to_json()
    for trait in evaluation["traits"].values():
        assert 0.35 < trait["pearson"]["value"] < trait["ceiling"]["highest_r"]
        assert trait["mae"]["value"] < trait["naive"]["mae"]["value"]
        assert trait["within_person"] is not None


def test_the_report_is_one_file_that_says_simulated(demo):
    page = (demo / "report.html").read_text()
    assert "simulated" in page.lower()
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', page)


def test_the_note_beside_the_scores_names_predictor_and_encoder(demo):
    note = json.loads((demo / "scores.csv.meta.json").read_text())
    predictor = Predictor.load(demo / "models" / "sample")
    assert note["predictor_sha256"] == predictor.fingerprint
    assert note["encoder"] == "bundled"
    assert note["simulated"] is True
    assert (note["scored"], note["failed"]) == (39, 1)
