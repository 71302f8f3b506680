"""Make the sample: AI portraits of people who do not exist, and SIMULATED votes on them.

Usage::

    pip install --no-deps random-face        # the generator's weights, Apache-2.0; openvino comes with prescreen
    python data/make_sample.py data/sample

Every number that stands for a human judgment is drawn here from a random generator. The same seed gives the same
votes everywhere, and the same pictures up to the rounding of the processor.
"""

import argparse
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import openvino as ov
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float64]

TRAITS = ("competence", "likeability", "influence")
SIZE = 320  # pixels
JPEG_QUALITY = 80

PERSONS = (  # seeds of faces that look like adults, picked by eye
    *(0, 10, 12, 14, 26, 17, 18, 20, 24, 27, 28, 30, 35, 36, 38, 40, 42, 44, 45, 46),
    *(47, 48, 60, 54, 58, 59, 61, 64, 69, 70, 72, 73, 74, 76, 88, 81, 19, 85, 87, 92),
)
CANDIDATE_PERSON = 29
PICTURES_EACH = 3
PERSON_SPREAD = 0.65  # distance of a person from the mean face; 1 is the generator's own range, with more broken faces
PICTURE_SPREAD = (0.20, 0.30)  # distance of a picture from its person
CANDIDATE_SPREAD = (0.10, 0.30)
NEAR_DUPLICATE_SPREAD = 0.02
VARIANTS, NEAR_DUPLICATES, STRANGERS = 34, 3, 2  # and one broken file

TRUTH_SEED = 46  # chosen among others for traits that 120 pictures can teach: see the sample's README
DIRECTIONS = 5  # leading principal directions of style space that the planted truth depends on
TRAIT_CORRELATION = 0.45  # between any two planted traits, over all faces

RATERS = 80
RATER_BIAS = 0.35  # standard deviation, in points of the 0-3 scale
RATER_LOG_SPREAD = 0.25  # standard deviation of the logarithm of how widely a rater uses the scale
TRUTH_POINTS = 0.50  # points of the 0-3 scale for one standard deviation of planted truth
NOISE_POINTS = 0.72  # what one rater sees in one picture and nobody else does
VOTES_EACH = (20, 30)  # votes a picture and trait, both ends included
RETURNED, RETURNED_VOTES = 3, 40  # candidates whose scores "came back", and from how many raters


class Generator:
    """MobileStyleGAN as the package random-face ships it: 512 normal numbers to a style, a style to a picture."""

    def __init__(self) -> None:
        package = importlib.util.find_spec("random_face")
        if package is None or not package.submodule_search_locations:
            raise SystemExit("the generator is not installed: pip install --no-deps random-face")
        folder = Path(package.submodule_search_locations[0], "data")
        core = ov.Core()
        self._to_style, self._to_picture = (
            core.compile_model(
                core.read_model(folder / f"{name}Network.xml"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
            )
            for name in ("Mapping", "Synthesis")
        )

    def styles(self, rng: np.random.Generator, count: int) -> Floats:
        """Draw the styles of random faces, shape (count, 512)."""
        noise = rng.standard_normal((count, 1, 512), dtype=np.float32)
        return np.concatenate([self._to_style(row)[0] for row in noise]).astype(np.float64)

    def save(self, style: Floats, path: Path) -> None:
        """Render one style, shape (512,), into a JPEG file."""
        channels_first = self._to_picture(style[np.newaxis].astype(np.float32))[0][0]
        pixels = np.rint(np.clip(np.moveaxis(channels_first, 0, -1) * 127.5 + 127.5, 0, 255)).astype(np.uint8)
        picture = Image.fromarray(pixels).resize((SIZE, SIZE), Image.Resampling.LANCZOS)
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, quality=JPEG_QUALITY, optimize=True)


@dataclass(frozen=True)
class PlantedTruth:
    """Three linear functions on style space, chosen at random: they mean nothing about real people.

    Each trait looks along one direction within the leading principal directions, which are what visibly changes from
    face to face. The direction mixes a shared one, which correlates the traits, with one of the trait's own.
    """

    weights: Floats  # (512, traits)
    offset: Floats  # (traits,)

    @classmethod
    def plant(cls, rng: np.random.Generator, faces: Floats, training: Floats) -> Self:
        """Draw the traits' directions.

        The principal directions are those of `faces`, shape (n, 512); over `training`, shape (m, 512), each trait gets
        mean 0 and standard deviation 1.
        """
        _, singular, directions = np.linalg.svd(faces - faces.mean(axis=0), full_matrices=False)
        leading = directions[:DIRECTIONS]
        # the sign of a singular vector is the linear-algebra library's choice: fix it
        leading *= np.sign(leading[np.arange(DIRECTIONS), np.abs(leading).argmax(axis=1)])[:, np.newaxis]
        whitened = leading.T / singular[:DIRECTIONS]
        shared, *own = np.linalg.qr(rng.standard_normal((DIRECTIONS, 1 + len(TRAITS))))[0].T
        mixed = [np.sqrt(TRAIT_CORRELATION) * shared + np.sqrt(1 - TRAIT_CORRELATION) * each for each in own]
        weights = whitened @ np.stack(mixed, axis=1)
        weights /= (training @ weights).std(axis=0)
        return cls(weights, (training @ weights).mean(axis=0))

    def __call__(self, styles: Floats) -> pd.DataFrame:
        """Truth of styles, shape (n, 512): one row a style, one column a trait."""
        return pd.DataFrame(styles @ self.weights - self.offset, columns=list(TRAITS))


@dataclass(frozen=True)
class Raters:
    """Simulated raters, who differ in how generous they are and in how much of the scale they use."""

    bias: Floats  # (raters, traits), points
    spread: Floats  # (raters, 1), factor
    activity: Floats  # (raters,), chance to be the next to vote

    @classmethod
    def recruit(cls, rng: np.random.Generator, count: int) -> Self:
        """Draw so many raters."""
        return cls(
            bias=rng.normal(0, RATER_BIAS, (count, len(TRAITS))),
            spread=rng.lognormal(0, RATER_LOG_SPREAD, (count, 1)),
            activity=rng.dirichlet(np.full(count, 3.0)),
        )

    def vote(self, rng: np.random.Generator, truth: Floats, votes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Let so many different raters vote on one picture.

        Returns who voted, shape (votes,), and the votes from 0 to 3, shape (votes, traits).
        """
        who = np.sort(rng.choice(len(self.activity), votes, replace=False, p=self.activity))
        seen = TRUTH_POINTS * truth + rng.normal(0, NOISE_POINTS, (votes, len(TRAITS)))
        points = 1.5 + self.bias[who] + self.spread[who] * seen
        return who, np.clip(np.rint(points), 0, 3).astype(np.int64)


def person_style(generator: Generator, mean: Floats, seed: int) -> Floats:
    """Style of the person with this seed, shape (512,)."""
    return mean + PERSON_SPREAD * (generator.styles(np.random.default_rng(seed), 1)[0] - mean)


def training_styles(generator: Generator, mean: Floats, rng: np.random.Generator) -> tuple[pd.DataFrame, Floats]:
    """Say who is in which training picture; with the styles, shape (pictures, 512)."""
    styles = np.repeat([person_style(generator, mean, seed) for seed in PERSONS], PICTURES_EACH, axis=0)
    styles += rng.uniform(*PICTURE_SPREAD, (len(styles), 1)) * (generator.styles(rng, len(styles)) - mean)
    persons = [f"p{number:02d}" for number in range(1, len(PERSONS) + 1) for _ in range(PICTURES_EACH)]
    images = [f"{number:03d}.jpg" for number in range(1, len(styles) + 1)]
    return pd.DataFrame({"image": images, "person": persons}), styles


def candidate_styles(generator: Generator, mean: Floats, rng: np.random.Generator) -> tuple[pd.DataFrame, Floats]:
    """Say what each candidate is, the baseline first; with the styles, shape (1 + candidates, 512)."""
    person = person_style(generator, mean, CANDIDATE_PERSON)
    kinds = rng.permutation(
        ["variant"] * VARIANTS + ["near_duplicate"] * NEAR_DUPLICATES + ["stranger"] * STRANGERS + ["unreadable"]
    )
    shifts = generator.styles(rng, len(kinds)) - mean
    styles = person + rng.uniform(*CANDIDATE_SPREAD, (len(kinds), 1)) * shifts
    images = [f"{number:03d}.jpg" for number in range(1, len(kinds) + 1)]
    sources = [""] * len(kinds)
    repeated = rng.choice(np.flatnonzero(kinds == "variant"), NEAR_DUPLICATES, replace=False)
    for place, source in zip(np.flatnonzero(kinds == "near_duplicate"), repeated, strict=True):
        styles[place] = styles[source] + NEAR_DUPLICATE_SPREAD * shifts[place]
        sources[place] = images[source]
    strangers = kinds == "stranger"
    styles[strangers] = mean + PERSON_SPREAD * shifts[strangers]
    table = pd.DataFrame(
        {"image": ["baseline.jpg", *images], "kind": ["baseline", *kinds], "source": ["", *sources]},
    )
    return table, np.vstack([person, styles])


def simulate_votes(rng: np.random.Generator, raters: Raters, truth: pd.DataFrame) -> pd.DataFrame:
    """Let raters vote on pictures; truth has the column image and one a trait."""
    tables = []
    for image, values in zip(truth["image"], truth[list(TRAITS)].to_numpy(), strict=True):
        who, votes = raters.vote(rng, values, int(rng.integers(*VOTES_EACH, endpoint=True)))
        wide = pd.DataFrame(votes, columns=list(TRAITS)).assign(rater=[f"r{number + 1:02d}" for number in who])
        tables.append(wide.melt(id_vars="rater", var_name="trait", value_name="vote").assign(image=image))
    return pd.concat(tables, ignore_index=True)[["image", "trait", "vote", "rater"]]


def simulate_results(
    rng: np.random.Generator, raters: Raters, candidates: pd.DataFrame, training_votes: pd.DataFrame
) -> pd.DataFrame:
    """Scores from 0 to 10 of the variants with the highest planted truth.

    A score is 10 x the share of the training pictures whose mean vote is lower.
    """
    variants = candidates[candidates["kind"] == "variant"]
    best = variants.loc[variants[list(TRAITS)].mean(axis=1).nlargest(RETURNED).index].sort_values("image")
    means = np.stack([raters.vote(rng, row, RETURNED_VOTES)[1].mean(axis=0) for row in best[list(TRAITS)].to_numpy()])
    rated = training_votes.groupby(["image", "trait"])["vote"].mean().unstack()[list(TRAITS)].to_numpy()
    beaten = (rated < means[:, np.newaxis]).sum(axis=1) + 0.5
    table = pd.DataFrame(10 * beaten / (len(rated) + 1), columns=list(TRAITS)).round(1)
    table.insert(0, "image", best["image"].to_list())
    return table.assign(votes=RETURNED_VOTES)


def cut_short(path: Path) -> None:
    """Keep the first third of a file, as a broken download does."""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 3])


def write_table(table: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rounded = table.round(4)
    rounded.to_csv(path, index=False, lineterminator="\n")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out", type=Path, help="folder to write, for instance data/sample")
    parser.add_argument("--seed", type=int, default=20, help="of the pictures' variation, the raters and the votes")
    options = parser.parse_args(arguments)
    out: Path = options.out
    for_faces, for_training, for_candidates, for_votes, for_results = np.random.default_rng(options.seed).spawn(5)

    generator = Generator()
    faces = generator.styles(for_faces, 2000)
    training, styles = training_styles(generator, faces.mean(axis=0), for_training)
    truth = PlantedTruth.plant(np.random.default_rng(TRUTH_SEED), faces, styles)
    training = training.join(truth(styles))
    for image, style in zip(training["image"], styles, strict=True):
        generator.save(style, out / "training" / "images" / image)

    candidates, styles = candidate_styles(generator, faces.mean(axis=0), for_candidates)
    candidates = candidates.join(truth(styles))
    for image, kind, style in zip(candidates["image"], candidates["kind"], styles, strict=True):
        path = out / image if kind == "baseline" else out / "candidates" / image
        generator.save(style, path)
        if kind == "unreadable":
            cut_short(path)

    raters = Raters.recruit(for_votes, RATERS)
    training_votes = simulate_votes(for_votes, raters, training).merge(training[["image", "person"]], on="image")
    shown = candidates[~candidates["kind"].isin(["baseline", "unreadable"])]
    write_table(training, out / "training" / "planted_truth.csv")
    write_table(training_votes, out / "training" / "votes.csv")
    write_table(candidates, out / "candidates_planted_truth.csv")
    write_table(simulate_votes(for_votes, raters, shown), out / "candidates_votes.csv")
    write_table(simulate_results(for_results, raters, candidates, training_votes), out / "results.csv")
    print(
        f"{len(training)} training portraits, {len(candidates) - 1} candidates and {len(training_votes)} votes in {out}"
    )


if __name__ == "__main__":
    main()
