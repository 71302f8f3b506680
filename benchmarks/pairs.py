"""What answers to "which of two is better?" give, compared with votes from 0 to 3. All is SIMULATED.

Usage:  python benchmarks/pairs.py [--draws 40] [--seed 0]

Pictures have a planted quality. Whoever looks at one sees the quality, their own taste, and noise that is new at each
look. A vote is one look on a scale of four steps of the rater's own: lenient or strict, wide or narrow. An answer to a
pair is two looks, and the better one wins; leniency cancels. Every rater gives the same number of answers unless
the row says otherwise, each about other pictures (pairs on circles, as the ballot of pairs chooses them).

r is the correlation of the ratings with the planted quality, errors are standard errors over draws. Votes are rated
as training does (levels and spreads taken out) and by plain means; pairs by Bradley-Terry and the share of wins.
"Pairs for a vote" is how many answers about pairs carry as much as one vote: the ratio of the odds of r squared.
Claimed and true are the reliability that the pairs' ratings claim, and their squared r.
"""

import argparse
import time
from dataclasses import dataclass

import numpy as np

from prescreen.ratings.pairs import Pairs, pair_ratings, strengths
from prescreen.ratings.raters import plain_means, two_way_means
from prescreen.ratings.reliability import reliability


@dataclass(frozen=True)
class Crowd:
    """Who answers, and how they differ (standard deviations; that of the pictures' quality is 1)."""

    name: str
    pictures: int = 120
    raters: int = 30
    answers: int | tuple[int, ...] = 40
    level: float = 0.8
    spread: float = 0.3
    taste: float = 0.7
    noise: float = 1.2
    pair_noise: float | None = None


CROWDS = (
    Crowd("ordinary"),
    Crowd("10 raters", raters=10),
    Crowd("100 raters", raters=100),
    Crowd("40 pictures", pictures=40),
    Crowd("40 pictures, 10 raters", pictures=40, raters=10),
    Crowd("raters alike", level=0, spread=0),
    Crowd("levels differ widely", level=1.6),
    Crowd("no taste of their own", taste=0, noise=1.4),
    Crowd("pairs with half the noise", pair_noise=0.6),
    Crowd("5 answers a rater, 240 raters", raters=240, answers=5),
    Crowd("3 raters with 120 answers, 24 with 20", raters=27, answers=(120,) * 3 + (20,) * 24),
)


def simulate(crowd: Crowd, generator: np.random.Generator) -> tuple[np.ndarray, tuple[np.ndarray, ...], Pairs]:
    """Return the qualities, votes as pictures, raters and values, and pairs."""
    quality = generator.normal(size=crowd.pictures)
    images, raters, votes, better, worse = ([] for _ in range(5))
    for rater, answers in enumerate(np.broadcast_to(crowd.answers, crowd.raters)):
        own = quality + generator.normal(0, crowd.taste, crowd.pictures)
        seen = generator.permutation(crowd.pictures)[:answers]
        look = own[seen] + generator.normal(0, crowd.noise, seen.size)
        spread = max(generator.normal(1, crowd.spread), 0.1)
        votes.append(np.digitize(spread * look + generator.normal(0, crowd.level), [-1, 0, 1]))
        images.append(seen)
        raters.append(np.full(seen.size, rater))
        left, right = on_circle(crowd.pictures, answers, generator)
        noise = generator.normal(0, crowd.noise if crowd.pair_noise is None else crowd.pair_noise, (2, left.size))
        first = own[left] + noise[0] > own[right] + noise[1]
        better.append(np.where(first, left, right))
        worse.append(np.where(first, right, left))
    given = tuple(np.concatenate(part) for part in (images, raters, votes))
    of = np.repeat(np.arange(crowd.raters), [part.size for part in better])
    return quality, given, Pairs(np.concatenate(better), np.concatenate(worse), of, crowd.pictures)


def on_circle(pictures: int, answers: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Choose the pairs of a rater as the ballot does: every second of a circle, then the others."""
    circle = generator.permutation(pictures)
    order = np.argsort(np.arange(pictures) % 2, kind="stable")[:answers]
    return circle[order], np.roll(circle, -1)[order]


def agreement(means: np.ndarray, quality: np.ndarray) -> float:
    known = np.isfinite(means)
    return float(np.corrcoef(means[known], quality[known])[0, 1])


def compare(crowd: Crowd, generator: np.random.Generator) -> list[float]:
    quality, (images, raters, votes), pairs = simulate(crowd, generator)
    freed = two_way_means(images, raters, votes.astype(float), crowd.pictures, crowd.raters).ratings
    plain = plain_means(images, votes, crowd.pictures)
    rated = pair_ratings(pairs)
    wins = np.bincount(pairs.better, minlength=crowd.pictures) / np.where(pairs.counts() > 0, pairs.counts(), np.nan)
    each = np.bincount(pairs.raters)
    place = np.arange(pairs.better.size) - (np.cumsum(each) - each)[pairs.raters]
    half = pair_ratings(pairs.chosen(place < (each[pairs.raters] + 1) // 2))
    known = np.isfinite(rated.means)
    claimed = reliability(rated.means[known], rated.stds[known], rated.votes[known]).of_mean
    found = [agreement(part, quality) for part in (freed.means, plain.means, rated.means, wins, half.means)]
    return [*found, np.nan if claimed is None else claimed, found[2] ** 2]


def against_choix(draws: int) -> str:
    """Compare strengths and times with choix's, on the answers of 30 raters about 120 pictures."""
    import choix

    apart, own, its = [], [], []
    for seed in range(draws):
        _, _, pairs = simulate(Crowd("", answers=120), np.random.default_rng(seed))
        answers = list(zip(pairs.better.tolist(), pairs.worse.tolist(), strict=True))
        start = time.process_time()
        found = strengths(pairs)
        own.append(time.process_time() - start)
        start = time.process_time()
        reference = choix.opt_pairwise(pairs.n_images, answers, alpha=0.5)
        its.append(time.process_time() - start)
        apart.append(np.abs(found - reference).max())
    return (
        f"scikit-learn's logistic regression against choix.opt_pairwise, 3600 answers: {max(apart):.1g} apart at most, "
        f"{1000 * np.median(own):.0f} ms against {1000 * np.median(its):.0f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(against_choix(5))
    print(
        "| raters | r, votes 0 to 3 | plain means | r, as many pairs | wins | gain of Bradley-Terry over wins "
        "| pairs less votes | r, half as many pairs | pairs for a vote | claimed / true |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for place, crowd in enumerate(CROWDS):
        generators = [np.random.default_rng([arguments.seed, place, draw]) for draw in range(arguments.draws)]
        found = np.array([compare(crowd, generator) for generator in generators])
        freed, plain, pairs, wins, half, claimed, true = found.mean(axis=0)
        odds = [np.mean(part) / (1 - np.mean(part)) for part in (found[:, 0] ** 2, found[:, 2] ** 2)]
        parts = [crowd.name, f"{freed:.3f}", f"{plain:.3f}", f"{pairs:.3f}", f"{wins:.3f}"]
        parts += [error(found[:, 2] - found[:, 3]), error(found[:, 2] - found[:, 0]), f"{half:.3f}"]
        parts += [f"{odds[0] / odds[1]:.1f}", f"{claimed:.3f} / {true:.3f}"]
        print(f"| {' | '.join(parts)} |", flush=True)


def error(differences: np.ndarray) -> str:
    return f"{differences.mean():+.3f} ± {differences.std(ddof=1) / np.sqrt(differences.size):.3f}"


if __name__ == "__main__":
    main()
