import hashlib
import json
import pickle
import shutil
import socket
import time
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

from prescreen.encoders import clip, make_encoder
from prescreen.encoders.backends import precisions
from prescreen.encoders.clip import ClipNetwork, cached_weights, describe
from prescreen.errors import EncoderError, UsageError, WeightsNotFound


@pytest.fixture
def folder(clip_folder, tmp_path):
    """Return a copy of the model that a test may damage."""
    return Path(shutil.copytree(clip_folder, tmp_path / "model"))


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """A machine without network and without any weights."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))

    def refuse(*_):
        raise OSError("no network in tests")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def features(choice, pictures, precision="f32"):
    return ClipNetwork(describe(choice), precision)(pictures)


def altered(file):
    """Change one weight of the image tower."""
    weights = load_file(file)
    weights["visual.proj"][0, 0] += 1
    save_file(weights, file)


def test_what_a_folder_holds(clip_folder):
    found = describe(f"tiny@{clip_folder}")
    assert (found.side, found.width) == (32, 16)
    assert found.network == "open_clip:tiny"
    assert found.views == ("whole", "face")


def test_features_are_those_of_open_clip_and_of_length_1(clip_folder, pictures):
    network = open_clip.create_model(f"local-dir:{clip_folder}").eval()
    configuration = json.loads((clip_folder / "open_clip_config.json").read_text())["preprocess_cfg"]
    pixels = (pictures / 255 - configuration["mean"]) / configuration["std"]
    with torch.inference_mode():
        expected = network.encode_image(torch.tensor(pixels, dtype=torch.float32).permute(0, 3, 1, 2)).numpy()
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = features(f"tiny@{clip_folder}", pictures)
    assert found.shape == (9, 16)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert found.std(axis=0).max() > 0.01


@pytest.mark.skipif("bf16" not in precisions("cpu"), reason="this processor has no bf16")
def test_bf16_moves_features_a_little_and_keeps_their_length(clip_folder, pictures):
    one, other = (features(f"tiny@{clip_folder}", pictures, precision) for precision in ("f32", "bf16"))
    assert (one * other).sum(axis=1).min() > 0.9995
    assert np.abs(one - other).max() > 1e-4  # else it was not bf16
    np.testing.assert_allclose(np.linalg.norm(other, axis=1), 1, atol=1e-6)


def test_a_converted_network_needs_no_open_clip_and_serves_both_precisions(clip_folder, pictures, monkeypatch):
    expected = features(f"tiny@{clip_folder}", pictures)
    specification = describe(f"tiny@{clip_folder}")

    def refuse(*_, **__):
        raise AssertionError("the converted network was to be used")

    monkeypatch.setattr(open_clip, "create_model", refuse)
    assert np.array_equal(ClipNetwork(specification, "f32")(pictures), expected)
    for precision in precisions("cpu"):
        ClipNetwork(specification, precision).load()


def test_another_open_clip_that_builds_another_network_is_refused(clip_folder):
    specification = replace(describe(f"tiny@{clip_folder}"), configuration="0" * 64)
    with pytest.raises(EncoderError, match="builds another network"):
        ClipNetwork(specification, "f32").load()


def test_features_depend_neither_on_place_nor_on_company(clip_folder, pictures):
    network = ClipNetwork(describe(f"tiny@{clip_folder}"), "f32")
    together = network(np.concatenate([pictures] * 5))
    for i in range(9):
        assert np.array_equal(network(pictures[i : i + 1])[0], together[i])
        assert np.array_equal(together[i], together[36 + i])


def test_a_file_with_a_known_model_is_the_same_as_a_folder(folder, tmp_path, pictures, monkeypatch):
    content = json.loads((folder / "open_clip_config.json").read_text())
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": content["model_cfg"]}))
    model = tmp_path / "prescreen-test-tiny.json"
    model.write_text(json.dumps(content["model_cfg"]))
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIG_PATHS", list(open_clip.factory._MODEL_CONFIG_PATHS))
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", dict(open_clip.factory._MODEL_CONFIGS))
    open_clip.add_model_config(model)
    as_file = describe(f"prescreen-test-tiny@{folder / 'open_clip_model.safetensors'}")
    assert np.array_equal(ClipNetwork(as_file, "f32")(pictures), features(f"tiny@{folder}", pictures))


def test_another_normalisation_is_another_encoder(folder, pictures):
    before = describe(f"tiny@{folder}")
    content = json.loads((folder / "open_clip_config.json").read_text())
    content["preprocess_cfg"]["mean"] = [0.1, 0.1, 0.1]
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    assert describe(f"tiny@{folder}").weights_sha256 != before.weights_sha256
    with pytest.raises(EncoderError, match="expected"):
        ClipNetwork(before, "f32")(pictures)


def test_weights_that_changed_after_training_are_refused(folder, pictures):
    specification = describe(f"tiny@{folder}")
    altered(folder / "open_clip_model.safetensors")
    with pytest.raises(EncoderError, match="hash"):
        ClipNetwork(specification, "f32").load()


@pytest.mark.parametrize("name", ["a.safetensors", "model.safetensors", "open_clip_model.safetensors", "z.pt"])
def test_of_several_weights_files_the_one_that_is_hashed_is_used(folder, pictures, name):
    for other in ("a.safetensors", "model.safetensors", "z.pt"):
        shutil.copy(folder / "open_clip_model.safetensors", folder / other)
    specification = describe(f"tiny@{folder}")
    expected = ClipNetwork(specification, "f32")(pictures)
    altered(folder / name)
    try:
        found = ClipNetwork(specification, "f32")(pictures)
    except EncoderError:
        return
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("name", ["weights.pt", "weights.bin", "weights.pth"])
def test_weights_in_torch_s_own_format(folder, pictures, name):
    expected = features(f"tiny@{folder}", pictures)
    file = folder / "open_clip_model.safetensors"
    torch.save(load_file(file), folder / name)
    file.unlink()
    assert np.array_equal(features(f"tiny@{folder}", pictures), expected)


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_that_would_run_code_is_refused(folder, tmp_path):
    mark, file = tmp_path / "it-ran", folder / "weights.pt"
    torch.save({"state_dict": load_file(folder / "open_clip_model.safetensors"), "more": Bomb(mark)}, file)
    (folder / "open_clip_model.safetensors").unlink()
    with pytest.raises(EncoderError, match="cannot load"):
        describe(f"tiny@{folder}")
    file.write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(EncoderError, match="cannot load it: no file of weights, or one that holds more than weights$"):
        describe(f"tiny@{folder}")
    assert not mark.exists()
    pickle.loads(file.read_bytes()).close()
    assert mark.exists()  # the trap works


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "a tensor missing", "another size"])
def test_damaged_weights_are_an_error_of_one_line(folder, damage):
    file = folder / "open_clip_model.safetensors"
    weights = load_file(file)
    if damage == "truncated":
        file.write_bytes(file.read_bytes()[:2000])
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "text":
        file.write_text("version https://git-lfs.github.com/spec/v1\n")
    elif damage == "a tensor missing":
        del weights["visual.proj"]
        save_file(weights, file)
    else:
        weights["visual.proj"] = torch.zeros(32, 17)
        save_file(weights, file)
    with pytest.raises(EncoderError, match="cannot load") as raised:
        describe(f"tiny@{folder}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"model_cfg": {"embed_dim": 3}}', '{"model_cfg": 3}'])
def test_a_damaged_configuration_is_an_error_of_one_line(folder, content):
    (folder / "open_clip_config.json").write_text(content)
    with pytest.raises(EncoderError, match="cannot load") as raised:
        describe(f"tiny@{folder}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("tower", "part"),
    [
        ("vision_cfg", {"timm_model_name": "hf-hub:stranger/model"}),
        ("vision_cfg", {"timm_model_name": "local-dir:/elsewhere"}),
        ("text_cfg", {"hf_model_name": "stranger/model"}),
    ],
)
def test_a_folder_does_not_send_the_program_to_models_of_strangers(folder, offline, tower, part):
    configuration = json.loads((folder / "open_clip_config.json").read_text())
    configuration["model_cfg"][tower] |= part
    (folder / "open_clip_config.json").write_text(json.dumps(configuration))
    with pytest.raises(EncoderError, match="its towers are elsewhere"):
        describe(f"tiny@{folder}")


@pytest.mark.parametrize("model", ["hf-hub:stranger/model", "local-dir:/elsewhere"])
def test_a_predictor_cannot_name_a_model_of_a_stranger(clip_folder, pictures, offline, model):
    file = clip_folder / "open_clip_model.safetensors"
    member = replace(describe(f"tiny@{clip_folder}"), network=f"open_clip:{model}", weights=f"local:{file}")
    member = replace(member, weights_sha256=hashlib.sha256(file.read_bytes()).hexdigest())
    with pytest.raises(EncoderError, match="no model of that name"):
        ClipNetwork(member, "f32").load()
    with pytest.raises(UsageError, match="unknown"):
        ClipNetwork(replace(member, weights="hub:openai"), "f32").load()


@pytest.mark.parametrize("removed", ["everything", "open_clip_config.json", "open_clip_model.safetensors"])
def test_missing_files_name_the_remedy(folder, removed):
    if removed == "everything":
        shutil.rmtree(folder)
    else:
        (folder / removed).unlink()
    with pytest.raises(WeightsNotFound, match="--encoder bundled"):
        make_encoder(f"clip:tiny@{folder}")


def test_unknown_weights_are_a_usage_error_that_lists_the_known(offline):
    with pytest.raises(UsageError, match="laion2b_s34b_b79k"):
        make_encoder("clip:ViT-B-32/laion3b")
    with pytest.raises(UsageError, match="ViT-Z-1"):
        make_encoder("clip:ViT-Z-1/laion2b")
    for choice in ("ViT-B-32", "ViT-B-32/", "/openai"):
        with pytest.raises(UsageError, match="clip:MODEL/PRETRAINED"):
            make_encoder(f"clip:{choice}")


@pytest.mark.parametrize("name", ["clip", "clip:ViT-B-32/openai", "clip:ViT-L-14/metaclip_400m+bundled"])
def test_without_network_the_remedy_is_named_at_once(offline, name):
    start = time.monotonic()
    with pytest.raises(WeightsNotFound, match="--encoder bundled"):
        make_encoder(name)
    assert time.monotonic() - start < 5
    assert cached_weights(name.partition(":")[2].partition("+")[0] or clip.DEFAULT) is None


@pytest.mark.parametrize(("hub", "name"), [("a/b/", "open_clip_model.safetensors"), ("a/b/m.bin", "m.safetensors")])
def test_weights_that_were_fetched_before_need_no_network(
    offline, clip_folder, tiny_tag, tmp_path, pictures, hub, name
):
    tiny_tag["hf_hub"] = hub
    place = tmp_path / "hub" / "models--a--b"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("0" * 40)
    (place / "snapshots" / ("0" * 40)).mkdir(parents=True)
    file = shutil.copy(clip_folder / "open_clip_model.safetensors", place / "snapshots" / ("0" * 40) / name)
    assert cached_weights("tiny/small") == file
    assert np.array_equal(features("tiny/small", pictures), features(f"tiny@{clip_folder}", pictures))


@pytest.mark.parametrize("name", ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"])
def test_weights_are_fetched_once(local_hub, tiny_tag, clip_folder, tmp_path, pictures, name):
    source = clip_folder / "open_clip_model.safetensors"
    if name.endswith(".bin"):
        torch.save(load_file(source), tmp_path / name)
        source = tmp_path / name
    local_hub.commit(**{name.replace(".", "__"): source})
    found = features("tiny/small", pictures)
    assert np.array_equal(found, features(f"tiny@{clip_folder}", pictures))
    assert np.array_equal(features("tiny/small", pictures), found)
    assert len(local_hub.downloads) == 1


@pytest.fixture
def elsewhere(local_hub, monkeypatch, tmp_path):
    """Return a function after which this is another machine, with an empty cache."""

    def move():
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "another hub"))

    return move


def test_another_machine_gets_the_revision_that_was_trained_with(local_hub, tiny_tag, clip_folder, elsewhere, pictures):
    commit = local_hub.commit(open_clip_model__safetensors=clip_folder / "open_clip_model.safetensors")
    specification = describe("tiny/small")
    assert specification.weights == f"hub:small@{commit}"
    expected = ClipNetwork(specification, "f32")(pictures)
    local_hub.commit(open_clip_model__safetensors=b"the author has changed them")
    elsewhere()
    assert np.array_equal(ClipNetwork(specification, "f32")(pictures), expected)


def test_weights_that_another_revision_has_too_are_not_fetched_again(local_hub, tiny_tag, clip_folder, pictures):
    local_hub.commit(open_clip_model__safetensors=clip_folder / "open_clip_model.safetensors")
    specification = replace(describe("tiny/small"), weights=f"hub:small@{'1' * 40}")
    asked = len(local_hub.asked)
    ClipNetwork(specification, "f32")(pictures)
    assert len(local_hub.asked) == asked
    with pytest.raises(WeightsNotFound, match=f"revision {'1' * 40} is gone .*--weights"):
        ClipNetwork(replace(specification, weights_sha256="2" * 64), "f32").load()


def test_a_predictor_from_before_revisions_were_noted_takes_the_latest(local_hub, tiny_tag, clip_folder, pictures):
    local_hub.commit(open_clip_model__safetensors=clip_folder / "open_clip_model.safetensors")
    specification = describe("tiny/small")
    older = replace(specification, weights="hub:small")
    assert np.array_equal(ClipNetwork(older, "f32")(pictures), ClipNetwork(specification, "f32")(pictures))


def test_a_pinned_revision_with_other_weights_is_refused(local_hub, tiny_tag, clip_folder, elsewhere):
    commit = local_hub.commit(open_clip_model__safetensors=clip_folder / "open_clip_model.safetensors")
    specification = describe("tiny/small")
    elsewhere()
    local_hub.files[commit]["open_clip_model.safetensors"] = b"somebody else's"
    with pytest.raises(EncoderError, match="hash to"):
        ClipNetwork(specification, "f32").load()


def test_weights_that_were_damaged_in_the_cache_are_fetched_anew(local_hub, tiny_tag, clip_folder):
    local_hub.commit(open_clip_model__safetensors=clip_folder / "open_clip_model.safetensors")
    specification = describe("tiny/small")
    with cached_weights("tiny/small").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"?")
    with pytest.raises(WeightsNotFound, match="damaged since it was fetched"):
        describe("tiny/small")
    assert describe("tiny/small") == specification


def test_a_hub_without_the_weights(local_hub, tiny_tag):
    local_hub.commit()
    with pytest.raises(WeightsNotFound, match="has no open_clip_model.safetensors or .*--encoder bundled"):
        make_encoder("clip:tiny/small")
