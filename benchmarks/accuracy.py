"""How well prescreen predicts crowd ratings, on the 803 faces of One Million Impressions.

Usage:  python benchmarks/accuracy.py OMI_DIR [--encoder bundled] [--seed 0] [--quick]

The first table is against the published means of 34 attributes, as Peterson et al. and FTT were judged, and adds one
step of the regressor at a time. The second is against means of independent votes, five attributes, as `prescreen train`
learns and judges them. Every picture is predicted from the others, in 10 outer folds; whatever is learned or chosen is
learned inside the training part. All figures are about impressions that raters share; they say nothing true about
anyone depicted.

The first run embeds the pictures, about two minutes on two cores; later runs take the vectors from the cache. The rest
takes several minutes, nearly all of it boosted trees. `--quick` uses 3 folds and the five attributes only: it shows
that everything runs, its figures are lower and not for quoting.
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prescreen.dataset import Dataset, join
from prescreen.embeddings import EmbeddingCache, embed_bytes, embed_images
from prescreen.encoders import Encoder, make_encoder
from prescreen.evaluation.metrics import Estimate
from prescreen.images import ImageFile
from prescreen.ratings import Ratings, read_ratings
from prescreen.regressors.base import BlockRegressor
from prescreen.regressors.boosting import BoostedTrees
from prescreen.regressors.fit import TraitRegressors, cross_validate, fit_final
from prescreen.regressors.folds import grouped_folds
from prescreen.regressors.ridge import BlockKernelRidge
from prescreen.regressors.shared import SharedKernelRidge
from prescreen.training import judge

FIVE = ("smart", "outgoing", "electable", "trustworthy", "dominant")
THREE = FIVE[:3]
TIMED = 5  # pictures

QUOTED = (
    # who, faces, mean R², mean r, r of the five; None where it was not published
    ("Peterson et al. 2022, StyleGAN latents", 1004, 0.55, None, (None,) * 5),
    ("FTT, DINOv2 ViT-G/14 (1.1e9 parameters)", 1004, 0.734, 0.853, (0.812, 0.916, 0.930, 0.920, 0.916)),
    ("plain baseline, same two networks", 803, 0.737, None, (0.810, 0.908, 0.894, None, None)),
)

Floats = NDArray[np.float64]
Result = TypeVar("Result")


@dataclass
class Cost:
    """Seconds by the clock and of the processor."""

    wall: float = 0.0
    cpu: float = 0.0

    def __str__(self) -> str:
        return f"{self.wall:.1f} s by the clock, {self.cpu:.1f} s of processor time"


def timed(work: Callable[[], Result]) -> tuple[Result, Cost]:
    """Do some work and say what it cost."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, Cost(time.perf_counter() - wall, time.process_time() - cpu)


def peak_memory() -> float:
    """Return the most memory this process has had, in GB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def load(folder: Path, encoder: Encoder) -> tuple[Dataset, Ratings]:
    """Read the independent votes on the five attributes, and the vectors of the pictures."""
    rated = read_ratings(folder, {trait: trait for trait in FIVE})
    assert rated.images_dir is not None
    files = [ImageFile(rated.images_dir / name, name) for name in rated.wide().index]
    with EmbeddingCache() as cache:
        return join(rated, embed_images(files, encoder, cache), encoder.specification), rated


def published_means(folder: Path, dataset: Dataset) -> pd.DataFrame:
    """Return the data set's own means, repeats included, a row for each picture of the data set."""
    table = pd.read_csv(folder / "attribute_means.csv").set_index("stimulus")
    return table.loc[[int(Path(image).stem) for image in dataset.images]]


def alone(regressor: BlockRegressor, dataset: Dataset, ratings: Floats, folds: int, seed: int) -> Floats:
    """Predict every picture from the others with one regressor."""
    predictions = np.zeros(ratings.shape)
    for train, test in grouped_folds(dataset.groups, folds, seed):
        regressor.fit(dataset.features[train], ratings[train], groups=dataset.groups[train])
        predictions[test] = regressor.predict(dataset.features[test])
    return predictions


def steps(dataset: Dataset, ratings: Floats, folds: int, seed: int) -> Iterator[tuple[str, Callable[[], Floats]]]:
    """Yield the steps of the regressor; the last is what `prescreen train` does."""
    blocks = dataset.blocks
    regressors: dict[str, BlockRegressor] = {
        "ridge alone": BlockKernelRidge(blocks, kernel="linear"),
        "kernel ridge alone": BlockKernelRidge(blocks),
        "kernel ridge shared between traits alone": SharedKernelRidge(blocks, seed=seed),
        "LightGBM alone": BoostedTrees(blocks, seed=seed),
    }
    for name, regressor in regressors.items():
        yield name, lambda regressor=regressor: alone(regressor, dataset, ratings, folds, seed)
    yield (
        "stack, nested (prescreen)",
        lambda: (
            cross_validate(dataset.features, ratings, dataset.groups, blocks, n_splits=folds, seed=seed).predictions
        ),
    )


def print_published(dataset: Dataset, means: pd.DataFrame, folds: int, seed: int) -> None:
    ratings = means.to_numpy(np.float64)
    count = ratings.shape[1]
    print(f"1. Against the published means: mean over {count} attributes, {folds} outer folds, {len(ratings)} faces")
    print(f"{'':42s} {'faces':>5s} {'R2':>6s} {'r':>6s} | r: " + " ".join(f"{name:>11s}" for name in FIVE))
    for who, faces, explained, correlation, five in QUOTED:
        print_row(f"{who} *", faces, explained, correlation, five)
    for name, predict in steps(dataset, ratings, folds, seed):
        predictions, cost = timed(predict)
        error, spread = ((predictions - ratings) ** 2).sum(0), ((ratings - ratings.mean(0)) ** 2).sum(0)
        r = {trait: correlate(predictions[:, k], ratings[:, k]) for k, trait in enumerate(means.columns)}
        five = tuple(r[trait] for trait in FIVE)
        mean_r2, mean_r = float((1 - error / spread).mean()), float(np.mean(list(r.values())))
        print_row(name, len(ratings), mean_r2, mean_r, five, f"   {cost.wall:.0f} s")
    print("* quoted: FTT and Peterson in 10 folds on all 1,004 faces; the baseline as it was run on these 803.")


def print_row(
    name: str,
    faces: int,
    explained: float | None,
    correlation: float | None,
    five: tuple[float | None, ...],
    note: str = "",
) -> None:
    cells = " ".join(f"{number(value):>11s}" for value in five)
    print(f"{name:42s} {faces:5d} {number(explained):>6s} {number(correlation):>6s} |    {cells}{note}", flush=True)


def print_independent(dataset: Dataset, rated: Ratings, folds: int, seed: int) -> None:
    validation = cross_validate(
        dataset.features,
        dataset.ratings,
        dataset.groups,
        dataset.blocks,
        sample_weight=dataset.weights,
        n_splits=folds,
        seed=seed,
    )
    evaluation = judge(dataset, validation, rated, seed)
    print(
        f"\n2. Against means of independent votes: trained on these five alone, {folds} outer folds; in brackets 95 %"
    )
    print(
        f"{'':12s} {'votes':>5s} {'r':>20s} {'ceiling':>8s} {'r with true mean':>20s} {'worth in votes':>20s} "
        f"{'90 % intervals hold':>20s}"
    )
    votes = rated.table.groupby("trait", observed=True)["votes"].mean()
    for trait in evaluation.traits:
        ceiling, coverage = trait.ceiling, trait.coverage
        assert ceiling is not None
        assert coverage is not None
        print(
            f"{trait.trait:12s} {votes[trait.trait]:5.0f} {interval(trait.pearson):>20s} {ceiling.highest_r:8.3f} "
            f"{interval(ceiling.true_score_r):>20s} {interval(ceiling.votes, 1):>20s} {interval(coverage.share):>20s}"
        )


def print_training(dataset: Dataset, folds: int, seed: int) -> TraitRegressors:
    columns = [dataset.traits.index(trait) for trait in THREE]
    ratings, weights = dataset.ratings[:, columns], dataset.weights[:, columns]

    def train() -> TraitRegressors:
        data = dataset.features, ratings, dataset.groups, dataset.blocks
        cross_validate(*data, sample_weight=weights, n_splits=folds, seed=seed)
        return fit_final(*data, sample_weight=weights, seed=seed)

    model, cost = timed(train)
    print(f"training {', '.join(THREE)} from cached vectors, {folds}-fold validation included: {cost}")
    print(f"  most memory so far, vectors and networks included: {peak_memory():.2f} GB")
    return model


def print_scoring(folder: Path, dataset: Dataset, encoder: Encoder, model: TraitRegressors) -> None:
    files = [(name, (folder / name).read_bytes()) for name in dataset.images[: TIMED + 1]]

    def score(pictures: list[tuple[str, bytes]]) -> None:
        for row in embed_bytes(pictures, encoder):
            assert row.vector is not None
            model.predict(np.asarray(row.vector, np.float32)[None])

    score(files[:1])  # loads the networks
    _, cost = timed(lambda: score(files[1:]))
    print(f"scoring one uncached picture, everything loaded: {Cost(cost.wall / TIMED, cost.cpu / TIMED)}")
    print(f"  most memory so far: {peak_memory():.2f} GB")


def correlate(a: Floats, b: Floats) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def interval(figure: Estimate, digits: int = 3) -> str:
    value, low, high = (
        "-" if part is None else f"{part:.{digits}f}" for part in (figure.value, figure.low, figure.high)
    )
    return f"{value} [{low}, {high}]"


def main() -> None:
    parser = argparse.ArgumentParser(description="Print the accuracy of prescreen on One Million Impressions.")
    parser.add_argument("folder", type=Path, metavar="OMI_DIR", help="folder in the layout of One Million Impressions")
    parser.add_argument("--encoder", default="bundled", help="as in `prescreen train` (default: bundled)")
    parser.add_argument("--seed", type=int, default=0, help="for the folds and everything random (default: 0)")
    parser.add_argument("--quick", action="store_true", help="3 folds, five attributes: only to see that it runs")
    options = parser.parse_args()

    folds = 3 if options.quick else 10
    encoder = make_encoder(options.encoder)
    dataset, rated = load(options.folder, encoder)
    means = published_means(options.folder, dataset)
    if options.quick:
        means = means[list(FIVE)]
        print("quick run: the figures are not for quoting")
    print(f"encoder {options.encoder}, {dataset.features.shape[1]} features in {len(dataset.blocks)} blocks\n")
    model = print_training(dataset, folds, options.seed)
    assert rated.images_dir is not None
    print_scoring(rated.images_dir, dataset, encoder, model)
    print()
    print_published(dataset, means, folds, options.seed)
    print_independent(dataset, rated, folds, options.seed)


if __name__ == "__main__":
    main()
