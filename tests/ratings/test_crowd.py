"""Raters of a file: who is named and why, and what reading does without their votes."""

import numpy as np
import pandas as pd
import pytest

from prescreen.errors import RatingsError
from prescreen.ratings.crowd import SHOWN, Crowd, RaterFinding
from prescreen.ratings.reading import read_ratings
from prescreen.ratings.scale import Scale
from simulated_crowd import simulated_votes


def crowd_file(folder, traits, seed=0, n_images=100, n_raters=24, high=10):
    """Write votes of raters who all see all pictures; ``traits`` has planted kinds {rater number: kind} of each trait.

    Returns the file and the planted qualities, pictures in rows.
    """
    for number in range(n_images):
        (folder / f"{number:03}.jpg").touch()
    parts, qualities = [], []
    for place, (trait, planted) in enumerate(traits.items()):
        quality, images, raters, votes, _ = simulated_votes(
            [seed, place], {}, n_images=n_images, per_rater=n_images, n_raters=n_raters, high=high
        )
        for rater, kind in planted.items():
            own = raters == rater
            flat = np.full(own.sum(), high // 2)
            random = np.random.default_rng([seed, rater]).integers(0, high + 1, own.sum())
            votes[own] = {"same": flat, "reversed": high - votes[own], "random": random}[kind]
        names = [f"{image:03}.jpg" for image in images]
        parts.append(pd.DataFrame({"image": names, "trait": trait, "vote": votes, "rater": raters}))
        qualities.append(quality)
    frame = pd.concat(parts)
    frame["rater"] = "worker " + frame["rater"].astype(str)
    frame.to_csv(folder / "votes.csv", index=False)
    return folder / "votes.csv", np.transpose(qualities)


def read(file, high=10, **options):
    return read_ratings(file, scale=Scale(0, high), **options)


@pytest.mark.parametrize("high", [3, 100])
def test_a_straight_liner_in_one_trait_is_named_there_and_heard_elsewhere(tmp_path, high):
    file, _ = crowd_file(tmp_path, {"smart": {3: "same"}, "kind": {}}, high=high)
    found = read(file, high)
    assert [(one.rater, one.trait, one.kind) for one in found.crowd.findings] == [("worker 3", "smart", "same")]
    without = read(file, high, leave_out_raters=True)
    votes = without.votes()
    assert (votes["smart"] == 23).all()
    assert (votes["kind"] == 24).all()
    np.testing.assert_array_equal(without.wide()["kind"], found.wide()["kind"])


def test_whoever_is_at_random_in_all_traits_is_found_over_all_of_them(tmp_path):
    traits = {name: {3: "random", 5: "reversed"} for name in ("smart", "kind", "bold", "calm")}
    file, _ = crowd_file(tmp_path, traits)
    found = {one.rater: one for one in read(file).crowd.findings}
    assert set(found) == {"worker 3", "worker 5"}
    assert (found["worker 3"].trait, found["worker 3"].kind, found["worker 3"].votes) == ("", "random", 400)
    assert found["worker 5"].kind == "reversed"
    assert (read(file, leave_out_raters=True).votes() == 22).all(axis=None)


def test_a_rater_who_mistook_one_of_three_scales_stays_in_the_others(tmp_path):
    file, _ = crowd_file(tmp_path, {"smart": {}, "kind": {7: "reversed"}, "bold": {}})
    (found,) = read(file).crowd.findings
    assert (found.rater, found.trait, found.kind) == ("worker 7", "kind", "reversed")
    assert (read(file, leave_out_raters=True).votes() == [24, 23, 24]).all(axis=None)


def test_leaving_out_is_said_with_its_numbers_and_changes_neither_fingerprint_nor_pictures(tmp_path):
    file, _ = crowd_file(tmp_path, {"smart": {3: "same", 4: "reversed"}})
    before, after = read(file), read(file, leave_out_raters=True)
    assert "raters     200 of 2400 votes left out" in after.notes
    assert not any("left out" in note for note in before.notes)
    assert before.fingerprint == after.fingerprint
    assert list(before.wide().index) == list(after.wide().index)
    assert before.crowd.describe()[-1].endswith("--leave-out-raters trains without these votes")
    assert after.crowd.describe()[-1].endswith("their votes were left out")


def test_a_picture_that_only_a_straight_liner_rated_is_said_to_go(tmp_path):
    file, _ = crowd_file(tmp_path, {"smart": {3: "same"}})
    votes = pd.read_csv(file)
    votes[(votes["image"] != "000.jpg") | (votes["rater"] == "worker 3")].to_csv(file, index=False)
    before = read(file)
    assert "000.jpg" not in before.wide().index
    assert "raters     1 rating left out: all votes are from raters who always give the same vote" in before.notes
    after = read(file, leave_out_raters=True)
    assert "000.jpg" not in after.wide().index
    assert "raters     100 of 2377 votes left out, and 1 picture that nobody else rated" in after.notes


def test_honest_raters_are_neither_named_nor_left_out(tmp_path):
    file, _ = crowd_file(tmp_path, {"smart": {}, "kind": {}})
    before, after = read(file), read(file, leave_out_raters=True)
    assert before.crowd == Crowd(24)
    assert before.crowd.describe() == ()
    assert "raters     none stands out, no votes are left out" in after.notes
    pd.testing.assert_frame_equal(before.table, after.table)


def test_straight_liners_do_not_raise_the_reliability(tmp_path):
    planted = dict.fromkeys(range(6), "same")
    claimed, true = [], []
    for seed in range(4):
        folder = tmp_path / str(seed)
        folder.mkdir()
        file, quality = crowd_file(folder, {"smart": planted}, seed=seed)
        votes = pd.read_csv(file).sample(frac=0.3, random_state=seed)  # few votes a picture, so that noise counts
        votes.to_csv(file, index=False)
        found = read(file)
        claimed.append(found.reliability["smart"].of_mean)
        rows = [int(name[:3]) for name in found.wide().index]
        true.append(np.corrcoef(found.wide()["smart"], quality[rows, 0])[0, 1] ** 2)
    assert np.mean(claimed) == pytest.approx(np.mean(true), abs=0.035)


def test_raters_without_a_name_and_missing_votes_are_no_trouble(tmp_path):
    file, _ = crowd_file(tmp_path, {"smart": {3: "same"}, "kind": {}})
    votes = pd.read_csv(file).sample(frac=0.8, random_state=0)
    votes.loc[votes["rater"] == "worker 9", "rater"] = ""
    votes.to_csv(file, index=False)
    found = read(file)
    assert found.crowd.raters == 23
    assert [one.rater for one in found.crowd.findings] == ["worker 3"]
    assert np.isfinite(found.wide()).all(axis=None)


def test_without_raters_nobody_is_named(tmp_path):
    file, _ = crowd_file(tmp_path, {"smart": {3: "same"}})
    votes = pd.read_csv(file)
    votes.drop(columns="rater").to_csv(file, index=False)
    assert read(file, leave_out_raters=True).crowd.describe() == ()
    votes[votes["rater"] == "worker 5"].to_csv(file, index=False)  # a lone rater
    assert read(file).crowd == Crowd(1)


def test_too_few_pictures_without_them_is_an_error(tmp_path):
    file, _ = crowd_file(tmp_path, {"smart": {3: "same"}})
    votes = pd.read_csv(file)
    few = votes["image"] < "009.jpg"
    votes[few | (votes["rater"] == "worker 3")].to_csv(file, index=False)
    with pytest.raises(RatingsError, match="'smart' is rated on 9 pictures"):
        read(file)
    # The others' nine votes are enough to compare them, nine pictures too few to learn from.
    with pytest.raises(RatingsError, match="'smart' is rated on 9 pictures"):
        read(file, leave_out_raters=True)


def test_noise_of_raters_own_is_said_to_be_the_method(tmp_path):
    file, _ = crowd_file(tmp_path, {"smart": {2: "random", 3: "random", 4: "reversed", 5: "random"}, "kind": {}})
    assert read(file).method == "own noise"
    file, _ = crowd_file(tmp_path, {"smart": {}, "kind": {}})
    assert read(file).method == "two-way"


def test_lines_are_few_and_printable():
    many = [RaterFinding(f"w{number}\x1b[2J", "kind", "same", 40, 2.0, 0.5) for number in range(SHOWN + 3)]
    other = [RaterFinding("w90", trait, "reversed", 40, -0.524, 0.5) for trait in ("kind", "smart")]
    lines = Crowd(41, (*many, *other)).describe()
    assert lines[0].startswith("raters     7 of 41 give no information: w0\\x1b[2J on kind (all 40 votes are 2), ")
    assert lines[0].endswith(", and 3 more")
    assert lines[1] == (
        "raters     1 of 41 votes in reverse: w90 on kind (40 votes, r -0.52, usually 0.50; on 1 more trait)"
    )
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)
