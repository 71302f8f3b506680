import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from prescreen.encoders import backends
from prescreen.encoders.backends import CompiledNetwork, precisions
from prescreen.encoders.bundled import FACE, BundledNetwork
from prescreen.encoders.networks import FaceNetwork
from prescreen.errors import EncoderError
from prescreen.images.model_files import DLIB_FACE_NETWORK


class Small(nn.Module):
    """Two convolutions and a mean: 32 × 32 pixels to six features."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.ReLU())

    def forward(self, pixels):
        return self.layers(pixels.permute(0, 3, 1, 2).float() / 255).mean((2, 3))


def no_network():
    raise AssertionError("the converted network was to be used")


def small(build=Small, key="small", width=6):
    return CompiledNetwork(build, key=key, side=32, width=width, precision="f32")


@pytest.fixture
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("PRESCREEN_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def face_network():
    return BundledNetwork(FACE, "f32")


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).integers(0, 256, (7, 150, 150, 3), np.uint8)


def test_features_are_those_of_torch(face_network, noise):
    with torch.inference_mode():
        expected = FaceNetwork(DLIB_FACE_NETWORK.locate())(torch.from_numpy(noise)).numpy()
    found = face_network(noise)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_features_depend_neither_on_place_nor_on_company(face_network, noise):
    together = face_network(noise)
    assert np.array_equal(face_network(noise[::-1]), together[::-1])
    for i in range(len(noise)):
        assert np.array_equal(face_network(noise[i : i + 1])[0], together[i])


@pytest.mark.parametrize("n", [0, 1, 3, 4, 5, 8, 9])
def test_any_number_of_pictures(pictures, n):
    network = small()
    assert network(pictures[:n]).shape == (n, 6)
    assert np.array_equal(network(pictures[:n]), network(pictures)[:n])


def test_callers_in_several_threads_get_their_own_features(noise, face_network):
    expected = face_network(noise)
    orders = [np.random.default_rng(seed).permutation(len(noise)) for seed in range(24)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda order: face_network(noise[order]), orders))
    for order, features in zip(orders, found, strict=True):
        assert np.array_equal(features, expected[order])


def test_a_network_is_converted_once(own_cache, pictures):
    expected = small()(pictures)
    assert np.array_equal(small(no_network)(pictures), expected)
    with pytest.raises(AssertionError):
        small(no_network, key="another")


def test_two_conversions_at_the_same_time(own_cache, pictures):
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: small()(pictures), range(2))
    assert np.array_equal(first, second)
    assert [path.name.split("-")[0] for path in (own_cache / "networks").iterdir()] == ["small"]


def test_another_process_was_faster_with_the_same_network(own_cache, pictures):
    expected = small()(pictures)
    (theirs,) = (own_cache / "networks").iterdir()

    def build_slowly():
        shutil.copytree(theirs, theirs.with_name(theirs.name.replace("small", "slow")))
        return Small()

    assert np.array_equal(small(build_slowly, key="slow")(pictures), expected)
    assert len(list((own_cache / "networks").iterdir())) == 2


@pytest.mark.parametrize(
    ("name", "damage"), [("network.xml", "truncated"), ("network.bin", "altered"), ("network.bin", "gone")]
)
def test_a_damaged_converted_network_is_converted_again(own_cache, pictures, name, damage):
    expected = small()(pictures)
    (file,) = own_cache.rglob(name)
    data = bytearray(file.read_bytes())
    if damage == "truncated":
        file.write_bytes(data[: len(data) // 2])
    elif damage == "altered":
        data[len(data) // 2] ^= 0xFF
        file.write_bytes(data)
    else:
        file.unlink()
    assert np.array_equal(small()(pictures), expected)
    assert np.array_equal(small(no_network)(pictures), expected)


def test_another_width_than_expected_is_an_error(own_cache):
    with pytest.raises(EncoderError, match="expected"):
        small(width=7)


@pytest.mark.skipif("bf16" not in precisions("cpu"), reason="this processor has no bf16")
def test_bf16_moves_the_face_network_a_little(face_network, noise):
    one, other = face_network(noise), BundledNetwork(FACE, "bf16")(noise)
    cosine = (one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    assert cosine.min() > 0.999
    assert np.abs(one - other).max() > 1e-4  # else it was not bf16


@pytest.mark.parametrize(
    ("flags", "listed", "found"),
    [
        ("flags : fma avx512f avx512_bf16", True, ("f32", "bf16")),
        ("flags : avx512f amx_bf16", True, ("f32", "bf16")),
        ("flags : fma avx512f", True, ("f32",)),  # OpenVINO emulates it
        ("flags : avx512_bf16", False, ("f32",)),  # and may be told to do without
        ("Features : asimd bf16", True, ("f32",)),  # ARM
    ],
)
def test_bf16_is_found_where_the_processor_multiplies_it(tmp_path, monkeypatch, flags, listed, found):
    (tmp_path / "cpuinfo").write_text(f"model name : one\n{flags}\n\nmodel name : one\n{flags}\n")
    monkeypatch.setattr(backends, "_PROCESSORS", tmp_path / "cpuinfo")
    monkeypatch.setattr(backends, "_capabilities", lambda: ["FP32", "BF16"][: 1 + listed])
    assert precisions("cpu") == found


def test_without_linux_and_on_apples_cards_there_is_no_bf16(tmp_path, monkeypatch):
    assert precisions("mps") == ("f32",)
    monkeypatch.setattr(backends, "_PROCESSORS", tmp_path / "missing")
    assert precisions("cpu") == ("f32",)


@pytest.mark.parametrize("native", [True, False])
def test_a_card_is_asked_for_its_own_bf16(monkeypatch, native):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native or including_emulation)
    assert precisions("cuda") == (("f32", "bf16") if native else ("f32",))


def test_the_tracer_leaves_torch_as_it_was(own_cache, pictures):
    before = torch.backends.mha.get_fastpath_enabled()
    small()(pictures)
    assert torch.backends.mha.get_fastpath_enabled() == before


WITHOUT_TELEMETRY = """
import socket, sys
def refuse(*arguments, **options):
    raise SystemExit("it was to be reported")
socket.getaddrinfo = socket.socket.connect = refuse
import urllib.request
asked = []
urllib.request.urlopen = lambda *arguments, **options: asked.append(arguments)
{before}
import torch
from prescreen.encoders.backends import CompiledNetwork, silent_openvino
class Mean(torch.nn.Module):
    def forward(self, pixels):
        return pixels.float().mean((1, 2))
asked.clear()  # what the program itself has reported before
CompiledNetwork(Mean, key="mean", side=32, width=3, precision="f32")
silent_openvino()
"""


def run_python(code, tmp_path):
    hide = ("CI", "GITHUB", "DO_NOT_TRACK", "JENKINS", "TF_BUILD")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hide)}
    environment |= {"HOME": str(tmp_path / "home"), "PRESCREEN_CACHE": str(tmp_path / "cache")}
    (tmp_path / "home").mkdir()
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_openvino_reports_nothing(tmp_path):
    check = """
import importlib.util
from openvino.tools.ovc import telemetry_stub
loaded = [module for name, module in sys.modules.items() if module and name.startswith("openvino")]
users = [vars(module)["tm"] for module in loaded if hasattr(module, "tm")]
assert len(users) >= 2 and set(users) == {telemetry_stub}, users
assert not [module for module in loaded if module.__name__.startswith("openvino_telemetry")]
assert not asked, asked
if importlib.util.find_spec("openvino_telemetry"):
    import openvino_telemetry  # what other parts of the program do is their affair
"""
    run_python(WITHOUT_TELEMETRY.format(before="") + check, tmp_path)
    assert list((tmp_path / "home").iterdir()) == []


def test_a_conversion_in_a_program_that_has_loaded_openvino_is_not_reported(tmp_path):
    pytest.importorskip("openvino_telemetry")
    check = """
import openvino_telemetry, openvino.tools.ovc.telemetry_utils as ours
assert ours.tm is openvino_telemetry  # the program's own conversions are its own affair
assert not sent, sent
"""
    before = """
import openvino_telemetry
sent = []
for name in ("send_event", "send_error", "start_session", "end_session"):
    setattr(openvino_telemetry.Telemetry, name, lambda self, *words, name=name: sent.append(name))
openvino_telemetry.Telemetry.__init__ = lambda self, *words, **options: None
import openvino
assert sent.pop() == "send_event"  # that it was imported
"""
    run_python(WITHOUT_TELEMETRY.format(before=before) + check, tmp_path)
