import os
import re

import numpy as np
import pandas as pd
import pytest

import simulated
from prescreen.errors import UsageError
from prescreen.ranking.goals import Goals, default_goals
from prescreen.ranking.probability import p_better
from prescreen.ranking.ranked_table import best_first, check_scored, pareto_front
from prescreen.ratings.vote_noise import score_to_z
from prescreen.storage.tables import read_table, write_table
from prescreen.text import percent

TRAITS = ("competence", "likeability", "influence")
BASELINE = {"competence": 6.0, "likeability": 7.0, "influence": 5.0}
COVARIANCE = 0.2 * np.eye(3) + 0.1


def scored(rows):
    """Build a score table from {name: (competence, likeability, influence) or the reason of a failure}."""
    records = []
    for image, values in rows.items():
        failed = isinstance(values, str)
        record = {"image": image, "status": "failed" if failed else "ok", "reason": values if failed else ""}
        for t, trait in enumerate(TRAITS):
            score = np.nan if failed else float(values[t])
            record |= {trait: score, f"{trait}_low": score - 1, f"{trait}_high": score + 1}
        records.append(record)
    frame = pd.DataFrame({key: [record[key] for record in records] for key in records[0] if key != "image"})
    frame.insert(0, "image", pd.Series([record["image"] for record in records], dtype=object))
    return frame


def ranked(rows, budget=1, goals=None, baseline=BASELINE, **options):
    scores = rows if isinstance(rows, pd.DataFrame) else scored(rows)
    return simulated.rank(
        scores, TRAITS, baseline, goals or default_goals(TRAITS), budget, covariance=COVARIANCE, **options
    )


FOUR = {"low": (4, 4, 4), "good": (8, 7.5, 7), "broken": "no face", "best": (9, 8, 8), "level": (6, 7, 5)}


def test_best_chance_first_failures_last_and_nothing_dropped():
    table = ranked(FOUR)
    assert table["image"].tolist() == ["best", "good", "level", "low", "broken"]
    assert table["rank"].tolist() == [1, 2, 3, 4, 5]
    assert table["p_better"][:4].is_monotonic_decreasing
    assert np.isnan(table["p_better"][4])


def test_the_contract_columns_lead_and_the_traits_are_the_predicted_ones():
    table = ranked(FOUR)
    assert list(table.columns[:3]) == ["rank", "image", "p_better"]
    assert table.loc[0, ["competence", "competence_low", "competence_high"]].tolist() == [9, 8, 10]
    assert {"why", "status", "reason", "pareto", "selected"} <= set(table.columns)


def test_the_chances_are_those_of_the_joint_distribution():
    table = ranked(FOUR)
    level = score_to_z(list(BASELINE.values()))
    expected = p_better(score_to_z([[9.0, 8.0, 8.0]]) - level, COVARIANCE, level, TRAITS, default_goals(TRAITS))
    assert table["p_better"][0] == pytest.approx(expected.joint[0], abs=1e-6)
    chances = table.loc[0, ["p_competence", "p_likeability", "p_influence"]].astype(float)
    np.testing.assert_allclose(chances, expected.per_trait[0], atol=1e-6)


def test_equal_chances_stand_in_the_order_of_names():
    table = ranked(dict.fromkeys(("c", "a", "b"), (7, 7, 7)))
    assert table["image"].tolist() == ["a", "b", "c"]


@pytest.mark.parametrize(("budget", "chosen"), [(1, 1), (3, 3), (99, 4)])
def test_the_first_rows_are_the_shortlist_and_failures_never_are(budget, chosen):
    assert ranked(FOUR, budget)["selected"].tolist() == [True] * chosen + [False] * (5 - chosen)


def test_candidates_stand_by_chance_and_name_and_those_without_one_do_not_compete():
    assert best_first(["b", "a", "c", "d"], np.array([0.5, 0.5, np.nan, 0.7])).tolist() == [3, 1, 0]


def test_a_near_copy_moves_behind_the_shortlist_and_says_so():
    scores = scored({"a": (9, 8, 8), "a2": (8.9, 8, 8), "b": (8, 8, 7), "c": (4, 4, 4)})
    table = ranked(scores, 2, copies={"a2": "a"})
    assert table["image"].tolist() == ["a", "b", "a2", "c"]
    assert table["selected"].tolist() == [True, True, False, False]
    assert table["duplicate_of"].tolist() == ["", "", "a", ""]
    assert table["why"][2].startswith("near-copy of a; influence +3.0, competence +2.9")
    assert table["p_better"][2] > table["p_better"][1]


def test_several_reasons_are_all_told_in_their_order():
    reasons = {"eyes": {"a": "crossed"}, "nose": {"a": "off"}}
    table = ranked({"a": (9, 8, 8), "b": (8, 8, 7)}, copies={"a": "b"}, reasons=reasons)
    assert table["image"].tolist() == ["b", "a"]
    assert table["gates"].tolist() == ["", "eyes,nose,copies"]
    assert table["demoted"][1] == "crossed; off; near-copy of b"


@pytest.mark.parametrize(
    ("values", "gain", "risk"),
    [
        (
            (7.1, 6.7, 5.8),
            "competence +1.1, influence +0.8 over your current photo",
            "likeability -0.3 (# % to keep it)",
        ),
        (
            (6.2, 7, 6.5),
            "influence +1.5, competence +0.2 over your current photo",
            "likeability level (50 % to keep it)",
        ),
        (
            (7, 8, 4),
            "competence +1.0 over your current photo",
            "influence -1.0 (# % to beat it), likeability +1.0 (# % to keep it)",
        ),
        (
            (5, 7, 5),
            "no gain expected",
            "competence -1.0 (# % to beat it), influence level (50 % to beat it), likeability level (50 % to keep it)",
        ),
    ],
)
def test_why_tells_gain_and_risk(values, gain, risk):
    why = ranked({"a": values})["why"].tolist()[0]
    assert re.sub(r"\d+ %", "# %", why) == re.sub(r"\d+ %", "# %", f"{gain}; {risk}")


def test_why_of_a_failure_is_its_reason():
    table = ranked(FOUR)
    assert table["why"].tolist()[-1] == "failed: no face"
    assert table["status"].tolist()[-1] == "failed"


def test_a_picture_without_numbers_counts_as_failed_whatever_its_status():
    scores = scored({"a": (7, 7, 7), "b": (7, 7, 7)})
    scores.loc[0, "influence"] = np.nan
    table = ranked(scores)
    assert table["image"].tolist() == ["b", "a"]
    assert table["why"][1] == "failed: no prediction"


def test_scores_of_a_failed_row_do_not_show():
    scores = scored({"a": (7, 7, 7), "b": (9, 9, 9)})
    scores.loc[1, "status"] = "failed"
    assert ranked(scores).loc[1, ["competence", "competence_low", "p_competence"]].isna().all()


def test_a_trait_without_goal_needs_no_baseline():
    table = ranked({"a": (7, 7, 7)}, goals=Goals(("influence",)), baseline={"influence": 5.0})
    assert np.isnan(table["p_competence"][0])
    assert table["p_better"][0] == table["p_influence"][0] > 0.5
    assert "competence" not in table["why"][0]


def test_odd_names_are_ranked_and_survive_the_way_to_disk(tmp_path):
    names = {os.fsdecode(b"\xff.jpg"): (7, 7, 7), "=cmd": (8, 8, 8), "two\nlines": "no face"}
    table = ranked(names, copies={next(iter(names)): "=cmd"})
    write_table(table, tmp_path / "t.csv")
    back = read_table(tmp_path / "t.csv")
    assert back["image"].tolist() == ["=cmd", os.fsdecode(b"\xff.jpg"), "two\nlines"]
    assert back["why"].tolist() == table["why"].tolist()


def test_the_given_table_is_left_alone():
    scores = scored(FOUR)
    before = scores.copy()
    ranked(scores)
    pd.testing.assert_frame_equal(scores, before)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.drop(columns="influence_low"), "'influence_low'"),
        (lambda s: s.assign(influence="high"), "'influence' is not all numbers"),
        (lambda s: pd.concat([s, s], ignore_index=True), "two rows"),
    ],
)
def test_a_table_that_cannot_be_ranked_is_refused(change, said):
    check_scored(scored(FOUR), TRAITS)
    with pytest.raises(UsageError, match=said):
        check_scored(change(scored(FOUR)), TRAITS)


def test_a_trait_whose_columns_would_clash_is_refused():
    scores = scored(FOUR).rename(columns=lambda name: name.replace("competence", "better"))
    with pytest.raises(UsageError, match="'p_better'"):
        check_scored(scores, ("better",))


def test_pareto_front_by_hand():
    values = np.array([[1, 5], [5, 1], [3, 3], [2, 2], [3, 3], [5, 0], [np.nan, 9]], dtype=float)
    assert pareto_front(values).tolist() == [True, True, True, False, True, False, False]


def test_pareto_front_agrees_with_comparing_all_pairs():
    values = np.random.default_rng(0).integers(0, 12, size=(300, 3)).astype(float)
    beaten = ((values[:, None] <= values).all(axis=2) & (values[:, None] < values).any(axis=2)).any(axis=1)
    assert (pareto_front(values) == ~beaten).all()


@pytest.mark.parametrize(
    ("chance", "text"), [(0.0, "under 1 %"), (0.006, "1 %"), (0.584, "58 %"), (0.994, "99 %"), (1.0, "over 99 %")]
)
def test_percentages_are_never_certain(chance, text):
    assert percent(chance) == text
