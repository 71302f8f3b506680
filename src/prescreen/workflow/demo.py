"""The verb ``demo``: the whole job on the sample portraits."""

from dataclasses import dataclass
from pathlib import Path

from prescreen.progress import NullReporter, ProgressReporter
from prescreen.workflow.rank import Ranked, rank
from prescreen.workflow.score import score
from prescreen.workflow.train import Training, TrainingOptions, train


@dataclass(frozen=True)
class Demo:
    """What `demo` made and where."""

    training: Training
    ranking: Ranked
    scores: Path
    shortlist: Path
    report: Path


def demo(output: Path, *, sample: Path | None = None, reporter: ProgressReporter | None = None) -> Demo:
    """Train, score and rank on the sample portraits, whose votes are simulated.

    Parameters
    ----------
    output : Path
        Folder to fill; it gets a predictor, an MLflow store, scores, a shortlist and a report.
    sample : Path, optional
        Folder of the sample, by default `find_sample`.
    reporter : ProgressReporter, optional
        Receives progress messages.
    """
    from prescreen import tracking

    reporter = reporter or NullReporter()
    sample = sample or find_sample()
    scores, shortlist, report = (output / name for name in ("scores.csv", "shortlist.csv", "report.html"))
    with tracking.store_below(output):
        options = TrainingOptions(
            sample / "training" / "votes.csv",
            encoder="bundled",
            output=output / "models" / "sample",
            experiment="demo",
            simulated=True,
        )
        trained = train(options, reporter)
    score([sample / "candidates"], predictor=str(trained.output), output=scores, reporter=reporter)
    ranked = rank(scores, baseline=str(sample / "baseline.jpg"), output=shortlist, report=report, reporter=reporter)
    return Demo(trained, ranked, scores, shortlist, report)


def find_sample() -> Path:
    """Return the folder of the sample: in a clone ``data/sample``, else inside the installed package."""
    clone = Path(__file__).parents[3] / "data" / "sample"
    return clone if clone.is_dir() else Path(__file__).parents[1] / "sample"
