import re

import pytest
from huggingface_hub import constants

from prescreen.encoders.clip import describe
from prescreen.errors import UsageError, WeightsNotFound
from prescreen.workflow import doctor

CHOICE = "clip:tiny/small"


@pytest.fixture
def weights(clip_folder):
    return clip_folder / "open_clip_model.safetensors"


def test_without_an_encoder_the_hub_is_not_asked(local_hub, tmp_path):
    found = doctor.examine()
    assert local_hub.asked == []
    assert any(name.startswith("clip:") for name in found["encoders"])
    assert str(tmp_path / "hub") in found["places"]["weights of CLIP"]
    assert "free; HF_HUB_CACHE or HF_HOME moves it" in found["places"]["weights of CLIP"]


def test_what_an_encoder_would_fetch_is_told_and_not_fetched(local_hub, tiny_tag, weights):
    local_hub.commit(open_clip_model__safetensors=weights)
    local_hub.cuts = [1_000_000, 0, 0, 0]
    host = local_hub.address.removeprefix("http://")
    expected = f"fetched on first use: 3.3 MB from {host} (a/b)"
    assert doctor.examine(CHOICE)["encoders"][CHOICE] == expected
    assert local_hub.downloads == []
    with pytest.raises(WeightsNotFound):
        describe("tiny/small")
    assert doctor.examine(CHOICE)["encoders"][CHOICE] == f"{expected}, 1.0 MB of it are here already"


def test_weights_that_are_here_are_ready_without_a_network(local_hub, tiny_tag, weights, monkeypatch):
    local_hub.commit(open_clip_model__safetensors=weights)
    describe("tiny/small")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    found = doctor.examine(f"{CHOICE}+bundled")["encoders"]
    assert found[CHOICE].startswith("ready: ")
    assert found[CHOICE].endswith("open_clip_model.safetensors (3.3 MB)")
    assert found["bundled"].startswith("ready: ")
    named = f"clip:tiny@{weights}"
    assert doctor.examine(named)["encoders"][named] == f"ready: {weights} (3.3 MB)"


def test_the_time_is_measured_where_the_weights_are_here(local_hub, tiny_tag, clip_folder):
    local_hub.commit()
    assert re.fullmatch(
        r"about [0-9.]+ (seconds|minutes|hours) for 900 portraits here",
        doctor.examine(f"clip:tiny@{clip_folder}")["encoders"]["time"],
    )
    assert "time" not in doctor.examine(CHOICE)["encoders"]
    assert "time" not in doctor.examine()["encoders"]


def test_offline_says_what_is_known(local_hub, tiny_tag, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    found = doctor.examine(CHOICE)["encoders"][CHOICE]
    assert found == "not on this machine: a/b: not fetched, since HF_HUB_OFFLINE is set; unset it to fetch it once"


def test_a_misspelt_encoder_is_answered_as_everywhere():
    with pytest.raises(UsageError, match="unknown encoder 'clap'; did you mean 'clip'"):
        doctor.examine("clap")


@pytest.mark.parametrize("name", ["clap", "clip:tiny/large", "clip:ViT-B-32"])
def test_an_unknown_encoder_is_a_usage_error(local_hub, tiny_tag, name):
    with pytest.raises(UsageError):
        doctor.examine(name)
