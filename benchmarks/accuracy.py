"""How well prescreen predicts crowd ratings, on the 803 faces of One Million Impressions.

Usage:  python benchmarks/accuracy.py OMI_DIR [--encoder bundled] [--seed 0] [--quick]

The first table compares with the published means of 34 attributes, as Peterson et al. and FTT did, and adds one step at
a time. The second compares with means of independent votes on five attributes, as `prescreen train` does; the other
attributes are auxiliary. Then it shows where the 90 % intervals hold, and what more faces or votes would give. Every
picture is predicted from the others, in 10 outer folds; everything is learned and chosen inside the training part. All
figures are about impressions that raters share. They say nothing true about anyone depicted.

The first run embeds the pictures, about two minutes on two cores; later runs take the vectors from the cache. The rest
takes several minutes, mostly for boosted trees. `--quick` uses 3 folds and the five attributes only. It shows that
everything runs; do not quote its figures, which are lower.
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
from scipy.stats import binom

from prescreen.embeddings.pipeline import EmbeddingCache, embed_bytes, embed_images
from prescreen.encoders import Encoder, make_encoder
from prescreen.evaluation.report import Evaluation
from prescreen.evaluation.slices import SMALLEST_JUDGED, SliceEvaluation
from prescreen.images.files import ImageFile
from prescreen.ratings.other_columns import with_auxiliary
from prescreen.ratings.reading import Ratings, read_ratings
from prescreen.regressors.base import BlockRegressor
from prescreen.regressors.blocks import BlockDesign, Blocks, blas_threads, in_chunks
from prescreen.regressors.boosting import BoostedTrees
from prescreen.regressors.folds import grouped_folds
from prescreen.regressors.kernel_ridge import BlockKernelRidge
from prescreen.regressors.multitask_kernel_ridge import SharedKernelRidge
from prescreen.regressors.stacking import TraitRegressors, cross_validate, fit_final
from prescreen.training.dataset import Dataset, join
from prescreen.training.learning_curve import learning_curve
from prescreen.training.steps import cross_validate_dataset, evaluate_out_of_fold, vote_noise

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
Floats32 = NDArray[np.float32]
Result = TypeVar("Result")


@dataclass
class Cost:
    """Seconds by the clock and of the processor."""

    wall: float = 0.0
    cpu: float = 0.0

    def __str__(self) -> str:
        return f"{self.wall:.1f} s by the clock, {self.cpu:.1f} s of processor time"


def timed(work: Callable[[], Result]) -> tuple[Result, Cost]:
    """Do some work and print its cost."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, Cost(time.perf_counter() - wall, time.process_time() - cpu)


def peak_memory() -> float:
    """Return the peak memory of this process, in GB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def load(folder: Path, encoder: Encoder) -> tuple[Dataset, Ratings]:
    """Read the independent votes on the five attributes, and the vectors of the pictures."""
    columns = {trait: trait for trait in FIVE}
    rated = with_auxiliary(read_ratings(folder, columns), columns)
    assert rated.images_dir is not None
    files = [ImageFile(rated.images_dir / name, name) for name in rated.wide().index]
    with EmbeddingCache() as cache:
        return join(rated, embed_images(files, encoder, cache), encoder.specification), rated


def published_means(folder: Path, dataset: Dataset) -> pd.DataFrame:
    """Return the data set's own means, repeats included, a row for each picture of the data set."""
    table = pd.read_csv(folder / "attribute_means.csv").set_index("stimulus")
    return table.loc[[int(Path(image).stem) for image in dataset.images]]


def alone(
    regressor: BlockRegressor,
    features: Floats32,
    blocks: Blocks,
    groups: NDArray[np.int64],
    ratings: Floats,
    folds: int,
    seed: int,
) -> Floats:
    """Predict every picture from the others with one regressor."""
    predictions = np.zeros(ratings.shape)
    for train, test in grouped_folds(groups, folds, seed):
        with blas_threads(len(train)):
            regressor.fit(BlockDesign.fit(features[train], blocks), ratings[train], groups=groups[train])
        predictions[test] = in_chunks(regressor.predict_standardised, regressor.scaler_, features[test])
    return predictions


def without_layouts(dataset: Dataset) -> tuple[Floats32, dict[str, slice]]:
    """Return the features that are averaged over a whole view, and their blocks: names of a network and a view."""
    kept, columns, start = {}, [], 0
    for name, block in dataset.blocks.items():
        if name.count("/") == 1:
            columns.append(dataset.features[:, block])
            kept[name] = slice(start, start := start + block.stop - block.start)
    return np.concatenate(columns, axis=1), kept


def steps(dataset: Dataset, ratings: Floats, folds: int, seed: int) -> Iterator[tuple[str, Callable[[], Floats]]]:
    """Yield the steps of the regressor; the last is what `prescreen train` does."""
    blocks = dataset.blocks
    regressors: dict[str, BlockRegressor] = {
        "ridge alone": BlockKernelRidge(),
        "shared kernel ridge alone": SharedKernelRidge(seed=seed),
        "LightGBM alone": BoostedTrees(seed=seed),
    }
    groups, features = dataset.groups, dataset.features
    pooled, own = without_layouts(dataset)
    shared = SharedKernelRidge(seed=seed)
    if len(own) < len(blocks):
        yield "shared kernel ridge, without layouts", lambda: alone(shared, pooled, own, groups, ratings, folds, seed)
    for name, regressor in regressors.items():
        yield name, lambda regressor=regressor: alone(regressor, features, blocks, groups, ratings, folds, seed)
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


def print_independent(dataset: Dataset, rated: Ratings, folds: int, seed: int) -> Evaluation:
    validation = cross_validate_dataset(dataset, seed, folds=folds)
    evaluation = evaluate_out_of_fold(dataset, validation, rated, seed)
    print(
        f"\n2. Against means of independent votes: trained on these five, with {dataset.auxiliary.shape[1]} auxiliary "
        f"traits, {folds} outer folds; in brackets 95 %"
    )
    print(
        f"{'':12s} {'votes':>5s} {'r':>20s} {'ceiling':>8s} {'r with true mean':>20s} {'equivalent votes':>20s} "
        f"{'90 % intervals hold':>20s}"
    )
    votes = rated.table.groupby("trait", observed=True)["votes"].mean()
    for trait in evaluation.traits:
        limits, covered = trait.limits, trait.covered
        print(
            f"{trait.trait:12s} {votes[trait.trait]:5.0f} {trait.pearson.text():>20s} {number(limits.highest_r):>8s} "
            f"{limits.true_score_r.text():>20s} {limits.votes.text(1):>20s} {covered.share.text():>20s}"
        )
    return evaluation


def print_slices(evaluation: Evaluation) -> None:
    """Print where 90 % intervals hold least, among the slices with enough pictures."""
    judged = [part for part in evaluation.slices if part.n >= SMALLEST_JUDGED and part.coverage is not None]
    together = [part for part in judged if part.trait is None]
    of_traits = [part for part in judged if part.trait is not None]
    print(
        f"\n3. 90 % intervals in {len(together)} slices of {SMALLEST_JUDGED} faces or more (by what raters said of the "
        "face, by thirds of everything else and of the prediction)"
    )
    for title, parts in (("all five together", together), ("one attribute", of_traits)):
        held = np.array([held_in(part) for part in parts])
        print(f"{title}: {len(parts)} slices, {(held < 0.85).sum()} of them below 0.85, least {held.min():.3f}")
        for place in np.argsort(held)[:5]:
            part = parts[place]
            print(
                f"  {part.characteristic} {part.label}, {part.trait or 'all five'}, {part.n} faces: {held[place]:.3f} "
                f"{chance(held[place], part.n, len(parts))}"
            )


def held_in(part: SliceEvaluation) -> float:
    assert part.coverage is not None
    assert part.coverage.share.value is not None
    return part.coverage.share.value


def chance(held: float, faces: int, slices: int) -> str:
    """Say how often the worst of so many slices would be as low if all intervals held exactly 90 %."""
    single = float(binom.cdf(round(held * faces), faces, 0.9))
    return f"(by chance in the worst of {slices} independent slices: {1 - (1 - single) ** slices:.2f})"


def print_curve(dataset: Dataset, rated: Ratings, seed: int) -> None:
    """Print what more faces and more votes for each would give."""
    curve = learning_curve(dataset, vote_noise(dataset, rated), seed)
    print("\n4. Learning curve, five folds, mean of the five: faces trained on, votes for each (fewer are simulated)")
    for point in (*curve.by_pictures, *curve.by_votes):
        votes = "all" if point.votes is None else f"{point.votes:.0f}"
        print(
            f"{point.pictures:5d} faces, {votes:>3s} votes: r {point.pearson.text()}, "
            f"equivalent votes {point.worth_in_votes.text(1)}"
        )


def print_training(dataset: Dataset, folds: int, seed: int) -> TraitRegressors:
    columns = [dataset.traits.index(trait) for trait in THREE]
    ratings, weights = dataset.ratings[:, columns], dataset.weights[:, columns]

    def train() -> TraitRegressors:
        data = dataset.features, ratings, dataset.groups, dataset.blocks
        others = dataset.auxiliary
        cross_validate(*data, sample_weight=weights, auxiliary=others, n_splits=folds, seed=seed)
        return fit_final(*data, sample_weight=weights, auxiliary=others, seed=seed)

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
    print_slices(print_independent(dataset, rated, folds, options.seed))
    if not options.quick:
        print_curve(dataset, rated, options.seed)


if __name__ == "__main__":
    main()
