import re
from dataclasses import replace

import pytest

from prescreen.encoders import EncoderSpecification
from prescreen.encoders.bundled import FACE
from prescreen.evaluation.metrics import Estimate
from prescreen.evaluation.noise_ceiling import NoiseCeiling
from prescreen.evaluation.report import Evaluation, Overall, TraitEvaluation
from prescreen.predictor.manifest import Manifest
from prescreen.reports.model_card import model_card, summary

TRAIT = "a|b <i>*c*</i> `d` [e](f) _g_"


@pytest.fixture
def manifest():
    data = {"source": "v`o`tes.csv", "sha256": "ab", "images": 12, "columns": {TRAIT: TRAIT}}
    encoder = EncoderSpecification(name="face", members=(FACE,))
    nothing = {"icc1": None, "votes_per_image": None, "of_mean": None}
    return Manifest("mine", encoder, (TRAIT,), "0:10", True, data, {TRAIT: nothing}, 0, False, {"numpy": "2"})


def test_what_is_not_known_is_called_that_and_left_out_of_the_sentence(manifest):
    text = summary(manifest, Evaluation(n=40, traits=(TraitEvaluation(TRAIT, 40, pearson=Estimate(0.5)),)))
    assert text.startswith(
        "Mean r unknown, cross-validated. Encoder `face`, 12 portraits, votes from `` v`o`tes.csv ``."
    )
    assert "| 0.500 | unknown | unknown | unknown | unknown (unknown) | unknown |" in text
    assert "| unknown | unknown | unknown |" in model_card(manifest, text, {}).partition("Reliability")[2]
    assert not re.search(r"None|nan|\[-", text)


def test_known_figures_are_in_the_first_sentence(manifest):
    limits = NoiseCeiling(highest_r=0.9, r_share=Estimate(0.62), votes=Estimate(4.2, 1.0))
    overall = Overall(1, Estimate(0.56, 0.41, 0.68), r_share=Estimate(0.62), votes=Estimate(4.2, 1.0))
    trait = TraitEvaluation(TRAIT, 40, Estimate(0.56, 0.41, 0.68), ceiling=limits)
    text = summary(manifest, Evaluation(40, 40, overall, (trait,)))
    said = "Mean r 0.560 [0.410, 0.680], cross-validated; 62 % of what the raters' noise leaves possible; "
    assert text.startswith(f"{said}a prediction is worth 4.2 [1.0, no limit] votes. ")


def test_a_predictor_that_cannot_be_used_is_called_that_first_with_the_reason_of_each_trait(manifest):
    good, bad = TraitEvaluation("warm", 40, Estimate(0.5)), TraitEvaluation(TRAIT, 40, Estimate(-0.1))
    text = summary(manifest, Evaluation(n=40, traits=(bad,)))
    assert text.startswith("**Not usable.** Mean r")
    assert "_g\\_: r -0.10 on 40 pictures, not above 0" in text
    text = summary(manifest, Evaluation(n=40, traits=(good, bad)))
    assert text.startswith("Mean r")
    assert "not above 0" in text
    assert "Not usable" not in summary(manifest, Evaluation(n=40, traits=(good,)))


def test_no_name_breaks_a_table(manifest):
    name = r"a\|b &lt;i&gt;\*c\*&lt;/i&gt; \`d\` \[e\](f) \_g\_"
    card = model_card(
        replace(manifest, name="x\n# y"), summary(manifest, Evaluation(traits=(TraitEvaluation(TRAIT, 12),))), {}
    )
    assert card.count(f"| {name} |") == 2
    for line in card.splitlines():
        if line.startswith(f"| {name}"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (5, 8)
    assert "\n# " not in card


def test_bases_and_what_is_known_of_their_licences_are_on_the_card(manifest):
    base = replace(manifest, name="faces", data=manifest.data | {"format": "omi", "source": "ratings.zip"})
    between = replace(manifest, simulated=True, data=manifest.data | {"bases": [base.as_base("aa")]})
    top = replace(manifest, data=manifest.data | {"bases": [between.as_base("bb")]})
    assert Manifest.from_json(top.to_json()) == top
    card = model_card(top, "", {}).partition("## Bases")[2].partition("## What it holds")[0]
    rows = [line for line in card.splitlines() if line.startswith("| mine")]
    assert "simulated" in rows[0]
    assert rows[0].endswith("| bb |")
    assert rows[1].startswith("| mine, based on faces |")
    assert "CC BY-NC-SA" in rows[1]
    assert "Known licences: CC BY-NC-SA 4.0" in card
    assert "from `` v`o`tes.csv ``, on top of `mine`." in summary(top, Evaluation())
    assert "## Bases" not in model_card(manifest, "", {})
    assert "| licence | CC BY-NC-SA" in model_card(base, "", {})
    with pytest.raises((LookupError, TypeError)):
        Manifest.from_json(replace(manifest, data=manifest.data | {"bases": [{"name": "faces"}]}).to_json())


def test_figures_that_may_be_too_high_for_new_persons_are_called_that(manifest):
    known = replace(manifest, data=manifest.data | {"known_to_bases": 7})
    said = (
        "7 of its portraits look like persons of whom a base has seen other pictures: for new persons the figures may"
    )
    assert said in summary(known, Evaluation())
    assert "for new persons" not in summary(manifest, Evaluation())
    with pytest.raises(TypeError, match="known_to_bases"):
        Manifest.from_json(replace(manifest, data=manifest.data | {"known_to_bases": "7"}).to_json())


def test_a_manifest_loads_without_what_older_ones_do_not_say_of_other_rating_files(manifest):
    older = manifest.as_base("")
    newer = older | {"scale": "1:7", "columns": {"warm": "Q1"}, "raters_left_out": 2}
    for other in (older, newer):
        found = replace(manifest, data=manifest.data | {"bases": [other]})
        assert Manifest.from_json(found.to_json()).other_ratings == (other,)
    wrong = replace(manifest, data=manifest.data | {"bases": [newer | {"raters_left_out": "2"}]})
    with pytest.raises(TypeError, match="raters_left_out"):
        Manifest.from_json(wrong.to_json())


def test_bases_that_forget_are_named_however_deep(manifest):
    base = replace(manifest, name="faces", data=manifest.data | {"forgotten": True})
    between = replace(manifest, data=manifest.data | {"bases": [base.as_base("aa")]})
    top = replace(manifest, data=manifest.data | {"bases": [between.as_base("bb")]})
    assert Manifest.from_json(top.to_json()) == top
    assert "Trained to forget their portraits: faces. If portraits of this predictor" in model_card(top, "", {})
    remembers = replace(manifest, data=manifest.data | {"bases": [manifest.as_base("cc")]})
    assert "Trained to forget their" not in model_card(remembers, "", {})
    older = {name: value for name, value in base.as_base("aa").items() if name != "forgotten"}
    assert not replace(manifest, data=manifest.data | {"bases": [older]}).forgetful
    wrong = manifest.data | {"bases": [base.as_base("aa") | {"forgotten": "no"}]}
    with pytest.raises(TypeError, match="forgotten"):
        Manifest.from_json(replace(manifest, data=wrong).to_json())
