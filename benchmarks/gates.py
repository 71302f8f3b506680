"""What the checks find and what they exclude wrongly, in a folder of portraits of one person made for the purpose.

The manifest says of each candidate whether it is the person (variant), a hardly changed repetition of another one
(near_duplicate), somebody else (stranger) or grossly distorted (extreme). First, thresholds are chosen on one half and
tried on the other, repeatedly, to see how well such a choice generalises. Then prescreen's thresholds are tried on the
whole folder and on folders of other persons. Only the threshold of near-copies was changed after a look at another
person's folder. The last part plants faults in the person's own pictures: SIMULATED, because nobody has marked real
ones.

    PRESCREEN_CACHE=DIR python benchmarks/gates.py FOLDER --trained-on IMAGES [--other FOLDER ...] [--planted 40]

FOLDER has baseline.jpg, candidates/ and manifest.csv; IMAGES are the portraits that a predictor would be trained on.
"""

import argparse
import io
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageFilter

from prescreen.embeddings.pipeline import EmbeddingCache, embed_bytes, embed_images
from prescreen.encoders import IDENTITY_BLOCK, make_encoder
from prescreen.images.decoding import decode
from prescreen.images.faces import find_face
from prescreen.images.files import find_images
from prescreen.ranking.checks import NEAR_COPY, SAME_PERSON, Candidates, References, find_reasons, person_centre
from prescreen.ranking.near_duplicates import near_duplicates
from prescreen.regressors.novelty import NoveltyDetector

OWN = ("variant", "near_duplicate")
KINDS = ("variant", "near_duplicate", "stranger", "extreme")
WRONG = 0.035
"""Share of the person's own pictures that a threshold chosen here may exclude; up to 0.05 is allowed."""


@dataclass(frozen=True)
class Folder:
    """n candidates of one person with the inputs of the checks."""

    name: str
    kinds: np.ndarray  # (n,)
    family: np.ndarray  # (n,) which pictures are repetitions of each other
    faces: np.ndarray  # (n, 128)
    scores: pd.DataFrame  # what the checks read
    references: References


def described(rows, encoder, familiarity):
    """Return the table that checks read and the face descriptors of embedded pictures."""
    vectors = np.stack([row.vector for row in rows])
    table = pd.DataFrame([asdict(row.quality) for row in rows]).assign(status="ok")
    table["novelty"] = familiarity.novelty(vectors.astype(np.float32))
    return table, vectors[:, encoder.specification.blocks[IDENTITY_BLOCK]].astype(float)


def read_folder(place, encoder, cache, familiarity):
    manifest = pd.read_csv(place / "manifest.csv", keep_default_na=False).set_index("file")
    files = [file for file in find_images([place]) if file.name in manifest.index or file.name == "baseline.jpg"]
    rows = list(embed_images(files, encoder, cache))
    scores, faces = described(rows, encoder, familiarity)
    baseline = [row.name for row in rows].index("baseline.jpg")
    keep = np.arange(len(rows)) != baseline
    irises = scores.loc[[baseline], ["iris_a", "iris_b"]].to_numpy(float)
    references = References(faces[[baseline]], faces[baseline], irises)
    names = [row.name for row in rows if row.name != "baseline.jpg"]
    kinds = manifest.loc[names, "kind"].to_numpy()
    family = np.array([manifest.loc[name, "source"] or name for name in names])
    return Folder(place.name, kinds, family, faces[keep], scores[keep].reset_index(drop=True), references)


def learn_what_is_usual(place, encoder, cache):
    rows = list(embed_images(find_images([place]), encoder, cache))
    features = np.stack([row.vector for row in rows if row.vector is not None]).astype(np.float32)
    return NoveltyDetector.fit(features, np.arange(len(features)))


# --- near-duplicates and strangers, on halves -------------------------------------------------------------------------


def repetitions(folder, rows, threshold, rng):
    """Return the shares of repetitions found and of the person's other pictures taken for one, in any order."""
    rows = rows[np.isin(folder.kinds[rows], OWN)]
    copy_of = near_duplicates(folder.faces[rows], rng.permutation(len(rows)), threshold)
    family = folder.family[rows]
    held = copy_of >= 0
    right = held & (family == family[copy_of])
    return right.sum() / (len(rows) - len(np.unique(family))), (held & ~right).sum() / len(rows)


def choose_copies(folder, rows):
    """Choose the cosine half-way between the least of repetitions and the one that too many others reach."""
    rows = rows[np.isin(folder.kinds[rows], OWN)]
    unit = folder.faces[rows] / np.linalg.norm(folder.faces[rows], axis=1, keepdims=True)
    cosine = unit @ unit.T
    same = folder.family[rows][:, None] == folder.family[rows][None]
    np.fill_diagonal(same, val=False)
    others = np.where(same | np.eye(len(rows), dtype=bool), -1, cosine).max(axis=1)
    return (cosine[same].min() + np.quantile(others, 0.995)) / 2


def distances(folder):
    return np.linalg.norm(folder.faces - person_centre(folder.faces, folder.references.person), axis=1)


def shares(folder, held, rows):
    return [held[rows][folder.kinds[rows] == kind].mean() for kind in KINDS] + [
        held[rows][np.isin(folder.kinds[rows], OWN)].mean()
    ]


def halves(folder, splits):
    """Choose on one half and report on the other, both ways, over random halves that keep repetitions together."""
    far = distances(folder)
    found = []
    for split in range(splits):
        rng = np.random.default_rng(split)
        families = rng.permutation(np.unique(folder.family))
        first = np.isin(folder.family, families[: len(families) // 2])
        for chosen, reported in ((first, ~first), (~first, first)):
            one, two = np.flatnonzero(chosen), np.flatnonzero(reported)
            copies = choose_copies(folder, one)
            own = one[np.isin(folder.kinds[one], OWN)]
            person = np.quantile(far[own], 1 - WRONG)
            held = shares(folder, far > person, two)
            found.append([copies, *repetitions(folder, two, copies, rng), person, *held[2:]])
    names = ["cosine", "repetitions found", "false alarms", "distance", "strangers", "extremes", "own excluded"]
    table = pd.DataFrame(found, columns=names)
    print(f"\nchosen on one half, reported on the other ({len(table)} reports from {splits} random halves)")
    print(table.describe().loc[["mean", "min", "max"]].round(4).to_string())


def as_shipped(folder):
    """Report what the thresholds of prescreen exclude of each kind."""
    rng = np.random.default_rng(0)
    found, wrong = np.mean(
        [repetitions(folder, np.arange(len(folder.kinds)), NEAR_COPY, rng) for _ in range(10)], axis=0
    )
    counts = {kind: int((folder.kinds == kind).sum()) for kind in KINDS}
    print(f"\n{folder.name}: {counts}, thresholds of prescreen")
    print(f"  near-copies, cosine {NEAR_COPY}: {found:.3f} found, false alarms {wrong:.4f}")
    print(f"  same person up to {SAME_PERSON}; share excluded by each check:")
    reasons = find_reasons(Candidates(folder.scores, folder.faces, folder.references))
    held = {gate: np.array(texts) != "" for gate, texts in reasons.items()}
    held["any of them"] = np.any(list(held.values()), axis=0)
    everything = np.arange(len(folder.kinds))
    rows = {gate: shares(folder, texts, everything) for gate, texts in held.items()}
    print(pd.DataFrame(rows, index=[*KINDS, "own"]).T.round(4).to_string())


# --- planted faults ---------------------------------------------------------------------------------------------------


def moved(picture, middle, radius, shift):
    """Move what lies around a point, less and less towards the radius."""
    pixels = np.asarray(picture)
    y, x = np.mgrid[0 : pixels.shape[0], 0 : pixels.shape[1]].astype(float)
    near = np.exp(-0.5 * (np.hypot(x - middle[0], y - middle[1]) / (0.5 * radius)) ** 4)
    column = np.clip(np.rint(x - near * shift), 0, pixels.shape[1] - 1).astype(int)
    return Image.fromarray(pixels[y.astype(int), column])


def recoloured(picture, middle, radius, gains):
    pixels = np.asarray(picture).astype(float)
    y, x = np.mgrid[0 : pixels.shape[0], 0 : pixels.shape[1]]
    inside = (np.hypot(x - middle[0], y - middle[1]) < radius)[..., None]
    return Image.fromarray(np.where(inside, np.clip(pixels * gains, 0, 255), pixels).astype(np.uint8))


def plant(picture, face):
    """Return the faults by the check that should find them."""
    distance = face.eye_distance
    width = 0.4 * distance
    left, right = face.left_eye, face.right_eye
    box = face.box
    crossed = moved(moved(picture, left, 0.6 * width, 0.2 * width), right, 0.6 * width, -0.2 * width)
    one_eye = recoloured(picture, left, 0.2 * width, (0.5, 0.9, 1.7))
    return {
        "small": picture.resize((int(picture.width * 25 / distance), int(picture.height * 25 / distance))),
        "blurred": picture.filter(ImageFilter.GaussianBlur(0.05 * distance)),
        "cut": picture.crop((0, 0, picture.width, int(box[3] - 0.12 * (box[3] - box[1])))),
        "nose": moved(picture, face.nose, 0.9 * distance, 0.3 * distance),
        "eyes": crossed,
        "eyes (colour of one)": one_eye,
        "eye-colour": recoloured(one_eye, right, 0.2 * width, (0.5, 0.9, 1.7)),
    }


def planted(place, folder, encoder, familiarity, count):
    """Plant faults in the first variants that pass all checks, and report how many are found."""
    reasons = find_reasons(Candidates(folder.scores, folder.faces, folder.references))
    free = ~np.any([np.array(texts) != "" for texts in reasons.values()], axis=0)
    rows = np.flatnonzero(free & (folder.kinds == "variant"))[:count]
    files = list(find_images([place / "candidates"]))
    edited = {}
    for row in rows:
        picture = decode(files[row].path.read_bytes()).pixels
        for fault, changed in plant(picture, find_face(picture)).items():
            stream = io.BytesIO()
            changed.save(stream, "PNG")
            edited.setdefault(fault, []).append((fault, stream.getvalue()))
    print(f"\nSIMULATED faults, planted in {len(rows)} of the person's pictures that pass all checks")
    for fault, pictures in edited.items():
        done = [row for row in embed_bytes(pictures, encoder) if row.vector is not None]
        table, faces = described(done, encoder, familiarity)
        # The candidates as they are stay around, so that the person is found among them as usual.
        both = pd.concat([folder.scores, table], ignore_index=True)
        found = find_reasons(Candidates(both, np.vstack([folder.faces, faces]), folder.references))
        held = {gate: (np.array(texts) != "")[len(folder.kinds) :] for gate, texts in found.items()}
        gate = fault.split(" (")[0]
        others = ", ".join(f"{name} {texts.mean():.2f}" for name, texts in held.items() if texts.any() and name != gate)
        failed = f"; {len(pictures) - len(done)} could not be scored" if len(done) < len(pictures) else ""
        alone, any_of = held[gate].mean(), np.any(list(held.values()), axis=0).mean()
        print(f"  {fault:22s} {gate} finds {alone:.2f}, any check {any_of:.2f}; others: {others or '-'}{failed}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trained-on", type=Path, required=True)
    parser.add_argument("--other", type=Path, nargs="*", default=[])
    parser.add_argument("--encoder", default="bundled")
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--planted", type=int, default=40)
    options = parser.parse_args()
    encoder = make_encoder(options.encoder)
    with EmbeddingCache() as cache:
        familiarity = learn_what_is_usual(options.trained_on, encoder, cache)
        folders = [read_folder(place, encoder, cache, familiarity) for place in (options.folder, *options.other)]
    halves(folders[0], options.splits)
    for folder in folders:
        as_shipped(folder)
    if options.planted:
        planted(options.folder, folders[0], encoder, familiarity, options.planted)


if __name__ == "__main__":
    main()
