"""Guesses what was meant by a word that a verb does not expect."""

import os
from collections.abc import Collection, Sequence

import click

_LISTS = ("--improve", "--keep", "--traits", "--columns", "--gates", "--no-gates", "--by")
"""Options whose value is a list with commas."""
_TABLES = (".csv", ".tsv", ".parquet", ".jsonl", ".json", ".xlsx")


class Verb(click.Command):
    """A command that suggests in one line what a word too many was meant to be."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line; a word too many and an option without its value are errors with a remedy."""
        if ctx.resilient_parsing or set(ctx.help_option_names) & set(args):
            return super().parse_args(ctx, args)
        options = [option for option in self.params if isinstance(option, click.Option)]
        known = {name for option in options for name in (*option.opts, *option.secondary_opts)}
        with_value = {name for option in options if not option.is_flag for name in option.opts}
        for word, value in zip(args, args[1:], strict=False):
            if word in with_value and value in known:
                raise click.UsageError(f"{word}: its value is missing, {value} follows", ctx)
        values, extra, _ = self.make_parser(ctx).parse_args(list(args))
        if extra:
            taken = [str(values[part.name]) for part in self.params if isinstance(part, click.Argument)]
            once = {name for option in options if not option.multiple for name in option.opts}
            free = known - (once & set(args))
            raise click.UsageError(_hint(args, [*taken, *extra], extra, known, free, ctx.command_path), ctx)
        return super().parse_args(ctx, args)


def _hint(
    args: Sequence[str],
    words: Sequence[str],
    extra: Sequence[str],
    options: Collection[str],
    free: Collection[str],
    command: str,
) -> str:
    """Return the message about the ``extra`` ones among all ``words`` that belong to no option.

    ``free`` are the options that can still be given.
    """
    for option in (name for name in _LISTS if name in options and name in args):
        start = args.index(option) + 1
        end = next((n for n in range(start, len(args)) if args[n].startswith("-")), len(args))
        names = [word for word in args[start:end] if not _is_place(word)]
        if len(names) > 1:
            listed = ",".join(name.strip(",") for name in names)
            return f"{option} {' '.join(names)}: a list has commas and no spaces: {option} {listed}"
    for option, fitting in (
        ("--baseline", [word for word in words if _is_picture(word) or "=" in word]),
        ("--scores", [word for word in extra if word.endswith(_TABLES)]),
        ("--ratings", [word for word in extra if word.endswith(_TABLES) or os.path.isdir(word)]),
        ("--images", [word for word in extra if os.path.isdir(word)]),
        ("--improve", [word for word in extra if not _is_place(word)]),
    ):
        if fitting and option in free:
            value = ",".join(fitting) if option == "--improve" else fitting[0]
            return f"{' '.join(extra)}: one word too many; did you mean {option} {value}?"
    return f"{' '.join(extra)}: one word too many; {command} --help lists the options"


def _is_picture(word: str) -> bool:
    from prescreen.images.files import SUFFIXES  # with Pillow, which takes a moment to load

    return os.path.splitext(word)[1].lower() in SUFFIXES


def _is_place(word: str) -> bool:
    return _is_picture(word) or word.endswith(_TABLES) or os.path.sep in word or os.path.exists(word)
