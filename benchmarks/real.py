"""Real photographs with real votes: a predictor trained alone, with One Million Impressions, and the latter alone.

Usage:  python benchmarks/real.py OMI_DIR REAL_DIR [--encoder bundled] [--draws 20]

The base is trained on all faces and 34 attributes of OMI_DIR, in the layout of One Million Impressions. REAL_DIR has
the folders `london`, `dsk3` and `amfd-half`: photographs of other people, rated by other crowds. A few persons are
trained on, and all others are the test. `merged` trains on both rating files at once. `base alone` is the base's trait
of the same name. The men and women of `dsk3` were rated by different raters, so they are separate.

Between persons the figures are r, means over traits and draws of the persons that are trained on; the standard error is
over draws. Guessing has r = 0. Within persons (`amfd-half`, each neutral and smiling) it is the share of persons whose
rating changes in the predicted direction, beside that of always guessing the usual direction, and r of predicted and
measured change; predicted by models of the other persons, in ten folds; the error is a bootstrap over persons. For r
changes are taken from the mean of their fold: the mean change that a model has learned is high where that of the tested
persons is low, so over all folds together r is too low (by about 0.04 where there is nothing to find).
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from base import r
from numpy.typing import NDArray
from trees import load, part_of

from prescreen.predictor.bases import Base
from prescreen.predictor.training_portraits import TrainingPortraits
from prescreen.regressors.folds import grouped_folds
from prescreen.training.dataset import Dataset, fit_dataset, with_bases
from prescreen.training.other_ratings import with_others, within

ARMS = ("alone", "with base", "base alone")
REPEATS = 1000  # of the bootstrap

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]


def predict(dataset: Dataset, train: Rows, test: Rows, *, base: bool) -> Floats:
    """Train on some rows, with the base or without, and predict others."""
    assert dataset.prior is not None
    if not base:
        dataset = replace(dataset, prior=dataset.prior[:, :0])
    return fit_dataset(dataset, train, seed=0).predict(dataset.features[test], dataset.prior[test])


def predict_merged(dataset: Dataset, train: Rows, test: Rows) -> Floats:
    """Train on some rows and on the other file, without the persons of the other rows, and predict these."""
    part = within(dataset, train)
    assert part.prior is not None
    return fit_dataset(part, train, seed=0).predict(part.features[test], part.prior[test])


def between_persons(name: str, alone: Dataset, base: Base, omi: Dataset, sizes: tuple[int, ...], draws: int) -> None:
    """Print r on persons that were not trained on: means over all traits, and over those that the base predicts."""
    dataset, merged = with_bases(alone, [base]), with_others(alone, [omi], seed=0)
    assert dataset.prior is not None
    persons = np.unique(dataset.groups)
    common = np.array([trait in omi.traits for trait in dataset.traits])
    for size in sizes:
        found = np.full((draws, len(ARMS) + 1, len(dataset.traits)), np.nan)
        for draw in range(draws):
            few = np.isin(dataset.groups, np.random.default_rng([draw, size]).permutation(persons)[:size])
            train, test = np.flatnonzero(few), np.flatnonzero(~few)
            arms = [
                predict(dataset, train, test, base=False),
                predict(dataset, train, test, base=True),
                predict_merged(merged, train, test),
            ]
            for column, trait in enumerate(dataset.traits):
                truth = dataset.ratings[test, column]
                found[draw, :3, column] = [r(predictions[:, column], truth) for predictions in arms]
                if trait in omi.traits:
                    found[draw, 3, column] = r(dataset.prior[test, omi.traits.index(trait)], truth)
        of_arm = found.mean(axis=2).T
        gains = [of_arm[arm] - of_arm[0] for arm in (1, 2)]
        told = [f"{gain.mean():+.3f} ({gain.std(ddof=1) / draws**0.5:.3f})" for gain in gains]
        of_common = found[:, [0, 1, 3]][:, :, common].mean(axis=(0, 2))
        print(
            f"| {name} | {size} | {len(persons) - size} | {len(common)} | {of_arm[0].mean():.3f} | "
            f"{of_arm[1].mean():.3f} | {' | '.join(told)} | {common.sum()} | "
            f"{' | '.join(f'{value:.3f}' for value in of_common)} |",
            flush=True,
        )


def within_persons(dataset: Dataset, omi: tuple[str, ...]) -> None:
    """Print what is predicted of the change from a neutral to a smiling picture."""
    assert dataset.prior is not None
    predictions = {arm: np.zeros(dataset.ratings.shape) for arm in ARMS[:2]}
    fold_of = np.zeros(len(dataset.images), np.intp)
    for fold, (train, test) in enumerate(grouped_folds(dataset.groups, 10, 0)):
        fold_of[test] = fold
        for arm in ARMS[:2]:
            predictions[arm][test] = predict(dataset, train, test, base=arm == "with base")
    pairs = [
        sorted(np.flatnonzero(dataset.persons == person), key=lambda row: dataset.images[row])
        for person in np.unique(dataset.persons)
    ]
    neutral, smiling = np.array(pairs).T  # N before S
    for column, trait in enumerate(dataset.traits):
        change = dataset.ratings[smiling, column] - dataset.ratings[neutral, column]
        usual = max((change > 0).mean(), (change < 0).mean())
        cells = []
        for arm in ARMS:
            if arm == "base alone" and trait not in omi:
                cells.append("-")
                continue
            said = dataset.prior[:, omi.index(trait)] if arm == "base alone" else predictions[arm][:, column]
            cells.append(agreement(said[smiling] - said[neutral], change, fold_of[neutral]))
        print(f"| {trait} | {len(pairs)} | {usual:.2f} | {' | '.join(cells)} |")


def agreement(predicted: Floats, change: Floats, folds: Rows) -> str:
    """Write the share of equal directions and r, with the standard error of r from persons drawn with replacement."""
    generator = np.random.default_rng(0)
    drawn = (generator.integers(len(change), size=len(change)) for _ in range(REPEATS))
    said, true = from_mean_of_fold(predicted, folds), from_mean_of_fold(change, folds)
    error = np.std([r(said[rows], true[rows]) for rows in drawn])
    return f"{(np.sign(predicted) == np.sign(change)).mean():.2f}, {r(said, true):.2f} ({error:.2f})"


def from_mean_of_fold(values: Floats, folds: Rows) -> Floats:
    """Subtract the mean of each fold."""
    means = np.stack([values[folds == fold].mean(axis=0) for fold in range(folds.max() + 1)])
    return np.asarray(values - means[folds])


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure predictors on real photographs, with a base and without.")
    parser.add_argument("omi", type=Path, metavar="OMI_DIR", help="folder in the layout of One Million Impressions")
    parser.add_argument("real", type=Path, metavar="REAL_DIR", help="folder with london, dsk3 and amfd-half")
    parser.add_argument("--encoder", default="bundled", help="as in `prescreen train` (default: bundled)")
    parser.add_argument("--draws", type=int, default=20, help="random choices of persons (default: 20)")
    options = parser.parse_args()

    omi = load(options.omi, None, options.encoder)
    portraits = TrainingPortraits.none(len(omi.traits))
    base = Base(omi.traits, fit_dataset(omi, seed=0), portraits)
    london, dsk3, amfd = (
        load(options.real / name / ratings, options.real / name / "images", options.encoder)
        for name, ratings in (("london", "votes.csv"), ("dsk3", "votes.csv"), ("amfd-half", "ratings.csv"))
    )
    print(
        "| data | persons trained on | tested | traits | alone | with base | gain (s.e.) | gain merged (s.e.) "
        "| traits of the base "
        "| alone | with base | base alone |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    )
    between_persons("london", london, base, omi, (20, 40, 60), options.draws)
    for sex, own in (("men", "masculine"), ("women", "feminine")):
        rated = np.isfinite(dsk3.ratings[:, dsk3.traits.index(own)])
        kept = [column for column in range(len(dsk3.traits)) if np.isfinite(dsk3.ratings[rated, column]).all()]
        between_persons(f"dsk3, {sex}", part_of(dsk3, rated, kept), base, omi, (20, 40), options.draws)
    neutral = np.array([name.startswith("N") for name in amfd.images])
    everything = list(range(len(amfd.traits)))
    between_persons("amfd-half, neutral", part_of(amfd, neutral, everything), base, omi, (20, 40), options.draws)
    print("\n| trait | persons | usual direction | alone: direction, r (s.e.) | with base | base alone |")
    print("|---|--:|--:|--:|--:|--:|")
    within_persons(with_bases(amfd, [base]), omi.traits)


if __name__ == "__main__":
    main()
