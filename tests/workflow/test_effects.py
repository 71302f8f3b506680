"""The verb ``effects`` on a world without pictures: a predictor, scores and vectors made for the purpose."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from prescreen.cli.main import main
from prescreen.cli.output import effect_lines
from prescreen.encoders import IDENTITY_BLOCK, Encoder, make_encoder
from prescreen.encoders.text_similarity import embed_texts
from prescreen.errors import UsageError
from prescreen.ranking.error_correlation import ErrorCorrelation
from prescreen.shortlist.effects_table import LOWERS, NOT_SHOWN, PREDICTED_ONLY, RAISES, TOO_FEW, compare_folders
from prescreen.storage.tables import read_table
from prescreen.workflow import effects as verb
from prescreen.workflow.effects import effects

TRAITS = ("a", "b")
N = 60


class World:
    """60 pictures of one person: folder ``suit`` is predicted higher on a; 3 are of somebody else, 2 show no face."""

    def __init__(self, specification):
        rng = np.random.default_rng(0)
        self.names = [f"{'suit' if k < 20 else 'casual' if k < 40 else 'stage'}/{k:02d}.jpg" for k in range(N)]
        scores = np.column_stack([rng.normal(5, 0.5, N) + np.where(np.arange(N) < 20, 1.5, 0), rng.normal(5, 1, N)])
        self.table = pd.DataFrame({"image": self.names, "status": "ok", "reason": "", "content": "", "faces": 1.0})
        self.table = self.table.assign(face_share=0.3, width=500, height=500)
        self.table.loc[[38, 39], "faces"] = 0.0
        for t, trait in enumerate(TRAITS):
            self.table[trait] = self.table[f"{trait}_raw"] = scores[:, t]
        vectors = rng.normal(size=(N, specification.dimension))
        block = specification.blocks[IDENTITY_BLOCK]
        vectors[:, block] = 0.1 + 0.01 * rng.normal(size=(N, 128))
        vectors[[35, 36, 37], block] = -0.3 + 0.01 * rng.normal(size=(3, 128))
        self.vectors = {name: v.astype(np.float16) for name, v in zip(self.names, vectors, strict=True)}
        self.likeness = ErrorCorrelation(0.0, 1.0, 0.3)
        self.specification = specification

    def predictor(self):
        def featurize(vectors, contents, raw):
            return SimpleNamespace(features=vectors[:, :5].astype(np.float32))

        return SimpleNamespace(
            traits=TRAITS,
            manifest=SimpleNamespace(encoder=self.specification),
            beside=(),
            calibration=SimpleNamespace(error_covariance=0.3 * np.eye(2)),
            errors=lambda: SimpleNamespace(error_correlation=self.likeness),
            featurize=featurize,
        )


@pytest.fixture
def world(clip_folder, monkeypatch, tmp_path):
    monkeypatch.setenv("PRESCREEN_CACHE", str(tmp_path / "cache"))
    made = World(make_encoder(f"clip:tiny@{clip_folder}").specification)
    encoder = Encoder(made.specification)
    monkeypatch.setattr(verb, "open_scores", lambda *_: (None, made.table, made.predictor(), encoder))
    monkeypatch.setattr(verb, "scored_vectors", lambda *_: made.vectors)
    monkeypatch.chdir(tmp_path)
    return made


def rows(found):
    return {(row["by"], row["value"], row["trait"]): row for row in found.table.to_dict("records")}


def test_folders_are_compared_without_pictures_of_somebody_else_or_of_nobody(world, tmp_path):
    found = effects(tmp_path / "s.csv", output=tmp_path / "e.csv")
    assert (found.pictures, found.left_out) == (55, 5)
    by = rows(found)
    suit = by["folder", "suit", "a"]
    assert suit["effect"] == pytest.approx(1.5, abs=0.4)
    assert (suit["pictures"], suit["others"], suit["verdict"]) == (20, 35, RAISES)
    assert {by["folder", name, "b"]["verdict"] for name in ("suit", "casual", "stage")} == {NOT_SHOWN}
    assert by["folder", "stage", "a"]["verdict"] == LOWERS
    pd.testing.assert_frame_equal(read_table(tmp_path / "e.csv"), found.table, check_dtype=False)
    assert effects(tmp_path / "s.csv", gates=()).pictures == N


def test_an_effect_within_the_errors_that_a_group_has_in_common_is_predicted_only(world, tmp_path):
    for k, name in enumerate(world.names):
        world.vectors[name][:5] = 3.0 if k < 20 else -3.0
    world.likeness = ErrorCorrelation(0.7, 0.05, 0.3)
    suit = rows(effects(tmp_path / "s.csv"))["folder", "suit", "a"]
    assert suit["verdict"] == PREDICTED_ONLY
    assert suit["raters_low"] < 0 < suit["low"]


def test_rank_s_page_compares_the_same_folders(world, tmp_path):
    kept = effects(tmp_path / "s.csv")
    names = [name for k, name in enumerate(world.names) if k not in (35, 36, 37, 38, 39)]
    table = world.table[world.table["image"].isin(names)].reset_index(drop=True)
    pd.testing.assert_frame_equal(compare_folders(table, world.predictor(), world.vectors), kept.table)
    flat = table.assign(image=table["image"].str.replace("/", "-"))
    assert compare_folders(flat, world.predictor(), {}).empty


def test_near_copies_count_as_one_picture(world, tmp_path):
    block = world.specification.blocks[IDENTITY_BLOCK]
    for name in world.names[1:20]:
        world.vectors[name][block] = world.vectors[world.names[0]][block]
    found = effects(tmp_path / "s.csv")
    suit = rows(found)["folder", "suit", "a"]
    assert (suit["pictures"], suit["distinct"], suit["verdict"]) == (20, 1, TOO_FEW)
    assert found.distinct == 36
    assert "too few different pictures to be tested: folder suit" in effect_lines(found.table)[-1]


def test_pictures_like_a_text_are_found_where_the_encoder_reads(world, tmp_path):
    said = embed_texts(world.specification.members[0], ["on a stage"])[0]
    columns = world.specification.blocks["open_clip:tiny/whole"]
    rng = np.random.default_rng(1)
    for k, name in enumerate(world.names):
        noise = 0.1 * rng.normal(size=len(said))
        world.vectors[name][columns] = (world.table["b"][k] - 5) * said + noise
    found = effects(tmp_path / "s.csv", by=["folder"], texts=["on a stage", "in a bookshop"])
    by = rows(found)
    assert by["text", "on a stage", "b"]["verdict"] == RAISES
    assert by["text", "on a stage", "b"]["pictures"] == 55
    assert by["text", "on a stage", "a"]["verdict"] == NOT_SHOWN
    assert "  text on a stage, per SD" in "\n".join(effect_lines(found.table))


def test_what_cannot_be_asked_is_refused_with_the_reason(world, tmp_path):
    with pytest.raises(UsageError, match="--by outfit: a column of which table"):
        effects(tmp_path / "s.csv", by=["outfit"])
    world.table["image"] = world.names = [name.replace("/", "-") for name in world.names]
    with pytest.raises(UsageError, match="nothing to compare by"):
        effects(tmp_path / "s.csv", gates=())
    world.specification = make_encoder("bundled").specification
    with pytest.raises(UsageError, match="learned from pictures alone"):
        effects(tmp_path / "s.csv", texts=["a suit"])


def test_the_command_prints_a_part_for_each_trait_with_the_strongest_first(world, tmp_path):
    tags = pd.DataFrame({"file": world.names, "steps": np.arange(N), "lens": ["wide", "tele"] * (N // 2)})
    tags.loc[0, "file"] = "gone.jpg"
    tags.to_csv("tags.csv", index=False)
    words = ["effects", "s.csv", "--tags", "tags.csv", "--output", "e.jsonl"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines if line and not line.startswith(" ")] == ["a", "b"]
    assert lines[1].startswith("  folder suit")
    assert "raises" in lines[1]
    assert any(line.startswith("  steps, per SD") for line in lines)
    assert any(line.startswith("  lens tele, not wide") for line in lines)
    assert "left out   5 pictures by the checks faces, person" in done.stderr
    assert "tags       1 pictures are not in it; 1 of its rows are of no scored picture" in done.stderr
    assert len(read_table("e.jsonl")) == 2 * 5
    typo = CliRunner().invoke(main, [*words, "--gates", "persom"])
    assert typo.exit_code == 2
    assert "person" in typo.stderr


def test_pictures_that_are_gone_are_compared_without_the_interval_for_raters(world, tmp_path, monkeypatch):
    monkeypatch.setattr(verb, "scored_vectors", lambda *_: {})
    found = effects(tmp_path / "s.csv")
    suit = rows(found)["folder", "suit", "a"]
    assert suit["verdict"] == PREDICTED_ONLY
    assert np.isnan(suit["raters_low"])
