"""The ways of giving the current photo, on SIMULATED persons whose truth is known.

Each person has a current photo that raters truly score at C 8.2, L 9.0, IN 7.1, and 200 candidates. Everything is
normal in z: the person's mean prediction, the pictures around it, and the predictor's errors, of which all pictures of
a person share a part. For shares, population offsets and within-person slopes it prints, for each way of giving the
photo, the chance that is said of the ten best candidates and how many of them are truly better (improve C and IN, keep
L).

    python benchmarks/baseline.py [--persons 200]
"""

import argparse
from collections import defaultdict

import numpy as np
import pandas as pd

from prescreen.ranking.comparison import Comparison
from prescreen.ranking.goals import Goals
from prescreen.ranking.posterior import HumanScores, Prior
from prescreen.ranking.within_person import WithinPerson
from prescreen.ratings.vote_noise import noise_of_vote, score_to_z
from prescreen.shortlist.comparison import level_of_scores

TRAITS = ("competence", "likeability", "influence")
GOALS = Goals(("competence", "influence"), ("likeability",))
LEVEL = score_to_z([8.2, 9.0, 7.1])
ALIKE = np.array([[1.0, 0.4, 0.6], [0.4, 1.0, 0.2], [0.6, 0.2, 1.0]])
BETWEEN = 0.25 * ALIKE  # persons' mean predictions
AROUND = 0.2 * ALIKE  # a person's pictures around it
ERRORS = 0.3 * ALIKE
NOISE, VOTES, OFFSET = 3.0, 40, 0.25
CANDIDATES, RETURNED = 200, 10
SHARES, OFFSETS, SLOPES = (0.0, 0.3, 0.6, 0.9), (-0.5, 0.0, 0.5), (0.5, 1.0)


def draw(rng, *shape):
    return rng.normal(size=(*shape, len(TRAITS)))


def person(rng, share, offset, slope):
    """Draw a person whose photo is at `LEVEL` for the raters; predictions and truth (n + 1, t), the photo last."""
    root = {name: np.linalg.cholesky(part).T for name, part in (("b", BETWEEN), ("a", AROUND), ("e", ERRORS))}
    mean = draw(rng) @ root["b"]
    around, own = draw(rng, CANDIDATES + 1) @ root["a"], draw(rng, CANDIDATES + 1) @ root["e"]
    shared = draw(rng) @ root["e"]
    # The photo's truth is given: move what it is made of by their parts in its variance (Matheron's rule).
    parts = (BETWEEN, slope * AROUND, share * ERRORS, (1 - share) * ERRORS)
    total = BETWEEN + slope**2 * AROUND + ERRORS
    truth = mean + slope * around[-1] + np.sqrt(share) * shared + np.sqrt(1 - share) * own[-1]
    missing = np.linalg.solve(total, LEVEL - offset - truth)
    mean = mean + parts[0] @ missing
    around[-1] += parts[1] @ missing
    common = np.sqrt(share) * shared + parts[2] @ missing
    errors = common + np.sqrt(1 - share) * own
    errors[-1] += parts[3] @ missing
    return mean + around, mean + slope * around + errors


def compare(predicted, way, beliefs):
    """Compare the candidates with the photo, given in one of the ways, as `prescreen.shortlist.comparison` does."""
    n = len(predicted) - 1
    photo = way.startswith("photo")
    centre = predicted.mean(axis=0) if photo else predicted[:-1].mean(axis=0)
    noise = np.array([noise_of_vote(z, NOISE) for z in LEVEL]) / VOTES
    none = HumanScores(np.zeros(0, int), np.zeros((0, 3)), np.zeros((0, 3)))
    told = HumanScores(np.zeros(1, int), LEVEL[None], noise[None], np.full(3, OFFSET**2))
    around = beliefs.mean_slope**2 * np.cov(predicted[:-1], rowvar=False, ddof=0)
    level, given, scores, first = {
        "scores taken as exact": (LEVEL, np.zeros((3, 3)), none, None),
        "scores and their votes": (*level_of_scores(told, centre, around + ERRORS),)
        + (none.with_row(0, told, np.diag(around)), centre),
        "photo alone": (predicted[-1], None, none, predicted[-1]),
        "photo and scores": (LEVEL, None, told, predicted[-1]),
    }[way]

    def priors(rows, jointly):
        shown = predicted[rows] if first is None else np.vstack([first, predicted[rows]])
        for share, slope in zip(beliefs.share, beliefs.slope, strict=True):
            correlation = np.eye(len(shown))  # between candidates it does not matter for their single chances
            if first is not None:
                correlation[0, 1:] = correlation[1:, 0] = share
            yield Prior(centre + slope * (shown - centre), correlation, ERRORS, person=share)

    return Comparison(
        traits=TRAITS,
        goals=GOALS,
        level=level,
        usable=np.ones(n, dtype=bool),
        beliefs=beliefs,
        priors=priors,
        scores=scores,
        anchors=0 if first is None else 1,
        given=given,
    ).chance


WAYS = ("scores taken as exact", "scores and their votes", "photo alone", "photo and scores")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--persons", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    guess, prior = WithinPerson.exactly(0.3), WithinPerson.prior()
    rows = []
    for share in SHARES:
        for offset in OFFSETS:
            for slope in SLOPES:
                rng = np.random.default_rng([options.seed, int(share * 10), int(offset * 10) + 10, int(slope * 10)])
                found = defaultdict(list)
                for _ in range(options.persons):
                    predicted, truth = person(rng, share, offset, slope)
                    moved = truth[:-1] - truth[-1]
                    better = (moved[:, 0] > 0) & (moved[:, 2] > 0) & (moved[:, 1] >= 0)
                    for way in WAYS:
                        for name, beliefs in (("share .3, slope 1", guess), ("all shares and slopes", prior)):
                            if way == "scores taken as exact" and beliefs is prior:
                                continue  # nothing of the photo is known that could be shared
                            chance = compare(predicted, way, beliefs)
                            ten = np.argsort(-chance.joint, kind="stable")[:RETURNED]
                            found[way, name].append((chance.joint[ten].mean(), better[ten].mean()))
                for (way, name), pairs in found.items():
                    said, happened = np.array(pairs).T
                    error = (said - happened).std(ddof=1) / np.sqrt(len(pairs))
                    rows.append((share, offset, slope, way, name, said.mean(), happened.mean(), error))
    table = pd.DataFrame(rows, columns=["share", "offset", "slope", "way", "beliefs", "said", "happened", "s.e."])
    table["gap"] = table["said"] - table["happened"]
    print(f"SIMULATED: {options.persons} persons a cell, {RETURNED} best of {CANDIDATES}; s.e. of said - happened")
    for (way, beliefs), part in table.groupby(["way", "beliefs"], sort=False):
        print(f"\n{way}; {beliefs}: said {part['said'].mean():.3f}, happened {part['happened'].mean():.3f},", end=" ")
        print(f"mean |gap| {part['gap'].abs().mean():.3f}, largest {part['gap'].abs().max():.3f}")
        shown = part.pivot_table(index=["share", "slope"], columns="offset", values=["said", "happened", "s.e."])
        print(shown.round(3).to_string())


if __name__ == "__main__":
    main()
