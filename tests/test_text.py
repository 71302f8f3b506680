import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prescreen.errors import UsageError
from prescreen.ratings.scale import Scale
from prescreen.text import (
    names_as_text,
    names_from_text,
    parse_levels,
    parse_names,
    parse_traits,
    quoted,
    shown,
    unknown_name,
)


@pytest.mark.parametrize(("text", "low", "high"), [("0:10", 0, 10), (" -1 : 2.5", -1, 2.5), ("1e0:3", 1, 3)])
def test_a_scale(text, low, high):
    scale = Scale.parse(text)
    assert scale == Scale(low, high)
    assert Scale.parse(str(scale)) == scale
    assert low in scale
    assert high in scale
    assert (low + high) / 2 in scale
    assert low - 1e-9 not in scale
    assert high + 1e-9 not in scale
    assert float("nan") not in scale


@pytest.mark.parametrize("text", ["", "10", "0-10", "0:", ":10", "0:10:20", "a:b", "10:0", "5:5", "0:inf", "nan:1"])
def test_what_is_no_scale_is_named(text):
    with pytest.raises(UsageError, match="scale"):
        Scale.parse(text)


def test_traits_may_get_new_names():
    assert parse_traits("competence=smart, likeability = outgoing") == {
        "competence": "smart",
        "likeability": "outgoing",
    }
    assert parse_traits("smart,new=old") == {"smart": "smart", "new": "old"}
    assert parse_traits("a=x,b=x") == {"a": "x", "b": "x"}
    assert list(parse_traits("z=1,a=2")) == ["z", "a"]


@pytest.mark.parametrize("text", ["", ",", "a,", "a,,b", "=smart", "competence=", "a=x,a=y", "a,a", " "])
def test_traits_that_cannot_be_read(text):
    with pytest.raises(UsageError, match="traits"):
        parse_traits(text)


def test_levels():
    assert parse_levels("competence=8.2, likeability = 10,influence=0") == {
        "competence": 8.2,
        "likeability": 10,
        "influence": 0,
    }


@pytest.mark.parametrize(
    "text", ["", "competence", "competence=", "=5", "a=high", "a=-0.1", "a=10.1", "a=nan", "a=5,a=5", "a=5,", "a=5;b=6"]
)
def test_levels_that_cannot_be_read(text):
    with pytest.raises(UsageError):
        parse_levels(text)


def test_names():
    assert parse_names(" influence,competence ,influence") == ("influence", "competence")
    for text in ("", "a,,b", ","):
        with pytest.raises(UsageError, match="commas"):
            parse_names(text)


def test_an_unknown_name_gets_a_suggestion():
    known = ["competence", "likeability", "influence"]
    said = unknown_name("likability", known)
    assert "did you mean 'likeability'" in said
    assert all(name in said for name in known)
    assert "did you mean" not in unknown_name("xyz", iter(known))
    assert unknown_name("clp", ["clip"], "encoder").startswith("unknown encoder 'clp'")


NAMES = st.text(st.sampled_from("ab ,=\"'.?é💡"), min_size=1, max_size=8).filter(lambda name: name == name.strip())


@settings(deadline=None)
@given(st.lists(NAMES, unique=True, min_size=1, max_size=4))
def test_any_names_can_be_given_in_quotes(names):
    listed = [quoted(name) for name in names]
    assert parse_names(",".join(listed)) == tuple(names)
    assert parse_traits(", ".join(f"{name} = {name}" for name in listed)) == {name: name for name in names}
    assert parse_levels(",".join(f"{name}=3" for name in listed)) == dict.fromkeys(names, 3)
    assert names_from_text(names_as_text(names)) == tuple(names)


def test_quotes_within_a_name_are_part_of_it():
    assert parse_names('5" heel,"a" or "b"') == ('5" heel', '"a" or "b"')
    assert quoted("smart") == "smart"
    assert quoted("warm, kind") == '"warm, kind"'


def test_names_as_older_versions_wrote_them_are_read():
    assert names_from_text("smart,warm") == ("smart", "warm")
    assert names_from_text("[smart") == ("[smart",)


def test_a_name_that_was_divided_is_shown_as_it_has_to_be_given():
    said = unknown_name("warm", ["warm, kind", "smart"])
    assert said == (
        "unknown trait 'warm' (known: \"warm, kind\", smart); put a name with a comma or = in it in double quotes"
    )


def test_shown_names_are_one_printable_line():
    assert shown(os.fsdecode(b"a\xff\nb\xc3\xa9")) == "a\\udcff\\nbé"
    assert shown("\u202egpj.exe") == "\\u202egpj.exe"
