"""Tables for the terminal."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def accuracy_table(evaluation: Mapping[str, Any]) -> str:
    """Lay out an evaluation, in its JSON form, one trait a row, with 95 % intervals in brackets.

    ``ceiling`` is the highest r that ratings this noisy allow, ``votes`` how many votes a panel needs to be as
    accurate, ``naive MAE`` the error of always predicting the training mean, ``cover`` the share of ratings inside the
    90 % intervals.
    """
    rows = [("trait", "n", "r", "ceiling", "votes", "R2", "MAE", "naive MAE", "cover")]
    for name, trait in evaluation["traits"].items():
        ceiling = trait["ceiling"] or {}
        rows.append(
            (
                name,
                str(trait["n"]),
                _estimate(trait["pearson"]),
                _number(ceiling.get("highest_r")),
                _estimate(ceiling.get("votes"), 1),
                _number(trait["r2"]["value"]),
                _number(trait["mae"]["value"]),
                _number(trait["naive"]["mae"]["value"]),
                _number((trait["coverage"] or {"share": {"value": None}})["share"]["value"], 2),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    note = ["(simulated votes)"] if evaluation.get("simulated") else []
    return "\n".join([*lines, *note])


def shortlist_lines(shortlist: "pd.DataFrame") -> list[str]:
    """Say of each picture on the shortlist its rank, its name, its chance to meet all goals, and why."""
    from prescreen.ranking.shortlist import percent
    from prescreen.tables import shown

    rows = zip(*(shortlist[column].tolist() for column in ("rank", "image", "p_better", "why")), strict=True)
    return [f"{rank}. {shown(image)}  {percent(chance)}  {shown(why)}" for rank, image, chance, why in rows]


def _estimate(figure: Mapping[str, float | None] | None, digits: int = 3) -> str:
    if figure is None:
        return "-"
    return f"{_number(figure['value'], digits)} [{_number(figure['low'], digits)}, {_number(figure['high'], digits)}]"


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
