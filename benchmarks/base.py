"""What a base, or a second rating file, adds to a predictor of few rated pictures: `prescreen train --base`.

Usage:  python benchmarks/base.py OMI_DIR [--encoder bundled] [--pictures 30,60,120,240] [--draws 4] [--traits smart]

The ratings are the published means of the 34 attributes of One Million Impressions. In each draw half of the faces are
the base's. For each trait a base is trained on all other traits of these faces. A predictor of the trait alone is
trained on so many of the other faces, and tested on the rest of them: without a base, with it, and with a shuffled one,
whose predictions belong to other pictures and must not help. Gains are in r, means over traits and draws; the standard
error is over traits, each the mean of its draws. 20 of the traits are impressions; the other 14 are what a face looks
like (age, hair, descent) and what is around it.

The second table compares r in nested cross-validation with r on unseen faces, up to 60 pictures, and counts how often
the 90 % intervals hold there. `--seen` trains the base on the same faces as the predictor, so that its cross-validated
predictions are used; the faces of the test are new to both. That takes ten times as long.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from trees import load, part_of

from prescreen.predictor.bases import Base
from prescreen.predictor.training_portraits import TrainingPortraits
from prescreen.regressors.intervals import ErrorSize, conformal_half_widths
from prescreen.regressors.stacking import cross_validate, fit_final
from prescreen.training.dataset import Dataset
from prescreen.training.other_ratings import with_others
from prescreen.training.steps import cross_validate_dataset

LOOKS = (
    *("age", "gender", "weight", "long-haired", "skin-color", "hair-color", "asian", "middle-eastern", "hispanic"),
    *("islander", "native", "black", "white", "outdoors"),
)

SMALL = 60  # pictures; with more, cross-validation is as good as a test and takes long

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Draw:
    """The faces of the base, and the others in random order."""

    number: int
    of_base: Rows
    others: Rows


def draw(dataset: Dataset, number: int) -> Draw:
    """Divide the faces at random; those of one group stay together."""
    order = np.random.default_rng(number).permutation(np.unique(dataset.groups))
    middle = len(order) // 2
    others = [np.flatnonzero(dataset.groups == group) for group in order[middle:]]
    return Draw(number, np.flatnonzero(np.isin(dataset.groups, order[:middle])), np.concatenate(others))


def train_base(dataset: Dataset, rows: Rows, without: int, *, validated: bool) -> Base:
    """Train a base on all traits but one, with cross-validated predictions where they are needed."""
    ratings = np.delete(dataset.ratings, without, axis=1)[rows]
    given = dataset.features[rows], ratings, dataset.groups[rows], dataset.blocks
    predictions = cross_validate(*given).predictions if validated else np.zeros((len(rows), ratings.shape[1]))
    keys = rows.astype(np.uint64) + 1 if validated else np.zeros(len(rows), np.uint64)
    portraits = TrainingPortraits(keys, np.zeros((len(rows), 128), np.float16), predictions)
    return Base(tuple(np.delete(dataset.traits, without)), fit_final(*given), portraits)


def measure(
    dataset: Dataset, trait: int, part: Draw, pictures: list[int], seen: bool
) -> Iterator[dict[str, float | str]]:
    """Measure the four predictors of one trait in one draw."""
    without = [column for column in range(len(dataset.traits)) if column != trait]
    base = None if seen else train_base(dataset, part.of_base, trait, validated=False)
    for n in pictures:
        train, test = part.others[:n], part.others[max(pictures) :]
        if seen:
            base = train_base(dataset, np.concatenate([part.of_base, train]), trait, validated=True)
        assert base is not None
        said = base.predict(dataset.features[part.others], part.others.astype(np.uint64) + 1)
        shuffled = said[np.random.default_rng([part.number, trait]).permutation(len(said))]
        tested = np.isin(part.others, test)
        file = np.concatenate([part.of_base, train]) if seen else part.of_base
        merged = with_others(part_of(dataset, train, [trait]), [part_of(dataset, file, without)], seed=0)
        assert merged.prior is not None
        everything, nobody = np.ones(len(file), dtype=bool), np.full(len(test), -1)
        of_test = merged.others[0].predict(dataset.features[test], nobody, everything)
        for name, of_train, prior in (
            ("alone", said[:n, :0], said[tested, :0]),
            ("base", said[:n], said[tested]),
            ("merged", merged.prior, of_test),
            ("shuffled", shuffled[:n], shuffled[tested]),
        ):
            given = dataset.features[train], dataset.ratings[train][:, [trait]], dataset.groups[train], dataset.blocks
            found = fit_final(*given, prior=of_train).predict(dataset.features[test], prior)
            row: dict[str, float | str] = {
                "pictures": n,
                "trait": dataset.traits[trait],
                "draw": part.number,
                "arm": name,
            }
            truth = dataset.ratings[test, trait]
            row["r"] = r(found[:, 0], truth)
            if n <= SMALL and name != "shuffled":
                of_merged = name == "merged"
                inside = cross_validate_dataset(merged, 0) if of_merged else cross_validate(*given, prior=of_train)
                errors = given[1] - inside.predictions
                size = ErrorSize.fit(inside.predictions, errors)
                half = conformal_half_widths(errors / size(inside.predictions)) * size(found)
                row["cross-validated"] = r(inside.predictions[:, 0], given[1][:, 0])
                row["held"] = float((np.abs(found[:, 0] - truth) <= half[:, 0]).mean())
            yield row


def r(a: Floats, b: Floats) -> float:
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 else 0.0


def mean_and_error(values: pd.DataFrame, arm: str, against: str = "") -> str:
    """Write the mean over traits of an arm, or of its gain, with its standard error."""
    means = values.groupby("trait")[[arm, *([against] if against else [])]].mean()
    of_traits = means[arm] - means[against] if against else means[arm]
    sign = "+" if against else ""
    return f"{of_traits.mean():{sign}.3f} ({of_traits.std() / len(of_traits) ** 0.5:.3f})"


def print_tables(measured: pd.DataFrame) -> None:
    """Print gains, then what cross-validation and intervals say of them."""
    print("| traits | rated faces | r alone | gain with base | worst trait | gain merged | gain with shuffled base |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    of_looks = measured["trait"].isin(LOOKS)
    kinds = {"impressions": measured[~of_looks], "looks": measured[of_looks], "all": measured}
    for name, chosen in kinds.items():
        for n, part in chosen.groupby("pictures"):
            table = part.pivot_table(index=["trait", "draw"], columns="arm", values="r").reset_index()
            worst = (table["base"] - table["alone"]).groupby(table["trait"]).mean().min()
            print(
                f"| {table['trait'].nunique()} {name} | {n} | {mean_and_error(table, 'alone')} | "
                f"{mean_and_error(table, 'base', 'alone')} | {worst:+.3f} | "
                f"{mean_and_error(table, 'merged', 'alone')} | {mean_and_error(table, 'shuffled', 'alone')} |"
            )
    if "held" not in measured:
        return
    print("\n| rated faces | | r, cross-validated | r on unseen faces | 90 % intervals hold |")
    print("|--:|---|--:|--:|--:|")
    for (n, arm), part in measured[~of_looks].dropna().groupby(["pictures", "arm"]):
        figures = (mean_and_error(part, name) for name in ("cross-validated", "r", "held"))
        print(f"| {n} | {arm} | {' | '.join(figures)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what a base adds to a predictor of few rated pictures.")
    parser.add_argument("folder", type=Path, metavar="OMI_DIR", help="folder in the layout of One Million Impressions")
    parser.add_argument("--encoder", default="bundled", help="as in `prescreen train` (default: bundled)")
    parser.add_argument("--pictures", default="30,60,120,240", help="numbers of rated faces (default: 30,60,120,240)")
    parser.add_argument("--draws", type=int, default=4, help="random divisions of the faces (default: 4)")
    parser.add_argument("--traits", help="only these: smart,outgoing (default: all)")
    parser.add_argument("--seen", action="store_true", help="the base is trained on the predictor's faces, too")
    options = parser.parse_args()

    dataset = load(options.folder, None, options.encoder)
    pictures = sorted(int(number) for number in options.pictures.split(","))
    traits = [dataset.traits.index(name) for name in (options.traits or ",".join(dataset.traits)).split(",")]
    rows = [
        row
        for number in range(options.draws)
        for trait in traits
        for row in measure(dataset, trait, draw(dataset, number), pictures, options.seen)
    ]
    print(f"{len(dataset.images)} faces, encoder {options.encoder}, {options.draws} draws\n")
    print_tables(pd.DataFrame(rows))


if __name__ == "__main__":
    main()
