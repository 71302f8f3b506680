import json

from click.testing import CliRunner

from prescreen import workflow
from prescreen.cli import main

REPORT = {"n": 12, "traits": {"smart": {"n": 12, "pearson": {"value": 0.5, "low": 0.1, "high": 0.8}}}}


def test_all_figures_and_the_headline_go_to_their_files(tmp_path, monkeypatch):
    monkeypatch.setattr(workflow, "evaluate", lambda *given, **options: REPORT)
    files = {name: tmp_path / f"{name}.json" for name in ("json", "metrics")}
    options = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    CliRunner().invoke(main, ["evaluate", "--predictor", "p", "--ratings", "r.csv", *options])
    assert json.loads(files["json"].read_text()) == REPORT
    assert json.loads(files["metrics"].read_text()) == {"smart": {"r": 0.5}}
