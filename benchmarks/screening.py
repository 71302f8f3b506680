"""How many of ten returned faces meet the goal: without votes, and with as many votes in one round or in two.

Faces of One Million Impressions are the candidates, and goals are pairs and triples of its social traits, drawn at
random: a hit is a face above the 71st percentile of the first trait and the 90th of the second (of triples: the median,
the 71st and the 90th). A face's real votes are split at random: 20 are the truth, the others can be asked for. One vote
is one look at one face, on all traits of the goal. Predictions are out of fold; so are the errors that the model of the
errors is fitted to. Chances, plans and lists are those of `Comparison`, which users run.

Each draw takes a random half of the faces and another split of the votes. Two standard errors are given: over goals,
and over faces. The second is the standard deviation over draws of the mean over goals, which for halves drawn without
replacement is the standard error of the whole. Goals share traits, so the first one is somewhat too small.

    PRESCREEN_CACHE=DIR python benchmarks/screening.py OMI_DIR [--pairs 60] [--triples 30] [--draws 16] [--votes 150]
"""

import argparse
import itertools
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm

from prescreen.embeddings.pipeline import EmbeddingCache, embed_images
from prescreen.encoders import make_encoder
from prescreen.images.files import ImageFile
from prescreen.ranking.comparison import Comparison
from prescreen.ranking.error_correlation import fit_error_correlation
from prescreen.ranking.goals import Goals
from prescreen.ranking.posterior import HumanScores, Prior
from prescreen.ranking.ranked_table import best_first
from prescreen.ranking.within_person import WithinPerson
from prescreen.ratings.reading import read_ratings
from prescreen.regressors.blocks import BlockDesign, blas_threads, in_chunks
from prescreen.regressors.folds import grouped_folds
from prescreen.regressors.intervals import residual_covariance
from prescreen.regressors.multitask_kernel_ridge import SharedKernelRidge
from prescreen.training.dataset import join

SOCIAL = (
    "alert", "attractive", "cute", "dominant", "dorky", "electable", "familiar", "godly", "happy", "liberal",
    "looks-like-you", "memorable", "outgoing", "privileged", "smart", "smug", "trustworthy", "typical", "well-groomed",
)  # fmt: skip
EXAMPLE = ("electable", "outgoing")
PERCENTILES = {2: (0.71, 0.90), 3: (0.50, 0.71, 0.90)}
TRUTH_VOTES = 20
RETURNED = 10


@dataclass(frozen=True)
class World:
    """Predictions, ratings and single votes of n faces on t traits; values in standard deviations of the ratings."""

    prior: Prior
    noise: np.ndarray  # (t,) noise variance of one vote
    goal: np.ndarray  # (t,) thresholds
    votes: list  # votes[trait][face]
    traits: tuple


def read_data(omi, encoder):
    """Train on all social traits and predict out of fold; returns ratings, predictions, folds, distances and votes."""
    rated = read_ratings(omi, {trait: trait for trait in SOCIAL})
    network = make_encoder(encoder)
    files = [ImageFile(rated.images_dir / name, name) for name in rated.wide().index]
    with EmbeddingCache() as cache:
        dataset = join(rated, list(embed_images(files, network, cache)), network.specification)
    predictions, folds = np.zeros(dataset.ratings.shape), np.zeros(len(dataset.ratings), int)
    for fold, (train, test) in enumerate(grouped_folds(dataset.groups, 10, 0)):
        design = BlockDesign.fit(dataset.features[train], dataset.blocks)
        model = SharedKernelRidge().fit(design, dataset.ratings[train], dataset.weights[train], dataset.groups[train])
        predictions[test] = in_chunks(model.predict_standardised, model.scaler_, dataset.features[test])
        folds[test] = fold
    squared = BlockDesign.fit(dataset.features, dataset.blocks).distances
    with zipfile.ZipFile(omi / "attribute_ratings.zip") as archive:
        table = pd.read_csv(archive.open("attribute_ratings.csv"))
    table = table[(table["rating_type"] != "repeat") & table["attribute"].isin(SOCIAL)]
    single = {key: part.to_numpy(float) for key, part in table.groupby(["attribute", "stimulus"])["rating"]}
    votes = {trait: [single[trait, int(Path(name).stem)] for name in dataset.images] for trait in SOCIAL}
    return dataset.traits, dataset.ratings, predictions, folds, squared, votes


def make_world(data, traits):
    """Describe the errors of the traits of a goal: one covariance for all faces, and what similar faces share."""
    known, ratings, predictions, folds, squared, votes = data
    columns = [known.index(trait) for trait in traits]
    ratings = ratings[:, columns]
    middle, spread = ratings.mean(axis=0), ratings.std(axis=0)
    predicted, truth = (predictions[:, columns] - middle) / spread, (ratings - middle) / spread
    standard = [[(v - middle[k]) / spread[k] for v in votes[trait]] for k, trait in enumerate(traits)]
    noise = np.array([np.mean([face.var(ddof=1) for face in faces]) for faces in standard])
    in_rating = noise * np.array([np.mean([1 / len(face) for face in faces]) for faces in standard])
    residuals = truth - predicted
    covariance = residual_covariance(residuals, np.tile(in_rating, (len(truth), 1)))
    likeness = fit_error_correlation(residuals, squared, folds, in_rating / residuals.var(axis=0))
    # The truth has fewer votes than the ratings, so its percentiles lie a little further out.
    further = np.sqrt(1 - in_rating + noise / TRUTH_VOTES)
    goal = np.array([np.quantile(truth[:, k], p) for k, p in enumerate(PERCENTILES[len(traits)])]) * further
    correlation = likeness.cross_correlation(squared, same_picture=np.eye(len(squared), dtype=bool))
    return World(Prior(predicted, correlation, covariance), noise, goal, standard, tuple(traits))


def compare(world, faces, told):
    """Compare some faces with the goal, given votes on some of them; rows of ``told`` are places in ``faces``.

    The noise of the truth stands in the covariance of the goal: a hit is a face that its truth calls one.
    """

    def part(rows, jointly):
        both = faces[np.concatenate([told.rows, rows])]
        return [Prior(world.prior.mean[both], world.prior.correlation[np.ix_(both, both)], world.prior.covariance)]

    return Comparison(
        traits=world.traits,
        goals=Goals(world.traits),
        level=world.goal,
        usable=np.ones(len(faces), dtype=bool),
        beliefs=WithinPerson.exactly(0.0),
        priors=part,
        scores=replace(told, rows=np.arange(len(told.rows))),
        anchors=len(told.rows),
        given=np.diag(world.noise / TRUTH_VOTES),
    )


def ranked(against):
    joint = against.chance.joint
    return best_first([f"{row:04d}" for row in range(len(joint))], joint)


class Test:
    """One half of the faces and one split of their votes."""

    def __init__(self, world, faces, rng):
        self.world, self.faces = world, faces
        mixed = [[rng.permutation(votes[face]) for face in faces] for votes in world.votes]
        self.truth = np.array([[votes[:TRUTH_VOTES].mean() for votes in trait] for trait in mixed]).T
        self.pool = [[votes[TRUTH_VOTES:] for votes in trait] for trait in mixed]
        self.hits = (self.truth >= world.goal).all(axis=1)
        self.nothing = HumanScores(np.zeros(0, int), np.zeros((0, len(world.noise))), np.zeros((0, len(world.noise))))
        self.best = ranked(compare(world, faces, self.nothing))

    def seen(self, number):
        """Return the human scores, where ``number`` (n,) votes of each face were asked for."""
        rows = np.flatnonzero(number)
        votes = [[trait[row][: number[row]] for trait in self.pool] for row in rows]
        z, count = (np.array([[of(face) for face in faces] for faces in votes]) for of in (np.mean, len))
        return HumanScores(rows, z, self.world.noise / count)

    def lists(self, rounds):
        """Spend rounds of (faces, votes each) on the best faces by then; return the list and the chances said of it."""
        number, order = np.zeros(len(self.faces), int), self.best
        against = compare(self.world, self.faces, self.nothing)
        for faces, votes in rounds:
            number[order[:faces]] += votes
            against = compare(self.world, self.faces, self.seen(number))
            order = ranked(against)
        return order[:RETURNED], against.chance.joint[order[:RETURNED]]


def missed_least(values, percentiles):
    """Rank by the goal that is missed most, in standard deviations of the values."""
    unit = (values - values.mean(axis=0)) / values.std(axis=0)
    return np.argsort(-(unit - norm.ppf(percentiles)).min(axis=1), kind="stable")


def plain_with_votes(test, plain, percentiles, faces, votes):
    """Votes on the best faces by the plain rule, then half the mean of both."""
    best = missed_least(plain, percentiles)[:faces]
    number = np.zeros(len(plain), int)
    number[best] = votes
    unit = (plain - plain.mean(axis=0)) / plain.std(axis=0)
    told = test.seen(number)
    both = (unit[told.rows] + told.z) / 2
    return told.rows[np.argsort(-(both - norm.ppf(percentiles)).min(axis=1), kind="stable")[:RETURNED]]


def methods(votes, planned):
    """Return the rounds of each method that runs on `Comparison`, as (faces, votes each)."""
    rounds = [(plan.pictures, plan.votes_each[0]) for plan in (planned.first, planned.second)]
    return {
        "p_better, no votes": [],
        f"p_better, one round: {votes // 10} faces x 10": [(votes // 10, 10)],
        f"p_better, one round: {votes // 5} faces x 5": [(votes // 5, 5)],
        f"p_better, one round: {votes // 3} faces x 3": [(votes // 3, 3)],
        f"p_better, two rounds: {votes // 6} faces x 3, best {votes // 10} x 5": [(votes // 6, 3), (votes // 10, 5)],
        "p_better, two rounds as prescreen rank plans them": rounds,
    }


def measure(data, traits, draws, votes, seed):
    """Return the hits of each method, one for each draw; what p_better said of its lists; and the plan."""
    world = make_world(data, traits)
    everybody, percentiles = np.arange(len(world.prior.mean)), PERCENTILES[len(traits)]
    t = len(traits)
    against = compare(world, everybody, HumanScores(np.zeros(0, int), np.zeros((0, t)), np.zeros((0, t))))
    planned = against.plan_list(ranked(against), votes, RETURNED, None, world.noise)
    hits, said = {}, {}
    for number in range(draws):
        half = np.random.default_rng(seed + number).permutation(everybody)[: len(everybody) // 2]
        test = Test(world, half, np.random.default_rng((seed, number, *map(SOCIAL.index, traits))))
        plain = world.prior.mean[half]
        found = {
            "any face": everybody[: len(half)],
            "plain predictions, goal missed least": missed_least(plain, percentiles)[:RETURNED],
            f"the same, {votes // 5} faces x 5": plain_with_votes(test, plain, percentiles, votes // 5, 5),
        }
        for method, rounds in methods(votes, planned).items():
            found[method], chances = test.lists(rounds)
            said.setdefault(method, []).append(chances.mean())
        for method, faces in found.items():
            hits.setdefault(method, []).append(test.hits[faces].mean())
    return hits, said, planned


def difference(hits):
    """Say the mean of differences (goals, draws) with its standard errors over goals and over faces."""
    goals = f"{hits.mean(axis=1).std(ddof=1) / len(hits) ** 0.5:.3f}" if len(hits) > 1 else "-"
    return f"{hits.mean():+.3f} ({goals}, {hits.mean(axis=0).std(ddof=1):.3f})"


def table(what, found):
    """Print the mean hits of each method, what was said, and two differences with their two standard errors each."""
    base, planned = "p_better, no votes", "p_better, two rounds as prescreen rank plans them"
    print(f"\n{what}\n    {'':52s} hits   said   more than without votes   fewer than as planned (s.e. goals, faces)")
    hits = {method: np.array([goal[0][method] for goal in found]) for method in found[0][0]}  # (goals, draws)
    for method, share in hits.items():
        said = [np.mean(goal[1][method]) for goal in found if method in goal[1]]
        differences = [difference(share - hits[base]), difference(hits[planned] - share)]
        chance = f"{np.mean(said):.3f}" if said else "     "
        print(f"    {method:52s} {share.mean():.3f}  {chance}  {'   '.join(differences)}")
    plans = [tuple((plan.pictures, plan.votes_each[0]) for plan in (goal[2].first, goal[2].second)) for goal in found]
    listed = pd.Series(plans).value_counts().head(4)
    print("    planned: " + ", ".join(f"{a[0]} x {a[1]} then {b[0]} x {b[1]} ({n})" for (a, b), n in listed.items()))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("omi", type=Path)
    parser.add_argument("--encoder", default="bundled")
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--triples", type=int, default=30)
    parser.add_argument("--draws", type=int, default=16)
    parser.add_argument("--votes", type=int, default=150)
    parser.add_argument("--seed", type=int, default=10_000)
    options = parser.parse_args()
    data = read_data(options.omi, options.encoder)
    fewest = min(len(votes) for trait in data[-1].values() for votes in trait)
    print(
        f"{len(data[1])} faces, encoder {options.encoder}, out of fold; {options.draws} draws of half of them; "
        f"{options.votes} votes; a face has {fewest - TRUTH_VOTES} or more votes a trait to ask for"
    )
    rng = np.random.default_rng(options.seed)
    pairs, triples = (
        [tuple(goal) for goal in rng.permutation(list(itertools.permutations(SOCIAL, size)))[:number]]
        for size, number in ((2, options.pairs), (3, options.triples))
    )
    for what, goals in (("example: " + " and ".join(EXAMPLE), [EXAMPLE]), ("pairs", pairs), ("triples", triples)):
        with blas_threads(len(data[1])):
            found = [measure(data, goal, options.draws, options.votes, options.seed) for goal in goals]
        if found:
            table(what if len(goals) == 1 else f"{len(goals)} {what}", found)


if __name__ == "__main__":
    main()
