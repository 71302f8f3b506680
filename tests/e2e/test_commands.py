import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from prescreen.storage.provenance import file_sha256

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
PREDICTOR = "demo/models/sample"


@pytest.fixture(autouse=True)
def _after_the_demo(demo):
    """All of these start from what the demo left."""


def one_line(done, code):
    """The error, after checking that it is one line without a traceback and has the right exit code."""
    assert done.returncode == code, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("prescreen: error:")]
    assert len(errors) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return errors[0]


def test_a_second_run_decodes_nothing_and_writes_the_same_bytes(shell):
    done = shell.process("score", SAMPLE / "candidates", "--predictor", PREDICTOR, "--output", "again.csv")
    assert done.returncode == 0
    assert "0 decoded, 39 from the cache" in done.stderr
    assert (shell.folder / "again.csv").read_bytes() == (shell.folder / "demo" / "scores.csv").read_bytes()


def test_the_champion_scores_like_the_directory(shell, demo):
    work = type(shell)(demo, shell.cache)  # the demo's store lies below its output folder
    done = work("score", SAMPLE / "candidates", "--predictor", "models:/prescreen@champion", "--output", "champion.csv")
    assert done.returncode == 0, done.stderr
    assert (demo / "champion.csv").read_bytes() == (demo / "scores.csv").read_bytes()


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_the_formats_hold_the_same_table(shell, demo, suffix):
    done = shell("score", SAMPLE / "candidates", "--predictor", PREDICTOR, "--output", f"scores.{suffix}")
    assert done.returncode == 0
    path = shell.folder / f"scores.{suffix}"
    read = pd.read_parquet(path) if suffix == "parquet" else pd.read_json(path, lines=True, dtype={"image": str})
    expected = pd.read_csv(demo / "scores.csv")
    assert read.columns.tolist() == expected.columns.tolist()
    assert read["image"].tolist() == expected["image"].tolist()
    assert read["competence"].dropna().tolist() == pytest.approx(expected["competence"].dropna().tolist())


def test_scores_of_raters_serve_as_baseline(shell):
    baseline = "competence=5.5,likeability=5.0,influence=5.2"
    done = shell("rank", "demo/scores.csv", "--baseline", baseline, "--output", "ranked.csv", "--budget", "5")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 6  # what to do, and the five
    assert pd.read_csv(shell.folder / "ranked.csv")["selected"].sum() == 5


def test_without_a_current_photo_pictures_are_ranked_by_their_predicted_scores(shell, demo):
    done = shell("rank", "demo/scores.csv", "--output", "best.csv", "--report", "best.html")
    assert done.returncode == 0, done.stderr
    first, *proposed = done.stdout.splitlines()
    assert first.startswith("These 3 pictures have the highest predicted scores.")
    best = pd.read_csv(shell.folder / "best.csv").query("gates.isna()")
    mean = best[["competence", "likeability", "influence"]].mean(axis=1)
    assert mean.dropna().is_monotonic_decreasing
    assert [line.split()[1] for line in proposed] == best["image"].head(3).tolist()
    assert f"<strong>{mean.iloc[0]:.1f}</strong> <span>mean predicted score" in (shell.folder / "best.html").read_text(
        "utf-8"
    )


def test_scores_of_the_current_photo_come_from_the_file_that_came_back(shell, demo):
    (shell.folder / "back.csv").write_text(
        "Photo;Competence;Likeability;Influence;Votes\nother.jpg;1;1;1;9\nbaseline.jpg;8,2;9,0;7,1;40\n", "utf-8"
    )
    words = ("rank", "demo/scores.csv", "--baseline", SAMPLE / "baseline.jpg", "--output", "back-ranked.csv")
    typed = ("--baseline-scores", "competence=8.2,likeability=9,influence=7.1", "--baseline-votes", "40")
    read, said = (shell(*words, *more) for more in (("--baseline-scores", "back.csv"), typed))
    assert read.returncode == said.returncode == 0, read.stderr
    assert read.stdout == said.stdout


def test_votes_decide_how_many_pictures_are_sent_and_the_page_and_the_table_say_so(shell, demo):
    words = ("rank", "demo/scores.csv", "--baseline", SAMPLE / "baseline.jpg", "--output", "votes.csv")
    done = shell(*words, "--votes", "125", "--report", "votes.html")
    assert done.returncode == 0, done.stderr
    assert "<- send these" in done.stdout
    table = pd.read_csv(shell.folder / "votes.csv")
    sent = int(table["selected"].sum())
    assert 1 <= sent <= 5  # of 6 that 125 votes pay for, the current photo is one
    assert (table["votes"] > 0).tolist() == table["selected"].tolist()
    assert table["votes"].sum() + table["votes"][0] in range(124, 128)  # the current photo gets as many
    said = next(line for line in done.stderr.splitlines() if "votes      send" in line).partition("votes      ")[2]
    page = (shell.folder / "votes.html").read_text("utf-8").replace("\N{NO-BREAK SPACE}", " ")
    assert f"S{said[1:]}." in page
    shell(*words, "--votes", "125", "--budget", "1")
    assert pd.read_csv(shell.folder / "votes.csv")["votes"].tolist()[:2] == [63, 0]
    few = shell(*words, "--votes", "39")
    assert few.returncode == 2
    assert "39 votes: one picture and your current photo need at least 40" in few.stderr


def test_goals_change_the_ranking(shell):
    for name, improve in (("a", "competence"), ("b", "likeability")):
        options = ("--improve", improve, "--keep", "", "--output", f"{name}.csv", "--baseline", SAMPLE / "baseline.jpg")
        assert shell("rank", "demo/scores.csv", *options).returncode == 0
    a, b = (pd.read_csv(shell.folder / f"{name}.csv") for name in "ab")
    assert a["image"].tolist() != b["image"].tolist()


def test_one_of_the_traits_is_enough_if_that_is_asked_for(shell, demo):
    words = ("rank", "demo/scores.csv", "--baseline", "competence=7,likeability=6,influence=7", "--output", "any.csv")
    joint = []
    for options in ((), ("--any-of",)):
        done = shell(*words, *options)
        assert done.returncode == 0, done.stderr
        joint.append(pd.read_csv(shell.folder / "any.csv").set_index("image")["p_better"].dropna().sort_index())
    assert (joint[1] >= joint[0]).all()
    assert joint[1].mean() > 1.1 * joint[0].mean()
    assert "competence or influence" in done.stderr


def test_gates_are_switched_and_say_in_the_table_what_they_exclude(shell, demo):
    def gates(*options):
        words = ("rank", "demo/scores.csv", "--baseline", SAMPLE / "baseline.jpg", "--output", "gated.csv")
        assert shell(*words, *options).returncode == 0
        table = pd.read_csv(shell.folder / "gated.csv", keep_default_na=False).set_index("image")
        assert ((table["gates"] != "") == (table["demoted"] != "")).all()
        return table["gates"].str.split(",")

    kinds = pd.read_csv(SAMPLE / "candidates_planted_truth.csv").set_index("image")["kind"]
    found = gates("--reference", SAMPLE / "candidates" / "002.jpg")
    assert all("person" in found[image] for image in kinds.index[kinds == "stranger"])
    assert sum("copies" in names for names in found) >= 3
    assert not any("copies" in names for names in gates("--no-gates", "copies"))
    assert {name for names in gates("--gates", "person") for name in names} == {"", "person"}
    done = shell("rank", "demo/scores.csv", "--baseline", "competence=5", "--no-gates", "nos", "--output", "x.csv")
    assert (done.returncode, "'nose'" in done.stderr) == (2, True)


def test_what_was_rejected_while_reviewing_is_not_sent(shell, demo):
    words = ("rank", "demo/scores.csv", "--baseline", SAMPLE / "baseline.jpg", "--output", "kept.csv")
    assert shell(*words).returncode == 0
    best, second = pd.read_csv(shell.folder / "kept.csv")["image"][:2]
    decided = shell.folder / "scores.decisions.csv"
    decided.write_text(f"image,decision,tags\n{best},reject,grin\n{second},keep,\ngone.jpg,reject,\n")
    done = shell(*words, "--decisions", decided)
    assert "1 of 3 kept or rejected pictures are not in demo/scores.csv" in done.stderr
    ranked = pd.read_csv(shell.folder / "kept.csv").set_index("image")
    assert ranked.loc[best, ["gates", "demoted", "selected"]].tolist() == ["rejected", "rejected by you", False]
    assert ranked["selected"].sum() == 3
    assert shell(*words, "--decisions", decided, "--no-gates", "all").returncode == 0
    assert not pd.read_csv(shell.folder / "kept.csv").set_index("image").loc[best, "selected"]
    assert shell(*words, "--decisions", decided, "--no-gates", "rejected").returncode == 2
    decided.write_text("image,verdict\na.jpg,reject\n")
    assert shell(*words, "--decisions", decided).returncode == 2


def test_evaluation_on_the_training_ratings_is_the_cross_validated_one(shell, demo):
    ratings = SAMPLE / "training" / "votes.csv"
    done = shell("evaluate", "--predictor", PREDICTOR, "--ratings", ratings, "--json", "evaluation.json")
    assert done.returncode == 0, done.stderr
    assert "cross-validated" in done.stderr
    written = json.loads((shell.folder / "evaluation.json").read_text())
    assert written == json.loads((demo / "models" / "sample" / "evaluation.json").read_text())


def test_an_evaluation_is_logged_with_its_learning_curve(shell, demo):
    ratings = SAMPLE / "candidates_votes.csv"
    options = ("--learning-curve", "--experiment", "trial", "--json", "evaluation.json")
    options += ("--images", SAMPLE / "candidates")
    done = shell("evaluate", "--predictor", PREDICTOR, "--ratings", ratings, *options)
    assert done.returncode == 0, done.stderr
    assert "at most 5" in done.stdout
    written = json.loads((shell.folder / "evaluation.json").read_text())
    assert [point["votes"] for point in written["learning_curve"]["by_votes"]] == [2, 5, 10, 20, None]
    run_id = re.search(r"MLflow +run (\w+) in", done.stderr)[1]
    document = next((shell.folder / "mlruns" / "artifacts" / "trial" / run_id).rglob("evaluation.json"))
    assert json.loads(document.read_text()) == written
    assert (document.parent / "figures" / "learning_curve.png").is_file()


def test_evaluation_leaves_out_what_was_trained_on(shell):
    votes = pd.read_csv(SAMPLE / "training" / "votes.csv")
    votes[votes["vote"] > 0].to_csv(shell.folder / "other.csv", index=False)
    images = SAMPLE / "training" / "images"
    done = shell("evaluate", "--predictor", PREDICTOR, "--ratings", "other.csv", "--images", images)
    assert "0 unseen pictures" in one_line(done, 1)


def test_pictures_in_a_moved_folder_are_found_in_the_cache(shell):
    shutil.copytree(SAMPLE / "candidates", shell.folder / "moved" / "deep")
    done = shell("score", "moved", "--predictor", PREDICTOR, "--output", "moved.csv")
    assert "0 decoded, 39 from the cache" in done.stderr
    assert pd.read_csv(shell.folder / "moved.csv")["image"].str.startswith("deep/").all()


def test_a_picture_has_the_same_scores_however_it_is_stored(shell, stored_ways):
    """Lossless to the last digit; a JPEG that is stored another way round is compressed otherwise (docs/tables.md)."""
    upright = np.asarray(Image.open(SAMPLE / "candidates" / "013.jpg").convert("RGB"))[:, 16:304]
    folder = shell.folder / "stored"
    folder.mkdir()
    for orientation, store in stored_ways.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = Image.fromarray(np.ascontiguousarray(store(upright)))
        stored.save(folder / f"{orientation}.png", exif=exif)
        stored.save(folder / f"{orientation}.jpg", exif=exif, quality=95, subsampling=0)
    done = shell("score", "stored", "--predictor", PREDICTOR, "--output", "stored.csv")
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(shell.folder / "stored.csv").set_index("image")
    lossless = table.loc[[f"{orientation}.png" for orientation in stored_ways]].drop(columns="content")
    assert ((lossless == lossless.iloc[0]) | lossless.isna()).all(axis=None)
    assert (lossless.isna() == lossless.iloc[0].isna()).all(axis=None)
    assert lossless.iloc[0][["width", "height"]].tolist() == [288, 320]
    scores = table[["competence", "likeability", "influence"]]
    jpegs = scores.loc[[f"{orientation}.jpg" for orientation in stored_ways]]
    assert (jpegs - jpegs.loc["1.jpg"]).abs().max(axis=None) < 0.3
    assert scores.std().max() < 0.3


def test_a_typo_in_an_option_is_a_usage_error_with_a_hint(shell):
    done = shell("score", SAMPLE / "candidates", "--predicter", PREDICTOR, "--output", "x.csv")
    assert done.returncode == 2
    assert "--predictor" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("score", "empty", "--predictor", PREDICTOR, "--output", "x.csv"), 3, "no pictures"),
        (("score", "nowhere", "--predictor", PREDICTOR, "--output", "x.csv"), 2, "nowhere"),
        (("score", "broken", "--predictor", PREDICTOR, "--output", "broken.csv"), 3, "none of the 1"),
        (("score", SAMPLE, "--predictor", "models/none", "--output", "x.csv"), 2, "no predictor there"),
        (("score", SAMPLE, "--predictor", PREDICTOR, "--output", "x.xlsx"), 2, ".parquet"),
        (("score", SAMPLE, "--predictor", "models:/nobody@champion", "--output", "x.csv"), 1, "no such model"),
        (("rank", "none.csv", "--baseline", "competence=5", "--output", "x.csv"), 2, "none.csv: no such file"),
        (("rank", SAMPLE, "--baseline", "competence=5", "--output", "x.csv"), 2, "sample: a folder without scores"),
        (("rank", "demo/scores.csv", "--baseline", "cheer=5", "--output", "x.csv"), 2, "cheer"),
        (("rank", "demo/scores.csv", "--baseline", "now.jpg", "--output", "x.csv"), 2, "now.jpg"),
        (
            ("rank", "demo/scores.csv", "--baseline", "competence=5", "--improve", "compotence", "--output", "x.csv"),
            2,
            "did you mean 'competence'",
        ),
        (("train", "--ratings", "none.csv", "--encoder", "bundled"), 2, "none.csv: no such file"),
        (("embed", "nowhere"), 2, "nowhere: no such file"),  # not that the weights of CLIP are missing
        (
            ("train", "--ratings", SAMPLE / "training" / "votes.csv", "--encoder", "bundeld"),
            2,
            "did you mean 'bundled'",
        ),
        (("train", "--ratings", SAMPLE / "training" / "votes.csv"), 1, "--encoder bundled"),
        (
            ("train", "--ratings", SAMPLE / "training" / "votes.csv", "--encoder", "bundled", "--traits", "a=charm"),
            2,
            "charm",
        ),
    ],
    ids=lambda value: " ".join(map(str, value))[:60] if isinstance(value, tuple) else None,
)
def test_bad_input_is_one_line_and_leaves_nothing_behind(shell, words, code, says):
    (shell.folder / "empty").mkdir(exist_ok=True)
    (shell.folder / "broken").mkdir(exist_ok=True)
    (shell.folder / "broken" / "a.jpg").write_bytes(b"no picture")
    assert says in one_line(shell(*words), code)
    assert not list(shell.folder.glob("x.*"))


def test_a_dash_writes_the_scores_to_standard_output_and_nothing_else(shell, demo):
    before = set(shell.folder.iterdir())
    done = shell("score", SAMPLE / "candidates", "--predictor", PREDICTOR, "--output", "-")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (demo / "scores.csv").read_text()
    assert "39 scored" in done.stderr
    assert set(shell.folder.iterdir()) == before


def test_what_is_left_of_two_folders_is_still_found_by_rank(shell, tmp_path):
    """And pictures that were let through with --tolerant keep their vectors when they are gone."""
    work = type(shell)(tmp_path, shell.cache)
    for folder, names in {"a": ("002", "003"), "b": ("027",)}.items():
        (tmp_path / folder).mkdir()
        for name in names:
            data = (SAMPLE / "candidates" / f"{name}.jpg").read_bytes()
            (tmp_path / folder / f"{name}.jpg").write_bytes(data[: len(data) - 400])
    predictor = shell.folder / PREDICTOR
    done = work("score", "a", "b", "--predictor", predictor, "--tolerant", "--output", "s.csv")
    assert "3 scored, 0 failed" in done.stderr
    shutil.rmtree(tmp_path / "b")
    rank = ("rank", "s.csv", "--baseline", SAMPLE / "baseline.jpg", "--output", "o.csv", "--report", "o.html")
    done = work(*rank)
    assert done.returncode == 0, done.stderr
    assert "cannot be found" not in done.stderr
    assert "1 of 3 pictures are no longer where they were scored" in done.stderr


def test_a_table_of_failures_is_still_written(shell):
    (shell.folder / "bad").mkdir()
    (shell.folder / "bad" / "zero.jpg").touch()
    done = shell("score", "bad", "--predictor", PREDICTOR, "--output", "bad.csv")
    assert done.returncode == 3
    table = pd.read_csv(shell.folder / "bad.csv")
    assert table["status"].tolist() == ["failed"]
    assert "empty" in table["reason"].iloc[0]
    assert "none of the 1 pictures could be scored: 1 empty; the first: empty file" in done.stderr


def test_what_failed_is_counted_by_kind_at_the_end_and_when_ranking(shell):
    (shell.folder / "mixed").mkdir()
    good = (SAMPLE / "candidates" / "001.jpg").read_bytes()
    for name, data in {"a.jpg": good, "b.jpg": good[:5000], "c.jpg": good[:6000], "d.png": b"no picture"}.items():
        (shell.folder / "mixed" / name).write_bytes(data)
    done = shell("score", "mixed", "--predictor", PREDICTOR, "--output", "mixed.csv")
    assert "1 scored, 3 failed: 1 unsupported format, 2 truncated" in done.stderr
    done = shell("embed", "mixed", "--encoder", "bundled")
    assert "1 from the cache, 3 failed: 1 unsupported format, 2 truncated" in done.stderr
    done = shell(
        "rank", "mixed.csv", "--baseline", "competence=5,likeability=5,influence=5", "--output", "mixed-rank.csv"
    )
    assert "no scores  3 of 4 pictures failed: 1 unsupported format, 2 truncated" in done.stderr


def test_a_changed_predictor_is_noticed_by_rank(shell, demo):
    shutil.copy(demo / "scores.csv", shell.folder / "foreign.csv")
    note = json.loads((demo / "scores.csv.meta.json").read_text())
    note["predictor_sha256"] = "0" * 64
    (shell.folder / "foreign.csv.meta.json").write_text(json.dumps(note))
    done = shell("rank", "foreign.csv", "--baseline", "competence=5,likeability=5,influence=5", "--output", "x.csv")
    assert "score the folder again" in one_line(done, 1)


def test_a_predictor_that_was_moved_away_is_asked_for(shell, demo):
    shutil.copy(demo / "scores.csv", shell.folder / "old.csv")
    note = json.loads((demo / "scores.csv.meta.json").read_text())
    (shell.folder / "old.csv.meta.json").write_text(json.dumps(note | {"predictor": str(shell.folder / "gone")}))
    words = ("rank", "old.csv", "--baseline", "competence=5,likeability=5,influence=5", "--output", "moved.csv")
    told = one_line(shell(*words), 1)
    assert told.startswith("prescreen: error: old.csv: the predictor that made it")
    assert "gone, is not there any more; say with --predictor where it is now" in told
    assert shell(*words, "--predictor", PREDICTOR).returncode == 0


def test_a_predictor_of_another_preprocessing_is_refused_before_anything_is_scored(shell, demo):
    copy = shell.folder / "old"
    shutil.copytree(demo / "models" / "sample", copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["encoder"]["preprocessing"] = "images 0"
    (copy / "manifest.json").write_text(json.dumps(manifest))
    done = shell("score", SAMPLE / "candidates", "--predictor", "old", "--output", "x.csv")
    assert "preprocessing (images 0)" in one_line(done, 1)


def test_doctor_names_the_encoders_and_the_places(shell):
    done = shell("doctor")
    assert done.returncode == 0, done.stderr
    assert "efficientnet-lite2" in done.stdout
    assert str(shell.cache) in done.stdout
    assert "sqlite:///" in done.stdout


def test_help_shows_every_verb_of_the_contract(shell):
    done = shell.process("--help")
    for verb in ("doctor", "train", "evaluate", "score", "rank", "demo"):
        assert f"\n  {verb} " in done.stdout


def test_a_predictor_that_scores_its_canaries_differently_is_told_and_noted(shell, demo):
    note = json.loads((demo / "scores.csv.meta.json").read_text())
    assert note["canaries"].startswith("canaries scored as at training")
    copy = shell.folder / "drifted"
    shutil.copytree(demo / "models" / "sample", copy)
    arrays = load_file(copy / "canaries.safetensors")
    arrays["raw"][1, 0] += 0.2  # as if it had scored so at training
    save_file(arrays, copy / "canaries.safetensors")
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"]["canaries.safetensors"] = file_sha256(copy / "canaries.safetensors")
    manifest["versions"]["pillow"] = "1.0"
    (copy / "manifest.json").write_text(json.dumps(manifest))
    done = shell("score", SAMPLE / "candidates", "--predictor", "drifted", "--output", "drifted.csv", "--quiet")
    assert done.returncode == 0, done.stderr
    (warning,) = done.stderr.splitlines()
    assert warning.startswith(
        "prescreen: warning: this predictor now scores its canaries differently: competence from "
    )
    assert "changed since: pillow from 1.0 to " in warning
    note = json.loads((shell.folder / "drifted.csv.meta.json").read_text())
    assert note["canaries"] in warning
    assert (shell.folder / "drifted.csv").read_bytes() == (demo / "scores.csv").read_bytes()
    again = shell("rank", "drifted.csv", "--baseline", SAMPLE / "baseline.jpg", "--output", "drifted-rank.csv")
    assert again.returncode == 0, again.stderr
    assert warning in again.stderr
    assert "differently" in shell("doctor", "--predictor", "drifted").stdout
    assert "as at training" in shell("doctor", "--predictor", PREDICTOR).stdout


PLACES = [
    (("--baseline", "now.jpg", "--output", "o.csv", "--report", "now.jpg"), "--report now.jpg: it is a page"),
    (("--baseline", "now.jpg", "--output", "o.csv", "--report", "r.pdf"), "ends in .html"),
    (("--baseline", "a=5", "--output", "s.csv"), "--output s.csv: would write over SCORES"),
    (("--baseline", "a=5", "--output", "linked.csv"), "--output linked.csv: would write over SCORES"),
    (("--baseline", "a=5", "--output", "d.csv", "--decisions", "d.csv"), "would write over --decisions"),
    (("--baseline", "now.csv", "--output", "now.csv"), "would write over --baseline"),
    (("--baseline", "a=5", "--output", "loop.csv"), "symbolic links"),
]


@pytest.mark.parametrize(("words", "says"), PLACES, ids=[" ".join(words[2:]) for words, _ in PLACES])
def test_no_result_takes_the_place_of_what_is_read(shell, demo, tmp_path, words, says):
    work = type(shell)(tmp_path, shell.cache)
    for name in ("scores.csv", "scores.csv.meta.json"):
        shutil.copy(demo / name, tmp_path / name.replace("scores", "s"))
    for name in ("now.jpg", "now.csv"):
        shutil.copy(SAMPLE / "baseline.jpg", tmp_path / name)
    (tmp_path / "d.csv").write_text("image,decision,tags\n027.jpg,reject,\n")
    (tmp_path / "linked.csv").symlink_to("s.csv")
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    levels = "competence=5,likeability=5,influence=5"
    done = work("rank", "s.csv", *(levels if word == "a=5" else word for word in words))
    assert says in one_line(done, 1 if "loop.csv" in words else 2)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
    for verb in (("score", "--predictor", demo / "models" / "sample"), ("embed", "--encoder", "bundled")):
        shutil.copy(SAMPLE / "baseline.jpg", tmp_path / "one.parquet")
        done = work(*verb, "one.parquet", "--output", "one.parquet")
        assert "--output one.parquet: would write over one.parquet" in one_line(done, 2)
    ratings = ("--ratings", SAMPLE / "training" / "votes.csv", "--json", "both", "--metrics", "both")
    done = work("evaluate", "--predictor", demo / "models" / "sample", *ratings)
    assert "--metrics both: would write over --json" in one_line(done, 2)


def test_no_result_becomes_a_part_of_the_scores(shell, demo, tmp_path):
    work = type(shell)(tmp_path, shell.cache)
    score = ("score", SAMPLE / "candidates", "--predictor", demo / "models" / "sample", "--output", "parts/")
    assert work(*score).returncode == 0
    rank = ("rank", "parts", "--baseline", "competence=5,likeability=5,influence=5", "--output")
    assert "would write over SCORES" in one_line(work(*rank, "parts/part-9.parquet"), 2)
    assert work(*rank, "shortlist.csv").returncode == 0


def test_a_near_copy_of_a_picture_whose_name_is_not_utf_8_says_so(shell, demo, tmp_path):
    work = type(shell)(tmp_path, shell.cache)
    (tmp_path / "two").mkdir()
    for name in ("\udce9.jpg", "z.jpg"):
        shutil.copy(SAMPLE / "candidates" / "027.jpg", tmp_path / "two" / name)
    assert work("score", "two", "--predictor", demo / "models" / "sample", "--output", "s.csv").returncode == 0
    done = work("rank", "s.csv", "--baseline", SAMPLE / "baseline.jpg", "--output", "o.csv", "--report", "o.html")
    assert done.returncode == 0, done.stderr
    assert "excluded   1 of 2 pictures: copies 1" in done.stderr
    assert "\\udce9.jpg" in (tmp_path / "o.csv").read_text()


def test_a_word_that_is_no_decision_is_named(shell, demo, tmp_path):
    (tmp_path / "d.csv").write_text("image,decision,tags\n027.jpg,rejected,\n")
    words = ("--baseline", SAMPLE / "baseline.jpg", "--output", "x.csv", "--decisions", tmp_path / "d.csv")
    assert "decision 'rejected' of '027.jpg', expected keep" in one_line(shell("rank", "demo/scores.csv", *words), 2)
