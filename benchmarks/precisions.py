"""What bf16 does to a predictor's scores.

Usage:  python benchmarks/precisions.py FOLDER --f32 DIRECTORY --bf16 DIRECTORY

The predictors are those of ``prescreen train`` with ``--precision f32`` and ``--precision bf16`` from the same ratings
with the same seed. Each scores the folder with vectors of its precision; the first also with vectors of bf16,
which prescreen itself refuses to do. Needs a processor with bf16.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.stats import rankdata, spearmanr

from prescreen.embeddings.pipeline import EmbeddingCache, embed_images
from prescreen.encoders import Encoder
from prescreen.images.files import find_images
from prescreen.predictor.predictor import Predictor

TOP = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--f32", type=Path, required=True)
    parser.add_argument("--bf16", type=Path, required=True)
    options = parser.parse_args()
    one, other = Predictor.load(options.f32), Predictor.load(options.bf16)
    precisions = (one.manifest.encoder.precision, other.manifest.encoder.precision)
    if precisions != ("f32", "bf16") or replace(one.manifest.encoder, precision="bf16") != other.manifest.encoder:
        parser.error(f"expected one encoder in f32 and bf16, got {one.manifest.encoder} and {other.manifest.encoder}")

    print("cross-validated Pearson r, trained and predicted in one precision")
    for trait in one.traits:
        found = [
            next(part.pearson for part in predictor.evaluation.traits if part.trait == trait)
            for predictor in (one, other)
        ]
        print(f"{trait:14}", *(f"{p} {r.text()}" for p, r in zip(precisions, found, strict=True)))

    files = find_images([options.folder])
    with EmbeddingCache() as cache:
        rows = [list(embed_images(files, Encoder(p.manifest.encoder), cache)) for p in (one, other)]
    pairs = [(a.vector, b.vector) for a, b in zip(*rows, strict=True) if a.vector is not None and b.vector is not None]
    whole, half = (np.stack(vectors) for vectors in zip(*pairs, strict=True))
    print(f"\n{len(whole)} pictures; score points between 0 and 10")
    own = one.predict(whole).score
    for name, scores in (
        ("predictor of f32, vectors of bf16", one.predict(half).score),
        ("predictor of bf16, vectors of bf16", other.predict(half).score),
    ):
        print(f"{name}, against f32 throughout")
        for i, trait in enumerate(one.traits):
            moved, places = np.abs(scores[:, i] - own[:, i]), [rankdata(-each[:, i]) <= TOP for each in (scores, own)]
            agreement = spearmanr(scores[:, i], own[:, i]).statistic
            print(
                f"  {trait:14} median {np.median(moved):.3f}  99 % {np.quantile(moved, 0.99):.3f}  "
                f"most {moved.max():.3f}  Spearman {agreement:.4f}  "
                f"of the first {TOP} the same {np.logical_and(*places).sum()}"
            )


if __name__ == "__main__":
    main()
