"""Whether a fit made for the changes within a person predicts them better than `prescreen train` does.

Usage:  python benchmarks/within.py OMI_DIR AMFD_DIR [--encoder bundled] [--seeds 5] [--traits smart,dominant]

AMFD_DIR has `ratings.csv` and two rated pictures of each person, neutral (N...) and smiling (S...). The base is trained
on One Million Impressions. Every method predicts the change from the neutral to the smiling picture of persons that it
has not seen, in ten folds; what a method has to choose, it chooses by the training persons. r is that of predicted and
measured change, with changes taken from the mean of their fold as in `real.py`. r, direction (the share of changes with
the predicted sign) and r of the neutral pictures are means over random divisions into folds. Gains are those of the
mean r over four traits; the standard error is from persons drawn with replacement. With `--shuffled` each measured
change is given to another person, anew for each division, and r should be 0.

- `base`, `base, happy`: the base's trait of the same name; its `happy`, with the sign that training persons give it.
- `stack`: what `prescreen train` fits, without the base and with it.
- `ridge`: on the features and all that the base says. With `person`, errors that a person's pictures share are part of
  the model (generalised least squares), as large as the likelihood says.
- `changes`: ridge on deviations from the person's mean, of the features, of what the base says, or of both. `axes`: not
  each trait for itself, but along the axes on which deviations stand out from the vote noise. `chosen`: of these six
  the one with the smallest error on left-out training persons. All of them give no score, only differences.
- `stack + changes`: scores of a stack with the base, fitted to what `changes of features, axes` leaves, plus that.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from base import r
from numpy.typing import NDArray
from real import from_mean_of_fold
from trees import load, part_of

from prescreen.predictor.bases import Base
from prescreen.predictor.training_portraits import TrainingPortraits
from prescreen.regressors.blocks import BlockDesign, BlockScaler
from prescreen.regressors.folds import group_codes, grouped_folds
from prescreen.regressors.kernel_solver import PENALTIES, solve
from prescreen.training.dataset import Dataset, fit_dataset, with_bases

FOUR = ("trustworthy", "smart", "dominant", "attractive")
SHARED = (0.0, 0.1, 0.3, 1.0, 3.0)  # variance of a person's shared error, in units of the kernel
REPEATS = 1000  # of the bootstrap

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Part:
    """The training pictures and the tested ones of a fold; all pictures stand as neutral, smiling, neutral ..."""

    dataset: Dataset
    train: Rows
    test: Rows

    def gram(self, values: NDArray[np.floating], blocks: dict[str, slice] | None = None) -> Floats:
        """Inner products of all pictures, standardised by the training pictures."""
        return BlockDesign(BlockScaler.fit(values[self.train], blocks), values).gram.astype(np.float64)

    def changes(self, gram: Floats, *, axes: bool) -> tuple[Floats, Floats, float]:
        """Fit deviations from the person's mean.

        Returns
        -------
        predictions : ndarray, shape (n, t)
            For all pictures, up to a constant; for those of a training person by the fit without the person.
        error : float
            Mean square of the errors on left-out training persons, in units of the traits' variance.
        """
        rows = self.train
        same = self.same()
        centre = np.eye(len(rows)) - same / same.sum(axis=1)
        moved = centre @ self.dataset.ratings[rows]
        basis = np.eye(moved.shape[1])
        if axes:
            noise = np.sqrt(self.dataset.sampling_variance[rows].mean(axis=0))
            basis = np.linalg.eigh((moved / noise).T @ (moved / noise))[1] / noise[:, None]
        inside, back = gram[np.ix_(rows, rows)], np.linalg.inv(basis)
        kernel = centre @ inside @ centre
        # Deviations of a person sum to zero, so the intercept is zero, too.
        found = solve(kernel, moved @ basis, PENALTIES, groups=self.dataset.groups[rows])
        errors = moved @ basis - found.cv_predictions
        predictions = gram[:, rows] @ found.dual
        for axis, penalty in enumerate(found.penalty):
            inverse = np.linalg.inv(kernel + penalty * np.eye(len(rows)))
            predictions[rows, axis] -= (inside @ inverse * same) @ errors[:, axis]
        return predictions @ back, float((((errors @ back) ** 2).mean(axis=0) / moved.var(axis=0)).mean())

    def same(self) -> NDArray[np.bool_]:
        """Tell which training pictures are of one person."""
        codes = group_codes(self.dataset.groups[self.train])
        return codes[:, None] == codes

    def ridge(self, gram: Floats, *, person: bool) -> Floats:
        """Fit ratings, with an error that pictures of a person share or without; predict the tested pictures."""
        rows, ratings = self.train, self.dataset.ratings[self.train]
        inside, same = gram[np.ix_(rows, rows)], self.same()
        shares = [likeliest(inside, same, column) if person else 0.0 for column in ratings.T]
        predictions = np.zeros((len(self.test), len(shares)))
        for share in set(shares):
            columns = np.flatnonzero(np.array(shares) == share)
            found = solve(inside + share * same, ratings[:, columns], PENALTIES, groups=self.dataset.groups[rows])
            predictions[:, columns] = gram[np.ix_(self.test, rows)] @ found.dual + found.intercept
        return predictions


def likeliest(kernel: Floats, same: NDArray[np.bool_], ratings: Floats) -> float:
    """Return the variance of a person's shared error under which the ratings are likeliest, at its best penalty."""
    best = (-np.inf, 0.0)
    for share in SHARED:
        values, vectors = np.linalg.eigh(kernel + share * same)
        ones, target = vectors.T @ np.ones(len(ratings)), vectors.T @ ratings
        for penalty in PENALTIES:
            variance = np.maximum(values, 0) + penalty
            mean = (ones * target / variance).sum() / (ones**2 / variance).sum()
            scale = ((target - mean * ones) ** 2 / variance).mean()
            best = max(best, (-len(ratings) * np.log(scale) - np.log(variance).sum(), share))
    return best[1]


def change(values: Floats) -> Floats:
    """Return smiling minus neutral."""
    return values[1::2] - values[::2]


def methods(part: Part, names: tuple[str, ...]) -> Iterator[tuple[str, Floats]]:
    """Yield what each method says of the tested pictures; ``names`` are the traits of the base."""
    dataset, train, test = part.dataset, part.train, part.test
    assert dataset.prior is not None
    said = dataset.prior[:, : len(names)]
    yield "base", said[test][:, [names.index(trait) if trait in names else 0 for trait in dataset.traits]]
    happy = said[:, [names.index("happy")]]
    yield "base, happy", happy[test] * np.sign((change(happy[train]) * change(dataset.ratings[train])).sum(axis=0))

    alone = replace(dataset, prior=dataset.prior[:, :0])
    for name, data in (("stack", alone), ("stack, with base", dataset)):
        assert data.prior is not None
        yield name, fit_dataset(data, train, seed=0).predict(data.features[test], data.prior[test])

    grams = {"features": part.gram(dataset.features, dict(dataset.blocks)), "base": part.gram(said)}
    grams["both"] = grams["features"] + grams["base"]
    for person in (False, True):
        yield f"ridge{', person' * person}", part.ridge(grams["both"], person=person)

    found = {}
    for kind, gram in grams.items():
        for axes in (False, True):
            name = f"changes of {kind}{', axes' * axes}"
            found[name] = part.changes(gram, axes=axes)
            yield name, found[name][0][test]
    yield "changes, chosen", min(found.values(), key=lambda fit: fit[1])[0][test]

    moved = found["changes of features, axes"][0]
    left = replace(dataset, ratings=dataset.ratings - moved)
    rest = fit_dataset(left, train, seed=0).predict(dataset.features[test], dataset.prior[test])
    yield "stack + changes", rest + moved[test]


@dataclass(frozen=True)
class Found:
    """What a method predicted of all persons, each in the fold where it was tested."""

    scores: Floats
    folds: Rows  # of each person

    def moves(self, values: Floats) -> Floats:
        """Return changes, from the mean of their fold."""
        return from_mean_of_fold(change(values), self.folds)


def shuffle(dataset: Dataset, seed: int) -> Dataset:
    """Give each measured change to another person."""
    ratings = dataset.ratings.copy()
    ratings[1::2] = ratings[::2] + np.random.default_rng(seed).permutation(change(ratings))
    return replace(dataset, ratings=ratings)


def measure(dataset: Dataset, names: tuple[str, ...], seed: int) -> dict[str, Found]:
    """Predict every person from the others."""
    scores: dict[str, Floats] = {}
    folds = np.zeros(len(dataset.images) // 2, np.intp)
    for fold, (train, test) in enumerate(grouped_folds(dataset.groups, 10, seed)):
        folds[test[::2] // 2] = fold
        for name, predicted in methods(Part(dataset, train, test), names):
            scores.setdefault(name, np.zeros(dataset.ratings.shape))[test] = predicted
    return {name: Found(values, folds) for name, values in scores.items()}


def correlations(predicted: Floats, measured: Floats) -> Floats:
    """Return r of each trait."""
    return np.array([r(*pair) for pair in zip(predicted.T, measured.T, strict=True)])


def print_table(runs: list[tuple[Dataset, dict[str, Found]]], four: list[int]) -> None:
    """Print a row for each method."""
    persons = len(runs[0][0].images) // 2
    generator = np.random.default_rng(0)
    drawn = [np.arange(persons), *(generator.integers(persons, size=persons) for _ in range(REPEATS))]
    traits = [runs[0][0].traits[column] for column in four]
    print(f"| | {' | '.join(traits)} | mean | gain on base | gain on stack, with base | direction | neutral |")
    print("|---" + "|--:" * (len(four) + 5) + "|")
    means = {name: np.zeros(len(drawn)) for name in runs[0][1]}
    rows_of = {}
    for name in means:
        r_of, right, neutral = [], [], []
        for dataset, found in runs:
            truth, said = dataset.ratings[:, four], found[name].scores[:, four]
            moves = found[name].moves(said), found[name].moves(truth)
            r_of.append(correlations(*moves))
            right.append((np.sign(change(said)) == np.sign(change(truth))).mean())
            neutral.append(correlations(said[::2], truth[::2]).mean())
            means[name] += [correlations(*(moved[rows] for moved in moves)).mean() / len(runs) for rows in drawn]
        scored = "changes" not in name or "+" in name
        rows_of[name] = np.mean(r_of, axis=0), np.mean(right), f"{np.mean(neutral):.2f}" if scored else "-"
    for name, (r_of_traits, equal, between) in rows_of.items():
        cells = [f"{value:.2f}" for value in r_of_traits] + [f"{means[name][0]:.3f}"]
        for other in ("base", "stack, with base"):
            gain = means[name] - means[other]
            cells.append(f"{gain[0]:+.3f} ({gain[1:].std():.3f})" if name != other else "-")
        print(f"| {name} | {' | '.join([*cells, f'{equal:.2f}', between])} |")


def print_ceilings(dataset: Dataset) -> None:
    """Print how far the votes allow changes to be predicted at all."""
    print("| trait | mean change | s.d. | reliability | highest r |\n|---|--:|--:|--:|--:|")
    for column, trait in enumerate(dataset.traits):
        moved = change(dataset.ratings[:, column])
        spread = moved.std(ddof=1)
        reliable = max(1 - 2 * dataset.sampling_variance[:, column].mean() / spread**2, 0)
        print(f"| {trait} | {moved.mean():+.2f} | {spread:.2f} | {reliable:.2f} | {reliable**0.5:.2f} |")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare predictions of the changes within a person.")
    parser.add_argument("omi", type=Path, metavar="OMI_DIR", help="folder in the layout of One Million Impressions")
    parser.add_argument("amfd", type=Path, metavar="AMFD_DIR", help="folder with ratings.csv and images")
    parser.add_argument("--encoder", default="bundled", help="as in `prescreen train` (default: bundled)")
    parser.add_argument("--seeds", type=int, default=5, help="random divisions into folds (default: 5)")
    parser.add_argument("--traits", default="", help="learn only these of the file: smart,dominant (default: all)")
    parser.add_argument("--shuffled", action="store_true", help="give each measured change to another person")
    options = parser.parse_args()

    omi = load(options.omi, None, options.encoder)
    base = Base(omi.traits, fit_dataset(omi, seed=0), TrainingPortraits.none(len(omi.traits)))
    amfd = load(options.amfd / "ratings.csv", options.amfd / "images", options.encoder)
    rows = np.lexsort((amfd.images, amfd.persons))
    wanted = [amfd.traits.index(trait) for trait in (options.traits or ",".join(amfd.traits)).split(",")]
    dataset = with_bases(part_of(amfd, rows, wanted), [base])
    print_ceilings(dataset)
    runs = []
    for seed in range(options.seeds):
        data = shuffle(dataset, seed) if options.shuffled else dataset
        runs.append((data, measure(data, omi.traits, seed)))
    print_table(runs, [dataset.traits.index(trait) for trait in FOUR if trait in dataset.traits])


if __name__ == "__main__":
    main()
