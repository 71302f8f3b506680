"""By how much shortcuts move scores: decoding at reduced size, bf16, and another runtime.

Usage:  python benchmarks/fidelity.py FOLDER --predictor DIRECTORY [--pictures 60]

Each row scores the same pictures twice, the usual way and with the shortcut, and prints the differences in score points
(0-10) over all pictures and traits, and half the width of the 90 % intervals. Large pictures are SIMULATED: the
folder's, enlarged to 2048 and 4096 pixels and saved as JPEG. bf16 runs in torch on the processor, slowly where the
processor lacks it; a card or OpenVINO round in other places.
"""

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image

from prescreen.encoders import Encoder
from prescreen.encoders.backends import AcceleratedNetwork
from prescreen.images import inspection
from prescreen.images.files import find_images
from prescreen.images.inspection import inspect_image
from prescreen.predictor.predictor import Predictor

CHUNK = 8


def enlarged(data, side):
    stream = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("RGB").resize((side, side), Image.Resampling.BICUBIC).save(
        stream, "JPEG", quality=92
    )
    return stream.getvalue()


def scores(predictor, encoder, pictures, least_side=inspection.LEAST_SIDE):
    """Return scores and half widths of their intervals, (n, traits) each, without the cache."""
    inspection.LEAST_SIDE = least_side
    chunks = (pictures[start : start + CHUNK] for start in range(0, len(pictures), CHUNK))
    vectors = [encoder.encode([inspect_image(data, encoder.views)[0] for data in chunk]) for chunk in chunks]
    predictions = predictor.predict(np.concatenate(vectors))
    return predictions.score, (predictions.score_high - predictions.score_low) / 2


def in_torch(encoder, precision):
    """Make the encoder's networks run in torch on the processor."""
    for network in encoder._networks:
        member = network.specification
        network._run = AcceleratedNetwork(
            network._check_weights(), side=member.side, width=member.output_width, precision=precision, device="cpu"
        )
    return encoder


def show(name, usual, other):
    difference, half = np.abs(usual[0] - other[0]), usual[1].mean()
    quantiles = np.quantile(difference, [0.5, 0.95])
    print(
        f"{name:44} median {quantiles[0]:.4f}  95 % {quantiles[1]:.4f}  most {difference.max():.4f}"
        f"  (intervals: half width {half:.2f})",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--predictor", type=Path, required=True, help="of the bundled encoder, in f32")
    parser.add_argument("--pictures", type=int, default=60)
    options = parser.parse_args()
    predictor = Predictor.load(options.predictor)
    files = find_images([options.folder])
    pictures = [file.path.read_bytes() for file in files[:: max(1, len(files) // options.pictures)]][: options.pictures]
    usual = Encoder(predictor.manifest.encoder)
    expected = scores(predictor, usual, pictures)
    print(f"{len(pictures)} pictures, {len(predictor.traits)} traits, predictor {predictor.manifest.name}")
    for side in (2048, 4096):
        large = [enlarged(data, side) for data in pictures]
        full = scores(predictor, usual, large, least_side=1 << 20)
        show(f"{side} pixels, decoded at reduced size", full, scores(predictor, usual, large))
    for precision in ("f32", "bf16"):
        with_torch = in_torch(Encoder(predictor.manifest.encoder), precision)
        show(f"torch {precision} instead of OpenVINO f32", expected, scores(predictor, with_torch, pictures))


if __name__ == "__main__":
    main()
