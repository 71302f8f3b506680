"""Damages to bytes and to JSON that tests draw."""

import copy

from hypothesis import strategies as st

from prescreen.errors import PrescreenError

INTERESTING = [
    b"", b",", b"\n", b"\r", b'"', b"'", b"\0", b"\xff", b"\xef\xbb\xbf", b";", b"-", b"1e999", b"nan", b"inf",
    b"9" * 30, b" ", b"=1", b"{", b"}", b"[", b"]", b":", b"null", b"true", b"\xed\xb0\x80", "é\u2028".encode(), 
    b"\\", b"/", b"..",
]  # fmt: skip
ODD_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([10**30, -(10**30), 1e308, 2**63]),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.sampled_from(["0:3", "3:0", "a/b", "..", "=1", "\udcff"]),
    st.lists(st.integers(-1, 1), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(-1, 1), max_size=2),
)


def attempt(read, *arguments, **options):
    """Return what was read, or None for an error that is prescreen's and one line."""
    try:
        return read(*arguments, **options)
    except PrescreenError as error:
        said = str(error)
    assert len(said.splitlines()) == 1, said
    return None


@st.composite
def damaged(draw, data):
    """Return a file with a few pieces cut out, doubled, moved or replaced."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + draw(st.sampled_from([0, 1, 2, 8, 64, 10**6])))))
        piece = draw(st.one_of(st.sampled_from(INTERESTING), st.binary(max_size=3), st.just(data[start:end] * 2)))
        data = data[:start] + piece + data[end:]
    return data


@st.composite
def twisted(draw, document):
    """Return a JSON document in which a few values are others, or gone, or more than there should be."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        place = document
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and place[key] and draw(st.booleans()):
                place = place[key]
                continue
            what = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
            if what == "replace":
                place[key] = draw(ODD_VALUES)
            elif what == "remove":
                del place[key]
            elif isinstance(place, dict):
                place[draw(st.text(max_size=3))] = draw(ODD_VALUES)
            else:
                place.append(draw(ODD_VALUES))
            break
    return document
