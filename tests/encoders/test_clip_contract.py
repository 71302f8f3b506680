"""Every model that open_clip knows: its image tower can be built here, and sees pictures as it learned to.

Of a dozen families the features are compared with open_clip's own. Their networks are made small under their names;
the weights are random, with a seed.
"""

import numpy as np
import open_clip
import pytest
import timm
import torch

from prescreen.encoders import clip_models, clip_settings
from prescreen.encoders.clip import ClipNetwork, describe
from prescreen.encoders.clip_tables import tables
from prescreen.errors import UsageError

MODELS = open_clip.list_models()
PUBLISHED = open_clip.list_pretrained()


def test_open_clip_knows_what_this_was_written_for():
    assert len(MODELS) >= 140
    assert len(PUBLISHED) >= 190
    assert set(tables().models) == set(MODELS)


@pytest.mark.parametrize("model", MODELS)
def test_the_image_tower_gives_as_many_features_as_is_said(model, monkeypatch):
    """On the meta device, which computes shapes alone: what draws random weights takes time there and sets nothing."""
    monkeypatch.setattr(timm.layers.weight_init, "_trunc_normal_", lambda tensor, *_: tensor)
    settings = clip_settings.possible(model, "local:/nowhere")[0]
    tower = clip_models.image_tower(model, "local:/nowhere", settings)
    side = clip_models.side_of(tower)
    with torch.inference_mode():
        features = tower.eval()(torch.zeros(2, 3, side, side, device="meta"))
    if isinstance(features, tuple):
        features = features[0]
    assert features.shape == (2, clip_models.width_of(model, "local:/nowhere"))
    assert side == open_clip.get_model_config(model)["vision_cfg"]["image_size"] or model == "ViTamin-XL-384"


@pytest.mark.parametrize(
    "model",
    ["ViT-B-32", "ViT-B-32-quickgelu", "RN50", "convnext_base_w", "ViT-B-16-SigLIP", "EVA02-B-16", "coca_ViT-B-32"],
)
def test_the_hash_of_an_architecture_is_that_of_open_clip_s_own_image_tower(model):
    """Predictors hold the one that `create_model` of open_clip gives."""
    settings = clip_settings.of_tag(model, "")
    with torch.device("meta"):
        whole = open_clip.create_model(model, device="meta", pretrained_text=False, load_weights=False)
    ours = clip_models.image_tower(model, "local:/nowhere", settings)
    assert clip_models.architecture_hash(ours, settings) == clip_models.architecture_hash(whole.visual, settings)


@pytest.mark.parametrize(("model", "tag"), PUBLISHED)
def test_published_weights_have_the_same_settings_by_tag_and_by_file_or_files_are_refused(model, tag, tmp_path):
    known = open_clip.get_pretrained_cfg(model, tag)
    by_tag = clip_settings.of_tag(model, tag)
    for name in ("mean", "std", "interpolation"):
        assert getattr(by_tag, name) == known[name]
    assert by_tag.quick_gelu == bool(
        known.get("quick_gelu") or open_clip.get_model_config(model).get("quick_gelu", False)
    )
    every = {clip_settings.of_tag(model, other) for other in open_clip.pretrained._PRETRAINED[model]}
    if len(every) == 1:
        assert clip_settings.of_file(model, tmp_path) == by_tag
    else:
        with pytest.raises(UsageError, match=f"clip:{model}/TAG@"):
            clip_settings.of_file(model, tmp_path)


VIT = {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8}
TIMM_VIT = {"depth": 2, "embed_dim": 64, "num_heads": 2}
FAMILIES = {
    "ViT": ("ViT-B-32", "laion2b_s34b_b79k", VIT, None),
    "ViT of OpenAI": ("ViT-B-32", "openai", VIT, None),
    "ViT of another mean": ("ViT-L-14", "laion2b_s32b_b82k", VIT, None),
    "CLIPA": ("ViT-L-14-CLIPA", "datacomp1b", VIT, None),
    "MetaCLIP 2": ("ViT-H-14-worldwide", "metaclip2_worldwide", VIT, None),
    "CoCa": ("coca_ViT-B-32", "laion2b_s13b_b90k", {**VIT, "attn_pooler_heads": 8}, None),
    "ResNet": ("RN50", "openai", {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16}, None),
    "ConvNeXt": (
        "convnext_base_w",
        "laion2b_s13b_b82k",
        {"image_size": 64},
        {"depths": (1, 1, 1, 1), "dims": (16, 32, 48, 64)},
    ),
    "SigLIP 2": ("ViT-B-16-SigLIP2", "webli", {"image_size": 32, "embed_dim": 64}, TIMM_VIT | {"img_size": 32}),
    "EVA 2": ("EVA02-B-16", "merged2b_s8b_b131k", {"image_size": 32}, TIMM_VIT | {"img_size": 32}),
    "EVA 1": ("EVA01-g-14", "laion400m_s11b_b41k", {"image_size": 28}, TIMM_VIT | {"img_size": 28}),
    "PE-Core": ("PE-Core-B-16", "meta", {"image_size": 32}, TIMM_VIT | {"img_size": 32}),
    "MobileCLIP 2": (
        "MobileCLIP2-S0",
        "dfndr2b",
        {"image_size": 64, "noise": 0.0},
        {"layers": (1, 1, 1, 1), "embed_dims": (16, 32, 64, 128)},
    ),
    "MobileCLIP with a hybrid": ("MobileCLIP-B", "datacompdr", {"image_size": 32}, {"depth": 1, "img_size": 32}),
    "ViTamin": ("ViTamin-S", "datacomp1b", {"image_size": 64}, {"img_size": 64, "depth": 2}),
}


@pytest.mark.parametrize(("model", "tag", "vision", "arguments"), FAMILIES.values(), ids=FAMILIES)
def test_features_are_those_of_open_clip(small, model, tag, vision, arguments):
    network, file = small(model, tag, timm_arguments=arguments, **vision)
    found = describe(f"{model}/{tag}@{file}")
    coarse = np.random.default_rng(3).integers(0, 256, (5, 4, 4, 3), np.uint8)
    pixels = coarse.repeat(found.side // 4, axis=1).repeat(found.side // 4, axis=2)
    known = open_clip.get_pretrained_cfg(model, tag)
    normalised = (pixels / 255 - known["mean"]) / known["std"]
    with torch.inference_mode():
        inputs = torch.tensor(normalised, dtype=torch.float32).permute(0, 3, 1, 2)
        expected = network.encode_image(inputs, normalize=True).numpy()
    assert found.width == expected.shape[1]
    spread = float(expected.std(axis=0).max())  # between pictures
    assert spread > 1e-5
    np.testing.assert_allclose(ClipNetwork(found, "f32")(pixels), expected, atol=spread / 50)
