import os

import pytest

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


def test_the_headline_names_the_pictures_and_the_verdict_their_chances(summary):
    made = summary()
    assert made.headline == "Send best.jpg and good.jpg"
    assert made.verdict.startswith(
        "Chance of each to beat your current photo on competence and influence without losing likeability: "
    )
    assert "fall short" not in made.verdict


def test_unlikely_candidates_are_called_so(summary):
    made = summary({"low.jpg": (4.0, 4.0, 4.0)})
    assert made.headline == "If any, send low.jpg"
    assert "It is more likely to fall short" in made.verdict


def test_nothing_to_send_is_said(summary):
    assert summary({"broken.jpg": None}).headline == "Nothing to send"
    assert summary({"copy.jpg": (9.0, 9.0, 9.0)}).headline == "Nothing to send"


def test_names_too_long_for_a_headline_are_counted_instead(summary):
    made = summary({60 * "a" + ".jpg": (9.0, 8.0, 8.0), 60 * "b" + ".jpg": (9.0, 8.0, 8.0)})
    assert made.headline == "Send the 2 pictures below"


def test_a_headline_of_odd_names_can_be_printed(summary):
    made = summary({os.fsdecode(b"\xff\n.jpg"): (9.0, 8.0, 8.0)})
    assert made.headline == "Send \\udcff\\n.jpg"


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
