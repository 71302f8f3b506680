"""Pictures of real persons: the share of errors that they have in common, and whether chances between them come true.

Takes the ratings and pictures of persons with two or more rated pictures, and a predictor of the same traits that was
trained on others; without one, the other persons of these ratings predict, out of fold. Prints what the ratings say of
share and slope, and for each pair of pictures the chance that the second is rated higher, on each trait alone, against
what the ratings say; with the prior and with what the other persons say of share and slope. The scale of predictions
and the size of errors are those of all persons.

    python benchmarks/persons.py RATINGS IMAGES --predictor models/omi
    python benchmarks/persons.py RATINGS IMAGES --traits smart,trustworthy,dominant,attractive
"""

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata

from prescreen.embeddings.pipeline import EmbeddingCache, embed_images
from prescreen.encoders import Encoder, make_encoder
from prescreen.images.files import find_images
from prescreen.predictor.predictor import Predictor
from prescreen.ranking.within_person import WithinPerson, fit_within_person
from prescreen.ratings.reading import read_ratings
from prescreen.training.dataset import join
from prescreen.training.steps import cross_validate_dataset


def in_z(values):
    return ndtri((rankdata(values, axis=0) - 0.5) / len(values))


def chances(moved, covariance, beliefs):
    """Return the chance that each predicted difference in z, (n, t), is above 0 in truth."""
    spread = np.sqrt(2 * np.diag(covariance) * (1 - beliefs.share[:, None]))
    return np.tensordot(beliefs.weight, ndtr(beliefs.slope[:, None, None] * moved / spread[:, None]), 1)


def calibration(said, happened):
    bins = np.minimum((said * 5).astype(int), 4)
    error = 0.0
    for k in range(5):
        inside = bins == k
        if inside.any():
            error += inside.mean() * abs(said[inside].mean() - happened[inside].mean())
            print(f"    said {said[inside].mean():.3f}  happened {happened[inside].mean():.3f}  n {inside.sum()}")
    print(f"    expected calibration error {error:.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ratings", type=Path)
    parser.add_argument("images", type=Path)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--predictor")
    source.add_argument("--traits")
    options = parser.parse_args()
    predictor = Predictor.load(options.predictor) if options.predictor else None
    traits = list(predictor.traits) if predictor else options.traits.split(",")
    rated = read_ratings(options.ratings, {trait: trait for trait in traits}, images_dir=options.images)
    encoder = Encoder(predictor.manifest.encoder) if predictor else make_encoder("bundled")
    with EmbeddingCache() as cache:
        embedded = list(embed_images(find_images([options.images]), encoder, cache))
    if predictor:
        rows = {row.name: row for row in embedded}
        names = [name for name in rated.wide().index if rows[name].vector is not None]
        predicted = predictor.calibration.z(predictor.predict(np.stack([rows[name].vector for name in names])).raw)
    else:
        dataset = join(rated, embedded, encoder.specification)
        names, predicted = list(dataset.images), cross_validate_dataset(dataset, 0).predictions
    means = rated.wide().loc[names, traits].to_numpy(float)
    ratings = in_z(means)
    noise = (rated.sampling_variance().loc[names, traits] / np.nanvar(means, axis=0)).to_numpy(float).mean(axis=0)
    # The predictions' own spread in this population is taken off, as a predictor of these ratings would have it.
    predicted = (predicted - predicted.mean(axis=0)) * (ratings.std(axis=0) / predicted.std(axis=0))
    slope = (predicted * ratings).mean(axis=0)
    predicted = predicted * slope
    covariance = np.cov(ratings - predicted, rowvar=False) - np.diag(noise)
    persons = np.array([str(rated.persons.get(name, "")) for name in names])
    found = fit_within_person(ratings, predicted, covariance, noise, persons)
    print(f"{len(names)} pictures of {len(np.unique(persons))} persons; r {np.round(slope, 2)} on {', '.join(traits)}")
    for what, values, prior in (("share", found.share, 0.45), ("slope", found.slope, 0.75)):
        low, high = found.interval(values)
        print(f"{what}: {found.weight @ values:.2f} [{low:.2f}, {high:.2f}], before {prior:.2f}")
    said = {"prior": [], "the other persons": []}
    happened = []
    for person in np.unique(persons[persons != ""]):
        others = fit_within_person(ratings, predicted, covariance, noise, np.where(persons == person, "", persons))
        for first, second in combinations(np.flatnonzero(persons == person), 2):
            moved = (predicted[second] - predicted[first])[None]
            happened.append(ratings[second] > ratings[first])
            for name, beliefs in (("prior", WithinPerson.prior()), ("the other persons", others)):
                said[name].append(chances(moved, covariance, beliefs)[0])
    for name, values in said.items():
        chance, outcome = np.concatenate(values), np.concatenate(happened)
        # Which of two pictures comes first is chance: every pair counts both ways.
        print(f"with {name}: {len(chance)} pairs of pictures and traits, each both ways")
        calibration(np.concatenate([chance, 1 - chance]), np.concatenate([outcome, ~outcome]))
    for t, trait in enumerate(traits):
        chance, outcome = np.array(said["the other persons"])[:, t], np.array(happened)[:, t]
        right = np.mean((chance > 0.5) == outcome)
        print(f"{trait}: the picture with the higher chance is the one rated higher in {right:.2f}")


if __name__ == "__main__":
    main()
