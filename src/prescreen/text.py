"""Text that people read and type: printable names, lists of names, and masked secrets.

Lists of names are separated by commas, with ``=`` between a name and its value. A name that contains either is put in
double quotes, in which a double quote is written twice: ``"warm, kind",influence``.

Messages, tracebacks and what MLflow keeps go through `masked`. It hides passwords in addresses and the values of
environment variables that are named like secrets.
"""

import difflib
import json
import math
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from prescreen.errors import UsageError

OK: Final = "ok"
FAILED: Final = "failed"
"""What the column ``status`` of tables of pictures says."""

_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line breaks, marks that turn the direction of writing, and halves of characters."""

_MASK: Final = "***"
_USER: Final = re.compile(r"(?<=://)[^\s/'\"<>]*@")
_PARAMETER: Final = re.compile(
    r"([?&](?!viewStateShareKey=)[\w.-]*(?:password|passwd|token|secret|signature|credential|key)=)[^&\s'\"]+", re.I
)
_SECRET_NAME: Final = re.compile(r"(?:TOKEN|SECRET|PASSWORD|PASSWD|KEY|KEY_ID)$", re.I)
_MIN_SECRET: Final = 8
"""Characters of a secret; shorter values occur in other words by chance."""

_QUOTED: Final = re.compile(r'"(?:[^"]|"")*"')
_TOKEN: Final = re.compile(rf"\s*{_QUOTED.pattern}\s*(?=[,=]|$)|[^,=]+|[,=]")
"""A name in quotes, which end before a separator; anything else up to one; or a separator."""
_PLAIN: Final = re.compile(r'[^\s",=](?:[^,=]*[^\s,=])?')


def shown(name: str | os.PathLike[str]) -> str:
    """Return a name as one printable line: what cannot be seen or turns what follows becomes an escape."""
    return _UNPRINTABLE.sub(lambda match: ascii(match[0])[1:-1], os.fspath(name))


def percent(chance: float) -> str:
    """Return a chance as a whole percentage, without ever calling it impossible or certain.

    Examples
    --------
    >>> percent(0.347), percent(1.0)
    ('35 %', 'over 99 %')
    """
    if chance < 0.005:
        return "under 1 %"
    if chance >= 0.995:
        return "over 99 %"
    return f"{100 * chance:.0f} %"


def chance_with_range(chance: float, low: float, high: float) -> str:
    """Say a chance with its range, which is left out where it says nothing more.

    Examples
    --------
    >>> chance_with_range(0.744, 0.4, 0.9), chance_with_range(0.001, 0.0, 0.002)
    ('74 % (40 % to 90 %)', 'under 1 %')
    """
    ends = percent(low), percent(high)
    return percent(chance) if {*ends} == {percent(chance)} else f"{percent(chance)} ({ends[0]} to {ends[1]})"


def describe_size(size: float | None) -> str:
    """Return a number of bytes as people say it.

    Examples
    --------
    >>> describe_size(1_710_540_580), describe_size(605_000_000), describe_size(2_100), describe_size(None)
    ('1.7 GB', '605 MB', '2.1 kB', 'an unknown size')
    """
    if size is None:
        return "an unknown size"
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}" if size < 10 * unit else f"{size / unit:.0f} {name}"
    return f"{size:.0f} bytes"


def describe_list(names: Sequence[str], conjunction: str = "and") -> str:
    """Return ``a``, ``a and b`` or ``a, b and c``."""
    return f" {conjunction} ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def quoted(name: str) -> str:
    """Return a name as these lists take it: in double quotes where it would be divided otherwise."""
    return name if _PLAIN.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def unknown_name(name: str, known: Iterable[str], what: str = "trait") -> str:
    """Say that a name is unknown, what is known, and what was probably meant."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {quoted(close[0])!r}?" if close else ""
    listed = [quoted(other) for other in known]
    quotes = "; put a name with a comma or = in it in double quotes" if listed != known else ""
    return f"unknown {what} {name!r}{hint} (known: {', '.join(listed)}){quotes}"


def refuse_twice(names: Sequence[str], what: str) -> None:
    """Refuse traits with which a name would stand for two things.

    Parameters
    ----------
    names : sequence of str
        All names in use.
    what : str
        What uses them, for the message.

    Raises
    ------
    UsageError
        If a name occurs twice.
    """
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"{what}: {twice[0]!r} would stand for two things; rename the trait with --traits NEW=OLD")


def parse_traits(text: str) -> dict[str, str]:
    """Read ``NEW=COLUMN,...`` (or plain ``COLUMN,...``) into {new name: name in the ratings}.

    Examples
    --------
    >>> parse_traits('competence=smart,"warm, kind"')
    {'competence': 'smart', 'warm, kind': 'warm, kind'}
    """
    return _parse_pairs(text, "traits", "competence=smart,likeability=outgoing", plain_names=True)


def parse_columns(text: str) -> dict[str, str]:
    """Read ``MEANING=COLUMN,TRAIT=COLUMN,...`` into {meaning, or name of a trait: column}."""
    return _parse_pairs(text, "columns", "image=photo,rater=WorkerId", plain_names=False)


def _parse_pairs(text: str, what: str, example: str, *, plain_names: bool) -> dict[str, str]:
    chosen: dict[str, str] = {}
    for item in _split(text, what, example):
        name, column = _unquote(item[:1]), _unquote(item[1:])
        if plain_names and len(item) == 1:
            column = name
        if not name or not column:
            raise UsageError(f"{what} {'='.join(item).strip()!r}: expected NAME=COLUMN, for instance {example}")
        if name in chosen:
            raise UsageError(f"{what}: {name!r} is given twice")
        chosen[name] = column
    return chosen


def is_file(text: str) -> bool:
    """Tell whether a text is the path of a file, and not one that is too long for a path."""
    try:
        return Path(text).is_file()
    except OSError:
        return False


def parse_levels(text: str) -> dict[str, float]:
    """Read ``competence=8.2,likeability=9.0`` into {trait: score}, each score from 0 to 10."""
    levels: dict[str, float] = {}
    for item in _split(text, "scores", "competence=8.2,likeability=9.0"):
        name = _unquote(item[:-1])
        try:
            level = float(item[-1])
        except ValueError:
            level = math.nan
        if not (name and len(item) == 2 and 0 <= level <= 10):
            raise UsageError(
                f"{'='.join(item).strip()!r}: expected TRAIT=SCORE with a score from 0 to 10, "
                "for instance competence=8.2"
            )
        if name in levels:
            raise UsageError(f"{name!r} is given twice")
        levels[name] = level
    return levels


def parse_names(text: str) -> tuple[str, ...]:
    """Read ``influence,competence`` into a tuple of names without repeats."""
    return tuple(dict.fromkeys(_unquote(item) for item in _split(text, "traits", "influence,competence")))


def traits_option(chosen: Mapping[str, str]) -> str:
    """Return ``--traits`` as a shell takes it, for {name: name in the ratings}."""
    items = (quoted(old) if new == old else f"{quoted(new)}={quoted(old)}" for new, old in chosen.items())
    return f"--traits {shlex.quote(','.join(items))}"


def names_as_text(names: Iterable[str]) -> str:
    """Return names as one text that `names_from_text` reads, whatever is in them."""
    return json.dumps(list(names), ensure_ascii=False)


def names_from_text(text: str) -> tuple[str, ...]:
    """Read what `names_as_text` wrote, or names separated by commas, as older versions wrote them."""
    try:
        names = json.loads(text)
    except ValueError:
        names = None
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return tuple(names)
    return tuple(text.split(","))


def _split(text: str, what: str, example: str) -> list[list[str]]:
    """Divide a text at commas and then at ``=``, but nowhere within quotes; each item has one part or more."""
    items = [[""]]
    for token in _TOKEN.findall(text):
        if token == ",":
            items.append([""])
        elif token == "=":
            items[-1].append("")
        else:
            items[-1][-1] = token
    if not all(_unquote(item) for item in items):
        raise UsageError(f"{what} {text!r}: expected names separated by commas, for instance {example}")
    return items


def _unquote(parts: Sequence[str]) -> str:
    """Return the name without its quotes; a name without quotes may contain ``=``."""
    text = "=".join(parts).strip()
    return text[1:-1].replace('""', '"') if len(parts) == 1 and _QUOTED.fullmatch(text) else text


def masked(text: str) -> str:
    """Return a text without users and passwords in addresses, and without the secrets of the environment.

    Examples
    --------
    >>> masked("cannot reach https://me:secret@example.org/mlflow")
    'cannot reach https://***@example.org/mlflow'
    """
    for secret in sorted(_secrets(), key=len, reverse=True):  # one may be part of another
        text = text.replace(secret, _MASK)
    return _PARAMETER.sub(rf"\1{_MASK}", _USER.sub(f"{_MASK}@", text))


def _secrets() -> set[str]:
    named = {value for name, value in os.environ.items() if _SECRET_NAME.search(name)}
    passwords = {
        found[0].rpartition("@")[0].partition(":")[2]
        for value in os.environ.values()
        if "://" in value and (found := _USER.search(value))
    }
    return {secret for secret in named | passwords if len(secret) >= _MIN_SECRET}


def first_line(error: BaseException) -> str:
    r"""Return the first line of an error's message, or the name of its type.

    Examples
    --------
    >>> first_line(OSError("no space\nleft"))
    'no space'
    >>> first_line(KeyError())
    'KeyError'
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0]
