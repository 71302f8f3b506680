"""What bf16 does to a predictor's scores.

Usage:  python benchmarks/precisions.py FOLDER --f32 DIRECTORY --bf16 DIRECTORY [--pictures 900]

The predictors are those of ``prescreen train`` with ``--precision f32`` and ``--precision bf16`` from the same ratings
with the same seed. Each scores the folder and its canaries with vectors of its precision, and the second with those of
f32, as prescreen does where there is no bf16; the canaries also with vectors of torch. Needs a processor with bf16.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from fidelity import in_torch
from scipy.stats import rankdata, spearmanr

from prescreen.embeddings.pipeline import EmbeddingCache, embed_images
from prescreen.encoders import Encoder
from prescreen.images.files import find_images
from prescreen.predictor.predictor import Predictor
from prescreen.predictor.reproducibility import check_reproducibility

TOP = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=900)
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

    files = find_images([options.folder])[: options.pictures]
    encoders = [Encoder(p.manifest.encoder) for p in (one, other)]
    with EmbeddingCache() as cache:
        rows = [list(embed_images(files, encoder, cache)) for encoder in encoders]
    pairs = [(a.vector, b.vector) for a, b in zip(*rows, strict=True) if a.vector is not None and b.vector is not None]
    whole, half = (np.stack(vectors) for vectors in zip(*pairs, strict=True))
    print(f"\n{len(whole)} pictures; score points between 0 and 10")
    for name, scores, own in (
        ("predictor and vectors of bf16, against those of f32", other.predict(half), one.predict(whole)),
        ("predictor of bf16: vectors of f32, against those of bf16", other.predict(whole), other.predict(half)),
    ):
        print(name)
        for i, trait in enumerate(one.traits):
            there, here = scores.score[:, i], own.score[:, i]
            moved, places = np.abs(there - here), [rankdata(-each) <= TOP for each in (there, here)]
            print(
                f"  {trait:14} median {np.median(moved):.3f}  99 % {np.quantile(moved, 0.99):.3f}  "
                f"most {moved.max():.3f}  Spearman {spearmanr(there, here).statistic:.4f}  "
                f"of the first {TOP} the same {np.logical_and(*places).sum()}"
            )

    print("\nblocks of the vectors, bf16 against f32")
    for name, columns in one.manifest.encoder.blocks.items():
        a, b = whole[:, columns].astype(np.float32), half[:, columns].astype(np.float32)
        cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        print(
            f"  {name:36} least cosine {cosine.min():.5f}  largest distance {np.linalg.norm(a - b, axis=1).max():.4f}"
        )

    print("\ncanaries, largest difference in points at the middle of the scale")
    for name, predictor, encoder in (
        ("predictor of bf16, vectors of f32", other, encoders[0]),
        ("predictor of bf16, vectors of torch in bf16", other, in_torch(Encoder(encoders[1].specification), "bf16")),
        ("predictor of f32, vectors of torch in f32", one, in_torch(Encoder(encoders[0].specification), "f32")),
    ):
        print(f"  {name:46} {check_reproducibility(predictor, encoder, force=True).difference:.4f}")


if __name__ == "__main__":
    main()
