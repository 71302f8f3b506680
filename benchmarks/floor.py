"""How often the floor refuses predictors that are useful, and lets pass those of SHUFFLED ratings, on few faces.

Draws faces from One Million Impressions, trains on them with all votes or as if no rating had more than five, and
measures r on all other faces, which no user could. The null are the same faces with the ratings shuffled over them.
Prints shares with standard errors over draws: of traits that can be used, of traits among those with r of at least 0.5
on the other faces, and of predictors with any trait that can be used (which may become champion). The least number of
pictures is not asked for, so that the rows of 12 faces show why there is one.

    python benchmarks/floor.py OMI_DIR [--draws 40]
"""

import argparse
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

from prescreen.embeddings.pipeline import EmbeddingCache, embed_images
from prescreen.encoders import make_encoder
from prescreen.evaluation.metrics import correlation
from prescreen.evaluation.report import evaluate
from prescreen.evaluation.usability import FEWEST_PICTURES, usability
from prescreen.images.files import ImageFile
from prescreen.ratings.reading import read_ratings
from prescreen.regressors.intervals import cross_conformal_intervals
from prescreen.regressors.stacking import fit_final
from prescreen.training.dataset import join
from prescreen.training.learning_curve import with_fewer_votes
from prescreen.training.steps import cross_validate_dataset, vote_noise

TRAITS = {"competence": "smart", "likeability": "outgoing", "influence": "electable"}
FACES, VOTES = (12, 20, 30, 60), (None, 5)
USEFUL = 0.5


def load(folder):
    rated = read_ratings(folder, TRAITS)
    encoder = make_encoder("bundled", "f32", None)
    files = [ImageFile(rated.images_dir / name, name) for name in rated.wide().index]
    with EmbeddingCache() as cache:
        return rated, join(rated, embed_images(files, encoder, cache), encoder.specification)


def part(dataset, rows, ratings_of):
    """Return the faces in some rows, with the ratings of the faces in others."""
    chosen = {name: getattr(dataset, name)[rows] for name in ("features", "persons", "groups")}
    chosen |= {name: tuple(np.array(getattr(dataset, name))[rows].tolist()) for name in ("images", "contents")}
    rated = {name: getattr(dataset, name)[ratings_of] for name in ("ratings", "sampling_variance", "auxiliary")}
    return replace(dataset, **chosen, **rated)


def trial(rated, dataset, n, shuffled, rng):
    """Return whether each trait can be used, (t,), cross-validated r and r on all other faces, both (t,)."""
    order = rng.permutation(len(dataset.images))
    rows, rest = order[:n], order[n:]
    small = part(dataset, rows, rng.permutation(rows) if shuffled else rows)
    validation = cross_validate_dataset(small, 0)
    lower, upper = cross_conformal_intervals(validation.predictions, small.ratings, validation.folds)
    evaluation = evaluate(
        small.ratings,
        validation.predictions,
        small.traits,
        naive=validation.naive,
        lower=lower,
        upper=upper,
        groups=small.groups,
    )
    traits = tuple(replace(trait, n=max(trait.n, FEWEST_PICTURES)) for trait in evaluation.traits)
    evaluation = replace(evaluation, traits=traits, scale_width=rated.scale.width)
    weights = {"sample_weight": small.weights, "auxiliary": small.auxiliary}
    model = fit_final(small.features, small.ratings, small.groups, small.blocks, seed=0, **weights)
    predicted = model.predict(dataset.features[rest])
    unseen = [correlation(a, b) or 0.0 for a, b in zip(predicted.T, dataset.ratings[rest].T, strict=True)]
    validated = [trait.pearson.value or 0.0 for trait in evaluation.traits]
    return [not reason for reason in usability(evaluation).reasons.values()], validated, unseen


def share(values):
    """Write a mean over draws, those without any value left out, with its standard error."""
    values = np.array([value for value in values if not np.isnan(value)])
    return f"{values.mean():.2f} ({values.std(ddof=1) / np.sqrt(len(values)):.2f})" if len(values) > 1 else "-"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ratings", type=Path)
    parser.add_argument("--draws", type=int, default=40)
    options = parser.parse_args()
    rated, whole = load(options.ratings)
    noise = vote_noise(whole, rated)
    found = defaultdict(list)
    for draw in range(options.draws):
        datasets = {votes: whole if votes is None else with_fewer_votes(whole, noise, votes, draw) for votes in VOTES}
        for n in FACES:
            for votes, dataset in datasets.items():
                for shuffled in (False, True):
                    rng = np.random.default_rng([draw, n])
                    found[shuffled, n, votes].append(trial(rated, dataset, n, shuffled, rng))
    print(f"{options.draws} draws, {len(TRAITS)} traits; in parentheses s.e. over draws")
    print("ratings   faces  votes  r cross-validated  r unseen     traits pass  of useful ones  any trait passes")
    for (shuffled, n, votes), trials in sorted(found.items(), key=lambda cell: cell[0][:2]):
        passed, validated, unseen = (np.array(values) for values in zip(*trials, strict=True))
        useful = [p[u >= USEFUL].mean() if (u >= USEFUL).any() else np.nan for p, u in zip(passed, unseen, strict=True)]
        cells = (validated.mean(axis=1), unseen.mean(axis=1), passed.mean(axis=1), useful, passed.any(axis=1) * 1.0)
        name = "shuffled" if shuffled else "real"
        print(f"{name:9} {n:5}  {votes or 'all':>5}  " + "  ".join(f"{share(values):>13}" for values in cells))


if __name__ == "__main__":
    main()
