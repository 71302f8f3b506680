import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import transformers

from prescreen.encoders import TextSimilarity, make_encoder
from prescreen.encoders.text_similarity import embed_texts
from prescreen.errors import EncoderError, UsageError, WeightsNotFound

TEXTS = ("a portrait in a formal suit", "a portrait on a stage")


def test_texts_are_embedded_as_open_clip_does_and_have_length_1(clip_folder):
    network = open_clip.create_model(f"local-dir:{clip_folder}").eval()
    tokenizer = open_clip.get_tokenizer(f"local-dir:{clip_folder}")
    with torch.inference_mode():
        expected = network.encode_text(tokenizer(list(TEXTS))).numpy()
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = embed_texts(make_encoder(f"clip:tiny@{clip_folder}").specification.members[0], TEXTS)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(found[0] - found[1]).max() > 0.01


def test_likeness_is_the_cosine_with_the_view_of_the_whole_picture(clip_folder):
    specification = make_encoder(f"clip:tiny@{clip_folder}").specification
    columns = specification.blocks["open_clip:tiny/whole"]
    said = embed_texts(specification.members[0], TEXTS)
    vectors = np.random.default_rng(0).normal(size=(3, specification.dimension)).astype(np.float16)
    vectors[1, columns] = 5 * said[1]
    found = TextSimilarity(specification, TEXTS).cosines([vectors[0], vectors[1], None])
    assert found.shape == (2, 3)
    assert found[1, 1] == pytest.approx(1, abs=1e-3)
    seen = vectors[0, columns].astype(float)
    np.testing.assert_allclose(found[:, 0], said @ seen / np.linalg.norm(seen))
    assert np.isnan(found[:, 2]).all()


def test_networks_that_learned_from_pictures_alone_refuse_with_the_reason():
    with pytest.raises(UsageError, match="learned from pictures alone.*--encoder clip"):
        TextSimilarity(make_encoder("bundled").specification, TEXTS)


def test_clip_that_sees_faces_only_refuses_with_the_view_that_it_needs(clip_folder):
    with pytest.raises(UsageError, match=r"compared with the view whole, .* --views whole,face$"):
        TextSimilarity(make_encoder(f"clip:tiny@{clip_folder}", views=("face",)).specification, TEXTS)


def test_a_blank_text_is_refused(clip_folder):
    with pytest.raises(UsageError, match="a text is blank"):
        embed_texts(make_encoder(f"clip:tiny@{clip_folder}").specification.members[0], ["suit", "  "])


def test_other_weights_than_the_encoder_s_are_refused(clip_folder):
    member = replace(make_encoder(f"clip:tiny@{clip_folder}").specification.members[0], weights_sha256="0" * 64)
    with pytest.raises(EncoderError, match="hash"):
        embed_texts(member, TEXTS)


def with_text_configuration(clip_folder, tmp_path, **more):
    """Return a member whose folder says more about its texts."""
    folder = Path(shutil.copytree(clip_folder, tmp_path / "model"))
    configuration = json.loads((folder / "open_clip_config.json").read_text())
    configuration["model_cfg"]["text_cfg"] |= more
    (folder / "open_clip_config.json").write_text(json.dumps(configuration))
    return make_encoder(f"clip:tiny@{folder}").specification.members[0]


@pytest.fixture
def asked(monkeypatch):
    """Return what transformers was asked for."""
    calls = []

    def from_pretrained(source, **options):
        calls.append((str(source), options))
        raise OSError("no tokenizer there")

    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", from_pretrained)
    return calls


@pytest.mark.parametrize("name", ["trust_remote_code", "code_revision", "tokenizer_file", "proxies", "bpe_path"])
def test_a_folder_cannot_have_its_code_run_by_options_of_its_tokenizer(clip_folder, tmp_path, asked, name):
    options = {"clean": "lower", name: True}
    member = with_text_configuration(clip_folder, tmp_path, hf_tokenizer_name="a/b", tokenizer_kwargs=options)
    with pytest.raises(EncoderError, match=f"tokenizer_kwargs has {name}; .* take the rest out"):
        embed_texts(member, TEXTS)
    assert not asked


def test_code_beside_a_tokenizer_is_refused_and_not_asked_about(clip_folder, tmp_path, asked):
    options = {"clean": "lower"}
    member = with_text_configuration(clip_folder, tmp_path, hf_tokenizer_name="a/b", tokenizer_kwargs=options)
    (tmp_path / "model" / "tokenizer.json").write_text("{}")
    with pytest.raises(WeightsNotFound, match="no tokenizer there"):
        embed_texts(member, TEXTS)
    ((source, given),) = asked
    assert source == str(tmp_path / "model")
    assert given["trust_remote_code"] is False


def test_a_folder_may_choose_how_texts_are_cleaned(clip_folder, tmp_path):
    plain = make_encoder(f"clip:tiny@{clip_folder}").specification.members[0]
    member = with_text_configuration(clip_folder, tmp_path, tokenizer_kwargs={"clean": "canonicalize"})
    loud = [f"{text}!!!" for text in TEXTS]
    assert np.allclose(embed_texts(member, loud), embed_texts(plain, TEXTS))
    assert not np.allclose(embed_texts(plain, loud), embed_texts(plain, TEXTS))


def test_a_tokenizer_that_is_not_there_is_one_line(clip_folder, tmp_path, monkeypatch):
    folder = Path(shutil.copytree(clip_folder, tmp_path / "model"))
    member = make_encoder(f"clip:tiny@{folder}").specification.members[0]

    def refuse(*_, **__):
        raise OSError("cannot find the tokenizer\nin many lines")

    monkeypatch.setattr(open_clip, "get_tokenizer", refuse)
    with pytest.raises(WeightsNotFound, match="its tokenizer is not available: cannot find the tokenizer$"):
        embed_texts(member, TEXTS)
