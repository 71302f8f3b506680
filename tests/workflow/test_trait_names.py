import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prescreen.errors import UsageError
from prescreen.evaluation.headline_metrics import metric_groups
from prescreen.text import parse_traits
from prescreen.workflow.trait_names import LATER_USES, check_names

TAKEN = [
    ["image"], ["width"], ["a", "a"], ["a", "a_raw"], ["a_low", "a"], ["content"], ["novelty"],  # scores
    ["rank"], ["votes"], ["p_better"], ["selected"], ["why"], ["gates"], ["demoted"], ["a", "p_a"],  # shortlist
    ["mean"], ["all_traits"], ["slices"], ["learning_curve"],  # MLflow
    ["picture"], ["prediction"], ["trait"],  # Label Studio, results
    ["Votes"], ["P_BETTER"], ["warm", "Warm"], ["a b", "a  b"], ["a\nb"], ["a\u200eb"],
]  # fmt: skip


@pytest.mark.parametrize("traits", TAKEN, ids="+".join)
def test_a_name_that_would_stand_for_two_things_is_refused(traits):
    with pytest.raises(UsageError, match=r"^traits? '.*; .*--traits ('|\w|,|=| )+$") as refused:
        check_names(traits)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "traits",
    [
        ["smart", "kind", "smart raw", "p", "better", "word", "interval", "status quo"],
        ["warm, kind", "a=b", '"quoted"', "=1+1", "💡", "a.b", "a_b", "mean/x", "x" * 400, "p_smart"],
    ],
)
def test_other_names_are_allowed(traits):
    check_names(traits)


def test_the_remedy_can_be_pasted_and_names_all_traits():
    with pytest.raises(UsageError) as refused:
        check_names(["warm, kind", "votes", "x"], {"warm, kind": "warm, kind", "votes": "n votes", "x": "x"})
    option = str(refused.value).partition("--traits ")[2]
    assert parse_traits(option.strip("'")) == {"warm, kind": "warm, kind", "NEW": "n votes", "x": "x"}
    with pytest.raises(UsageError, match=r"--traits NEW=votes, and name the other traits too$"):
        check_names(["votes", *("trait" + letter * 9 for letter in string.ascii_lowercase)])


@pytest.mark.parametrize("names", LATER_USES.values())
def test_every_later_use_has_names_of_its_own_beside_those_of_traits(names):
    assert set(names(["a", "b"])) >= {*names([]), *names(["a"]), *names(["b"]), "a", "b"}
    assert names([])


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8), min_size=1, max_size=4))
def test_traits_that_pass_give_every_place_distinct_names(traits):
    try:
        check_names(traits)
    except UsageError:
        return
    for names in LATER_USES.values():
        made = [name.casefold() for name in names(traits)]
        assert len(set(made)) == len(made)
    assert {*traits} < {*metric_groups(traits)}
