"""How many pictures a second prescreen embeds, stage by stage, compared with the loop that a user would write.

Usage:  python benchmarks/throughput.py FOLDER [--pictures 200] [--encoders bundled,ViT-B-32-256] [--predictor DIR]

With a predictor of the bundled encoder, start-up and a killed run of ``prescreen score`` are measured too.

Everything runs in one process tree on one machine, one after the other, with a separate cache. Other work on the
machine makes the figures wrong. CLIP models have seeded random weights: speed does not depend on the values. They see
the default views. CPU seconds count all threads and all worker processes. The estimate is what `prescreen train` says
before it embeds. `--encoders ViT-L-14 --pictures 8 --loops 8` is `clip:large`, which takes minutes.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import open_clip
import torch
from PIL import Image
from safetensors.torch import save_file

from prescreen.embeddings.estimate import estimate
from prescreen.embeddings.pipeline import EmbeddingCache, embed_images
from prescreen.embeddings.workers import Workers
from prescreen.encoders import Encoder, make_encoder
from prescreen.encoders.backends import AcceleratedNetwork, precisions
from prescreen.encoders.bundled import BundledNetwork
from prescreen.images.decoding import decode
from prescreen.images.files import ImageFile, find_images
from prescreen.images.inspection import inspect_image

BATCH = 32  # of the user's loop


@dataclass
class Cost:
    """Wall-clock and CPU seconds."""

    wall: float = 0.0
    cpu: float = 0.0


@contextmanager
def measured() -> Iterator[Cost]:
    cost, wall, cpu = Cost(), time.perf_counter(), _cpu()
    yield cost
    cost.wall, cost.cpu = time.perf_counter() - wall, _cpu() - cpu


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def show(name: str, pictures: int, cost: Cost) -> float:
    rate = pictures / cost.wall
    print(f"{name:58} {rate:9.1f} pictures/s {cost.cpu / pictures:9.4f} CPU s a picture", flush=True)
    return rate


def seeded_clip(name: str, folder: Path) -> Encoder:
    torch.manual_seed(0)
    path = folder / f"{name}.safetensors"
    model = open_clip.create_model(name)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)
    kind = "/datacomp_xl_s13b_b90k" if name == "ViT-L-14" else ""  # its published weights are of several kinds
    return make_encoder(f"clip:{name}{kind}@{path}")


def users_loop(
    model: torch.nn.Module, transform: Callable[[Image.Image], torch.Tensor], files: list[ImageFile]
) -> None:
    """Pillow, open_clip's own transform, batches of 32."""
    with torch.inference_mode():
        for start in range(0, len(files), BATCH):
            batch = [transform(Image.open(file.path).convert("RGB")) for file in files[start : start + BATCH]]
            model.encode_image(torch.stack(batch))


def plain_torch(encoder: Encoder, files: list[ImageFile]) -> None:
    """Embed with the bundled encoder's views and features, one picture at a time, networks in torch fp32."""
    networks = [network for network in encoder._networks if isinstance(network, BundledNetwork)]
    modules = [network._check_weights()() for network in networks]
    with torch.inference_mode():
        for file in files:
            views, _ = inspect_image(file.path.read_bytes(), encoder.views)
            for network, module in zip(networks, modules, strict=True):
                side = network.specification.side
                pixels = np.stack([views[v] for v in views if v.side == side and v.name in network.specification.views])
                module(torch.from_numpy(as_seen(encoder, pixels)))


def as_seen(encoder: Encoder, pixels: np.ndarray) -> np.ndarray:
    return np.concatenate([pixels, pixels[:, :, ::-1]]) if encoder.specification.mirror else pixels


def network_alone(encoder: Encoder, views: list[dict], pictures: int) -> tuple[Cost, np.ndarray]:
    encoder.load()
    encoder.encode(views[:4])  # compiled and warm
    with measured() as cost:
        found = [encoder.encode([views[i % len(views)] for i in batch]) for batch in _batches(pictures)]
    return cost, np.concatenate(found)


def torch_alone(encoder: Encoder, views: list[dict], precision: str) -> Cost:
    """Run the same networks in torch on the processor, in full batches."""
    ready = []
    for network in encoder._networks:
        member = network.specification
        build = network._check_weights()
        run = AcceleratedNetwork(build, side=member.side, width=member.output_width, precision=precision, device="cpu")
        ready.append((member, run))
    with measured() as cost:
        for member, run in ready:
            pixels = np.stack([p[v] for p in views for v in p if v.side == member.side and v.name in member.views])
            run(as_seen(encoder, pixels))
    return cost


def _batches(pictures: int, size: int = 16) -> list[range]:
    return [range(start, min(start + size, pictures)) for start in range(0, pictures, size)]


def end_to_end(encoder: Encoder, files: list[ImageFile], path: Path) -> Cost:
    with measured() as cost:
        workers = Workers()
        with EmbeddingCache(path) as cache:
            rows = list(embed_images(files, encoder, cache, workers=workers))
        workers.close()  # only then their CPU time is known
    assert all(row.vector is not None for row in rows), [row.reason for row in rows if row.vector is None][:3]
    return cost


def seconds(command: list[str], times: int = 5) -> float:
    """Median wall-clock time of a command."""
    taken = []
    for _ in range(times):
        with measured() as cost:
            subprocess.run(command, check=True, capture_output=True)
        taken.append(cost.wall)
    return float(np.median(taken))


def killed_run(folder: Path, files: list[ImageFile], predictor: Path, caches: Path) -> tuple[bool, int]:
    """Kill ``score`` half-way and score again; return whether the bytes are those of an undisturbed run."""
    words = [sys.executable, "-m", "prescreen", "score", *(str(f.path) for f in files), "--predictor", str(predictor)]
    outputs = []
    for name in ("undisturbed", "killed"):
        environment = os.environ | {"PRESCREEN_CACHE": str(caches / name)}
        output = folder / f"{name}.csv"
        command = [*words, "--output", str(output)]
        if name == "killed":
            process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
            while process.poll() is None and (kept := _kept(caches / name)) < len(files) // 2:
                time.sleep(0.02)
            process.kill()
            process.wait()
            kept = _kept(caches / name)
            assert not output.exists(), "it was killed too late"
        subprocess.run(command, env=environment, check=True, capture_output=True)
        outputs.append(output.read_bytes())
    return outputs[0] == outputs[1], kept


def _kept(folder: Path) -> int:
    if not (folder / "embeddings.sqlite").is_file():
        return 0
    with EmbeddingCache(folder / "embeddings.sqlite") as cache:
        return sum(each.vectors for each in cache.stats())


def timed(name: str, pictures: int, work: Callable[[], object]) -> float:
    with measured() as cost:
        work()
    return show(name, pictures, cost)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--predictor", type=Path, help="of the bundled encoder; measures start-up and a killed run")
    parser.add_argument("--loops", type=int, default=64, help="pictures of the loops that prescreen is compared with")
    parser.add_argument("--encoders", default="bundled,ViT-B-32-256", help="bundled, or models of open_clip")
    options = parser.parse_args()
    files = find_images([options.folder])[: options.pictures]
    few = files[: options.loops]
    load = os.getloadavg()[0]
    print(
        f"{len(files)} pictures, {os.cpu_count()} processors, load {load:.1f} at the start, torch {torch.__version__}"
    )

    data = [file.path.read_bytes() for file in few]
    timed("decoding alone, one process", len(few), lambda: [decode(each) for each in data])
    help_time = seconds([sys.executable, "-m", "prescreen", "--help"])
    print(f"prescreen --help: {help_time:.2f} s")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in options.encoders.split(","):
            encoder = make_encoder("bundled") if name == "bundled" else seeded_clip(name, folder)
            views, mirror = encoder.specification.members[0].views, encoder.specification.mirror
            print(f"\n{name}: {', '.join(views)}{' and mirror images' if mirror else ''}")
            with measured() as looked:
                views = [inspect_image(each, encoder.views)[0] for each in data]
            show("decoding, face and views, one process", len(few), looked)
            networks = {}
            for precision in precisions("cpu"):
                variant = Encoder(replace(encoder.specification, precision=precision))
                networks[precision] = network_alone(variant, views, len(few))
                show(f"networks alone, {precision}", len(few), networks[precision][0])
            for precision in precisions("cpu"):
                show(f"networks alone, torch {precision}", 8, torch_alone(encoder, views[:8], precision))
            if "bf16" in networks:
                one, other = (networks[p][1].astype(np.float32) for p in ("f32", "bf16"))
                cosine = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
                print(f"  bf16 against f32: least cosine {cosine.min():.5f}")
            cold, cpu = {}, {}
            for precision, (alone, _) in networks.items():
                variant, cache = Encoder(replace(encoder.specification, precision=precision)), folder / f"{name}.sqlite"
                told = estimate(variant, len(files), files)
                cost = end_to_end(variant, files, cache)
                print(f"  estimate {told.seconds:.1f} s, measured {cost.wall:.1f} s ({cost.wall / told.seconds:.2f})")
                cpu[precision] = cost.cpu / len(files)
                cold[precision] = show(f"prescreen, cold, {precision}", len(files), cost)
                warm = show(f"prescreen, warm, {precision}", len(files), end_to_end(variant, files, cache))
                # what the stages' CPU time allows on all processors
                stages = (looked.cpu + alone.cpu) / len(few)
                allowed = (os.cpu_count() or 1) / stages
                print(f"  cold / allowed by the stages' CPU time: {cold[precision] / allowed:.2f} (target 0.9)")
                share = stages * len(files) / cost.cpu
                print(f"  CPU time of the stages / CPU time cold, start of workers and networks included: {share:.2f}")
                print(f"  warm / cold: {warm / cold[precision]:.0f} (target 50); {cost.wall:.1f} s cold")
            if name == "bundled":
                what, aim = "a plain torch fp32 loop, same views and features", ""
                loop = partial(plain_torch, encoder, few)
            else:
                what, aim = "a plain open_clip loop, fp32, whole picture only", " (target 2.2)"
                torch.manual_seed(0)
                model, _, transform = open_clip.create_model_and_transforms(name)
                loop = partial(users_loop, model.eval(), transform, few)
            loop()  # the first one allocates
            with measured() as cost:
                loop()
            show(what, len(few), cost)
            for precision, taken in cpu.items():
                print(f"  CPU time cold / loop, {precision}: {taken / (cost.cpu / len(few)):.2f}{aim}")
        if options.predictor:
            print()
            with EmbeddingCache(folder / "embeddings.sqlite") as cache:  # one picture in it
                list(embed_images(files[:1], make_encoder("bundled"), cache))
            os.environ["PRESCREEN_CACHE"], before = str(folder), os.environ.get("PRESCREEN_CACHE")
            one = [
                "score",
                str(files[0].path),
                "--predictor",
                str(options.predictor),
                "--output",
                str(folder / "1.csv"),
            ]
            print(f"prescreen score, one cached picture: {seconds([sys.executable, '-m', 'prescreen', *one]):.2f} s")
            os.environ.pop("PRESCREEN_CACHE")
            if before:
                os.environ["PRESCREEN_CACHE"] = before
            same, kept = killed_run(folder, files[:64], options.predictor, folder)
            print(f"killed with {kept} of 64 pictures in the cache, then run again: the same bytes {same}")


if __name__ == "__main__":
    main()
