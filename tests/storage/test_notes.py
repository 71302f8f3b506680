"""A stranger's scores with the note beside them: they neither fetch anything nor show pictures that are not theirs."""

import hashlib

import pandas as pd
import pytest

from heard import Heard
from prescreen.embeddings.pipeline import EmbeddingCache
from prescreen.errors import PredictorError, UsageError
from prescreen.predictor.scored_files import find_candidates, places_to_search
from prescreen.storage import remote
from prescreen.storage.atomic import write_bytes_atomic
from prescreen.storage.provenance import ScoresMetadata
from prescreen.workflow.inputs import open_scores

FAR = ("s3://bucket/portraits", "http://evil.example/portraits", "//host/share", "\\\\host\\share", "FILE:///etc")


def note(inputs=(), predictor="/models/mine"):
    sums = ("0" * 64, "1" * 64, "2" * 64)
    return ScoresMetadata(
        sums[0], predictor, "m", sums[1], "tiny", sums[2], ("a",), tuple(inputs), 1, 0, False, False, {}
    )


@pytest.fixture
def closed(monkeypatch):
    """No storage is opened, whatever it is."""
    monkeypatch.setattr(remote, "_open", lambda url: pytest.fail(f"{url} was opened"))


@pytest.fixture
def cache(tmp_path):
    with EmbeddingCache(tmp_path / "cache.sqlite") as cache:
        yield cache


def table(**contents):
    return pd.DataFrame({"image": list(contents), "status": "ok", "content": list(contents.values())})


@pytest.mark.parametrize("place", FAR)
def test_what_only_the_note_names_is_not_fetched_and_said(place, closed, cache):
    told = Heard()
    assert find_candidates(note([place]), table(a="0" * 64), (), cache, told) == []
    (line,) = told.lines
    assert "not fetched; --images " in line


def test_what_the_user_names_is_fetched(cache):
    fsspec = pytest.importorskip("fsspec")
    fsspec.filesystem("memory").pipe("/named/a.jpg", b"x")
    files = find_candidates(note(["s3://elsewhere/"]), table(**{"a.jpg": "0" * 64}), ["memory://named"], cache, Heard())
    assert [file.path for file in files] == ["memory:///named/a.jpg"]
    fsspec.filesystem("memory").rm("/named", recursive=True)


def test_of_a_folder_in_the_note_only_pictures_of_the_table_are_taken_and_it_is_said(tmp_path, cache):
    """Names are easily guessed; what is in a private picture is not known to whoever wrote the table."""
    private = tmp_path / "private"
    private.mkdir()
    (private / "IMG_0001.jpg").write_bytes(b"private")
    (private / "IMG_0002.jpg").write_bytes(b"theirs")
    theirs = hashlib.sha256(b"theirs").hexdigest()
    told = Heard()
    guessed = table(**{"IMG_0001.jpg": "0" * 64, "IMG_0002.jpg": theirs})
    files = find_candidates(note([str(private)]), guessed, (), cache, told)
    assert [file.name for file in files] == ["IMG_0002.jpg"]
    assert told.lines == [f"pictures   in {private}, says the note beside the scores; --images names another place"]


def test_a_named_folder_counts_instead_of_the_note_and_must_be_there(tmp_path):
    told = Heard()
    assert places_to_search(note([*FAR, "/x"]), [tmp_path], told) == [str(tmp_path)]
    assert told.lines == []
    with pytest.raises(UsageError, match="--images .*nowhere: no such file or folder"):
        places_to_search(note(), [tmp_path / "nowhere"], told)


@pytest.mark.parametrize("place", FAR)
def test_a_predictor_at_an_address_is_not_fetched(tmp_path, place, closed):
    scores = tmp_path / "scores.csv"
    note(predictor=place).write(scores, lambda: write_bytes_atomic(scores, b"image,status\na,ok\n"))
    with pytest.raises(PredictorError, match="is not fetched; say with --predictor"):
        open_scores(scores, None, Heard())


def test_the_predictor_that_the_note_names_is_said(tmp_path):
    scores = tmp_path / "scores.csv"
    note(predictor=str(tmp_path / "models")).write(scores, lambda: write_bytes_atomic(scores, b"image,status\na,ok\n"))
    told = Heard()
    with pytest.raises(PredictorError, match="is not there any more"):
        open_scores(scores, None, told)
    assert told.lines == [f"predictor  {tmp_path / 'models'}, says the note beside the scores"]
