"""Which views of a picture, and whether their mirror images, earn their cost: accuracy against CPU seconds.

Usage:  python benchmarks/views.py OMI_DIR REAL_DIR [--timed clip:MODEL@FILE] [--draws 2] [--pictures 24]

The value of views is measured with EfficientNet-Lite2, whose pooled features of each view stand for those of CLIP, next
to the face network that every encoder includes. Each picture is embedded with all views, once with its mirror image and
once without (the face network always sees both), and a set of views is a choice of columns. All fits are the product's
own (`fit_final`).

`halves`: One Million Impressions, 34 published means; trained on half of the faces, tested on the other half, and the
other way round. `real`: photographs of REAL_DIR (`london`, `dsk3`, `amfd-half`), trained on half of the persons of each
set and tested on the others. `carried over`: trained on all of One Million Impressions, tested on the photographs, for
traits that both have. Figures are r, means over traits; in brackets the difference from all four views with mirror
images and its standard error over traits. `--timed` is the encoder whose CPU seconds are measured: views, face network
and all, on pictures of One Million Impressions; by default `bundled` without its layouts.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from base import r
from numpy.typing import NDArray
from trees import load, part_of

from prescreen.encoders import Encoder, make_encoder
from prescreen.encoders.bundled import EFFICIENTNET, FACE
from prescreen.images.inspection import inspect_image
from prescreen.regressors.stacking import fit_final
from prescreen.training.dataset import Dataset

VIEWS = (
    ("whole",),
    ("face",),
    ("whole", "face"),
    ("face", "eyes"),
    ("face", "mouth"),
    ("whole", "mouth"),
    ("whole", "face", "eyes"),
    ("whole", "face", "mouth"),
    ("whole", "face", "eyes", "mouth"),
)
ALL = (VIEWS[-1], True)
SAME_TRAITS = {"attractive": "attractive", "trustworthy": "trustworthy", "dominant": "dominant", "smart": "smart"}

Floats = NDArray[np.float64]
Way = tuple[tuple[str, ...], bool]


def columns(dataset: Dataset, views: tuple[str, ...]) -> Dataset:
    """Keep the face network's features and the pooled ones of some views."""
    blocks, parts, start = {}, [], 0
    for name, place in dataset.blocks.items():
        network, view, *layout = name.split("/")
        if network == FACE.network or (view in views and not layout):
            blocks[name] = slice(start, start := start + place.stop - place.start)
            parts.append(dataset.features[:, place])
    return replace(dataset, features=np.concatenate(parts, axis=1), blocks=blocks)


def predict(dataset: Dataset, train: NDArray[np.intp], features: NDArray[np.float32]) -> Floats:
    groups = dataset.groups[train]
    return fit_final(dataset.features[train], dataset.ratings[train], groups, dataset.blocks).predict(features)


def halves(dataset: Dataset, draws: int) -> Floats:
    """Return r of each trait, mean over the halves."""
    groups, found = np.unique(dataset.groups), []
    for draw in range(draws):
        first = np.isin(dataset.groups, np.random.default_rng(draw).permutation(groups)[: len(groups) // 2])
        for train, test in ((first, ~first), (~first, first)):
            said = predict(dataset, np.flatnonzero(train), dataset.features[test])
            found.append([r(said[:, k], dataset.ratings[test, k]) for k in range(len(dataset.traits))])
    return np.mean(found, axis=0)


def carried_over(omi: Dataset, photographs: list[Dataset]) -> Floats:
    found = []
    for each in photographs:
        said = predict(omi, np.arange(len(omi.images)), each.features)
        for trait, same in SAME_TRAITS.items():
            if trait in each.traits:
                found.append(r(said[:, omi.traits.index(same)], each.ratings[:, each.traits.index(trait)]))
    return np.array(found)


def photographs_of(folder: Path, encoder: Encoder) -> Iterator[Dataset]:
    """Read the photographs; in dsk3 men and women were rated by different raters."""
    for name, ratings in (("london", "votes.csv"), ("dsk3", "votes.csv"), ("amfd-half", "ratings.csv")):
        found = load(folder / name / ratings, folder / name / "images", encoder)
        for own in ("masculine", "feminine") if name == "dsk3" else (None,):
            rated = np.isfinite(found.ratings[:, found.traits.index(own)]) if own else np.ones(len(found.images), bool)
            kept = [k for k in range(len(found.traits)) if np.isfinite(found.ratings[rated, k]).all()]
            yield part_of(found, rated, kept)


def cpu_seconds(encoder: Encoder, pictures: list[bytes]) -> float:
    """Return CPU seconds a picture: decoding, face, views, networks."""
    encoder.encode([inspect_image(pictures[0], encoder.views)[0]] * 4)  # compiled and warm
    before = time.process_time()
    for start in range(0, len(pictures), 8):
        encoder.encode([inspect_image(data, encoder.views)[0] for data in pictures[start : start + 8]])
    return (time.process_time() - before) / len(pictures)


def with_views(encoder: Encoder, way: Way) -> Encoder:
    views, mirror = way
    networks = [replace(m, views=views, layouts=()) for m in encoder.specification.members[:-1]]
    members = (*networks, encoder.specification.members[-1])
    return Encoder(replace(encoder.specification, members=members, mirror=mirror))


def told(values: Floats, reference: Floats) -> str:
    gain = values - reference
    return f"{values.mean():.3f} ({gain.mean():+.3f}, {gain.std(ddof=1) / len(gain) ** 0.5:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("omi", type=Path, metavar="OMI_DIR", help="folder in the layout of One Million Impressions")
    parser.add_argument("real", type=Path, metavar="REAL_DIR", help="folder with london, dsk3 and amfd-half")
    parser.add_argument("--timed", default="bundled", help="encoder whose CPU seconds are measured (default: bundled)")
    parser.add_argument("--draws", type=int, default=2, help="random halves (default: 2)")
    parser.add_argument("--mirror", choices=["yes", "no"], help="only these rows (default: both)")
    parser.add_argument("--views", action="append", help="only this set: whole,face; may be repeated (default: all)")
    parser.add_argument("--pictures", type=int, default=24, help="pictures of the timing (default: 24)")
    options = parser.parse_args()

    chosen = [tuple(text.split(",")) for text in options.views or map(",".join, VIEWS)]
    timed = make_encoder(options.timed)
    pictures = [path.read_bytes() for path in sorted((options.omi / "images").iterdir())[: options.pictures]]
    print(f"timed: {timed.specification.choice}, {len(pictures)} pictures\n")
    print("| views | mirror | passes | CPU s a picture | halves | real | carried over |\n|---|---|--:|--:|--:|--:|--:|")
    bundled = make_encoder("bundled").specification
    assert bundled.members[0] == EFFICIENTNET
    groups: list[NDArray[np.int64]] = []
    reference: tuple[Floats, ...] = ()
    for mirror in (True, False):
        encoder = Encoder(replace(bundled, mirror=mirror))
        read = [load(options.omi, None, encoder), *photographs_of(options.real, encoder)]
        groups = groups or [each.groups for each in read]
        wanted = chosen if options.mirror in (None, "yes" if mirror else "no") else []
        for views in ([ALL[0]] if mirror else []) + [each for each in wanted if (each, mirror) != ALL]:
            omi, *photographs = (
                replace(columns(each, views), groups=same) for each, same in zip(read, groups, strict=True)
            )
            real = np.concatenate([halves(each, options.draws) for each in photographs])
            found = halves(omi, options.draws), real, carried_over(omi, photographs)
            reference = reference or found
            cost = cpu_seconds(with_views(timed, (views, mirror)), pictures)
            cells = " | ".join(told(each, same) for each, same in zip(found, reference, strict=True))
            yes = "yes" if mirror else "no"
            print(f"| {', '.join(views)} | {yes} | {len(views) * (1 + mirror)} | {cost:.3f} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
