"""Every format of ratings through every command that follows a training: each cell of the table runs to its end.

A new format is one function in `FORMATS`, a new command one in `COMMANDS`. A format is trained on once; the encoder is
a tiny one, the pictures are a few of the sample, and all formats share a cache and a store.
"""

import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure
from mlflow.utils import requirements_utils
from threadpoolctl import threadpool_limits

from prescreen.cli.main import main
from prescreen.predictor.predictor import Predictor
from prescreen.reports import local_server

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
TRAITS = ("competence", "likeability")
RATED, OTHERS = range(1, 22), range(22, 34)
CANDIDATES = tuple(f"{number:03}.jpg" for number in range(27, 37))
BASELINE = SAMPLE / "baseline.jpg"

UNSAID = re.compile(r"\b(None|nan|NaN|unexpected|Traceback)\b|\[-, -\]|\[-1\.000, 1\.000\]")
"""What no reader should find: a figure that is not known is called that, and has no interval."""


# --- the formats ------------------------------------------------------------------------------------------------------


def table_of(*columns: str) -> Callable[[Path, pd.DataFrame], Path]:
    """Return a format that is a CSV with some columns of the single votes."""

    def write(folder: Path, votes: pd.DataFrame) -> Path:
        votes[list(columns)].to_csv(folder / "ratings.csv", index=False)
        return folder / "ratings.csv"

    return write


def means(folder: Path, votes: pd.DataFrame, *, std: bool) -> Path:
    summed = votes.groupby(["image", "trait"])["vote"].agg(mean="mean", votes="size", std="std").reset_index()
    summed.drop(columns=[] if std else "std").to_csv(folder / "ratings.csv", index=False)
    return folder / "ratings.csv"


def scores(folder: Path, votes: pd.DataFrame, *, counted: bool) -> Path:
    wide = wide_scores(votes)
    wide.drop(columns=[] if counted else "votes").to_csv(folder / "ratings.csv", index=False)
    return folder / "ratings.csv"


def semicolons(folder: Path, votes: pd.DataFrame) -> Path:
    """Write scores as Excel does where the comma is the decimal sign."""
    wide_scores(votes).to_csv(folder / "ratings.csv", index=False, sep=";", decimal=",", encoding="utf-8-sig")
    return folder / "ratings.csv"


def excel(folder: Path, votes: pd.DataFrame) -> Path:
    votes[["image", "trait", "vote", "rater", "person"]].to_excel(folder / "ratings.xlsx", index=False)
    return folder / "ratings.xlsx"


def wide_scores(votes: pd.DataFrame) -> pd.DataFrame:
    wide = (votes.pivot_table("vote", "image", "trait") * 10 / 3).round(2)
    return wide.assign(votes=votes.groupby("image").size() // len(TRAITS)).reset_index()


def impressions_votes(folder: Path, votes: pd.DataFrame) -> Path:
    """Write the layout of One Million Impressions with its single ratings."""
    rows = votes.assign(
        stimulus=votes["image"].str.removesuffix(".jpg"), rating=(votes["vote"] * 100 / 3).round(), rating_type="normal"
    ).rename(columns={"trait": "attribute"})
    content = rows[["stimulus", "attribute", "rating", "rating_type"]].to_csv(index=False)
    with zipfile.ZipFile(folder / "attribute_ratings.zip", "w") as packed:
        packed.writestr("attribute_ratings.csv", content)
    return folder


def impressions_means(folder: Path, votes: pd.DataFrame) -> Path:
    """Write the layout of One Million Impressions without its single ratings."""
    wide = (votes.pivot_table("vote", "image", "trait") * 100 / 3).round(2).reset_index()
    wide.assign(stimulus=wide.pop("image").str.removesuffix(".jpg")).to_csv(folder / "attribute_means.csv", index=False)
    return folder


def imagefolder(folder: Path, votes: pd.DataFrame, *, lines: bool) -> Path:
    rows = wide_scores(votes).rename(columns={"image": "file_name"})
    if lines:
        rows.to_json(folder / "images" / "metadata.jsonl", orient="records", lines=True)
    else:
        rows.to_csv(folder / "images" / "metadata.csv", index=False)
    return folder / "images"


def label_studio(folder: Path, votes: pd.DataFrame) -> Path:
    def annotation(rater: str, rows: pd.DataFrame) -> dict:
        found = [
            {"type": "number", "from_name": trait, "to_name": "image", "value": {"number": int(vote)}}
            for trait, vote in zip(rows["trait"], rows["vote"], strict=True)
        ]
        return {"completed_by": int(rater[1:]), "result": found}

    tasks = [
        {
            "data": {"image": f"/data/local-files/?d=images/{image}", "name": image},
            "annotations": [annotation(rater, given) for rater, given in rows.groupby("rater")],
        }
        for image, rows in votes.groupby("image")
    ]
    (folder / "export.json").write_text(json.dumps(tasks))
    return folder / "export.json"


def parquet(folder: Path, votes: pd.DataFrame, *, index: bool) -> Path:
    rows = votes[votes["vote"] >= 0]  # pandas keeps the index of a selection, and a plain one as metadata
    (rows.set_index("image") if index else rows.reset_index(drop=True)).to_parquet(folder / "ratings.parquet")
    return folder / "ratings.parquet"


FORMATS: dict[str, Callable[[Path, pd.DataFrame], Path]] = {
    "votes_rater_person": table_of("image", "trait", "vote", "rater", "person"),
    "votes_rater": table_of("image", "trait", "vote", "rater"),
    "votes_person": table_of("image", "trait", "vote", "person"),
    "votes": table_of("image", "trait", "vote"),
    "means_std": lambda folder, votes: means(folder, votes, std=True),
    "means": lambda folder, votes: means(folder, votes, std=False),
    "scores_votes": lambda folder, votes: scores(folder, votes, counted=True),
    "scores": lambda folder, votes: scores(folder, votes, counted=False),
    "semicolons": semicolons,
    "excel": excel,
    "impressions_votes": impressions_votes,
    "impressions_means": impressions_means,
    "imagefolder_csv": lambda folder, votes: imagefolder(folder, votes, lines=False),
    "imagefolder_jsonl": lambda folder, votes: imagefolder(folder, votes, lines=True),
    "label_studio": label_studio,
    "parquet": lambda folder, votes: parquet(folder, votes, index=False),
    "parquet_index": lambda folder, votes: parquet(folder, votes, index=True),
}
"""Writes ratings into a folder, beside the folder ``images``, and returns what ``--ratings`` gets."""

NO_SPREAD = {
    "means",
    "scores_votes",
    "scores",
    "semicolons",
    "impressions_means",
    "imagefolder_csv",
    "imagefolder_jsonl",
}
"""Formats that do not tell how far the votes of a picture spread: what their noise allows is not known."""


def sampled_votes(numbers: range) -> pd.DataFrame:
    """Return some votes of the sample, on two traits of the pictures of some numbers."""
    votes = pd.read_csv(SAMPLE / "training" / "votes.csv")
    votes = votes[votes["image"].isin([f"{number:03}.jpg" for number in numbers]) & votes["trait"].isin(TRAITS)]
    return votes.groupby(["image", "trait"]).head(15).reset_index(drop=True)


# --- a place to work in -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """A working folder that all formats share, and with it the MLflow store, and the cache."""

    folder: Path
    encoder: str

    def __call__(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        with self.inside(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as a user's process does with those of libraries
            done = CliRunner().invoke(main, [str(word) for word in words], prog_name="prescreen")
        return subprocess.CompletedProcess(words, done.exit_code, done.stdout, done.stderr)

    @contextlib.contextmanager
    def inside(self):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
        kept |= {"PRESCREEN_CACHE": str(self.folder / "cache"), "HF_HUB_OFFLINE": "1"}
        with contextlib.chdir(self.folder), patch.dict(os.environ, kept, clear=True):
            yield


def well(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    """Check that a command ended well and printed nothing that is not for readers."""
    assert done.returncode == 0, done.stderr
    for text in (done.stdout, done.stderr):
        assert not UNSAID.search(text), text
    return done


@dataclass(frozen=True)
class Brought:
    """Ratings in one format, and everything that was made of them, each part at its first use."""

    format: str
    place: Place

    @property
    def folder(self) -> Path:
        return self.place.folder / self.format

    def write(self, part: str, numbers: range) -> Path:
        folder = self.folder / part
        (folder / "images").mkdir(parents=True)
        votes = sampled_votes(numbers)
        for image in votes["image"].unique():
            shutil.copy(SAMPLE / "training" / "images" / image, folder / "images" / image)
        return FORMATS[self.format](folder, votes)

    @cached_property
    def ratings(self) -> Path:
        return self.write("rated", RATED)

    @cached_property
    def training(self) -> subprocess.CompletedProcess[str]:
        words = ("train", "--ratings", self.ratings, "--encoder", self.place.encoder, "--output", self.folder / "model")
        return self.place(*words)

    @cached_property
    def predictor(self) -> Path:
        assert self.training.returncode == 0, self.training.stderr
        return self.folder / "model"

    @property
    def version(self) -> str:
        """Number of its registered model."""
        assert self.training.returncode == 0, self.training.stderr
        return re.search(r"model prescreen version (\d+)", self.training.stderr)[1]

    @cached_property
    def scoring(self) -> subprocess.CompletedProcess[str]:
        pictures = self.folder / "candidates"
        pictures.mkdir(parents=True)
        for name in CANDIDATES:
            shutil.copy(SAMPLE / "candidates" / name, pictures)
        return self.place("score", pictures, "--predictor", self.predictor, "--output", self.folder / "scores.csv")

    @cached_property
    def scores(self) -> Path:
        assert self.scoring.returncode == 0, self.scoring.stderr
        return self.folder / "scores.csv"

    def shortlist(self, name: str, baseline: str | Path, *options: str | Path) -> pd.DataFrame:
        output = self.folder / f"{name}.csv"
        words = ("rank", self.scores, "--baseline", baseline, "--improve", "competence", "--keep", "", "--budget", "2")
        done = well(self.place(*words, "--output", output, *options))
        advice, *lines = done.stdout.splitlines()
        assert "your current photo" in advice
        assert len(lines) == 2
        table = pd.read_csv(output)
        assert table["selected"].sum() == 2
        assert table["p_better"].between(0, 1).all()
        return table


# --- the commands -----------------------------------------------------------------------------------------------------


def trains(brought: Brought) -> None:
    done = well(brought.training)
    verdict, _, *rows = done.stdout.splitlines()
    assert verdict.startswith("Usable")
    assert [row.split()[0] for row in rows[:2]] == list(TRAITS)
    predictor = Predictor.load(brought.predictor)
    assert predictor.traits == TRAITS
    known = brought.format not in NO_SPREAD
    assert (predictor.manifest.reliability["competence"]["icc1"] is not None) == known
    run = re.search(r"MLflow +run (\w+)", done.stderr)[1]
    (artifacts,) = brought.place.folder.glob(f"mlruns/artifacts/*/{run}/artifacts")
    card = (artifacts / "model_card.md").read_text()
    assert not UNSAID.search(card), card
    assert ("leaves possible" in card) == known
    assert ("| competence | unknown |" in card) != known


def evaluates_its_own(brought: Brought) -> None:
    done = well(brought.place("evaluate", "--predictor", brought.predictor, "--ratings", brought.ratings))
    assert done.stdout == brought.training.stdout


def evaluates_others(brought: Brought) -> None:
    files = {name: brought.folder / f"{name}.json" for name in ("json", "metrics")}
    options = [word for name, path in files.items() for word in (f"--{name}", path)]
    others = brought.write("others", OTHERS)
    words = ("evaluate", "--predictor", brought.predictor, "--ratings", others, "--experiment", "others")
    well(brought.place(*words, *options))
    figures = json.loads(files["json"].read_text())
    assert figures["traits"]["competence"]["n"] == len(OTHERS)
    assert (figures["traits"]["competence"]["ceiling"] is None) == (brought.format in NO_SPREAD)
    assert set(json.loads(files["metrics"].read_text())) == set(TRAITS)


def scores_pictures(brought: Brought) -> None:
    well(brought.scoring)
    table = pd.read_csv(brought.scores)
    assert (table["status"] == "ok").all()
    assert np.isfinite(table[list(TRAITS)]).all(axis=None)


def ranks_against_a_picture(brought: Brought) -> None:
    table = brought.shortlist("against_a_picture", BASELINE)
    assert set(table["image"]) == set(CANDIDATES)


def ranks_against_scores(brought: Brought) -> None:
    table = brought.shortlist("against_scores", "competence=5.5,likeability=5", "--baseline-votes", "30")
    assert set(table["image"]) == set(CANDIDATES)


def reports(brought: Brought) -> None:
    page = brought.folder / "report.html"
    brought.shortlist("reported", BASELINE, "--report", page)
    text = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", page.read_text(), flags=re.DOTALL)
    assert not UNSAID.search(text), text
    assert "Pictures" in text or "pictures" in text


def reviews(brought: Brought) -> None:
    pages = []

    def look(app, listener):
        from starlette.testclient import TestClient

        host, port = listener.getsockname()
        client = TestClient(app, base_url=f"http://{host}:{port}", raise_server_exceptions=False)
        pages.append(client)

    words = ("review", brought.scores, "--baseline", BASELINE, "--improve", "competence", "--no-browser")
    with patch.object(local_server, "serve", look):
        done = well(brought.place(*words))
    address = done.stdout.strip()
    answer = pages[0].get(f"/?{address.partition('?')[2]}")
    assert answer.status_code == 200
    assert CANDIDATES[0] in answer.text


def learns(brought: Brought) -> None:
    scores, results = brought.scores, brought.folder / "results.csv"
    results.write_text("image,competence,likeability,votes\n027.jpg,7.1,6.3,30\n030.jpg,4.2,5.5,25\n")
    words = ("learn", results, "--predictor", brought.predictor, "--output", brought.folder / "taught")
    options = ("--scores", scores, "--baseline", BASELINE, "--improve", "competence", "--budget", "1")
    done = well(brought.place(*words, *options, "--shortlist", brought.folder / "next.csv"))
    assert "competence" in done.stdout
    assert Predictor.load(brought.folder / "taught").results is not None
    assert len(pd.read_csv(brought.folder / "next.csv")) == len(CANDIDATES)


def finds_effects(brought: Brought) -> None:
    scores, tags = brought.scores, brought.folder / "tags.csv"
    rows = [f"{name},{'indoors' if place % 2 else 'outdoors'}" for place, name in enumerate(CANDIDATES)]
    tags.write_text("\n".join(["image,scene", *rows]))
    output = brought.folder / "effects.csv"
    well(brought.place("effects", scores, "--tags", tags, "--gates", "none", "--output", output))
    assert set(pd.read_csv(output)["trait"]) == set(TRAITS)


def exports_to_fiftyone(brought: Brought) -> None:
    output = brought.folder / "fiftyone"
    well(brought.place("export", brought.scores, "--to", "fiftyone", "--output", output))
    samples = json.loads((output / "samples.json").read_text())["samples"]
    assert len(samples) == len(CANDIDATES)


def exports_to_label_studio(brought: Brought) -> None:
    output = brought.folder / "label_studio"
    well(brought.place("export", brought.scores, "--to", "label-studio", "--output", output))
    assert len(json.loads((output / "tasks.json").read_text())) == len(CANDIDATES)


def is_listed(brought: Brought) -> None:
    done = well(brought.place("models", "list"))
    assert re.search(rf"^{brought.version} .*competence, likeability", done.stdout, re.MULTILINE)


def is_compared(brought: Brought) -> None:
    done = well(brought.place("models", "compare", brought.version, "1"))
    assert f"version {brought.version}" in done.stdout.splitlines()[0]


def is_promoted(brought: Brought) -> None:
    well(brought.place("models", "promote", brought.version, "--force"))
    assert re.search(rf"^{brought.version} +champion", brought.place("models", "list").stdout, re.MULTILINE)


def is_served(brought: Brought) -> None:
    picture = base64.b64encode(BASELINE.read_bytes()).decode()
    with brought.place.inside(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow

        mlflow.set_tracking_uri(f"sqlite:///{brought.place.folder}/mlruns/mlflow.db")
        try:
            model = mlflow.pyfunc.load_model(f"models:/prescreen/{brought.version}")
            answer = model.predict(pd.DataFrame({"image": [picture]}))
        finally:
            mlflow.set_tracking_uri(None)
    assert answer["status"].tolist() == ["ok"]
    assert np.isfinite(answer[list(TRAITS)]).all(axis=None)


COMMANDS: dict[str, Callable[[Brought], None]] = {
    "train": trains,
    "evaluate_its_own": evaluates_its_own,
    "evaluate_others": evaluates_others,
    "score": scores_pictures,
    "rank_against_a_picture": ranks_against_a_picture,
    "rank_against_scores": ranks_against_scores,
    "report": reports,
    "review": reviews,
    "learn": learns,
    "effects": finds_effects,
    "export_fiftyone": exports_to_fiftyone,
    "export_label_studio": exports_to_label_studio,
    "models_list": is_listed,
    "models_compare": is_compared,
    "models_promote": is_promoted,
    "serve": is_served,
}


# --- the cells --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory, clip_folder):
    """A place where what takes time and tells nothing is left out.

    Figures are small and without a layout, MLflow does not compare the sixty packages that each model names with those
    that are installed, and no threads wait for each other over so few numbers.
    """
    draw = Figure.savefig

    def draw_small(figure, *given, **options):
        figure.set_layout_engine(None)
        draw(figure, *given, **options | {"dpi": 30})

    fits = patch.object(requirements_utils, "_check_requirement_satisfied", lambda requirement: None)
    with fits, threadpool_limits(1), patch.object(Figure, "savefig", draw_small):
        yield Place(tmp_path_factory.mktemp("matrix"), f"clip:tiny@{clip_folder}")


@pytest.fixture(scope="module")
def brought(request, place):
    return Brought(request.param, place)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("brought", FORMATS, indirect=True)
def test_cell(brought, command):
    COMMANDS[command](brought)
