"""The gain from rater ids: ratings without the raters' levels and spreads against plain means.

Usage:  python benchmarks/raters.py [--draws 20] [--seed 0]

Everything here is simulated: pictures with a planted quality, raters with planted levels and spreads, votes on 0:10.
Each file of votes is read by `read_ratings` twice, with and without its column of raters, and the ratings are compared
with the planted quality. The last columns say how many votes a picture plain means would need to be as accurate, and in
how many draws rater ids gave the better ratings. Where raters do not differ there is nothing to gain, and the benchmark
shows the cost of the model.
"""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from prescreen.ratings.reading import read_ratings
from prescreen.ratings.scale import Scale

PICTURES = 200
QUALITY, NOISE = 1.0, 1.5  # standard deviations on 0:10; ICC(1) of single votes is 0.31 before raters differ


@dataclass(frozen=True)
class Crowd:
    """Standard deviation of raters' levels and spreads, and how much each votes."""

    name: str
    level: float
    spread: float
    votes_a_picture: int
    votes_a_rater: int


CROWDS = (
    Crowd("raters alike", 0.0, 0.0, 10, 40),
    Crowd("levels differ", 0.8, 0.0, 10, 40),
    Crowd("spreads differ", 0.0, 0.5, 10, 40),
    Crowd("both differ", 0.8, 0.5, 10, 40),
    Crowd("both, 5 votes a picture", 0.8, 0.5, 5, 40),
    Crowd("both, 20 votes a picture", 0.8, 0.5, 20, 40),
    Crowd("both, 10 votes a rater", 0.8, 0.5, 10, 10),
    Crowd("both, every rater on all", 0.8, 0.5, 10, PICTURES),
    Crowd("levels differ widely", 1.5, 0.5, 10, 40),
)


def simulate(crowd: Crowd, generator: np.random.Generator) -> tuple[np.ndarray, pd.DataFrame]:
    """Return the planted qualities and simulated votes, whole numbers from 0 to 10."""
    raters = round(PICTURES * crowd.votes_a_picture / crowd.votes_a_rater)
    quality = generator.normal(0, QUALITY, PICTURES)
    levels = generator.normal(0, crowd.level, raters)
    spreads = np.maximum(generator.normal(1, crowd.spread, raters), 0)
    # Raters cut shuffled decks of all pictures, so nobody sees a picture twice and all are seen equally often.
    assert PICTURES % crowd.votes_a_rater == 0
    images = np.concatenate([generator.permutation(PICTURES) for _ in range(crowd.votes_a_picture)])
    rater = np.repeat(np.arange(raters), crowd.votes_a_rater)
    votes = 5 + spreads[rater] * quality[images] + levels[rater] + generator.normal(0, NOISE, images.size)
    names = np.array([f"{number:03d}.jpg" for number in range(PICTURES)])
    return quality, pd.DataFrame(
        {"image": names[images], "trait": "quality", "vote": np.clip(np.round(votes), 0, 10), "rater": rater}
    )


def accuracy(folder: Path, votes: pd.DataFrame, quality: np.ndarray, method: str) -> tuple[float, float]:
    """Return the correlation of the ratings with the planted quality, and the reliability that they claim."""
    votes.to_csv(folder / "votes.csv", index=False)
    rated = read_ratings(folder / "votes.csv", scale=Scale(0, 10))
    assert rated.method == method
    claimed = rated.reliability["quality"].of_mean
    assert claimed is not None
    return float(np.corrcoef(rated.wide()["quality"], quality)[0, 1]), claimed


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the gain from rater ids, on simulated raters.")
    parser.add_argument("--draws", type=int, default=20, help="simulations of each crowd (default: 20)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    print(f"Simulated raters and votes, {PICTURES} pictures, mean of {options.draws} draws.")
    print("r: correlation of the ratings with the planted quality; claimed: the root of the reliability they claim.")
    print(
        f"{'crowd':26s} {'votes':>5s} | {'plain r':>8s} {'claimed':>8s} | {'two-way r':>9s} {'claimed':>8s} | "
        f"{'gain in r':>17s} {'votes that plain needs':>23s} {'better in':>10s}"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(PICTURES):
            (folder / f"{number:03d}.jpg").touch()  # names are checked, contents are not
        for place, crowd in enumerate(CROWDS):
            rows = []
            for draw in range(options.draws):
                quality, votes = simulate(crowd, np.random.default_rng([options.seed, place, draw]))
                plain = accuracy(folder, votes.drop(columns="rater"), quality, "mean")
                rows.append((*plain, *accuracy(folder, votes, quality, "two-way")))
            print_row(crowd, np.array(rows))


def print_row(crowd: Crowd, rows: np.ndarray) -> None:
    plain, plain_claimed, freed, freed_claimed = rows.T
    gains = freed - plain
    error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else np.nan
    # A mean of votes that correlates r with the truth has odds r²/(1-r²) in proportion to its number of votes.
    odds = [r.mean() ** 2 / (1 - r.mean() ** 2) for r in (plain, freed)]
    needed = crowd.votes_a_picture * odds[1] / odds[0]
    print(
        f"{crowd.name:26s} {crowd.votes_a_picture:5d} | {plain.mean():8.3f} {np.sqrt(plain_claimed).mean():8.3f} | "
        f"{freed.mean():9.3f} {np.sqrt(freed_claimed).mean():8.3f} | {gains.mean():+9.4f} ± {2 * error:.4f} "
        f"{needed:23.1f} {(gains > 0).sum():6d}/{len(gains)}"
    )


if __name__ == "__main__":
    main()
