"""What knowing the raters gives: ratings without their levels, spreads and noise, and who of them stands out.

Usage:  python benchmarks/raters.py [--draws 20] [--seed 0]
        python benchmarks/raters.py --votes votes.csv --raters 10    # real votes: image,trait,vote,rater

Without --votes everything is simulated: pictures with a planted quality, raters of planted kinds, whole votes. The
ratings of four models are compared with the planted quality: plain means; levels and spreads, with one noise for all;
noise of each rater's own; and the one that training takes, with straight-liners known and the model chosen from the
votes. The last is also taken after the votes of the raters who were found have been left out. Claimed and true are the
reliability that ratings claim and their squared correlation with the planted quality.

The second table says who is found: of the planted raters of each kind, and of the honest ones.

With --votes, ratings from some raters are compared with the plain means of all others. Raters are compared within those
who saw the same pictures.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from prescreen.ratings.rater_checks import TraitVotes, check_raters
from prescreen.ratings.raters import PictureVotes, plain_means, two_way_means
from prescreen.ratings.reliability import reliability

PICTURES = 200
QUALITY, NOISE = 1.0, 1.5  # standard deviations on 0:10; ICC(1) of single votes is 0.31 before raters differ
HONEST, SAME, REVERSED, RANDOM = range(4)


@dataclass(frozen=True)
class Crowd:
    """How raters differ (standard deviations of levels, spreads and log noise), and which share does not look.

    ``middle`` and ``usual_noise`` are on 0:10; away from 5, many votes are at an end of a short scale.
    """

    name: str
    level: float = 0.8
    spread: float = 0.3
    noise: float = 0.0
    same: float = 0.0
    reversed: float = 0.0
    random: float = 0.0
    votes_a_picture: int = 10
    votes_a_rater: int = 40
    high: int = 10
    middle: float = 5
    usual_noise: float = NOISE


CROWDS = (
    Crowd("raters alike", level=0, spread=0),
    Crowd("ordinary"),
    Crowd("ordinary, 5 votes a picture", votes_a_picture=5),
    Crowd("ordinary, 3 votes a rater", votes_a_rater=3, votes_a_picture=15),
    Crowd("ordinary, votes 0 to 3", high=3),
    Crowd("wide levels and spreads", level=1.5, spread=0.5),
    Crowd("noise differs", noise=0.6),
    Crowd("noise differs, votes 0 to 3", noise=0.6, high=3),
    Crowd("30 % at random", random=0.3),
    Crowd("30 % at random, votes 0 to 3", random=0.3, high=3),
    Crowd("10 % reversed", reversed=0.1),
    Crowd("15 % straight-liners", same=0.15),
    Crowd("15 % straight-liners, 0 to 3", same=0.15, high=3),
    Crowd("5 % of each", same=0.05, reversed=0.05, random=0.05),
    Crowd(
        "5 % of each, all see all", same=0.05, reversed=0.05, random=0.05, votes_a_rater=PICTURES, votes_a_picture=40
    ),
    Crowd("most answers 0, votes 0 to 3", level=1.6, votes_a_rater=20, high=3, middle=0.6),
    Crowd("most answers 2, votes 0 to 3", level=0, spread=0, votes_a_rater=20, high=3, middle=20 / 3, usual_noise=0.8),
)


def simulate(
    crowd: Crowd, generator: np.random.Generator, traits: int = 1
) -> tuple[np.ndarray, list[TraitVotes], np.ndarray]:
    """Return planted qualities (traits, pictures), the votes of each trait, and the raters' kinds.

    Traits correlate by 0.5, and half of the noise of a rater's votes on one picture is common to them.
    """
    raters = -(-PICTURES * crowd.votes_a_picture // crowd.votes_a_rater)
    # Raters cut shuffled decks of all pictures, so nobody sees a picture twice and all are seen equally often.
    images = np.concatenate([generator.permutation(PICTURES) for _ in range(crowd.votes_a_picture)])
    rater = np.arange(images.size) // crowd.votes_a_rater
    kinds = np.full(raters, HONEST)
    order, start = generator.permutation(raters), 0
    for kind, share in ((SAME, crowd.same), (REVERSED, crowd.reversed), (RANDOM, crowd.random)):
        kinds[order[start : start + round(share * raters)]] = kind
        start += round(share * raters)
    noise = crowd.usual_noise * np.exp(generator.normal(0, crowd.noise, raters))
    common, halo = generator.normal(0, 1, PICTURES), generator.normal(0, 1, images.size)
    qualities, votes = [], []
    for _ in range(traits):
        quality = QUALITY * np.sqrt(0.5) * (common + generator.normal(0, 1, PICTURES))
        levels = generator.normal(0, crowd.level, raters)
        spreads = np.maximum(generator.normal(1, crowd.spread, raters), 0)
        error = np.sqrt(0.5) * (halo + generator.normal(0, 1, images.size))
        said = crowd.middle + spreads[rater] * quality[images] + levels[rater] + noise[rater] * error
        said = np.where(kinds[rater] == REVERSED, 10 - said, said)
        said = np.where(kinds[rater] == RANDOM, generator.uniform(0, 10, images.size), said)
        said = np.where(kinds[rater] == SAME, generator.integers(2, 9, raters)[rater], said)
        qualities.append(quality)
        votes.append(TraitVotes(images, rater, np.clip(np.round(said * crowd.high / 10), 0, crowd.high)))
    return np.array(qualities), votes, kinds


def models(votes: TraitVotes, pictures: int) -> tuple[PictureVotes, ...]:
    """Return plain means, one noise, own noise, what training takes, and that without those who are found."""
    raters = int(votes.raters.max()) + 1
    (checked,) = check_raters([votes], pictures, raters).single
    rows = ~checked.found[votes.raters]
    numbers = (pictures, raters)
    of_all, of_kept = (
        (votes.images[part], votes.raters[part], votes.votes[part]) for part in (np.ones_like(rows), rows)
    )
    return (
        plain_means(votes.images, votes.votes, pictures),
        two_way_means(*of_all, *numbers, own_noise=False).ratings,
        two_way_means(*of_all, *numbers, own_noise=True).ratings,
        two_way_means(*of_all, *numbers, checked.same).ratings,
        two_way_means(*of_kept, *numbers, checked.same).ratings,
    )


def accuracy(ratings: PictureVotes, quality: np.ndarray) -> tuple[float, float]:
    """Return the correlation of the ratings with the planted quality, and the reliability that they claim."""
    claimed = reliability(ratings.means, ratings.stds, ratings.votes).of_mean
    return float(np.corrcoef(ratings.means, quality)[0, 1]), np.nan if claimed is None else claimed


def compare(crowd: Crowd, generators: Sequence[np.random.Generator]) -> str:
    """Return a line of the first table."""
    rows = []
    for generator in generators:
        (quality,), (votes,), _ = simulate(crowd, generator)
        rows.append([accuracy(ratings, quality) for ratings in models(votes, PICTURES)])
    r, claimed = np.moveaxis(np.array(rows), 2, 0)
    cells = gains(r)
    cells += [f"{claimed[:, model].mean():.3f}/{np.mean(r[:, model] ** 2):.3f}" for model in (1, 3, 4)]
    return f"{crowd.name:30s} | " + " | ".join(cells)


def gains(r: np.ndarray) -> list[str]:
    """Return the correlations (draws, models) of the first two models, and what the others gain over the second."""
    cells = [f"{r[:, 0].mean():6.3f}", f"{r[:, 1].mean():6.3f}"]
    for model in (2, 3, 4):
        gain = r[:, model] - r[:, 1]
        error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else np.nan
        cells.append(f"{gain.mean():+.4f} ({error:.4f})")
    return cells


def compare_real(file: Path, raters: int, draws: int, seed: int) -> str:
    """Return a line on real votes, the mean over all traits and groups of raters with the same pictures."""
    frame = pd.read_csv(file, dtype={"image": str, "rater": str})
    frame["block"] = frame.groupby(["trait", "rater"])["image"].transform("min")
    rows = []
    for place, (_, part) in enumerate(frame.groupby(["trait", "block"])):
        images, names = pd.factorize(part["image"], sort=True)
        of, ids = pd.factorize(part["rater"], sort=True)
        votes = part["vote"].to_numpy(float)
        for draw in range(draws if len(ids) >= raters + 10 else 0):
            order = np.random.default_rng([seed, place, draw]).permutation(len(ids))
            rank = np.argsort(order)[of]
            chosen = rank < raters
            truth = plain_means(images[~chosen], votes[~chosen], len(names)).means
            found = models(TraitVotes(images[chosen], rank[chosen], votes[chosen]), len(names))
            rows.append([np.corrcoef(ratings.means, truth)[0, 1] for ratings in found])
    return f"{file.parent.name}, {raters} raters, {len(rows)} draws | " + " | ".join(gains(np.array(rows)))


def find(crowd: Crowd, generators: Sequence[np.random.Generator], traits: int) -> str:
    """Return a line of the second table."""
    planted, found = np.zeros(4), np.zeros(4)
    for generator in generators:
        _, votes, kinds = simulate(crowd, generator, traits)
        checked = check_raters(votes, PICTURES, kinds.size)
        named = np.any([checked.found(trait) for trait in range(traits)], axis=0)
        planted += np.bincount(kinds, minlength=4)
        found += np.bincount(kinds, named, 4)
    shares = [f"{f:4.0f} of {p:4.0f}" if p else "-" for f, p in zip(found[1:], planted[1:], strict=True)]
    honest = f"{found[0]:.0f} of {planted[0]:.0f}"
    return f"{crowd.name:30s} {traits:6d} | {shares[0]:>12s} {shares[1]:>12s} {shares[2]:>12s} | {honest:>12s}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what knowing the raters gives, on simulated raters.")
    parser.add_argument("--draws", type=int, default=20, help="simulations of each crowd (default: 20)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--votes", type=Path, help="CSV of real votes: image,trait,vote,rater")
    parser.add_argument("--raters", type=int, default=10, help="how many of its raters rate (default: 10)")
    options = parser.parse_args()
    if options.votes:
        print("r with the others' means: plain | one noise | gains of own noise | chosen | left out")
        print(compare_real(options.votes, options.raters, options.draws, options.seed))
        return

    print(f"Simulated raters and votes, {PICTURES} pictures, {options.draws} draws; standard errors in brackets.")
    print("r with the planted quality of plain means and of one noise for all; gains in r over the latter;")
    print("reliability claimed/true of one noise for all, of the model that training takes, and without those found.")
    print(
        f"{'crowd':30s} |  plain | 1 noise | {'own noise':16s} | {'chosen':16s} | {'left out':16s} | "
        f"{'1 noise':11s} | {'chosen':11s} | {'left out':11s}"
    )
    for place, crowd in enumerate(CROWDS):
        print(
            compare(crowd, [np.random.default_rng([options.seed, place, d]) for d in range(options.draws)]), flush=True
        )
    print("\nWho is found")
    print(f"{'crowd':30s} {'traits':>6s} | {'same':>12s} {'reversed':>12s} {'random':>12s} | {'honest':>12s}")
    for place, crowd in enumerate(CROWDS):
        for traits in (1, 3):
            generators = [np.random.default_rng([options.seed, place, d, traits]) for d in range(2 * options.draws)]
            print(find(crowd, generators, traits), flush=True)


if __name__ == "__main__":
    main()
