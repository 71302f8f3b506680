import numpy as np
import pytest
import torch
from click.testing import CliRunner

from prescreen.cli import options
from prescreen.cli.main import main
from prescreen.encoders import devices, make_encoder
from prescreen.encoders.backends import CARD_BATCH, AcceleratedNetwork
from prescreen.encoders.bundled import FACE, BundledNetwork
from prescreen.encoders.devices import DEVICE_VARIABLE, DEVICES, resolve
from prescreen.encoders.networks import FaceNetwork
from prescreen.errors import EncoderError, UsageError
from prescreen.images.model_files import DLIB_FACE_NETWORK


def build():
    return FaceNetwork(DLIB_FACE_NETWORK.locate())


def accelerated(device="cpu", precision="f32", width=FACE.output_width):
    return AcceleratedNetwork(build, side=150, width=width, precision=precision, device=device)


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).integers(0, 256, (CARD_BATCH + 3, 150, 150, 3), np.uint8)


@pytest.fixture(scope="module")
def on_torch():
    return accelerated()


@pytest.fixture
def no_card(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_features_are_those_of_the_processor(on_torch, noise):
    expected = BundledNetwork(FACE, "f32")(noise)
    np.testing.assert_allclose(on_torch(noise), expected, rtol=1e-3, atol=1e-4)


def test_features_depend_neither_on_place_nor_on_company(on_torch, noise):
    together = on_torch(noise)
    assert np.array_equal(on_torch(noise[::-1])[::-1], together)
    assert np.array_equal(on_torch(noise[5:6])[0], together[5])
    assert on_torch(noise[:0]).shape == (0, FACE.output_width)


def test_bf16_moves_features_a_little(on_torch, noise):
    one, other = on_torch(noise[:2]), accelerated(precision="bf16")(noise[:2])
    cosine = (one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    assert cosine.min() > 0.999
    assert np.abs(one - other).max() > 1e-4  # else it was not bf16


def test_another_width_than_expected_is_an_error():
    with pytest.raises(EncoderError, match="expected"):
        accelerated(width=7)


def test_settings_of_torch_are_left_as_they_were(on_torch, noise):
    before = torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision
    on_torch(noise[:1])
    assert (torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision) == before


def test_a_full_card_is_an_error_with_its_remedy(on_torch, noise, monkeypatch):
    def full(pixels):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(on_torch._module, "forward", full)
    with pytest.raises(EncoderError, match="out of memory.*--device cpu"):
        on_torch(noise[:1])


@pytest.mark.parametrize("card", [True, False])
def test_auto_is_a_card_only_where_torch_can_use_one(card, monkeypatch):
    monkeypatch.setattr(devices, "_may_have_card", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: card)
    assert resolve("auto") == ("cuda" if card else "cpu")


def test_without_a_sign_of_a_card_torch_is_not_asked(monkeypatch):
    monkeypatch.setattr(devices, "_may_have_card", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: pytest.fail("torch was asked"))
    assert resolve("auto") == "cpu"
    make_encoder("bundled").load()


def test_a_device_that_is_not_there_is_refused_before_any_work(no_card):
    message = "device cuda: torch finds none on this machine; use --device cpu"
    with pytest.raises(EncoderError, match=message):
        make_encoder("bundled", device="cuda")
    encoder = make_encoder("bundled", "f32", "cuda")
    with pytest.raises(EncoderError, match=message):
        encoder.load()


def test_the_environment_chooses_and_an_argument_goes_before_it(monkeypatch, no_card):
    monkeypatch.setenv(DEVICE_VARIABLE, "cuda")
    with pytest.raises(EncoderError, match="device cuda"):
        make_encoder("bundled")
    make_encoder("bundled", device="cpu").load()


def test_an_unknown_device_is_refused_with_what_was_meant(monkeypatch):
    monkeypatch.setenv(DEVICE_VARIABLE, "cdua")
    with pytest.raises(UsageError, match="unknown device 'cdua'.*cuda"):
        make_encoder("bundled")


def test_the_option_has_all_devices():
    command = options.device_option(lambda: None)
    (option,) = command.__click_params__
    assert tuple(option.type.choices) == DEVICES
    assert DEVICE_VARIABLE in option.help
    for verb in ("train", "embed", "score"):
        assert "--device" in CliRunner().invoke(main, [verb, "--help"]).output


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA card")
@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_a_card_gives_the_processors_features(noise, precision):
    expected, found = BundledNetwork(FACE, "f32")(noise), accelerated("cuda", precision)(noise)
    cosine = (expected * found).sum(axis=1) / np.linalg.norm(expected, axis=1) / np.linalg.norm(found, axis=1)
    assert cosine.min() > (0.99999 if precision == "f32" else 0.999)
