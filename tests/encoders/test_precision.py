"""The precision follows the machine, and vectors are kept under the one that they have."""

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from prescreen.cli import options
from prescreen.cli.main import main
from prescreen.embeddings.pipeline import EmbeddingCache, embed_images
from prescreen.encoders import Encoder, EncoderSpecification, clip, make_encoder
from prescreen.encoders.bundled import FACE
from prescreen.encoders.devices import CHOICES
from prescreen.errors import EncoderError, PredictorMismatch, UsageError
from prescreen.images.files import ImageFile
from prescreen.workflow import doctor

PORTRAIT = ImageFile(Path(__file__).parents[2] / "data" / "sample" / "training" / "images" / "001.jpg", "001.jpg")
F32 = EncoderSpecification(name="face", members=(FACE,))
BF16 = replace(F32, precision="bf16")


@pytest.mark.parametrize(("here", "expected"), [(("f32",), "f32"), (("f32", "bf16"), "bf16")])
def test_auto_is_what_the_machine_computes_fast_and_the_specification_says_it(computes_in, here, expected):
    computes_in(*here)
    made = make_encoder("bundled")
    assert made.specification.precision == expected
    assert made.specification.options.endswith(f"--precision {expected}")
    assert made.specification.fingerprint == make_encoder("bundled", expected).specification.fingerprint
    assert {network.precision for network in made._networks} == {expected}
    assert doctor.examine()["machine"]["precision"] == f"auto is {expected} here (--precision chooses)"


def test_what_was_asked_for_is_refused_where_it_is_not_there_before_weights_are_looked_for(computes_in, monkeypatch):
    computes_in("f32")
    monkeypatch.setattr(clip, "describe", lambda *_, **__: pytest.fail("weights were looked for"))
    with pytest.raises(EncoderError, match="precision bf16: this processor does not .*; use --precision f32, or auto"):
        make_encoder("clip", "bf16", "cpu")
    with pytest.raises(UsageError, match="unknown precision 'bf61'; did you mean 'bf16'"):
        make_encoder("clip", "bf61")


def test_f32_asks_no_device(monkeypatch):
    monkeypatch.setattr("prescreen.encoders.devices.resolve", lambda _: pytest.fail("the device was asked for"))
    assert make_encoder("bundled", "f32").specification.precision == "f32"
    assert Encoder(F32).specification == F32


def test_without_bf16_vectors_for_its_predictors_are_made_and_kept_in_f32(computes_in, tmp_path):
    computes_in("f32")
    found = Encoder(BF16)
    assert found.specification == F32
    with EmbeddingCache(tmp_path / "cache.sqlite") as cache:
        (made,) = embed_images([PORTRAIT], found, cache)
        assert {each.specification for each in cache.stats()} == {F32.fingerprint}
        (again,) = embed_images([PORTRAIT], Encoder(F32), cache)
        computes_in("f32", "bf16")
        assert Encoder(BF16).specification == BF16
        assert cache.get(made.content, BF16.fingerprint, BF16.dimension) is None
    assert (made.vector == again.vector).all()


def test_a_predictor_takes_its_own_vectors_and_f32_for_bf16():
    assert F32.takes(F32)
    assert BF16.takes(BF16)
    assert BF16.takes(F32)
    assert not F32.takes(BF16)
    assert not BF16.takes(replace(F32, mirror=False))
    assert not BF16.takes(replace(BF16, mirror=False))


def test_a_precision_of_the_future_is_refused():
    with pytest.raises(PredictorMismatch, match="precision 'f8' is unknown to this version"):
        Encoder(replace(F32, precision="f8"))


def test_the_option_has_all_precisions():
    (option,) = options.precision_option(lambda: None).__click_params__
    assert tuple(option.type.choices) == CHOICES
    for verb in ("train", "embed"):
        assert "--precision" in CliRunner().invoke(main, [verb, "--help"]).output


def test_a_device_that_is_not_here_is_refused_at_loading_only(monkeypatch):
    def missing(device):
        raise EncoderError(f"device {device}: torch finds none on this machine")

    monkeypatch.setattr("prescreen.encoders.devices.resolve", missing)
    made = Encoder(BF16, "cuda")  # a driver of Ray has no card of its own
    assert made.specification == BF16
    with pytest.raises(EncoderError, match="torch finds none"):
        made.load()


def test_an_encoder_is_known_by_its_fingerprints_in_every_precision():
    assert BF16.fingerprint in F32.fingerprints
    assert F32.fingerprint in BF16.fingerprints
    assert replace(F32, mirror=False).fingerprint not in F32.fingerprints
