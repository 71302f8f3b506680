"""How far the square that prescreen cuts is from the whole picture that SigLIP models squash, in words' eyes.

SIMULATED: the weights are drawn with a seed, since the published ones were not at hand. So the figures say how much the
network's input differs, as a network without training sees it, and nothing about what a trained one makes of it.

Each portrait is cut to several shapes, the face in it. Its whole view, by prescreen and by the model's own
preprocessing of open_clip, is compared with the captions of the zero-shot ranking: the cosine of the two pictures, the
change of the cosines with captions beside their spread over pictures, and Spearman's correlation of the two orders.

    OMP_NUM_THREADS=1 python benchmarks/squash.py FOLDER [--model ViT-B-16-SigLIP] [--pictures 40]
"""

import argparse
import zlib
from pathlib import Path

import numpy as np
import open_clip
import torch
from PIL import Image
from scipy.stats import spearmanr

from prescreen.images.faces import find_face
from prescreen.images.views import View, cut
from prescreen.ranking.prompts import captions, contrasts

SHAPES = {"1:1": 1.0, "4:5": 0.8, "2:3": 2 / 3, "9:16": 9 / 16, "3:2": 1.5}
"""Width divided by height."""


def shaped(picture, shape):
    """Cut the largest part of a shape, centred across and with three tenths of what is cut away above it."""
    width, height = picture.size
    wide, high = (width, width / shape) if width / height < shape else (height * shape, height)
    left, top = (width - wide) / 2, (height - high) * 0.3
    return picture.crop((round(left), round(top), round(left + wide), round(top + high)))


def seeded(name):
    torch.manual_seed(0)
    network = open_clip.create_model(name, load_weights=False, pretrained_image=False, pretrained_text=False)
    return network.eval()


def said(network, name):
    """Return the captions' embeddings; each word has a token of its own, since the tokenizer was not at hand, too."""
    text = open_clip.get_model_config(name)["text_cfg"]
    tokens = torch.zeros(len(captions()), text["context_length"], dtype=torch.long)
    for row, caption in enumerate(captions()):
        words = [2 + zlib.crc32(word.encode()) % (text["vocab_size"] - 2) for word in caption.split()]
        tokens[row, : len(words)] = torch.tensor(words)
    return network.encode_text(tokens, normalize=True).numpy()


def seen(network, pixels):
    return torch.cat([network.encode_image(part, normalize=True) for part in pixels.split(8)]).numpy()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="ViT-B-16-SigLIP")
    parser.add_argument("--pictures", type=int, default=40)
    given = parser.parse_args()
    network = seeded(given.model)
    side = network.visual.image_size[0] if isinstance(network.visual.image_size, tuple) else network.visual.image_size
    mean, std = 0.5, 0.5
    own = open_clip.image_transform(
        side, is_train=False, mean=(mean,) * 3, std=(std,) * 3, resize_mode="squash", interpolation="bicubic"
    )
    portraits = []
    for file in sorted(given.folder.iterdir()):
        try:
            with Image.open(file) as opened:
                portraits.append(opened.convert("RGB"))
        except OSError:
            continue
    print(f"{given.model}, weights drawn with seed 0 (SIMULATED), {len(portraits[: given.pictures])} portraits")
    print("shape | cosine of the two | change of caption cosines / their spread | Spearman of the order, 3 traits")
    with torch.inference_mode():
        words = said(network, given.model)
        for shape, ratio in SHAPES.items():
            pictures = [shaped(picture, ratio) for picture in portraits[: given.pictures]]
            squares = np.stack([cut(picture, find_face(picture), View("whole", side)) for picture in pictures])
            ours = seen(network, torch.tensor((squares / 255 - mean) / std, dtype=torch.float32).permute(0, 3, 1, 2))
            theirs = seen(network, torch.stack([own(picture) for picture in pictures]))
            before, after = words @ theirs.T, words @ ours.T
            change = np.abs(after - before).mean() / before.std(axis=1).mean()
            orders = zip(contrasts(before).T, contrasts(after).T, strict=True)
            alike = ", ".join(f"{spearmanr(*order).statistic:.2f}" for order in orders)
            print(f"{shape} | {(ours * theirs).sum(axis=1).mean():.4f} | {change:.2f} | {alike}", flush=True)


if __name__ == "__main__":
    main()
