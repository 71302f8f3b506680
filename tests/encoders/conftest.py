import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prescreen.faces import FaceFinder

IMAGES = Path(__file__).parents[2] / "data" / "sample" / "training" / "images"


@pytest.fixture(scope="module", autouse=True)
def cache_folder(tmp_path_factory):
    """One folder for the whole session, so that each network is converted once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRESCREEN_CACHE", str(tmp_path_factory.getbasetemp() / "prescreen-cache"))
        yield


@pytest.fixture(scope="session")
def portraits():
    """Return pictures of five persons, with their faces."""
    finder = FaceFinder()
    pictures = [Image.open(IMAGES / f"{number:03d}.jpg").convert("RGB") for number in (1, 13, 40, 70, 100)]
    return [(picture, finder.find(picture)) for picture in pictures]


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory):
    """Return a folder with an open_clip model of one layer and seeded weights, as the Hugging Face hub keeps them."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("tiny-clip")
    model = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 1, "layers": 1},
    }
    normalisation = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3]}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model, "preprocess_cfg": normalisation}))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = open_clip.CLIP(**model)
    save_file(network.state_dict(), folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture(scope="session")
def pictures():
    """Return noise as a network gets it: nine squares of 32 pixels."""
    return np.random.default_rng(3).integers(0, 256, (9, 32, 32, 3), np.uint8)
