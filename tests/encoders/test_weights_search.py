import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest

from prescreen.encoders.clip import checked_file, describe
from prescreen.encoders.clip_tables import read_choice
from prescreen.encoders.weights_search import find_weights
from prescreen.errors import EncoderError, UsageError, WeightsNotFound

WEIGHTS = "open_clip_model.safetensors"


@pytest.fixture(autouse=True)
def another_machine(monkeypatch, tmp_path):
    """Nothing of the machine of the training is here."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.delenv("PRESCREEN_WEIGHTS", raising=False)


@pytest.fixture
def moved(clip_folder, tmp_path):
    """Return what was trained with a folder that is elsewhere now."""
    return replace(describe(f"tiny@{clip_folder}"), weights=f"local:{tmp_path / 'gone'}")


@pytest.fixture
def alone(clip_folder, tmp_path):
    """Return what was trained with a file that is elsewhere now."""
    digest = hashlib.sha256((clip_folder / WEIGHTS).read_bytes()).hexdigest()
    return replace(
        describe(f"tiny@{clip_folder}"), weights=f"local:{tmp_path / 'gone.safetensors'}", weights_sha256=digest
    )


def test_a_folder_is_found_beside_the_predictor_and_takes_the_place_of_the_old_one(moved, clip_folder):
    found, file = checked_file(moved, [clip_folder])
    assert (found.weights, file) == (f"local:{clip_folder}", clip_folder / WEIGHTS)
    assert replace(found, weights=moved.weights) == moved


def test_a_folder_of_a_model_may_lie_beside_the_predictor_s(moved, clip_folder, tmp_path):
    inner = Path(shutil.copytree(clip_folder, tmp_path / "models" / "tiny"))
    assert find_weights(moved, [tmp_path / "models"])[0].weights == f"local:{inner}"


def test_a_file_is_found_beside_the_predictor_under_any_name(alone, clip_folder, tmp_path):
    other = tmp_path / "models" / "renamed.safetensors"
    other.parent.mkdir()
    shutil.copy(clip_folder / WEIGHTS, other)
    (other.parent / "a.safetensors").write_bytes(b"others")
    assert find_weights(alone, [tmp_path / "nowhere", other.parent]) == (alone, other)


def test_what_is_named_is_searched_with_the_folders_in_it(moved, clip_folder, tmp_path, monkeypatch):
    inner = Path(shutil.copytree(clip_folder, tmp_path / "stick" / "clip" / "tiny"))
    monkeypatch.setenv("PRESCREEN_WEIGHTS", str(tmp_path / "stick"))
    assert find_weights(moved)[0].weights == f"local:{inner}"
    monkeypatch.setenv("PRESCREEN_WEIGHTS", str(inner / WEIGHTS))  # its folder has the configuration
    assert find_weights(moved)[0].weights == f"local:{inner}"


def test_a_place_that_is_named_and_not_there_is_said(moved, monkeypatch):
    monkeypatch.setenv("PRESCREEN_WEIGHTS", "/nowhere/at/all")
    with pytest.raises(UsageError, match="PRESCREEN_WEIGHTS=/nowhere/at/all: no such file or folder"):
        find_weights(moved)


def lay_out(hub, repository, clip_folder):
    """Lay out the hub's cache as its client does: blobs named by their hashes, and links to them; return the folder."""
    place = hub / f"models--{repository.replace('/', '--')}"
    snapshot = place / "snapshots" / ("5" * 40)
    (place / "blobs").mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for name in (WEIGHTS, "open_clip_config.json"):
        content = (clip_folder / name).read_bytes()
        blob = place / "blobs" / hashlib.sha256(content).hexdigest()
        blob.write_bytes(content)
        (snapshot / name).symlink_to(blob)
    return snapshot


@pytest.mark.parametrize("trained_with", ["alone", "moved"])
def test_the_cache_of_the_hub_is_searched_in_any_repository(trained_with, request, clip_folder, tmp_path):
    member = request.getfixturevalue(trained_with)
    assert find_weights(member) is None
    snapshot = lay_out(tmp_path / "hub", "somebody/else", clip_folder)
    found, file = find_weights(member)
    assert file == snapshot / WEIGHTS  # and not the blob, whose name does not say how to read it
    assert found.weights == (f"local:{snapshot}" if trained_with == "moved" else member.weights)


def test_repositories_of_other_models_are_not_read(moved, clip_folder, tmp_path, monkeypatch):
    snapshot = lay_out(tmp_path / "hub", "somebody/else", clip_folder)
    content = json.loads((snapshot / "open_clip_config.json").read_text())
    content["model_cfg"]["embed_dim"] = 17
    (snapshot / "open_clip_config.json").unlink()
    (snapshot / "open_clip_config.json").write_text(json.dumps(content))
    monkeypatch.setattr("prescreen.encoders.weights_search._digests", lambda file: pytest.fail(f"{file} was read"))
    assert find_weights(moved) is None


def test_weights_that_are_nowhere_are_one_line_with_model_hash_and_remedy(moved, alone):
    for member in (moved, alone):
        with pytest.raises(WeightsNotFound) as raised:
            checked_file(member)
        line = str(raised.value)
        assert line.startswith(f"encoder clip:tiny@{member.weights.removeprefix('local:')}: no such file or folder; ")
        assert member.weights_sha256 in line
        assert "--weights or PRESCREEN_WEIGHTS" in line
        assert "--encoder" not in line
        assert "\n" not in line


def test_other_weights_in_the_place_do_not_hide_the_right_ones(clip_folder, tmp_path):
    folder = Path(shutil.copytree(clip_folder, tmp_path / "model"))
    member = describe(f"tiny@{folder}")
    (folder / "open_clip_config.json").write_text("{}")
    with pytest.raises(
        EncoderError, match=f"the weights hash to .*; name the file with the SHA-256 {member.weights_sha256}"
    ):
        checked_file(member)
    assert checked_file(member, [clip_folder])[0].weights == f"local:{clip_folder}"


def test_a_link_of_the_hub_s_cache_can_be_named_as_a_file(clip_folder, tmp_path):
    """Its target has no suffix, which says how to read a file; a damaged one is noticed."""
    snapshot = lay_out(tmp_path / "hub", "somebody/else", clip_folder)
    link = read_choice(f"ViT-B-32/openai@{snapshot / WEIGHTS}").path
    assert link == snapshot / WEIGHTS
    blob = link.resolve()
    blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    with pytest.raises(WeightsNotFound, match="damaged since it was fetched"):
        describe(f"ViT-B-32/openai@{link}")


def test_a_damaged_copy_does_not_hide_a_good_one(alone, clip_folder, tmp_path):
    snapshot = lay_out(tmp_path / "hub", "somebody/else", clip_folder)
    blob = (snapshot / WEIGHTS).resolve()
    blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    member = replace(alone, weights=f"local:{snapshot / WEIGHTS}")
    assert checked_file(member, [clip_folder]) == (member, clip_folder / WEIGHTS)


def test_an_old_place_that_this_user_may_not_look_at_does_not_stop_the_search(alone, clip_folder, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("prescreen.encoders.clip.file_sha256", refuse)
    member = replace(alone, weights=f"local:{clip_folder / WEIGHTS}")
    assert checked_file(member, [clip_folder])[1] == clip_folder / WEIGHTS
    with pytest.raises(EncoderError, match="cannot be read"):
        checked_file(member)


def test_a_file_that_is_named_and_has_other_weights_is_said(alone, tmp_path, monkeypatch):
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"others")
    monkeypatch.setenv("PRESCREEN_WEIGHTS", str(other))
    with pytest.raises(WeightsNotFound, match=f"other.safetensors: not the weights of tiny .* {alone.weights_sha256}$"):
        checked_file(alone)
