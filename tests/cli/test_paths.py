"""Paths on the command line, in every verb that takes one."""

import click
import pytest
from click.testing import CliRunner

from prescreen.cli.main import main
from prescreen.cli.paths import LocalPath, Place
from prescreen.errors import UsageError
from prescreen.images.files import find_images


def parameters(command, path=()):
    """Return every option and argument that names a place, with the words that call its verb."""
    if isinstance(command, click.Group):
        return [found for name, part in command.commands.items() for found in parameters(part, (*path, name))]
    return [pytest.param(path, part, id=f"{'-'.join(path)}-{part.name}") for part in command.params if is_place(part)]


def is_place(part):
    return isinstance(part.type, LocalPath | Place | click.Path)


def test_no_verb_takes_paths_of_another_kind():
    found = [param.values[1] for param in parameters(main)]
    assert len(found) > 30
    assert not [part for part in found if not isinstance(part.type, LocalPath | Place)]
    named = {part.name for part in found}
    assert {"inputs", "predictor", "output", "baseline", "ratings", "images", "scores", "references"} <= named


@pytest.mark.parametrize(("words", "part"), parameters(main))
def test_an_empty_path_is_a_mistake_and_home_is_understood(words, part, monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    given = [""] if isinstance(part, click.Argument) else [f"{part.opts[0]}="]
    done = CliRunner().invoke(main, [*words, *given])
    assert done.exit_code == 2
    assert "it is empty" in done.stderr
    assert done.stderr.count("\n") <= 4
    value = part.type.convert("~/x.jpg", part, None) if not (getattr(part.type, "exists", False)) else None
    assert value is None or str(value) == "/somewhere/x.jpg"


def test_a_dash_is_no_file():
    done = CliRunner().invoke(main, ["rank", "s.csv", "--baseline", "now.jpg", "--output", "-"])
    assert done.exit_code == 2
    assert "'--output': - is no file: only prescreen score writes to standard output" in done.stderr


def test_a_url_is_not_taken_for_a_path():
    done = CliRunner().invoke(main, ["train", "--ratings", "s3://bucket/votes.csv"])
    assert done.exit_code == 2
    assert "s3://bucket/votes.csv is a URL" in done.stderr
    assert Place().convert("s3://bucket/a", None, None) == "s3://bucket/a"


def test_an_empty_input_is_not_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="empty path"):
        find_images([""])
    assert len(find_images(["."])) == 0
