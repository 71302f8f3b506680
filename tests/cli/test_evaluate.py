import json
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from prescreen.cli.main import main
from prescreen.errors import PredictorMismatch
from prescreen.evaluation.metrics import Estimate
from prescreen.evaluation.report import Evaluation, TraitEvaluation
from prescreen.workflow import evaluate

REPORT = Evaluation(n=12, traits=(TraitEvaluation("smart", 12, pearson=Estimate(0.5, 0.1, 0.8)),))


def test_all_figures_and_the_headline_go_to_their_files(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "evaluate", lambda *given, **options: REPORT)
    files = {name: tmp_path / f"{name}.json" for name in ("json", "metrics")}
    options = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    done = CliRunner().invoke(main, ["evaluate", "--predictor", "p", "--ratings", "r.csv", *options])
    assert done.exit_code == 0
    assert json.loads(files["json"].read_text()) == REPORT.to_json()
    first, _, row = done.stdout.splitlines()
    assert first.startswith("Not usable for smart: r 0.50 [0.10, 0.80] on 12 pictures, too few to tell")
    assert row.split()[:4] == ["smart", "12", "0.50", "[0.10,"]
    everything = CliRunner().invoke(main, ["evaluate", "--predictor", "p", "--ratings", "r.csv", "-v"])
    assert "0.500 [0.100, 0.800]" in everything.stdout
    assert "naive MAE" in everything.stdout
    assert json.loads(files["metrics"].read_text()) == {"smart": {"r": 0.5}}


def test_ratings_on_another_scale_are_refused_before_a_picture_is_read(tmp_path, monkeypatch):
    names = [f"{number}.jpg" for number in range(12)]
    for name in names:
        (tmp_path / name).write_bytes(b"never read")
    rows = [f"{name},smart,{place % 4}" for place, name in enumerate(names)]
    (tmp_path / "votes.csv").write_text("\n".join(["image,trait,vote", *rows]))
    manifest = SimpleNamespace(scale="0:10", data={"sha256": "another file", "columns": {}})
    monkeypatch.setattr(evaluate, "load_predictor", lambda place: SimpleNamespace(traits=("smart",), manifest=manifest))
    with pytest.raises(
        PredictorMismatch, match=r"votes on the scale 0:3, the predictor was trained on 0:10; .* --scale 0:10"
    ):
        evaluate.evaluate(evaluate.EvaluationOptions("models/mine", tmp_path / "votes.csv"))
