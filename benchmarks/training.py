"""What training costs: seconds, processor seconds and memory by the number of pictures.

Usage:  python benchmarks/training.py [--sizes 100,800,2500,10000] [--features 27904] [--seed 0]

Features and ratings are simulated: 16 blocks of correlated features, one trait and one auxiliary trait that follow some
of their directions, with noise. Each size runs in a process of its own: nested cross-validation, the final fit, the
novelty detector and the correlation of errors, which is what training does with vectors. Embedding pictures, reading
ratings, bootstrap and MLflow come on top. r is that of the simulated ratings and says nothing of real ones.
"""

import argparse
import multiprocessing
import resource
import sys
import time

import numpy as np

from prescreen.ranking.error_correlation import fit_error_correlation
from prescreen.regressors.blocks import BlockDesign, blas_threads
from prescreen.regressors.novelty import NoveltyDetector
from prescreen.regressors.stacking import cross_validate, fit_final
from prescreen.settings import processors
from prescreen.training.steps import usual_folds

BLOCKS = 16
FACTORS = 400  # directions in which the simulated pictures differ
NOISE = 0.7  # standard deviation, where the trait has 1


def simulate(n: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw features (n, width) and ratings (n, 2) of two related traits."""
    generator = np.random.default_rng(seed)
    scale = np.arange(1, FACTORS + 1) ** -0.5
    factors = (generator.standard_normal((n, FACTORS)) * scale).astype(np.float32)
    features = factors @ generator.standard_normal((FACTORS, width), dtype=np.float32)
    features += generator.standard_normal((n, width), dtype=np.float32)
    weights = generator.standard_normal((FACTORS, 2)) @ [[1, 0.7], [0, 0.7]]
    truth = np.tanh(factors @ weights)
    return features, truth / truth.std(axis=0) + NOISE * generator.standard_normal((n, 2))


def measure(n: int, width: int, seed: int) -> None:
    """Train on n simulated pictures, and print what it cost."""
    X, Y = simulate(n, width, seed)
    edges = np.linspace(0, width, BLOCKS + 1).astype(int)
    blocks = {f"block {k}": slice(int(a), int(b)) for k, (a, b) in enumerate(zip(edges[:-1], edges[1:], strict=True))}
    groups = np.arange(n)
    folds = usual_folds(groups)
    wall, cpu = time.perf_counter(), time.process_time()
    data = X, Y[:, :1], groups, blocks
    found = cross_validate(*data, auxiliary=Y[:, 1:], n_splits=folds, threads=processors(), seed=seed)
    fit_final(*data, auxiliary=Y[:, 1:], seed=seed)
    with blas_threads(n):
        squared = BlockDesign.fit(X, blocks).distances
    fit_error_correlation(Y[:, :1] - found.predictions, squared, found.folds, np.zeros(1))
    del squared
    NoveltyDetector.fit(X, groups)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
    r = np.corrcoef(found.predictions[:, 0], Y[:, 0])[0, 1]
    print(f"{n:9d} {folds:6d} {wall:8.1f} {cpu:12.1f} {memory:12.2f} {r:8.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Print what training costs by the number of (simulated) pictures.")
    parser.add_argument("--sizes", default="100,800,2500,10000", help="numbers of pictures")
    parser.add_argument("--features", type=int, default=27904, help="as many as `bundled` has, by default")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"{'pictures':>9s} {'folds':>6s} {'seconds':>8s} {'CPU seconds':>12s} {'memory in GB':>12s} {'r':>8s}")
    for size in map(int, options.sizes.split(",")):
        process = multiprocessing.get_context("spawn").Process(
            target=measure, args=(size, options.features, options.seed)
        )
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(f"{size} pictures: the training ended with {process.exitcode}")


if __name__ == "__main__":
    main()
