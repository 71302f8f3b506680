"""What `rank` and `learn` advise on SIMULATED persons whose truth is known, and how often that is right.

Each person has a current photo and 60 candidates, made as in `benchmarks/baseline.py`; the photo and its scores of 40
votes are given. A third of the photos each is at C 8.2, L 9.0, IN 7.1, far better, and at the middle. `rank` proposes
three pictures. The five best are then tested together with the photo, 20 votes each, at the same service, and `learn`
decides: take one of them, test others, or keep the photo. Taking is right if that picture is truly better. Keeping is
right if none of the pictures that would have been proposed, and none of the tested ones, is.

    python benchmarks/decisions.py [--persons 30]
"""

import argparse
from collections import defaultdict

import numpy as np
import pandas as pd
from baseline import AROUND, BETWEEN, ERRORS, GOALS, NOISE, OFFSET, TRAITS, VOTES, draw

from prescreen.ranking.comparison import Comparison
from prescreen.ranking.posterior import HumanScores, Prior
from prescreen.ranking.stopping import Advice, decide
from prescreen.ranking.within_person import WithinPerson
from prescreen.ratings.vote_noise import noise_of_vote, score_to_z

CANDIDATES, PROPOSED, TESTED, TEST_VOTES, RETURNED = 60, 3, 5, 20, 10
PHOTOS = {"as in the story": (8.2, 9.0, 7.1), "strong": (9.3, 9.6, 9.2), "middling": (5.5, 6.0, 5.0)}
SHARES, OFFSETS, SLOPES = (0.0, 0.3, 0.45, 0.6, 0.9), (-0.25, 0.25), (0.5, 0.75, 1.0)


def person(rng, level, share, offset, slope):
    """Draw a person whose photo the raters truly see at ``level`` in z; predictions and truth (n + 1, t), it last."""
    root = {name: np.linalg.cholesky(part).T for name, part in (("b", BETWEEN), ("a", AROUND), ("e", ERRORS))}
    mean, shared = draw(rng) @ root["b"], draw(rng) @ root["e"]
    around, own = draw(rng, CANDIDATES + 1) @ root["a"], draw(rng, CANDIDATES + 1) @ root["e"]
    truth = mean + slope * around[-1] + np.sqrt(share) * shared + np.sqrt(1 - share) * own[-1]
    missing = np.linalg.solve(BETWEEN + slope**2 * AROUND + ERRORS, level - offset - truth)
    mean = mean + BETWEEN @ missing
    around[-1] += slope * AROUND @ missing
    errors = np.sqrt(share) * shared + share * ERRORS @ missing + np.sqrt(1 - share) * own
    errors[-1] += (1 - share) * ERRORS @ missing
    return mean + around, mean + slope * around + errors


def compare(predicted, beliefs, rows, z, variance):
    """Compare the candidates with the photo, the last row, given human scores of some rows, the photo's last."""
    centre = predicted.mean(axis=0)

    def priors(asked, jointly):
        both = np.append(rows, asked).astype(int)
        same = both[:, None] == both
        for share, slope in zip(beliefs.share, beliefs.slope, strict=True):
            yield Prior(centre + slope * (predicted[both] - centre), np.where(same, 1.0, share), ERRORS, person=share)

    return Comparison(
        traits=TRAITS,
        goals=GOALS,
        level=z[-1],
        usable=np.ones(CANDIDATES, dtype=bool),
        beliefs=beliefs,
        priors=priors,
        scores=HumanScores(np.arange(len(rows)), z, variance, np.full(len(TRAITS), OFFSET**2)),
        anchors=len(rows),
    )


def advise(comparison, free):
    """Return what is proposed and the advice on it, as `prescreen.shortlist.shortlist` does."""
    best = free[np.argsort(-comparison.chance.joint[free], kind="stable")]
    selection = comparison.choose(best, PROPOSED)
    chance = float(selection.chance[-1])
    return selection.chosen, Advice(PROPOSED, chance, *comparison.interval(selection, PROPOSED))


def variance_of(z, votes):
    return np.column_stack([noise_of_vote(z[:, t], NOISE) for t in range(len(TRAITS))]) / votes


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--persons", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    beliefs = WithinPerson.prior()
    rows, said = [], defaultdict(list)
    for kind, scores in PHOTOS.items():
        level = score_to_z(scores)
        for cell in np.ndindex(len(SHARES), len(OFFSETS), len(SLOPES)):
            share, offset, slope = SHARES[cell[0]], OFFSETS[cell[1]], SLOPES[cell[2]]
            rng = np.random.default_rng([options.seed, len(kind), *cell])
            for _ in range(options.persons):
                predicted, truth = person(rng, level, share, offset, slope)
                moved = truth[:-1] - truth[-1]
                better = (moved[:, 0] > 0) & (moved[:, 2] > 0) & (moved[:, 1] >= 0)
                last, photo = np.array([CANDIDATES]), level[None]
                typed = rng.normal(photo, np.sqrt(variance_of(photo, VOTES)))
                before = compare(predicted, beliefs, last, typed, variance_of(typed, VOTES))
                chosen, advice = advise(before, np.arange(CANDIDATES))
                rows.append((kind, "rank", advice.verdict, share, advice.chance, better[chosen].any()))
                ten = np.argsort(-before.chance.joint, kind="stable")[:RETURNED]
                said["before a test", share].append((before.chance.joint[ten].mean(), better[ten].mean()))

                sent = np.argsort(-before.chance.joint, kind="stable")[:TESTED]
                seen = truth[np.append(sent, CANDIDATES)] + offset
                seen = rng.normal(seen, np.sqrt(variance_of(seen, TEST_VOTES)))
                z = np.concatenate([seen[:-1], seen[-1:], typed])
                votes = np.array([TEST_VOTES] * (TESTED + 1) + [VOTES])
                places = np.concatenate([sent, last, last])
                after = compare(predicted, beliefs, places, z, variance_of(z, votes[:, None]))
                tested = np.isin(np.arange(CANDIDATES), sent)
                chosen, advice = advise(after, np.flatnonzero(~tested))
                proposed = np.isin(np.arange(CANDIDATES), chosen)
                decision = decide(after.chance.joint, tested, proposed, advice)
                any_better = better[chosen].any()
                if decision.verdict == "switch" or decision.again:
                    any_better = better[decision.row]
                verdict = {"switch": "take", "stay": "keep"}.get(decision.verdict, advice.verdict)
                if decision.verdict == "stay":
                    any_better = any_better or better[sent].any()
                chance = advice.chance if decision.verdict == "test" and not decision.again else decision.chance
                rows.append((kind, "learn", "test again" if decision.again else verdict, share, chance, any_better))
                rest = np.flatnonzero(~tested)
                ten = rest[np.argsort(-after.chance.joint[rest], kind="stable")[:RETURNED]]
                said["after five", share].append((after.chance.joint[ten].mean(), better[ten].mean()))
    table = pd.DataFrame(rows, columns=["photo", "by", "verdict", "share", "said", "better"])
    print(f"SIMULATED: {options.persons} persons in each of {len(SHARES) * len(OFFSETS) * len(SLOPES)} cells a photo")
    print("\nhow often at least one of the pictures that the verdict is about is truly better")
    for by in (["by", "verdict"], ["photo", "by", "verdict"]):
        grouped = table.groupby(by)
        shown = grouped.agg(n=("better", "size"), said=("said", "mean"), better=("better", "mean"))
        shown["s.e."] = np.sqrt(shown["better"] * (1 - shown["better"]) / shown["n"])
        print(shown.round(3).to_string(), end="\n\n")
    keep = table[table["verdict"] == "keep"]
    for by, part in keep.groupby("by"):
        print(f"{by}: keep is right in {1 - part['better'].mean():.3f} of {len(part)} cases")
    print("\nchance of the ten best untested pictures, and how many of them are truly better")
    for (when, share), pairs in said.items():
        one, other = np.array(pairs).T
        gap = one - other
        error = gap.std(ddof=1) / np.sqrt(len(gap))
        print(f"{when:>14}, share {share:.2f}: said {one.mean():.3f} happened {other.mean():.3f} s.e. {error:.3f}")


if __name__ == "__main__":
    main()
