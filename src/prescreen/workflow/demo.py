"""The verb ``demo``: the whole job on the sample portraits."""

from dataclasses import dataclass
from pathlib import Path

from prescreen.errors import UsageError
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
        Folder of the sample, by default ``data/sample`` of the repository.
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
    """Return the folder of the sample: below the working directory, or in the repository that this module lies in.

    Raises
    ------
    UsageError
        If it is in neither.
    """
    for root in (Path.cwd(), Path(__file__).parents[3]):
        if (root / "data" / "sample" / "baseline.jpg").is_file():
            return root / "data" / "sample"
    raise UsageError("the sample is in the repository's data/sample; clone it, or name a folder with --sample")
