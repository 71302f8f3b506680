"""Which model a choice is, and how its weights saw pictures: by tag and by file."""

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

from prescreen.encoders import clip_models, clip_settings, make_encoder
from prescreen.encoders.clip import ClipNetwork, checked_settings, describe
from prescreen.encoders.clip_settings import Settings
from prescreen.encoders.clip_tables import read_choice
from prescreen.encoders.networks import ImageTower
from prescreen.errors import EncoderError, UsageError, WeightsNotFound
from prescreen.images.views import View

VIT = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16}


@pytest.mark.parametrize(
    ("written", "model", "tag"),
    [
        ("ViT-B-32/laion2b_s34b_b79k", "ViT-B-32", "laion2b_s34b_b79k"),
        ("ViT-B/32/openai", "ViT-B-32", "openai"),
        ("ViT-L/14@336px/openai", "ViT-L-14-336", "openai"),
        ("hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "ViT-B-32", "laion2b_s34b_b79k"),
        ("hf-hub:timm/ViT-B-16-SigLIP2-256/", "ViT-B-16-SigLIP2-256", "webli"),
        ("hf-hub:apple/DFN5B-CLIP-ViT-H-14-378", "ViT-H-14-378", "dfn5b"),
    ],
)
def test_other_spellings_of_models_are_understood(written, model, tag, tmp_path):
    found = read_choice(written)
    assert (found.model, found.tag, found.path) == (model, tag, None)
    found = read_choice(f"{written}@{tmp_path / 'a@b'}")
    assert (found.model, found.tag, found.path) == (model, tag, tmp_path / "a@b")


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("ViT-B/32", "for instance clip:ViT-B-32/openai"),
        ("ViT-L/14@336px", "for instance clip:ViT-L-14-336/openai"),
        ("hf-hub:somebody/model", "clip:NAME@FOLDER"),
        ("hf-hub:", "clip:NAME@FOLDER"),
        ("ViT-B-32/open", "known for this model: openai, "),
    ],
)
def test_what_is_not_understood_names_the_right_form_in_one_line(written, told):
    with pytest.raises(UsageError, match=told) as raised:
        read_choice(written)
    assert "\n" not in str(raised.value)


def test_an_unknown_model_of_a_file_has_a_suggestion(tmp_path):
    file = tmp_path / "weights.safetensors"
    file.touch()
    with pytest.raises(UsageError, match="no model ViT-B-32-265; did you mean ViT-B-32-256"):
        read_choice(f"ViT-B-32-265@{file}")


def test_the_home_folder_is_found(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_choice("ViT-B-32/openai@~/weights.pt").path == tmp_path / "weights.pt"


@pytest.mark.parametrize(
    ("model", "mean", "std", "interpolation"),
    [
        ("MobileCLIP2-S0", (0, 0, 0), (1, 1, 1), "bilinear"),
        ("PE-Core-B-16", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bilinear"),
        ("ViT-B-16-SigLIP2", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bicubic"),
        ("ViT-L-14-CLIPA", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "bilinear"),
    ],
)
def test_a_file_has_the_settings_of_its_model(model, mean, std, interpolation, tmp_path):
    found = clip_settings.of_file(model, tmp_path)
    assert (found.mean, found.std, found.interpolation) == (mean, std, interpolation)


def test_a_file_of_one_of_several_kinds_is_refused_until_its_kind_is_named(small):
    _, file = small("ViT-B-32", "openai", **VIT)
    with pytest.raises(UsageError, match=r"2 kinds .*openai.*quick_gelu yes; .*no\).*clip:ViT-B-32/TAG@") as raised:
        describe(f"ViT-B-32@{file}")
    assert "\n" not in str(raised.value)
    quick, plain = describe(f"ViT-B-32/openai@{file}"), describe(f"ViT-B-32/laion2b_s34b_b79k@{file}")
    assert quick.configuration != plain.configuration
    assert quick.weights == plain.weights == f"local:{file}"
    assert [checked_settings(member).quick_gelu for member in (quick, plain)] == [True, False]


def test_a_name_with_quickgelu_says_the_kind(small):
    _, file = small("ViT-B-32-quickgelu", "openai", **VIT)
    assert checked_settings(describe(f"ViT-B-32-quickgelu@{file}")).quick_gelu


def test_a_predictor_from_before_files_had_settings_loads(small, pictures):
    """All of PE-Core's published weights have a mean of 0.5; older versions gave its files OpenAI's."""
    _, file = small("ViT-B-32", **VIT)
    older = describe(f"ViT-B-32/laion2b_s34b_b79k@{file}")
    assert checked_settings(older) == Settings()
    _, file = small("ViT-L-14-CLIPA", **VIT, pool_type="tok", pos_embed_type="learnable")
    now = describe(f"ViT-L-14-CLIPA@{file}")
    tower = clip_models.image_tower("ViT-L-14-CLIPA", now.weights, Settings())
    before = now.__class__(
        **{
            **now.__dict__,
            "configuration": clip_models.architecture_hash(tower, Settings()),
            "interpolation": "bicubic",
        }
    )
    assert checked_settings(before) == Settings()
    assert checked_settings(now).interpolation == "bilinear"
    assert np.abs(ClipNetwork(before, "f32")(pictures) - ClipNetwork(now, "f32")(pictures)).max() > 1e-3


def test_an_encoder_cuts_whole_pictures_as_the_model_learned_them(small):
    _, file = small("ViT-L-14-CLIPA", **VIT, pool_type="tok", pos_embed_type="learnable")
    encoder = make_encoder(f"clip:ViT-L-14-CLIPA@{file}")
    assert encoder.specification.members[0].interpolation == "bilinear"
    assert View("whole", 32, "bilinear") in encoder.views
    assert View("chip", 150, "bicubic") in encoder.views


def test_an_interpolation_that_prescreen_does_not_have_is_refused(clip_folder, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    content = json.loads((clip_folder / "open_clip_config.json").read_text())
    content["preprocess_cfg"]["interpolation"] = "random"
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    os.link(clip_folder / "open_clip_model.safetensors", folder / "open_clip_model.safetensors")
    with pytest.raises(EncoderError, match="'random'; expected bicubic or bilinear"):
        describe(f"tiny@{folder}")


def test_weights_of_another_size_are_refused_with_the_model_that_they_fit(small):
    _, file = small("ViT-B-32-256", **VIT)
    small("ViT-B-32", file="other.safetensors", **VIT | {"image_size": 64})
    with pytest.raises(EncoderError, match=rf"5 × 32, expected 17 × 32; .* ViT-B-32-256: clip:ViT-B-32-256@{file}"):
        describe(f"ViT-B-32/openai@{file}")


def test_a_predictor_from_before_sizes_were_checked_loads(small, pictures):
    """Its file has positions for smaller pictures, and they are made to fit as open_clip does."""
    _, file = small("ViT-B-32-256", **VIT)
    now = describe(f"ViT-B-32-256@{file}")
    small("ViT-B-32", file="other.safetensors", **VIT | {"image_size": 64})
    tower = clip_models.image_tower("ViT-B-32", "", Settings())
    before = replace(
        now,
        network="open_clip:ViT-B-32",
        side=64,
        configuration=clip_models.architecture_hash(tower, Settings()),
    )
    larger = pictures.repeat(2, axis=1).repeat(2, axis=2)
    features = ClipNetwork(before, "f32")(larger)
    model = open_clip.create_model("ViT-B-32")
    open_clip.load_checkpoint(model, str(file))
    expected = ImageTower(model.visual, Settings().mean, Settings().std)(torch.from_numpy(larger)).detach().numpy()
    np.testing.assert_allclose(features, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-5)


def test_a_file_with_more_than_the_model_has_names_what_is_too_much(small):
    _, file = small("ViT-B-32-256", **VIT)
    save_file(load_file(file) | {"visual.head.weight": torch.zeros(3)}, file)
    with pytest.raises(EncoderError, match=r"head\.weight is 3, expected none$"):
        describe(f"ViT-B-32-256@{file}")


@pytest.mark.parametrize(
    "wrong",
    [
        {"interpolation": ["a"]},
        {"mean": [0.5]},
        {"mean": ["a", "b", "c"]},
        {"mean": [[0.5], [0.5], [0.5]]},
        {"std": [0, 0, 0]},
        {"std": [float("nan"), 1, 1]},
    ],
)
def test_impossible_settings_of_a_folder_are_one_line(clip_folder, tmp_path, wrong):
    folder = tmp_path / "model"
    shutil.copytree(clip_folder, folder)
    content = json.loads((folder / "open_clip_config.json").read_text())
    content["preprocess_cfg"] |= wrong
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    with pytest.raises(EncoderError, match=next(iter(wrong))) as raised:
        describe(f"tiny@{folder}")
    assert "\n" not in str(raised.value)


def test_weights_in_half_precision_are_computed_in_single(small, pictures):
    _, file = small("ViT-B-32-256", **VIT)
    save_file({name: value.half() for name, value in load_file(file).items()}, file)
    tower = clip_models.filled_tower("ViT-B-32-256", f"local:{file}", Settings(), file)
    assert {parameter.dtype for parameter in tower.parameters()} == {torch.float32}
    assert ClipNetwork(describe(f"ViT-B-32-256@{file}"), "f32")(pictures).shape == (9, 512)


@pytest.mark.parametrize(
    ("vision", "named"),
    [
        ({}, "clip:ViT-B-32/openai"),
        ({"hidden_size": 1024, "num_hidden_layers": 24, "patch_size": 14, "hidden_act": "gelu"}, "clip:ViT-L-14/laion"),
        ({"hidden_size": 7}, "name published weights, clip:MODEL/PRETRAINED"),
    ],
)
def test_a_folder_of_transformers_is_refused_with_the_name_of_its_network(tmp_path, vision, named):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip", "vision_config": vision}))
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(UsageError, match=named) as raised:
        describe(f"ViT-B-32@{tmp_path}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", ["", "[]", '{"vision_config": 3}', '{"model_type": "siglip"}'])
def test_other_folders_of_transformers_are_refused_in_one_line(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises((UsageError, WeightsNotFound), match="as transformers writes it") as raised:
        describe(f"any@{tmp_path}")
    assert "\n" not in str(raised.value)
