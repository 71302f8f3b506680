"""Names of traits that are hard on options, tables and MLflow, from the ratings to the export."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from prescreen.evaluation.headline_metrics import metric_groups
from prescreen.predictor.scores_table import score_columns
from prescreen.ranking.ranked_table import ranked_columns
from prescreen.text import quoted
from prescreen.tracking import safe_name

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
QUESTION = "How trustworthy, on a scale from 0 to 10, would you say the person in this photo looks at first sight? " * 3
NAMES = ("warm, kind", 'a=b "quoted"', QUESTION.strip(), "💡 ähnlich/nett?", "=1+1", "a.b", "smile_score")
OPTION = ",".join(map(quoted, NAMES))


@pytest.fixture(scope="module")
def place(shell, tmp_path_factory):
    """A folder in which a predictor was trained on the names, and its pictures were scored."""
    folder = tmp_path_factory.mktemp("odd")
    here = type(shell)(folder, shell.cache)
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    with (folder / "votes.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "trait", "vote", "rater"])
        for picture in sorted((SAMPLE / "training" / "images").iterdir())[:14]:
            shutil.copy(picture, folder / "images")
            for trait in NAMES:
                rows.writerows([picture.name, trait, rng.integers(0, 11), f"r{rater}"] for rater in range(3))
    done = here("train", "--ratings", "votes.csv", "--encoder", "bundled", "--output", "models/odd", "--traits", OPTION)
    assert done.returncode == 0, done.stderr
    assert here("score", "images", "--predictor", "models/odd", "--output", "scores.csv").returncode == 0
    return here


def test_each_figure_has_a_name_of_its_own_in_mlflow(place):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{place.folder}/mlruns/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("prescreen").experiment_id])
    (run,) = (run for run in runs if "prescreen.traits" in run.data.tags)
    assert json.loads(run.data.tags["prescreen.traits"]) == list(NAMES)
    groups = tuple(f"{safe_name(group)}/" for group in (*metric_groups(NAMES), "system"))
    assert not [name for name in run.data.metrics if not name.startswith(groups)]
    for figure in ("pearson", "rmse", "coverage_share"):
        assert sum(name.endswith(f"/{figure}") for name in run.data.metrics if "all_traits" not in name) == (
            len(NAMES) + (figure == "pearson")  # and the mean over the traits
        )
    (listed,) = place("models", "list").stdout.splitlines()[1:]
    assert all(quoted(name) in listed for name in NAMES)
    compared = place("models", "compare", "1", "1").stdout
    assert compared.count("+0.000") == 1 + 2 * len(NAMES)


def test_the_tables_have_the_columns_that_names_are_checked_against(place):
    done = place(
        "rank", "scores.csv", "--baseline", f"{quoted(NAMES[0])}=4,{quoted(NAMES[1])}=4", "--votes", "60",
        "--improve", quoted(NAMES[0]), "--keep", quoted(NAMES[1]), "--gates", "none", "--output", "shortlist.csv",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for table, columns in (("scores.csv", score_columns(NAMES)), ("shortlist.csv", ranked_columns(NAMES))):
        with (place.folder / table).open(newline="") as file:
            assert [name.removeprefix("'") for name in next(csv.reader(file))] == columns


@pytest.mark.parametrize("tool", ["label-studio", "fiftyone"])
def test_every_trait_is_in_what_other_tools_get(place, tool):
    assert place("export", "scores.csv", "--to", tool, "--output", tool).returncode == 0
    if tool == "label-studio":
        (task, *_) = json.loads((place.folder / tool / "tasks.json").read_text())
        assert [region["from_name"] for region in task["predictions"][0]["result"]] == list(NAMES)
    else:
        (sample, *_) = json.loads((place.folder / tool / "samples.json").read_text())["samples"]
        assert sum(isinstance(value, dict) for value in sample.values()) == len(NAMES)


def test_results_of_odd_traits_are_learned(place):
    scored = pd.read_csv(place.folder / "scores.csv")
    images = scored.loc[scored["status"] == "ok", "image"].head(3)
    pd.DataFrame({"image": images} | dict.fromkeys(NAMES[:2], 7)).to_csv(place.folder / "results.csv", index=False)
    done = place(
        "learn", "results.csv", "--predictor", "models/odd", "--output", "models/me", "--scores", "scores.csv",
        "--traits", ",".join(map(quoted, NAMES[:2])), "--baseline", f"{quoted(NAMES[0])}=4",
        "--improve", quoted(NAMES[0]), "--keep", "", "--gates", "none", "--shortlist", "next.csv",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    history = (place.folder / "next.csv").read_text().splitlines()
    assert len(history) == 15


def test_evaluating_and_effects_take_them(place):
    done = place("evaluate", "--predictor", "models/odd", "--ratings", "votes.csv", "--json", "evaluation.json")
    assert done.returncode == 0, done.stderr
    evaluation = json.loads((place.folder / "evaluation.json").read_text())
    assert list(evaluation["traits"]) == list(NAMES)
    scored = pd.read_csv(place.folder / "scores.csv")
    tags = pd.DataFrame({"image": scored["image"], "light": ["warm", "cold"] * 7})
    tags.to_csv(place.folder / "tags.csv", index=False)
    done = place("effects", "scores.csv", "--tags", "tags.csv", "--gates", "none", "--output", "effects.jsonl")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (place.folder / "effects.jsonl").read_text().splitlines()]
    assert {line["trait"] for line in lines} == set(NAMES)


def test_a_name_that_is_taken_is_refused_before_the_work(place):
    votes = (place.folder / "votes.csv").read_text().replace("smile_score", "votes")
    (place.folder / "taken.csv").write_text(votes)
    before = len(place("models", "list").stdout.splitlines())
    done = place("train", "--ratings", "taken.csv", "--traits", "votes,a.b", "--encoder", "clip")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "prescreen: error: trait 'votes': 'votes' would also be a column of the shortlist that means something else; "
        "rename it: --traits NEW=votes,a.b"
    )
    assert len(place("models", "list").stdout.splitlines()) == before
