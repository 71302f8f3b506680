import numpy as np
import pytest


@pytest.fixture(scope="module", autouse=True)
def cache_folder(session_cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRESCREEN_CACHE", str(session_cache))
        yield


@pytest.fixture(scope="session")
def pictures():
    """Return noise as a network gets it: nine squares of 32 pixels."""
    return np.random.default_rng(3).integers(0, 256, (9, 32, 32, 3), np.uint8)


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Return a function that makes a model of open_clip small under its name, and a file with seeded weights of it.

    Its published weights stay known; timm's networks are made with the arguments given.
    """
    import open_clip
    import timm
    import torch
    from safetensors.torch import save_file

    def make(model, tag="", file="weights.safetensors", timm_arguments=None, noise=0.1, **vision):
        configuration = open_clip.get_model_config(model)
        configuration["embed_dim"] = vision.pop("embed_dim", configuration["embed_dim"])
        configuration["vision_cfg"] |= vision
        configuration["text_cfg"] = {"context_length": 8, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1}
        if timm_arguments:
            create = timm.create_model
            monkeypatch.setattr(timm, "create_model", lambda *args, **more: create(*args, **more, **timm_arguments))
        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, model, configuration)
        quick_gelu = bool(open_clip.get_pretrained_cfg(model, tag).get("quick_gelu"))
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = open_clip.create_model(model, force_quick_gelu=quick_gelu).eval()
            for parameter in network.visual.parameters():  # 0 and 1 would not show that they are loaded
                parameter.data += noise * torch.randn_like(parameter)
        save_file({name: value.contiguous() for name, value in network.state_dict().items()}, tmp_path / file)
        return network, tmp_path / file

    return make
