import re

import choix
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from prescreen.errors import PrescreenError
from prescreen.ratings.other_columns import with_auxiliary
from prescreen.ratings.pairs import Pairs, pair_ratings, split_half_reliability, strengths, win_chances
from prescreen.ratings.rater_checks import one_sided
from prescreen.ratings.reading import read_ratings
from prescreen.ratings.reliability import reliability
from prescreen.ratings.results import read_results
from simulated_crowd import simulated_pairs


def test_strengths_are_those_of_bradley_and_terry():
    _, pairs, _ = simulated_pairs(1, n_images=40, n_raters=10, per_rater=40)
    answers = list(zip(pairs.better.tolist(), pairs.worse.tolist(), strict=True))
    reference = choix.opt_pairwise(40, answers, alpha=0.5)  # its penalty is alpha times the square, half the prior's
    np.testing.assert_allclose(strengths(pairs), reference, atol=1e-4)


def test_ratings_are_chances_and_beat_shares_of_wins():
    gains = []
    for seed in range(6):
        quality, pairs, _ = simulated_pairs(seed, n_images=60, n_raters=8, per_rater=40)
        rated = pair_ratings(pairs)
        wins = np.bincount(pairs.better, minlength=60) / np.maximum(pairs.counts(), 1)
        known = np.isfinite(rated.means)
        assert rated.means[known].mean() == pytest.approx(0.5)
        assert 0 < rated.means[known].min() < rated.means[known].max() < 1
        gains.append(np.corrcoef(rated.means[known], quality[known])[0, 1] - np.corrcoef(wins, quality)[0, 1])
    assert np.mean(gains) > 0.01


def test_three_pictures_by_hand():
    """Nobody beats the first, each of the others beats nobody else: the two are alike."""
    pairs = Pairs(np.array([0, 0, 0, 0]), np.array([1, 2, 1, 2]), np.arange(4), 3)
    found = strengths(pairs)
    gap = found[0] - found[1]
    assert found[1] == pytest.approx(found[2])
    assert found[0] == pytest.approx(4 / (1 + np.exp(gap)), abs=1e-4)  # the prior's pull is the strength itself
    first, second, third = win_chances(found)
    assert first == pytest.approx(1 / (1 + np.exp(-gap)))
    assert second == third == pytest.approx(((1 - first) + 0.5) / 2)


@pytest.mark.parametrize(("n_raters", "per_rater"), [(30, 60), (16, 60)])
def test_the_reliability_claimed_is_the_true_one(n_raters, per_rater):
    claimed, true = [], []
    for seed in range(10):
        quality, pairs, _ = simulated_pairs(seed, n_raters=n_raters, per_rater=per_rater)
        rated = pair_ratings(pairs)
        known = np.isfinite(rated.means)
        found = reliability(rated.means[known], rated.stds[known], rated.votes[known])
        assert found.of_mean == pytest.approx(split_half_reliability(pairs), abs=0.08)
        claimed.append(found.of_mean)
        true.append(np.corrcoef(rated.means[known], quality[known])[0, 1] ** 2)
    assert np.mean(claimed) == pytest.approx(np.mean(true), abs=0.07)


@pytest.mark.parametrize("per_rater", [[300] + 5 * [20], 2 * [120] + 10 * [10], [300, 20, 20]])
def test_the_reliability_claimed_is_the_true_one_where_some_raters_answer_far_more(per_rater):
    claimed, true = [], []
    for seed in range(20):
        quality, pairs, _ = simulated_pairs(seed, n_raters=len(per_rater), per_rater=per_rater)
        means = pair_ratings(pairs).means
        known = np.isfinite(means)
        claimed.append(split_half_reliability(pairs))
        true.append(np.corrcoef(means[known], quality[known])[0, 1] ** 2)
    assert np.mean(claimed) == pytest.approx(np.mean(true), abs=0.08)


def test_a_second_rater_with_a_handful_of_answers_does_not_tell_how_reliable_the_ratings_are():
    _, pairs, _ = simulated_pairs(0, n_raters=2, per_rater=[300, 5])
    assert np.isnan(split_half_reliability(pairs))
    assert np.isnan(pair_ratings(pairs).stds).all()


def test_answers_by_chance_are_not_reliable_and_one_rater_alone_says_nothing_of_it():
    _, pairs, _ = simulated_pairs(3, agree=1e9)
    assert split_half_reliability(pairs) < 0.3
    alone = Pairs(pairs.better, pairs.worse, np.zeros_like(pairs.raters), pairs.n_images)
    rated = pair_ratings(alone)
    assert np.isnan(rated.stds).all()
    assert np.isfinite(rated.means).all()
    assert reliability(rated.means, rated.stds, rated.votes).of_mean is None


def test_pictures_that_nothing_leads_to_are_not_rated():
    pairs = Pairs(np.array([0, 1, 2, 3]), np.array([1, 2, 0, 4]), np.arange(4), 6)
    rated = pair_ratings(pairs)
    np.testing.assert_array_equal(np.isfinite(rated.means), [True, True, True, False, False, False])
    np.testing.assert_allclose(rated.means[:3], 0.5, atol=1e-6)  # each was better once and worse once
    np.testing.assert_array_equal(rated.votes, [2, 2, 2, 1, 1, 0])


def test_who_answers_by_the_side_is_found_and_honest_raters_are_not():
    _, pairs, left = simulated_pairs(5, n_raters=200, per_rater=40)
    assert not one_sided(pairs.raters, left, 200).any()
    left[pairs.raters == 7] = True
    left[np.flatnonzero(pairs.raters == 8)[:38]] = False
    left[np.flatnonzero(pairs.raters == 8)[38:]] = True
    assert np.flatnonzero(one_sided(pairs.raters, left, 200)).tolist() == [7, 8]
    assert not one_sided(pairs.raters, np.ones_like(left), 200).any()  # somebody put the better ones there


class TestFiles:
    @pytest.fixture
    def place(self, tmp_path):
        for n in range(60):
            Image.new("RGB", (8, 8), (n, 0, 0)).save(tmp_path / f"{n:03d}.jpg")
        return tmp_path

    @pytest.fixture
    def table(self):
        return self.answers()

    def answers(self, **options):
        _, pairs, left = simulated_pairs(2, **options)
        return pd.DataFrame(
            {
                "better": [f"{n:03d}.jpg" for n in pairs.better],
                "worse": [f"{n:03d}.jpg" for n in pairs.worse],
                "side": np.where(left, "left", "right"),
                "trait": "competence",
                "rater": [f"r{n:02d}" for n in pairs.raters],
            }
        )

    def read(self, place, table, **options):
        table.to_csv(place / "pairs.csv", index=False)
        return read_ratings(place / "pairs.csv", images_dir=place, **options)

    def test_a_ballot_of_pairs(self, place, table):
        rated = self.read(place, table)
        _, pairs, _ = simulated_pairs(2)
        expected = pair_ratings(pairs)
        np.testing.assert_allclose(rated.wide()["competence"], expected.means)
        assert rated.format == "pairs"
        assert rated.method == "bradley-terry"
        assert str(rated.scale) == "0:1"
        assert rated.votes()["competence"].sum() == 2 * len(table)
        assert rated.reliability["competence"].of_mean == pytest.approx(split_half_reliability(pairs), abs=0.02)
        assert rated.reliability["competence"].icc1 is None
        noise = rated.sampling_variance()["competence"]
        assert (1 - noise.mean() / rated.wide()["competence"].var()) == pytest.approx(
            split_half_reliability(pairs), abs=0.02
        )
        assert rated.crowd.raters == 30
        assert rated.notes == ()

    def test_tables_of_other_tools_say_the_same(self, place, table):
        first = self.read(place, table).wide()
        plain = table.rename(columns={"better": "Winner", "worse": "Loser", "rater": "worker_id"})
        rated = self.read(place, plain.drop(columns=["trait", "side"]), traits={"competence": "competence"})
        pd.testing.assert_frame_equal(rated.wide(), first)
        assert rated.notes == ("columns    worker_id is the rater, Winner is the better, Loser is the worse",)
        on_left = table["side"] == "left"
        sides = table[["trait", "rater"]].assign(
            left=table["better"].where(on_left, table["worse"]),
            right=table["worse"].where(on_left, table["better"]),
            choice=table["side"].where(table.index % 2 == 0, table["better"]),
        )
        pd.testing.assert_frame_equal(self.read(place, sides).wide(), first)

    def test_ties_are_left_out_and_said(self, place, table):
        sides = table.rename(columns={"better": "left", "worse": "right"}).drop(columns="side").assign(choice="left")
        more = sides.head(3).assign(choice=["tie", "", "Equal"], rater="x")
        rated = self.read(place, pd.concat([sides, more]))
        assert rated.notes == ("ignored    3 rows without a choice",)
        assert rated.votes()["competence"].sum() == 2 * len(table)

    def test_pictures_that_are_not_connected_are_left_out_and_said(self, place, table):
        inside = table[(table["better"] < "057.jpg") & (table["worse"] < "057.jpg")]
        lone = table.head(2).assign(better=["057.jpg", "058.jpg"], worse=["058.jpg", "059.jpg"], rater="x")
        rated = self.read(place, pd.concat([inside, lone]))
        assert len(rated.table) == 57
        assert any("3 ratings left out: nobody compared" in note for note in rated.notes)

    def test_a_rater_who_always_picks_left_is_named_and_can_be_left_out(self, place, table):
        turned = table["rater"].eq("r04") & table["side"].eq("right")
        swapped = table.copy()
        swapped.loc[turned, ["better", "worse"]] = table.loc[turned, ["worse", "better"]].to_numpy()
        swapped.loc[turned, "side"] = "left"
        rated = self.read(place, swapped)
        assert rated.crowd.describe() == (
            "raters     1 of 30 gives no information: r04 on competence (60 of 60 answers are the picture on the left)",
            "           --leave-out-raters trains without these answers",
        )
        without = self.read(place, swapped, leave_out_raters=True)
        assert "raters     60 of 1800 answers left out" in without.notes
        np.testing.assert_allclose(without.wide(), self.read(place, table[table["rater"] != "r04"]).wide())

    def test_a_rater_in_reverse_is_named(self, place):
        table = self.answers(agree=0.7)
        turned = table["rater"] == "r04"
        swapped = table.copy()
        swapped.loc[turned, ["better", "worse"]] = table.loc[turned, ["worse", "better"]].to_numpy()
        (line, _) = self.read(place, swapped).crowd.describe()
        assert re.match(r"raters     1 of 30 answers in reverse: r04 on competence \(60 answers, r -0", line)

    @pytest.mark.parametrize(
        ("changed", "says"),
        [
            ({"worse": "same"}, r"row 2: image '\d+.jpg' is compared with itself"),
            ({"worse": ""}, "row 2: worse is blank; expected the name of a picture"),
            ({"worse": "gone.jpg"}, "gone.jpg"),
            ({"trait": ""}, "row 2: the trait is blank"),
        ],
    )
    def test_a_wrong_cell_is_named(self, place, table, changed, says):
        for column, value in changed.items():
            table.loc[0, column] = table.loc[0, "better"] if value == "same" else value
        with pytest.raises(PrescreenError, match=says):
            self.read(place, table)

    def test_a_second_answer_of_a_rater_is_refused_also_the_other_way_round(self, place, table):
        again = table.iloc[[0]].rename(columns={"better": "worse", "worse": "better"})
        for second in (table.iloc[[0]], again):
            with pytest.raises(PrescreenError, match="row 1802: a second answer of the same rater about image"):
                self.read(place, pd.concat([table, second]))
        assert self.read(place, pd.concat([table, again.assign(rater="x")])).crowd.raters == 31

    def test_without_raters_each_answer_counts_as_somebody_elses(self, place, table):
        rated = self.read(place, table.drop(columns=["rater", "side"]))
        assert rated.reliability["competence"].of_mean > 0.5
        table.loc[:9, "rater"] = ""
        (note,) = self.read(place, table).notes
        assert note == "raters     10 answers without a rater: each counts as a rater of its own"

    def test_what_has_no_meaning_for_pairs_is_refused(self, place, table):
        from prescreen.ratings.scale import Scale

        with pytest.raises(PrescreenError, match="--scale 0:3: .*which of two pictures is better"):
            self.read(place, table, scale=Scale(0, 3))
        with pytest.raises(PrescreenError, match="pairs but no column trait"):
            self.read(place, table.drop(columns="trait"))
        sides = table.rename(columns={"better": "left", "worse": "right"}).assign(choice="up")
        with pytest.raises(PrescreenError, match="row 2: choice 'up' is neither left nor right.*; write left or right"):
            self.read(place, sides)
        self.read(place, table)
        with pytest.raises(PrescreenError, match="which of two pictures is better, but not how good"):
            read_results(place / "pairs.csv", ["competence"], [], where="scores.csv")

    def test_other_traits_of_the_file_are_learned_from(self, place, table):
        rated = self.read(place, pd.concat([table, table.assign(trait="warmth")]), traits={"competence": "competence"})
        with_others = with_auxiliary(rated, {"competence": "competence"})
        assert list(with_others.auxiliary.columns) == ["warmth"]
        wins = table["better"].value_counts().reindex(with_others.auxiliary.index, fill_value=0)
        shares = wins / rated.votes()["competence"]
        np.testing.assert_allclose(with_others.auxiliary["warmth"], shares)
