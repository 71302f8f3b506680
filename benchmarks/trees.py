"""What boosted trees add to the stack of regressors, and what they cost.

Usage:  python benchmarks/trees.py RATINGS [--images DIR] [--encoder bundled] [--pictures 100,200,400]

Every picture is predicted from the others by nested, grouped cross-validation, once with LightGBM among the stacked
regressors and once without, on the same folds. The table shows the mean over the traits of R² and of r, their gain
through the trees with its standard error (a bootstrap of persons, paired), and the processor time of both. The last two
rows are for predictors that hold no portraits (`prescreen train --forget-portraits`), which have no kernel regressor.
`--pictures` repeats all of it on random parts of the pictures. For a folder in the layout of One Million Impressions
the ratings are the published means of 34 attributes; otherwise they are those that `prescreen train` would learn from.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prescreen.embeddings.pipeline import EmbeddingCache, embed_images
from prescreen.encoders import Encoder, make_encoder
from prescreen.images.files import ImageFile
from prescreen.ratings.reading import read_ratings
from prescreen.training.dataset import Dataset, join
from prescreen.training.steps import cross_validate_dataset

REPEATS = 1000  # of the bootstrap

Floats = NDArray[np.float64]


def load(source: Path, images: Path | None, encoder: Encoder | str) -> Dataset:
    """Read the ratings and the vectors of the rated pictures."""
    rated = read_ratings(source, images_dir=images)
    assert rated.images_dir is not None
    encoder = make_encoder(encoder) if isinstance(encoder, str) else encoder
    files = [ImageFile(rated.images_dir / name, name) for name in rated.wide().index]
    with EmbeddingCache() as cache:
        dataset = join(rated, embed_images(files, encoder, cache), encoder.specification)
    published = source / "attribute_means.csv"
    if not published.is_file():
        return dataset
    table = pd.read_csv(published).set_index("stimulus")
    means = table.loc[[int(Path(image).stem) for image in dataset.images]]
    ratings = means.to_numpy(np.float64)
    return replace(
        dataset, traits=tuple(means.columns), ratings=ratings, sampling_variance=np.full(ratings.shape, np.nan)
    )


def part(dataset: Dataset, pictures: int, seed: int) -> Dataset:
    """Return a random part of the pictures."""
    rows = np.sort(np.random.default_rng(seed).permutation(len(dataset.images))[:pictures])
    return part_of(dataset, rows, range(len(dataset.traits)))


def part_of(dataset: Dataset, rows: NDArray[np.intp] | NDArray[np.bool_], columns: Sequence[int]) -> Dataset:
    """Return some pictures and traits."""
    rows = np.arange(len(dataset.images))[rows]
    cells = np.ix_(rows, list(columns))
    return replace(
        dataset,
        images=tuple(dataset.images[row] for row in rows),
        traits=tuple(dataset.traits[column] for column in columns),
        contents=tuple(dataset.contents[row] for row in rows),
        features=dataset.features[rows],
        ratings=dataset.ratings[cells],
        sampling_variance=dataset.sampling_variance[cells],
        persons=dataset.persons[rows],
        groups=dataset.groups[rows],
        auxiliary=dataset.auxiliary[rows],
    )


def accuracy(ratings: Floats, predictions: Floats) -> tuple[float, float]:
    """Return R² and r, means over the traits."""
    r2, r = [], []
    for column in range(ratings.shape[1]):
        rated = np.isfinite(ratings[:, column])
        truth, found = ratings[rated, column], predictions[rated, column]
        r2.append(1 - ((truth - found) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())
        r.append(np.corrcoef(truth, found)[0, 1])
    return float(np.mean(r2)), float(np.mean(r))


def gain_errors(ratings: Floats, with_trees: Floats, without: Floats, groups: NDArray[np.int64]) -> Floats:
    """Return the standard errors of the gains in R² and r, from persons drawn with replacement."""
    generator = np.random.default_rng(0)
    members = [np.flatnonzero(groups == label) for label in np.unique(groups)]
    gains = []
    for _ in range(REPEATS):
        rows = np.concatenate([members[k] for k in generator.integers(len(members), size=len(members))])
        pair = accuracy(ratings[rows], with_trees[rows]), accuracy(ratings[rows], without[rows])
        gains.append(np.subtract(*pair))
    return np.std(gains, axis=0)


def compare(dataset: Dataset, folds: int, seed: int) -> None:
    """Print the rows of the table for one set of pictures."""
    for hold_rows, kind in ((True, "stack"), (False, "stack without portraits")):
        predictions, seconds = {}, {}
        for trees in (False, True):
            start = time.process_time()
            predictions[trees] = cross_validate_dataset(
                dataset, seed, folds=folds, hold_rows=hold_rows, trees=trees
            ).predictions
            seconds[trees] = time.process_time() - start
        (r2, r), (r2_trees, r_trees) = (accuracy(dataset.ratings, predictions[trees]) for trees in (False, True))
        r2_error, r_error = gain_errors(dataset.ratings, predictions[True], predictions[False], dataset.groups)
        print(
            f"{len(dataset.images):8d}  {kind:24s} {r2:6.3f} {r2_trees:6.3f} {r2_trees - r2:+7.4f} ± {r2_error:.4f}  "
            f"{r:6.3f} {r_trees:6.3f} {r_trees - r:+7.4f} ± {r_error:.4f} {seconds[False]:7.0f} {seconds[True]:7.0f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the stack of regressors with and without boosted trees.")
    parser.add_argument("ratings", type=Path, help="ratings: a file, or a folder as One Million Impressions has it")
    parser.add_argument("--images", type=Path, help="folder of the rated pictures")
    parser.add_argument("--encoder", default="bundled", help="as in `prescreen train` (default: bundled)")
    parser.add_argument("--pictures", default="", help="also random parts of so many pictures: 100,200,400")
    parser.add_argument("--folds", type=int, default=10, help="outer folds (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="for folds, parts and trees (default: 0)")
    options = parser.parse_args()

    dataset = load(options.ratings, options.images, options.encoder)
    print(f"{len(dataset.traits)} traits, encoder {options.encoder}, {options.folds} folds, seed {options.seed}")
    print(f"{'':34s} {'R2: without, with, gain':31s}  {'r: without, with, gain':31s} CPU s: without, with")
    for pictures in [int(number) for number in options.pictures.split(",") if number]:
        compare(part(dataset, pictures, options.seed), options.folds, options.seed)
    compare(dataset, options.folds, options.seed)


if __name__ == "__main__":
    main()
