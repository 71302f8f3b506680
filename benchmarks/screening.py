"""How many of ten returned faces meet the goal, with no votes, few votes, and a panel's votes on every face.

Faces of One Million Impressions are the candidates. A face's votes are split at random: 15 are the truth, the others
can be asked for. A hit is a face whose truth is above the 71st percentile of influence (electable) and at or above the
90th of likeability (outgoing, or trustworthy: both stand-ins). A vote is one judgment of one trait. Predictions and the
model of their errors are out-of-fold. The last two parts say how well the chances of beating a baseline are calibrated,
and what a second and third round of testing add. All draws share the same faces and predictions, so a list
without votes is the same ten faces in each: standard errors over draws say nothing of other faces or predictors. So the
last part compares methods over many pairs of other traits, with standard errors over pairs.

    PRESCREEN_CACHE=DIR python benchmarks/screening.py OMI_DIR [--draws 60] [--pairs 100] [--seed 10000]
"""

import argparse
import itertools
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from acquisition import next_votes
from scipy.stats import norm

from prescreen.embeddings.pipeline import EmbeddingCache, embed_images
from prescreen.encoders import make_encoder
from prescreen.images.files import ImageFile
from prescreen.ranking.comparison import Comparison
from prescreen.ranking.error_correlation import fit_error_correlation
from prescreen.ranking.goals import Goals
from prescreen.ranking.posterior import HumanScores, Prior, condition
from prescreen.ranking.probability import p_better
from prescreen.ranking.ranked_table import best_first
from prescreen.ratings.other_columns import with_auxiliary
from prescreen.ratings.reading import read_ratings
from prescreen.regressors.blocks import BlockDesign, blas_threads, in_chunks
from prescreen.regressors.folds import grouped_folds
from prescreen.regressors.intervals import residual_covariance
from prescreen.regressors.multitask_kernel_ridge import SharedKernelRidge
from prescreen.regressors.stacking import cross_validate
from prescreen.training.dataset import join

TRAITS = ("electable", "outgoing", "trustworthy")
ROLES = ("influence", "likeability")
PAIRS = (("electable", "outgoing"), ("electable", "trustworthy"))
OTHERS = (
    "alert", "attractive", "cute", "dominant", "dorky", "familiar", "godly", "happy", "liberal", "looks-like-you",
    "memorable", "privileged", "smart", "smug", "typical", "well-groomed",
)  # fmt: skip
PERCENTILES = (0.71, 0.90)
TRUTH_VOTES = 15
RETURNED = 10
STEP = 5
CONTENDERS = 200


@dataclass(frozen=True)
class World:
    """Predictions, ratings and single votes of n faces on two traits; values in standard deviations of the ratings."""

    prior: Prior
    plain: np.ndarray  # (n, 2) predictions
    noise: np.ndarray  # (n, 2) noise variance of one vote, the same for all faces
    goal: np.ndarray  # (2,) thresholds of the goal
    votes: list  # votes[trait][face]


def read_votes(omi, images, traits):
    with zipfile.ZipFile(omi / "attribute_ratings.zip") as archive:
        table = pd.read_csv(archive.open("attribute_ratings.csv"))
    table = table[(table["rating_type"] != "repeat") & table["attribute"].isin(traits)]
    single = {key: part.to_numpy(float) for key, part in table.groupby(["attribute", "stimulus"])["rating"]}
    return {trait: [single[trait, int(Path(name).stem)] for name in images] for trait in traits}


def read_data(omi, encoder):
    """Train and predict out of fold; returns the data set, its cross-validation and the single votes."""
    columns = {trait: trait for trait in TRAITS}
    dataset = embedded(with_auxiliary(read_ratings(omi, columns), columns), encoder)
    found = cross_validate(
        dataset.features,
        dataset.ratings,
        dataset.groups,
        dataset.blocks,
        sample_weight=dataset.weights,
        auxiliary=dataset.auxiliary,
    )
    return dataset, found, read_votes(omi, dataset.images, TRAITS)


def embedded(rated, encoder):
    network = make_encoder(encoder)
    files = [ImageFile(rated.images_dir / name, name) for name in rated.wide().index]
    with EmbeddingCache() as cache:
        return join(rated, list(embed_images(files, network, cache)), network.specification)


def make_world(traits, ratings, predictions, folds, votes, squared, pair):
    """Describe the errors of two traits: one covariance for all faces, and what errors of similar faces share."""
    columns = [traits.index(trait) for trait in pair]
    ratings = ratings[:, columns]
    middle, spread = ratings.mean(axis=0), ratings.std(axis=0)
    predicted, truth = (predictions[:, columns] - middle) / spread, (ratings - middle) / spread
    standard = [[(v - middle[k]) / spread[k] for v in votes[trait]] for k, trait in enumerate(pair)]
    noise = np.array([np.mean([face.var(ddof=1) for face in faces]) for faces in standard])
    in_rating = noise * np.array([np.mean([1 / len(face) for face in faces]) for faces in standard])
    residuals = truth - predicted
    covariance = residual_covariance(residuals, np.tile(in_rating, (len(truth), 1)))
    likeness = fit_error_correlation(residuals, squared, folds, in_rating / residuals.var(axis=0))
    # The truth has fewer votes than the ratings, so its percentiles lie a little further out.
    further = np.sqrt(1 - in_rating + noise / TRUTH_VOTES)
    goal = np.array([np.quantile(truth[:, k], PERCENTILES[k]) for k in range(2)]) * further
    # Error sizes that follow the prediction made no difference: over 100 pairs of other traits, 60 draws each, 0.0015
    # more hits without votes (standard error over pairs 0.0021). A local mean error cost 0.009 (0.003).
    prior = Prior(
        predicted, likeness.cross_correlation(squared, same_picture=np.eye(len(squared), dtype=bool)), covariance
    )
    return World(prior, predicted, np.tile(noise, (len(truth), 1)), goal, standard)


@dataclass(frozen=True)
class Draw:
    """One split of the votes: the truth (n, 2), the votes that can be asked for, and the hits (n,)."""

    truth: np.ndarray
    pool: list
    hits: np.ndarray


def draw(world, rng):
    truth, pool = [], []
    for faces in world.votes:
        mixed = [rng.permutation(face) for face in faces]
        truth.append([face[:TRUTH_VOTES].mean() for face in mixed])
        pool.append([face[TRUTH_VOTES:] for face in mixed])
    truth = np.array(truth).T
    above = truth[:, 0] > np.quantile(truth[:, 0], PERCENTILES[0])
    return Draw(truth, pool, above & (truth[:, 1] >= np.quantile(truth[:, 1], PERCENTILES[1])))


def panel(one, faces, number, first=0):
    return np.array([[one.pool[k][i][first : first + number].mean() for k in range(2)] for i in faces])


def margin(values):
    """Rank by the goal that is missed most, in standard deviations of the values."""
    unit = (values - values.mean(axis=0)) / values.std(axis=0)
    return (unit - norm.ppf(PERCENTILES)).min(axis=1)


def top(values, k=RETURNED):
    return np.argsort(-values, kind="stable")[:k]


def halving(one, rng, votes, width):
    """Sequential halving without predictions: of ``width`` faces the better half gets more votes, and so on."""
    faces = rng.permutation(len(one.hits))[:width]
    rounds = max(1, int(np.ceil(np.log2(width / RETURNED))))
    used = 0
    for _ in range(rounds):
        each = max(1, int(votes / rounds / 2 / len(faces)))
        used = min(used + each, TRUTH_VOTES)
        level = (panel(one, faces, used) - norm.ppf(PERCENTILES)).min(axis=1)
        faces = faces[top(level, max(RETURNED, len(faces) // 2))]
    return faces[:RETURNED]


def with_best(world, one, number, faces=30):
    """Plain predictions, then votes on their best 30, half the mean of both."""
    unit = (world.plain - world.plain.mean(axis=0)) / world.plain.std(axis=0)
    best = top(margin(world.plain), faces)
    both = (unit[best] + panel(one, best, number)) / 2
    return best[top((both - norm.ppf(PERCENTILES)).min(axis=1))]


def adaptive(world, one, budgets):
    """Spend votes a few at a time where they change the list most; the list and all chances after each budget.

    Faces beyond the best 200 by predictions alone keep the chance that they had: none of them comes into a list.
    """
    goals, exact = Goals(ROLES), np.zeros((2, 2))
    judged = np.eye(2) * (world.noise / TRUTH_VOTES)[:, :, None]
    difference, covariance = condition(world.prior).difference_from(world.goal, exact)
    chance = p_better(difference, covariance + judged, world.goal, ROLES, goals).joint
    faces = np.sort(top(chance, CONTENDERS))
    whole = world.prior
    prior = Prior(whole.mean[faces], whole.correlation[np.ix_(faces, faces)], whole.covariance)
    noise, judged, pool = world.noise[faces], judged[faces], [[votes[i] for i in faces] for votes in one.pool]
    used, sums = np.zeros((len(faces), 2), int), np.zeros((len(faces), 2))
    most = np.array([[len(votes) for votes in trait] for trait in pool]).T
    lists, spent = {}, 0
    while True:
        rows = np.flatnonzero(used.any(axis=1))
        with np.errstate(invalid="ignore", divide="ignore"):
            told = HumanScores(rows, sums[rows] / used[rows], noise[rows] / used[rows])
        difference, covariance = condition(prior, told).difference_from(world.goal, exact)
        if spent in budgets:
            chance = chance.copy()
            chance[faces] = p_better(difference, covariance + judged, world.goal, ROLES, goals).joint
            lists[spent] = top(chance), chance
            if spent == max(budgets):
                return lists
        # On twelve pairs of other traits, other seeds (36 draws), 300 votes gave 0.650 this way; 0.617 evenly over the
        # best 30 (standard error of the difference over pairs 0.017), 0.619 on the best 20, then the best 15 (0.013).
        where = next_votes(
            difference, covariance, noise, world.goal, ROLES, goals, RETURNED,
            votes=(2 * STEP,), allowed=used + STEP <= most, judged=judged, considered=30,
        )  # fmt: skip
        i, k = where.row, where.trait
        sums[i, k] += pool[k][i][used[i, k] : used[i, k] + STEP].sum()
        used[i, k] += STEP
        spent += STEP


def every_vote(world, one):
    """Return the list from predictions and all votes that can be asked for, and their number.

    It is no ceiling: errors of similar faces are left out, and a list from fewer votes can be luckier, or come from a
    better model of the errors. What it shows is how much is left to win by spending votes better under this model.
    """
    number = np.array([[len(face) for face in faces] for faces in one.pool]).T
    mean = np.array([[face.mean() for face in faces] for faces in one.pool]).T
    across = np.eye(2) * (world.noise / TRUTH_VOTES)[:, :, None]
    errors = world.prior.covariance
    gain = errors @ np.linalg.inv(errors + np.eye(2) * (world.noise / number)[:, :, None])
    after = world.prior.mean + np.einsum("nab,nb->na", gain, mean - world.prior.mean)
    left = errors - gain @ errors + across
    return top(p_better(after - world.goal, left, world.goal, ROLES, Goals(ROLES)).joint), int(number.sum())


def compare(world, draws, seed):
    """Return hits among the ten for each method and draw, and the chances said with what happened."""
    n = len(world.plain)
    hits, said = {}, {"before": [], "after": []}
    for number in range(draws):
        rng = np.random.default_rng(seed + number)
        one = draw(world, rng)
        everyone = np.arange(n)
        found = {"random": rng.permutation(n)[:RETURNED]}
        for votes in (5, 10, 15):
            found[f"panel of {votes} on every face ({votes * n * 2} votes)"] = top(margin(panel(one, everyone, votes)))
        found["votes alone, sequential halving (300 votes)"] = halving(one, rng, 300, 60)
        found[f"votes alone, sequential halving ({10 * n} votes)"] = halving(one, rng, 10 * n, n)
        found["plain predictions, goal missed least"] = top(margin(world.plain))
        found["plain predictions, sum"] = top(world.plain.sum(axis=1))
        found["plain predictions, 300 votes on their best 30"] = with_best(world, one, 5)
        found["plain predictions, 300 votes a trait on their best 30"] = with_best(world, one, 10)
        lists = adaptive(world, one, (0, 100, 300, 600))
        found["prescreen without votes"] = lists[0][0]
        found["prescreen, 100 votes"] = lists[100][0]
        found["prescreen, 300 votes"] = lists[300][0]
        found["prescreen, 300 votes a trait"] = lists[600][0]
        faces, number = every_vote(world, one)
        found[f"predictions and every vote on every face ({number} votes)"] = faces
        for method, faces in found.items():
            hits.setdefault(method, []).append(one.hits[faces].mean())
        said["before"].append((lists[0][1], one.hits))
        said["after"].append((lists[300][1], one.hits))
    return hits, said


def reliability(said, happened, least=0.0):
    """Print a table of chances said and what happened; return the expected calibration error."""
    said, happened = said[said >= least], happened[said >= least]
    bins = np.minimum((said * 10).astype(int), 9)
    error = 0.0
    for k in range(10):
        inside = bins == k
        if inside.any():
            gap = said[inside].mean() - happened[inside].mean()
            error += inside.mean() * abs(gap)
            print(f"    said {said[inside].mean():.3f}  happened {happened[inside].mean():.3f}  n {inside.sum()}")
    print(f"    expected calibration error {error:.3f} ({len(said)} chances)")
    return error


def against_baselines(world, draws, seed):
    """Chances to beat a random face that 15 people have judged, in the disjoint truth of both."""
    said, happened = [], []
    goals = Goals(("influence",), ("likeability",))
    judged = np.einsum("nk,kl->nkl", world.noise / TRUTH_VOTES, np.eye(2))
    for number in range(draws):
        rng = np.random.default_rng(seed + number)
        one = draw(world, rng)
        baseline = int(rng.integers(len(one.hits)))
        told = HumanScores(np.array([baseline]), panel(one, [baseline], 15), world.noise[[baseline]] / 15)
        posterior = condition(world.prior, told)
        difference, covariance = posterior.difference(baseline)
        others = np.arange(len(one.hits)) != baseline
        covariance = covariance + judged + judged[baseline]
        said.append(p_better(difference, covariance, posterior.mean[baseline], ROLES, goals).joint[others])
        better = (one.truth[:, 0] > one.truth[baseline, 0]) & (one.truth[:, 1] >= one.truth[baseline, 1])
        happened.append(better[others])
    return np.concatenate(said), np.concatenate(happened)


def compared(prior, told, baseline, goals):
    """Compare all faces of a prior with one of them, given votes on some, that one among them."""
    anchors = np.append(told.rows, baseline)

    def part(rows, jointly):
        both = np.concatenate([anchors, rows])
        return Prior(prior.mean[both], prior.correlation[np.ix_(both, both)], prior.covariance)

    return Comparison(
        traits=ROLES,
        goals=goals,
        level=prior.mean[baseline],
        alone=(np.zeros_like(prior.mean), np.eye(len(ROLES))),
        comparable=np.ones(len(prior.mean), dtype=bool),
        prior=part,
        scores=HumanScores(np.arange(len(told.rows)), told.z, told.variance),
        anchors=len(anchors),
    )


def rounds(world, draws, seed, sent=3, folder=200):
    """Three rounds of 3 faces, 15 votes a trait each, against a good baseline; share of draws with a better face."""
    goals = Goals(("influence",), ("likeability",))
    found = {method: np.zeros((draws, 3)) for method in ("random", "best predictions, no learning", "prescreen")}
    stopped = np.zeros((draws, 3))
    for number in range(draws):
        rng = np.random.default_rng(seed + number)
        one = draw(world, rng)
        faces = rng.permutation(len(one.hits))[:folder]
        level = panel(one, faces, 15).min(axis=1)
        faces = np.append(np.delete(faces, top(level, 10)[-1]), faces[top(level, 10)[-1]])  # the tenth best, last
        baseline = folder - 1
        better = (one.truth[faces] > one.truth[faces[baseline]]).all(axis=1)
        shown = world.prior
        prior = Prior(shown.mean[faces], shown.correlation[np.ix_(faces, faces)], shown.covariance)
        rows = np.array([baseline])
        mixed = rng.permutation(folder - 1)
        plain = np.argsort(-(prior.mean[:-1] - prior.mean[baseline]).min(axis=1), kind="stable")
        for stage in range(3):
            told = HumanScores(rows, panel(one, faces[rows], 15), world.noise[faces[rows]] / 15)
            against = compared(prior, told, baseline, goals)
            left = np.setdiff1d(np.arange(folder), rows)
            ranked = left[best_first([f"{row:04d}" for row in left], against.chance.joint[left])]
            stopped[number, stage] = against.chance.joint[left].max() < 0.05
            rows = np.append(rows, against.choose(ranked, sent).chosen)
            found["prescreen"][number, stage] = better[rows].any()
            found["random"][number, stage] = better[mixed[: sent * (stage + 1)]].any()
            found["best predictions, no learning"][number, stage] = better[plain[: sent * (stage + 1)]].any()
    for method, share in found.items():
        print(f"    {method:32s}" + "".join(f"  {value:.2f}" for value in share.mean(axis=0)))
    print("    would have stopped before it     " + "".join(f"  {value:.2f}" for value in stopped.mean(axis=0)))


def many_pairs(omi, encoder, number, voted, draws, seed):
    """Hits of lists for pairs of other traits; the first ``voted`` pairs also with 300 votes, three draws each."""
    dataset = embedded(read_ratings(omi, None), encoder)
    predictions, folds = np.zeros(dataset.ratings.shape), np.zeros(len(dataset.ratings), int)
    for fold, (train, test) in enumerate(grouped_folds(dataset.groups, 10, 0)):
        design = BlockDesign.fit(dataset.features[train], dataset.blocks)
        model = SharedKernelRidge().fit(design, dataset.ratings[train], dataset.weights[train], dataset.groups[train])
        predictions[test] = in_chunks(model.predict_standardised, model.scaler_, dataset.features[test])
        folds[test] = fold
    squared = BlockDesign.fit(dataset.features, dataset.blocks).distances
    votes = read_votes(omi, dataset.images, OTHERS)
    pairs = np.random.default_rng(seed).permutation(list(itertools.permutations(OTHERS, 2)))[:number]
    hits = {}
    for place, pair in enumerate(pairs):
        world = make_world(dataset.traits, dataset.ratings, predictions, folds, votes, squared, list(pair))
        across = np.eye(2) * (world.noise / TRUTH_VOTES)[:, :, None]
        chance = p_better(world.plain - world.goal, world.prior.covariance + across, world.goal, ROLES, Goals(ROLES))
        lists = {
            "plain predictions, sum": top(world.plain.sum(axis=1)),
            "plain predictions, goal missed least": top(margin(world.plain)),
            "prescreen without votes": top(chance.joint),
        }
        found = {method: [] for method in lists}
        for turn in range(draws):
            one = draw(world, np.random.default_rng(seed + turn))
            for method, faces in lists.items():
                found[method].append(one.hits[faces].mean())
            if place < voted and turn < 3:
                for method, faces in (
                    ("plain predictions, 300 votes on their best 30", with_best(world, one, 5)),
                    ("prescreen, 300 votes", adaptive(world, one, (300,))[300][0]),
                ):
                    found.setdefault(method, []).append(one.hits[faces].mean())
        for method, shares in found.items():
            hits.setdefault(method, []).append(np.mean(shares))
    print(f"\nover {number} pairs of other traits (300 votes: {voted}), predictions of the shared kernel ridge alone")
    for method, values in hits.items():
        print(f"    {method:52s} {np.mean(values):.3f}  {error(values):.3f}")
    for better, than in (
        ("prescreen without votes", "plain predictions, goal missed least"),
        ("prescreen, 300 votes", "plain predictions, 300 votes on their best 30"),
    ):
        gain = np.subtract(hits[better], hits[than])
        print(f"    {better} minus {than}: {gain.mean():+.3f} ({error(gain):.3f})")


def error(values):
    return np.std(values) / len(values) ** 0.5


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("omi", type=Path)
    parser.add_argument("--encoder", default="bundled")
    parser.add_argument("--draws", type=int, default=60)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--voted", type=int, default=20, help="pairs of these on which votes are spent")
    parser.add_argument("--seed", type=int, default=10_000)
    options = parser.parse_args()
    dataset, found, votes = read_data(options.omi, options.encoder)
    squared = BlockDesign.fit(dataset.features, dataset.blocks).distances
    print(f"{len(dataset.images)} faces, {options.draws} draws, encoder {options.encoder}, predictions out of fold")
    for pair in PAIRS:
        print(f"\n{pair[0]} (influence) and {pair[1]} (likeability)")
        world = make_world(dataset.traits, dataset.ratings, found.predictions, found.folds, votes, squared, pair)
        with blas_threads(len(dataset.images)):
            hits, said = compare(world, options.draws, options.seed)
            print(f"  hits among {RETURNED}{'':44s}mean  s.e. over draws")
            for method, values in hits.items():
                print(f"    {method:52s} {np.mean(values):.3f}  {np.std(values) / len(values) ** 0.5:.3f}")
            for when, pairs in said.items():
                print(f"  chance to meet the goal, {when} 300 votes, chances of 0.02 and more")
                chances, outcomes = (np.concatenate(part) for part in zip(*pairs, strict=True))
                reliability(chances, outcomes, least=0.02)
            print("  p_better against random baselines judged by 15")
            reliability(*against_baselines(world, options.draws, options.seed))
            print("  share of draws with a better face among those tested, after rounds 1, 2, 3")
            rounds(world, options.draws, options.seed)
    with blas_threads(len(dataset.images)):
        many_pairs(options.omi, options.encoder, options.pairs, options.voted, 20, options.seed)


if __name__ == "__main__":
    main()
