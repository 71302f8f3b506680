"""The stages in dvc.yaml depend on the code that their results come from."""

import tomllib
from pathlib import Path

import grimp
import pytest
import yaml

ROOT = Path(__file__).parents[1]
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))
STAGES = PIPELINE["stages"]
LEFT_OUT = {
    "prescreen", "prescreen.cli", "prescreen.errors", "prescreen.process", "prescreen.progress", "prescreen.reports",
    "prescreen.serving", "prescreen.settings", "prescreen.storage", "prescreen.text", "prescreen.tracking",
    "prescreen.workflow.inputs", "prescreen.workflow.run_records", "prescreen.workflow.trait_names",
}  # fmt: skip
"""Code that no result of a stage comes from: it reads, writes, checks names, and reports."""


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph("prescreen", cache_dir=None)


def is_below(module, names):
    parts = module.split(".")
    return any(".".join(parts[:length]) in names - {"prescreen"} for length in range(2, len(parts) + 1))


def imports(graph, start, left_out):
    """Return what a module imports, directly or not; nothing is followed through what is left out."""
    found, waiting = set(), [start]
    while waiting:
        module = waiting.pop()
        if module in found or module == "prescreen" or is_below(module, left_out):
            continue
        found.add(module)
        waiting += graph.find_modules_directly_imported_by(module)
    return found


def file_of(module):
    path = ROOT / "src" / Path(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_a_stage_depends_on_the_code_it_runs_and_on_no_other(graph, stage):
    named = [ROOT / dependency for dependency in STAGES[stage]["deps"] if dependency.startswith("src/")]
    assert all(path.exists() for path in named)
    needed = {
        file_of(module)
        for module in imports(
            graph, f"prescreen.workflow.{stage}", LEFT_OUT - ({"prescreen.reports"} if stage == "rank" else set())
        )
    }
    missing = {file for file in needed if not any(file.is_relative_to(path) for path in named)}
    assert not missing, f"dvc.yaml, stage {stage}: name {sorted(str(file.relative_to(ROOT)) for file in missing)}"
    idle = [path for path in named if not any(file.is_relative_to(path) for file in needed)]
    assert not idle, f"dvc.yaml, stage {stage}: does not run {idle}"


def test_a_page_is_drawn_again_without_training_again():
    template = ROOT / "src/prescreen/reports/templates/ranking.html.j2"
    assert template.is_file()
    run_again = {
        stage
        for stage, content in STAGES.items()
        if any(template.is_relative_to(ROOT / dependency) for dependency in content["deps"])
    }
    assert run_again == {"rank"}


def test_the_lock_knows_each_stage_and_no_place_of_this_machine():
    lock = yaml.safe_load((ROOT / "dvc.lock").read_text("utf-8"))
    assert set(lock["stages"]) == set(STAGES)
    for stage, content in lock["stages"].items():
        assert {part["path"] for part in content["deps"]} == set(STAGES[stage]["deps"])
        assert not any(Path(part["path"]).is_absolute() for part in (*content["deps"], *content["outs"]))


def test_the_predictor_is_an_artifact_that_a_stage_writes():
    artifact = PIPELINE["artifacts"]["predictor"]
    assert artifact["path"] in STAGES["train"]["outs"]
    assert artifact["type"] == "model"


def test_mlflow_has_an_upper_bound():
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    assert [text for text in wanted if text.startswith("mlflow")] == ["mlflow>=3.14,<4"]
