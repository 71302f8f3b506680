"""The steps of learning that need no pictures."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from prescreen.embeddings.pipeline import EmbeddingCache
from prescreen.errors import RatingsError
from prescreen.images.files import ImageFile
from prescreen.predictor.human_scores import HumanResults
from prescreen.predictor.scores_table import PARTS, score_columns
from prescreen.shortlist.feedback import GONE, find_pictures, known_already, score_again

TRAITS = ("smile_score", "calm")


def predictions(count):
    """Numbers that tell trait, part and picture: 12.3 is trait 1, part 2, picture 3."""
    return SimpleNamespace(
        **{
            field: np.array([[10 * t + p + i / 10 for t in range(len(TRAITS))] for i in range(count)])
            for p, field in enumerate(PARTS.values())
        }
    )


def test_a_trait_may_be_named_like_a_part_of_a_column():
    table = pd.DataFrame(0.0, index=range(3), columns=score_columns(TRAITS))
    table = table.astype({"image": object, "status": object, "reason": object, "content": object})
    table["image"], table["status"], table["reason"], table["content"] = ["a", "b", "c"], "ok", "", "x"
    predictor = SimpleNamespace(traits=TRAITS, predict=lambda vectors, contents: predictions(len(vectors)))
    again = score_again(table, predictor, {"a": np.zeros(2), "c": np.zeros(2)})
    assert list(again.columns) == list(table.columns)
    assert again["status"].tolist() == ["ok", "failed", "ok"]
    assert again["reason"].tolist() == ["", GONE, ""]
    for t, trait in enumerate(TRAITS):
        for p, part in enumerate(PARTS):
            assert again[f"{trait}{part}"].tolist() == pytest.approx([10 * t + p, 0, 10 * t + p + 0.1])


def results(keys, z):
    z = np.array(z, float)
    variance = np.where(np.isfinite(z), 0.1, np.nan)
    rounds = np.ones(len(keys), np.int64)
    return HumanResults(
        np.array(keys, np.uint64), np.zeros((len(keys), 2), np.float16), z, variance, rounds, rounds > 0
    )


def test_a_round_that_is_in_the_predictor_is_known_whatever_came_since():
    first, second = results([1, 2], [[0.5, 1], [0.2, np.nan]]), results([1, 3], [[0.7, np.nan], [0.1, 0.1]])
    learned = SimpleNamespace(results=first.with_round(second))
    for known in (first, second, results([2], [[0.2, np.nan]]), results([1], [[np.nan, 1]])):
        assert known_already(learned, known)
        assert len(learned.results.with_round(known)) == len(learned.results)
    for new in (results([4], [[0.5, 1]]), results([2], [[0.2, 0.3]]), results([1], [[0.6, 1]])):
        assert not known_already(learned, new)
    assert not known_already(SimpleNamespace(results=None), first)


def test_a_tested_file_that_holds_another_picture_by_now_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(
        "prescreen.shortlist.feedback.embed_images",
        lambda files, *_, **__: [
            SimpleNamespace(name=file.name, content="new", vector=np.zeros(2), reason="") for file in files
        ],
    )
    encoder = SimpleNamespace(specification=SimpleNamespace(fingerprint="f", dimension=2))
    files = [ImageFile(tmp_path / "a.jpg", "a.jpg")]
    with EmbeddingCache(tmp_path / "cache.sqlite") as cache:
        with pytest.raises(RatingsError, match=r"a\.jpg: the file was changed"):
            find_pictures(["a.jpg"], files, {"a.jpg": "old"}, encoder, cache)
        assert find_pictures(["a.jpg"], files, {}, encoder, cache)[0].content == "new"
