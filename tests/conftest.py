"""What several test modules need: pictures, and the reference data sets where they are."""

import gc
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from encoders.local_hub import LocalHub

LONGEST = ("tests/e2e/", "tests/contract/", "tests/test_determinism.py", "tests/workflow/test_format_matrix.py")
DEMO = "tests/e2e/"
"""Tests of these files share one run of the demo, which takes most of a minute; those of `NO_DEMO` need none."""
NO_DEMO = tuple(
    f"{DEMO}test_{name}.py"
    for name in ("ballot", "odd_names", "pick_trains", "ratings_as_people_have_them", "surroundings")
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give a process the tests of a file, for the sake of its fixtures, and all that look at the demo to one."""
    from xdist.scheduler import LoadFileScheduling

    class Files(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return DEMO if file.startswith(DEMO) and file not in NO_DEMO else file

    return Files(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let those begin that take longest."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


def pytest_collection_finish() -> None:
    """Keep the search for garbage from what stays to the end: all libraries, all tests."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Let libraries find at the end of the process that nothing of theirs is left."""
    gc.unfreeze()


@pytest.fixture(scope="session")
def portrait() -> Image.Image:
    """Return a photograph of one person, 512 × 600 (Grace Hopper; public domain, part of matplotlib)."""
    with Image.open(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg") as picture:
        return picture.convert("RGB")


@pytest.fixture(scope="session")
def portraits() -> list[tuple[Image.Image, Any]]:
    """Return pictures of five persons of the sample, with their faces."""
    from prescreen.images.faces import find_face

    folder = Path(__file__).parents[1] / "data" / "sample" / "training" / "images"
    pictures = [Image.open(folder / f"{number:03d}.jpg").convert("RGB") for number in (1, 13, 40, 70, 100)]
    return [(picture, find_face(picture)) for picture in pictures]


@pytest.fixture(scope="session")
def patches() -> Image.Image:
    """Return six patches of colour on 48 × 32, no two of its eight orientations alike."""
    colours = np.array(
        [[(230, 30, 30), (30, 200, 30), (30, 30, 220)], [(240, 220, 40), (20, 20, 20), (250, 250, 250)]], np.uint8
    )
    return Image.fromarray(colours).resize((48, 32), Image.Resampling.NEAREST)


@pytest.fixture(scope="session")
def stored_ways() -> dict[int, Callable[[np.ndarray], np.ndarray]]:
    """Return by EXIF orientation how an upright picture is stored, after the EXIF standard."""
    return {
        1: lambda upright: upright,
        2: np.fliplr,
        3: lambda upright: np.rot90(upright, 2),
        4: np.flipud,
        5: lambda upright: upright.swapaxes(0, 1),
        6: lambda upright: np.rot90(upright, 1),
        7: lambda upright: np.rot90(upright, 2).swapaxes(0, 1),
        8: lambda upright: np.rot90(upright, -1),
    }


@pytest.fixture(scope="session")
def encoded() -> Callable[..., bytes]:
    """Return a function from a picture, a format and Pillow's options to the bytes of a file."""

    def encode(picture: Image.Image, format_: str, **options: object) -> bytes:
        stream = io.BytesIO()
        picture.save(stream, format_, **options)
        return stream.getvalue()

    return encode


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of the reference data sets, or skip the test."""
    folder = Path(os.environ.get("PRESCREEN_SHARED") or Path(__file__).parents[2] / "shared")
    if not folder.is_dir():
        pytest.skip("the reference data sets are not here: set PRESCREEN_SHARED")
    return folder


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache folder with the converted networks of the bundled encoder and nothing else: for copies.

    Converting takes up to a minute, so that the first of the test processes does it for all.
    """
    from filelock import FileLock

    from prescreen.encoders import make_encoder

    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "converted"
    with FileLock(f"{folder}.lock"), pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRESCREEN_CACHE", str(folder))
        make_encoder("bundled").load()
    return folder


@pytest.fixture
def computes_in(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that makes every device of this machine one that computes fast in the given precisions."""
    from prescreen.encoders import devices

    return lambda *found: monkeypatch.setattr(devices, "precisions", lambda device: found)


@pytest.fixture(scope="session")
def session_cache(networks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache folder with converted networks that the tests of one process share."""
    return Path(shutil.copytree(networks, tmp_path_factory.mktemp("prescreen-cache") / "cache"))


@pytest.fixture(scope="session")
def kills() -> Callable[..., int]:
    """Return a function that runs the code of a test with a kill at every line (crashes.py) and counts the kills."""

    def run(code: str, **values: object) -> int:
        head = "".join(f"{name} = {value!r}\n" for name, value in values.items())
        script = Path(__file__).with_name("crashes.py")
        done = subprocess.run(
            [sys.executable, str(script)], input=head + code, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return int(done.stdout)

    return run


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an open_clip model of seeded weights as the Hugging Face hub keeps them."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("tiny-clip")
    model = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1},
    }
    normalisation = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3]}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model, "preprocess_cfg": normalisation}))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = open_clip.CLIP(**model)
    save_file(network.state_dict(), folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture(scope="session")
def siglip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a tiny model built as SigLIP is, of seeded weights, with a tokenizer of its own."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("tiny-siglip")
    text = {"context_length": 16, "vocab_size": 300, "width": 64, "heads": 2, "layers": 1, "no_causal_mask": True}
    text |= {"hf_tokenizer_name": "a/tiny-siglip", "tokenizer_kwargs": {"clean": "canonicalize"}}
    text |= {"proj_bias": True, "pool_type": "last", "norm_kwargs": {"eps": 1e-6}}
    image = {"image_size": 160, "timm_model_name": "test_vit3", "timm_pool": "map", "timm_proj": "none"}
    model = {"embed_dim": 96, "init_logit_bias": -10, "custom_text": True, "vision_cfg": image, "text_cfg": text}
    pixels = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model, "preprocess_cfg": pixels}))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = open_clip.create_model(f"local-dir:{folder}", load_weights=False, pretrained_image=False)
    save_file(network.state_dict(), folder / "open_clip_model.safetensors")
    _save_tokenizer(folder, "a portrait of somebody in a formal suit on a stage, competent likeable influential")
    return folder


@pytest.fixture(scope="session", name="save_tokenizer")
def tokenizer_saver() -> Callable[[Path, str], None]:
    """Return a function that saves a tokenizer of these words in a folder, as transformers does."""
    return _save_tokenizer


def _save_tokenizer(folder: Path, words: str) -> None:
    """Save a tokenizer that knows these words and letters, as transformers does."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    names = ["<pad>", "</s>", "<unk>", *dict.fromkeys(words.replace(",", "").split())]
    tokenizer = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 16, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(about))


@pytest.fixture
def local_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator["LocalHub"]:
    """A hub on this machine, an empty cache for what it gives, and no pauses: those that were asked for are listed."""
    from huggingface_hub import constants

    from encoders.local_hub import serve

    with serve() as hub:
        template = hub.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setattr("prescreen.encoders.hub.time", SimpleNamespace(sleep=hub.pauses.append))
        yield hub


@pytest.fixture
def tiny_tag(clip_folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Make the tiny model known to open_clip as tiny/small, in a repository of its own."""
    import open_clip

    configuration = json.loads((clip_folder / "open_clip_config.json").read_text())
    tag = {"hf_hub": "a/b/", "url": "", **configuration["preprocess_cfg"]}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny", configuration["model_cfg"])
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny", {"small": tag})
    return tag
