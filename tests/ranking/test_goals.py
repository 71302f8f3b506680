import pytest

from prescreen.errors import UsageError
from prescreen.ranking.goals import Goals, choose_goals, default_goals
from prescreen.text import describe_list

TRAITS = ("competence", "likeability", "influence")


def test_by_default_likeability_is_kept_and_all_else_improved():
    assert default_goals(TRAITS) == Goals(improve=("competence", "influence"), keep=("likeability",))


@pytest.mark.parametrize("only", ["likeability", "competence"])
def test_a_single_trait_is_improved(only):
    assert default_goals([only]) == Goals(improve=(only,), keep=())


def test_without_likeability_everything_is_improved():
    assert default_goals(["smart", "trustworthy"]) == Goals(improve=("smart", "trustworthy"))


@pytest.mark.parametrize(
    ("improve", "keep", "expected"),
    [
        (None, None, Goals(("competence", "influence"), ("likeability",))),
        (["influence"], None, Goals(("influence",), ("competence", "likeability"))),
        (None, ["influence"], Goals(("competence", "likeability"), ("influence",))),
        (None, [], Goals(TRAITS)),
        (["influence"], [], Goals(("influence",))),
        (["influence"], ["likeability"], Goals(("influence",), ("likeability",))),
    ],
)
def test_what_is_not_said_is_completed(improve, keep, expected):
    assert choose_goals(TRAITS, improve, keep) == expected


def test_case_of_a_trait_does_not_matter_where_one_alone_fits():
    spreadsheet = ("Competence", "Likeability", "Influence")
    assert choose_goals(spreadsheet) == Goals(("Competence", "Influence"), ("Likeability",))
    assert choose_goals(spreadsheet, ["influence"], ["LIKEABILITY"]) == Goals(("Influence",), ("Likeability",))
    assert choose_goals(("smart", "Smart"), ["smart"], []) == Goals(("smart",))
    with pytest.raises(UsageError, match="unknown trait 'SMART'"):
        choose_goals(("smart", "Smart"), ["SMART"], [])


def test_an_unknown_trait_is_named_with_the_one_that_was_meant():
    with pytest.raises(UsageError, match="'influense'; did you mean 'influence'"):
        choose_goals(TRAITS, improve=["influense"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((("a", "b"), ("b",)), "'b' is both"),
        ((("a", "a"), ()), "'a' is named twice"),
        ((("a",), ("b", "b")), "'b' is named twice"),
        (((), ("a",)), "nothing to improve"),
        ((("a",), (), -0.1), "improve margin"),
        ((("a",), (), 0.0, float("nan")), "keep margin"),
    ],
)
def test_goals_that_make_no_sense_are_refused(arguments, said):
    with pytest.raises(UsageError, match=said):
        Goals(*arguments)


def test_keeping_everything_leaves_nothing_to_improve():
    with pytest.raises(UsageError, match="nothing to improve"):
        choose_goals(TRAITS, keep=TRAITS)


def test_goals_read_as_a_phrase():
    assert default_goals(TRAITS).describe() == "improve competence and influence, keep likeability"
    goals = Goals(("a",), ("b", "c"), improve_margin=0.5, keep_margin=1)
    assert goals.describe() == "improve a by at least 0.5, keep b and c within 1"


@pytest.mark.parametrize(("names", "words"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), ("abc", "a, b and c")])
def test_lists_read_as_words(names, words):
    assert describe_list(names) == words


def test_one_trait_of_several_can_be_enough():
    goals = choose_goals(("a", "b", "c"), improve=("a", "b"), any_of=True)
    assert goals == Goals(("a", "b"), ("c",), any_of=True)
    assert goals.describe() == "improve a or b, keep c"
