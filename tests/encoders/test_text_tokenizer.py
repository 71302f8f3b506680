import contextlib
import json
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import numpy as np
import open_clip
import pytest
import torch
import transformers
from safetensors.torch import save_file

from prescreen.encoders import TextSimilarity, hub, make_encoder
from prescreen.encoders.clip import checked_model, describe
from prescreen.encoders.text_similarity import embed_texts
from prescreen.encoders.text_tokenizer import check_extra, load_tokenizer
from prescreen.errors import EncoderError, WeightsNotFound

TEXTS = ("a portrait in a formal suit", "somebody on a stage")
OLD, NEW = "1" * 40, "2" * 40


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """A machine without network, with an empty cache of the hub; return its folder."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)

    def refuse(*_):
        raise OSError("no network in tests")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tmp_path / "hub"


@pytest.fixture
def known(siglip_folder, monkeypatch):
    """Make the tiny model known to open_clip as tiny-siglip/webli; return its configuration."""
    content = json.loads((siglip_folder / "open_clip_config.json").read_text())
    tag = {"hf_hub": "a/tiny-siglip/", "url": "", **content["preprocess_cfg"]}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-siglip", content["model_cfg"])
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny-siglip", {"webli": tag})
    return content["model_cfg"]


def lay_out(cache, repository, revision, folder, *names, latest=True):
    """Put files into the hub's cache as a revision of a repository; return their folder."""
    place = cache / f"models--{repository.replace('/', '--')}"
    snapshot = place / "snapshots" / revision
    for below in (snapshot, place / "refs"):
        below.mkdir(parents=True, exist_ok=True)
    if latest:
        (place / "refs" / "main").write_text(revision)
    for name in names or [file.name for file in folder.iterdir()]:
        shutil.copy(folder / name, snapshot / name)
    return snapshot


def expected(folder):
    network = open_clip.create_model(f"local-dir:{folder}").eval()
    with torch.inference_mode():
        return network.encode_text(open_clip.get_tokenizer(f"local-dir:{folder}")(list(TEXTS)), normalize=True).numpy()


def test_a_tokenizer_of_transformers_in_a_folder_is_that_of_open_clip(siglip_folder):
    found = embed_texts(describe(f"tiny-siglip@{siglip_folder}"), TEXTS)
    np.testing.assert_allclose(found, expected(siglip_folder), atol=1e-6)
    assert np.abs(found[0] - found[1]).max() > 0.01


def test_one_of_the_hub_is_the_same_and_needs_no_network_once_it_is_here(siglip_folder, known, offline):
    lay_out(offline, "a/tiny-siglip", OLD, siglip_folder)
    member = make_encoder("clip:tiny-siglip/webli", texts=True).specification.members[0]
    assert member.weights == f"hub:webli@{OLD}"
    np.testing.assert_allclose(embed_texts(member, TEXTS), expected(siglip_folder), atol=1e-6)


@pytest.fixture
def changed(siglip_folder, tmp_path, save_tokenizer):
    """Return a copy of the model with another tokenizer."""
    folder = Path(shutil.copytree(siglip_folder, tmp_path / "changed"))
    save_tokenizer(folder, "stage a on suit formal in portrait somebody")
    return folder


def test_the_tokenizer_has_the_revision_of_the_weights(siglip_folder, changed, known, offline):
    lay_out(offline, "a/tiny-siglip", OLD, siglip_folder)
    member = describe("tiny-siglip/webli")
    before = load_tokenizer(member)(list(TEXTS))
    lay_out(offline, "a/tiny-siglip", NEW, changed)
    assert torch.equal(load_tokenizer(member)(list(TEXTS)), before)
    assert not torch.equal(load_tokenizer(replace(member, weights="hub:webli"))(list(TEXTS)), before)


def test_a_tokenizer_of_another_repository_is_its_latest(siglip_folder, changed, known, offline):
    known["text_cfg"]["hf_tokenizer_name"] = "b/words"
    lay_out(offline, "a/tiny-siglip", OLD, siglip_folder)
    lay_out(offline, "b/words", NEW, changed, "tokenizer.json", "tokenizer_config.json")
    found = load_tokenizer(describe("tiny-siglip/webli"))(list(TEXTS))
    assert torch.equal(found, load_tokenizer(describe(f"tiny-siglip@{changed}"))(list(TEXTS)))


def test_the_files_of_a_tokenizer_are_fetched_once_and_no_code(siglip_folder, local_hub, known):
    known["text_cfg"]["hf_tokenizer_name"] = "a/b"  # what the server has
    open_clip.pretrained.get_pretrained_cfg("tiny-siglip", "webli")["hf_hub"] = "a/b/"
    files = {file.name.replace(".", "__"): file for file in siglip_folder.iterdir()}
    local_hub.commit(**files, code__py=siglip_folder / "tokenizer.json")
    member = describe("tiny-siglip/webli")
    before = len(local_hub.asked)
    tokens = load_tokenizer(member)(list(TEXTS))
    assert torch.equal(tokens, load_tokenizer(describe(f"tiny-siglip@{siglip_folder}"))(list(TEXTS)))
    asked = [path.rpartition("/")[2] for kind, path in local_hub.asked[before:] if kind == "GET"]
    assert len(asked) == 2
    place = hub.cached("a/b", ("tokenizer.json",)).parent
    assert place.name == local_hub.main
    assert {file.name for file in place.iterdir()} == {
        "open_clip_model.safetensors", "tokenizer.json", "tokenizer_config.json"
    }  # fmt: skip
    after = len(local_hub.asked)
    assert torch.equal(load_tokenizer(member)(list(TEXTS)), tokens)
    assert len(local_hub.asked) == after


def test_a_tokenizer_that_is_missing_is_one_line_before_the_model_is_built(
    siglip_folder, known, offline, tmp_path, monkeypatch
):
    monkeypatch.setattr("prescreen.encoders.text_similarity.checked_model", lambda *_: pytest.fail("built"))
    lay_out(offline, "a/tiny-siglip", OLD, siglip_folder, "open_clip_model.safetensors")
    specification = make_encoder("clip:tiny-siglip/webli", texts=True).specification
    with pytest.raises(WeightsNotFound, match=r"^tokenizer a/tiny-siglip: not on this machine, .*HF_HUB_OFFLINE"):
        TextSimilarity(specification, TEXTS)
    folder = Path(shutil.copytree(siglip_folder, tmp_path / "model"))
    (folder / "tokenizer.json").unlink()
    with pytest.raises(WeightsNotFound, match="model: has no tokenizer; put the files of a/tiny-siglip there"):
        TextSimilarity(make_encoder(f"clip:tiny-siglip@{folder}").specification, TEXTS)


def test_a_tokenizer_of_another_model_is_refused(siglip_folder, tmp_path, save_tokenizer):
    folder = Path(shutil.copytree(siglip_folder, tmp_path / "model"))
    save_tokenizer(folder, " ".join([*(f"word{i}" for i in range(300)), "suit"]))
    with pytest.raises(EncoderError, match="has a token 303, the model knows 300"):
        embed_texts(describe(f"tiny-siglip@{folder}"), TEXTS)


def test_code_of_a_repository_is_not_run(siglip_folder, tmp_path, monkeypatch):
    folder = Path(shutil.copytree(siglip_folder, tmp_path / "model"))
    (folder / "code.py").write_text(f"open({str(tmp_path / 'it-ran')!r}, 'w').close()\nclass Words: pass\n")
    about = json.loads((folder / "tokenizer_config.json").read_text())
    about |= {"tokenizer_class": "Words", "auto_map": {"AutoTokenizer": ["code.Words", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    with pytest.raises(WeightsNotFound, match="its tokenizer is not available"):
        embed_texts(describe(f"tiny-siglip@{folder}"), TEXTS)
    assert not (tmp_path / "it-ran").exists()
    monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    with contextlib.suppress(Exception):
        transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    assert (tmp_path / "it-ran").exists()  # the trap works


def needing(part):
    models = {name: open_clip.get_model_config(name)["text_cfg"] for name in open_clip.list_models()}
    return {name for name, text in models.items() if text.get(part)}


def is_refused(name):
    try:
        check_extra(name, "hub:any")
    except EncoderError:
        return True
    return False


def test_without_the_extra_each_model_that_needs_it_is_refused_and_no_other(monkeypatch):
    assert not any(map(is_refused, open_clip.list_models()))
    monkeypatch.setattr("prescreen.encoders.text_tokenizer.has_extra", lambda: False)
    refused = set(filter(is_refused, open_clip.list_models()))
    assert refused == needing("hf_model_name") | needing("hf_tokenizer_name")
    assert 0 < len(refused) < len(open_clip.list_models())


def test_without_the_extra_texts_are_refused_before_weights_are_fetched(known, monkeypatch):
    monkeypatch.setattr("prescreen.encoders.text_tokenizer.has_extra", lambda: False)
    monkeypatch.setattr(hub, "fetch", lambda *_: pytest.fail("fetched"))
    with pytest.raises(EncoderError, match=r"its tokenizer needs .*; run: pip install 'portrait-prescreen\[text\]'$"):
        make_encoder("clip:tiny-siglip/webli", texts=True)


def test_without_the_extra_pictures_alone_are_embedded(siglip_folder, monkeypatch):
    monkeypatch.setattr("prescreen.encoders.text_tokenizer.has_extra", lambda: False)
    assert make_encoder(f"clip:tiny-siglip@{siglip_folder}").specification.members[0].width == 96


def test_a_text_tower_of_transformers_is_built_from_a_configuration_that_is_fetched_once(
    local_hub, monkeypatch, tmp_path
):
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1}
    tower = {"model_type": "roberta", "vocab_size": 32, "max_position_embeddings": 20, "pad_token_id": 1, **sizes}
    (tmp_path / "tower").mkdir()
    (tmp_path / "tower" / "config.json").write_text(json.dumps(tower))
    local_hub.commit(config__json=tmp_path / "tower" / "config.json")
    texts = {"hf_model_name": "a/b", "hf_tokenizer_name": "a/b", "hf_proj_type": "mlp", "hf_pooler_type": "mean_pooler"}
    pictures = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16}
    model = {"embed_dim": 16, "vision_cfg": pictures, "text_cfg": texts}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-roberta", model)
    torch.manual_seed(0)
    here = texts | {"hf_model_name": str(tmp_path / "tower"), "hf_model_pretrained": False}
    network = open_clip.create_model("tiny-roberta", pretrained_text=False, text_cfg=here).eval()
    file = tmp_path / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, file)
    member = describe(f"tiny-roberta@{file}")
    assert local_hub.asked == []  # pictures need no words
    tokens = torch.tensor([[0, 5, 6, 2, 1, 1]])
    for _ in range(2):
        with torch.inference_mode():
            found = checked_model(member, file).encode_text(tokens)
            np.testing.assert_allclose(found, network.encode_text(tokens), atol=1e-6)
    assert [path for method, path in local_hub.asked if method == "GET"] == [local_hub.asked[-1][1]]


def test_a_hub_that_is_busy_is_waited_for_with_each_file_of_a_tokenizer(local_hub, siglip_folder, known, monkeypatch):
    monkeypatch.setitem(known["text_cfg"], "hf_tokenizer_name", "a/b")
    files = {name: siglip_folder / name for name in ("tokenizer.json", "tokenizer_config.json")}
    local_hub.commit(**{name.replace(".", "__"): file for name, file in files.items()})
    find = hub.find

    def busy_afterwards(repository, names, revision=""):
        found = find(repository, names, revision)
        local_hub.refusals = [] if local_hub.pauses else [(429, {"Retry-After": "2"})]
        return found

    monkeypatch.setattr(hub, "find", busy_afterwards)
    member = describe(f"tiny-siglip@{siglip_folder / 'open_clip_model.safetensors'}")
    assert load_tokenizer(member)(["a portrait"]).shape[0] == 1
    assert local_hub.pauses == [2.0]
