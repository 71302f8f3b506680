import os

import pytest

from prescreen.ranking.stopping import Advice
from prescreen.reports.summarize import Counts, Failure


def test_shortlist_is_what_was_selected_and_every_picture_is_somewhere(summary):
    made = summary()
    assert [card.image for card in made.shortlist] == ["best.jpg", "good.jpg"]
    assert {card.image for card in made.candidates} | {failure.image for failure in made.failures} == {
        "best.jpg", "copy.jpg", "good.jpg", "mixed.jpg", "low.jpg", "broken.jpg",
    }  # fmt: skip
    assert [card.rank for card in made.candidates] == [1, 2, 3, 4, 5]


def test_counts(summary):
    assert summary().counts == Counts(given=6, scored=5, failed=1, excluded=1, likely=2)


def test_failures_keep_their_reason_and_excluded_cards_theirs(summary):
    made = summary()
    assert made.failures == (Failure("broken.jpg", "no face </script><script>alert(1)</script>"),)
    copy = next(card for card in made.candidates if card.image == "copy.jpg")
    assert copy.excluded_because == "near-copy of best.jpg"


def test_a_card_tells_each_trait_against_the_baseline(summary):
    competence, likeability, _ = summary().shortlist[0].traits
    assert (competence.trait, competence.role) == ("competence", "improve")
    assert (likeability.trait, likeability.role) == ("likeability", "keep")
    assert (competence.value.score, competence.value.low, competence.value.high) == (9.0, 8.0, 9.5)
    assert competence.change == pytest.approx(3.0)
    assert competence.chance > summary().shortlist[0].p_better


def test_the_headline_names_the_pictures_and_the_verdict_says_the_chance_of_any_with_its_range(summary):
    made = summary()
    assert made.headline == "Test best.jpg and good.jpg"
    assert made.verdict.startswith(
        "Test these 2 pictures: the chance that at least one beats your current photo is 80 % (60 % to 90 %). "
        "To beat it means better on competence and influence without losing likeability. Each alone has a chance of "
    )
    assert "chosen together" not in made.verdict


def test_why_one_with_a_higher_chance_is_left_out_is_said_where_it_happens(summary):
    made = summary({"low.jpg": (4.0, 4.0, 4.0), "high.jpg": (9.0, 9.0, 9.0)}, chosen=["low.jpg"])
    assert "one with a higher chance alone can be left out" in made.verdict


@pytest.mark.parametrize(
    ("advice", "headline"),
    [
        (Advice(1, 0.02, 0.01, 0.05), "Keep your current photo"),
        (Advice(1, 0.05, 0.01, 0.5), "Not enough is known to tell"),
        (Advice(1, 0.9, 0.8, 0.95, "not usable for influence: r"), "The predictor is not usable for these goals"),
    ],
)
def test_testing_is_not_advised_where_nothing_is_likely_to_be_better(summary, advice, headline):
    made = summary({"low.jpg": (4.0, 4.0, 4.0)}, advice=advice)
    assert made.headline == headline
    assert made.verdict.startswith(advice.describe())


def test_no_chance_is_said_by_a_predictor_that_cannot_be_used(summary):
    made = summary(advice=Advice(2, 0.9, 0.8, 0.95, "not usable for influence: r -0.10 on 40 pictures, not above 0"))
    assert made.verdict.startswith("The predictor is not usable for influence: r -0.10 on 40 pictures, not above 0. ")
    assert "%" not in made.verdict
    assert len(made.shortlist) == 2


def test_nothing_to_test_is_said(summary):
    for made in (summary({"broken.jpg": None}), summary({"copy.jpg": (9.0, 9.0, 9.0)})):
        assert made.headline == "Keep your current photo"
        assert made.verdict == "Keep your current photo: no picture is left to test."


def test_names_too_long_for_a_headline_are_counted_instead(summary):
    made = summary({60 * "a" + ".jpg": (9.0, 8.0, 8.0), 60 * "b" + ".jpg": (9.0, 8.0, 8.0)})
    assert made.headline == "Test the 2 pictures below"


def test_a_headline_of_odd_names_can_be_printed(summary):
    made = summary({os.fsdecode(b"\xff\n.jpg"): (9.0, 8.0, 8.0)})
    assert made.headline == "Test \\udcff\\n.jpg"


def test_the_field_counts_every_scored_picture_once(summary):
    field = summary().field[0]
    assert sum(field.counts) == 5
    assert field.above == 4
    assert field.shortlist == (9.0, 8.0)


def test_many_failures_are_a_warning(summary):
    assert summary().warning.startswith("1 of 6 pictures could not be scored")
    assert summary({"best.jpg": (9.0, 8.5, 8.0)}).warning == ""


def test_near_copies_name_the_better_one(summary):
    cards = {card.image: card for card in summary().candidates}
    assert cards["copy.jpg"].duplicate_of == "best.jpg"
    assert cards["copy.jpg"].checks == ("a near-copy of a better candidate",)
    assert cards["best.jpg"].checks == ()
