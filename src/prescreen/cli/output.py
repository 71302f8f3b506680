"""Tables and lines that verbs print."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prescreen.text import chance_with_range, percent, shown

if TYPE_CHECKING:
    import pandas as pd

    from prescreen.evaluation.curves import LearningCurve
    from prescreen.evaluation.report import Evaluation
    from prescreen.evaluation.slices import Coverage
    from prescreen.ranking.vote_plan import VotePlan


def accuracy_lines(evaluation: "Evaluation", everything: bool = False) -> list[str]:
    """Say whether predictions can be used, then how accurate they are; every figure if asked for.

    The short table has one trait a row: pictures, r with its 95 % interval, the highest r that ratings this noisy
    allow, how many votes a panel needs to be as accurate, the share of ratings inside the 90 % intervals, and r within
    persons where it is known.
    """
    from prescreen.evaluation.usability import verdict

    if everything:
        return [verdict(evaluation), "", *accuracy_table(evaluation).splitlines()]
    lines = [verdict(evaluation), *aligned(_short(evaluation))]
    if (curve := evaluation.learning_curve) is not None:
        lines += ["", *aligned(_learning_curve(curve)), *filter(None, [what_more_would_bring(curve)])]
    return lines


def _short(evaluation: "Evaluation") -> Sequence[Sequence[str]]:
    persons = any(trait.within_person for trait in evaluation.traits)
    overall = evaluation.overall
    head = ("trait", "pictures", "r", "ceiling", "votes", "cover", *(["r within persons"] * persons))
    rows = [
        (
            trait.trait,
            str(trait.n),
            trait.pearson.text(2),
            _number(trait.limits.highest_r, 2),
            trait.limits.votes.text(1),
            _coverage(trait.covered)[0],
            *([trait.within.pearson.text(2)] * persons),
        )
        for trait in evaluation.traits
    ]
    if overall.n_traits > 1:
        means = (overall.pearson.text(2), "", overall.votes.text(1), _coverage(overall.covered)[0])
        within = [overall.within_person_pearson.text(2)] * persons
        rows.append((f"mean of {overall.n_traits}", str(evaluation.n), *means, *within))
    return [head, *rows]


def accuracy_table(evaluation: "Evaluation") -> str:
    """Lay out an evaluation, one trait a row, with 95 % intervals in brackets.

    ``ceiling`` is the highest r that ratings this noisy allow, ``share`` the part of it reached, ``votes`` how many
    votes a panel needs to be as accurate, ``naive MAE`` the error of always predicting the training mean, ``cover`` the
    share of ratings inside the 90 % intervals.

    The second table is about picking the best: the mean rating of all pictures, of those predicted best, of those that
    perfect predictions would pick and of those rated best, then how many of the best rated were found.
    """
    tables = [_accuracy(evaluation), _screening(evaluation)]
    if any(trait.within_person for trait in evaluation.traits):
        tables.append(_persons(evaluation))
    if evaluation.learning_curve is not None:
        tables.append(_learning_curve(evaluation.learning_curve))
    found = (
        "" if evaluation.learning_curve is None else what_more_would_bring(evaluation.learning_curve),
        _lowest(evaluation),
    )
    notes = [line for line in found if line]
    return "\n\n".join("\n".join(lines) for lines in (*map(aligned, tables), notes) if lines)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table with columns of equal width.

    Examples
    --------
    >>> aligned([("trait", "n"), ("warm", "120")])
    ['trait  n', 'warm   120']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _accuracy(evaluation: "Evaluation") -> Sequence[Sequence[str]]:
    head = ("trait", "n", "r", "ceiling", "share", "votes", "rho", "R2", "MAE", "naive MAE", "cover", "width")
    rows = [
        (
            trait.trait,
            str(trait.n),
            trait.pearson.text(),
            _number(trait.limits.highest_r),
            trait.limits.r_share.text(interval=False),
            trait.limits.votes.text(1),
            trait.spearman.text(interval=False),
            trait.r2.text(),
            trait.mae.text(interval=False),
            trait.naive.mae.text(interval=False),
            *_coverage(trait.covered),
        )
        for trait in evaluation.traits
    ]
    overall = evaluation.overall
    if overall.n_traits > 1:
        rows.append(
            (
                f"mean of {overall.n_traits}",
                str(evaluation.n),
                overall.pearson.text(),
                "",
                overall.r_share.text(interval=False),
                overall.votes.text(1),
                overall.spearman.text(interval=False),
                overall.r2.text(),
                overall.mae.text(interval=False),
                overall.naive_mae.text(interval=False),
                *_coverage(overall.covered),
            )
        )
    return [head, *rows]


def _screening(evaluation: "Evaluation") -> Sequence[Sequence[str]]:
    head = ("trait", "picked", "mean of all", "best predicted", "perfect", "best rated", "found", "perfect", "chance")
    rows = [head]
    for trait in evaluation.traits:
        picked = trait.screening
        rows.append(
            (
                trait.trait,
                f"top {picked.top}",
                _number(picked.overall, 2),
                picked.top_mean.text(2),
                _number(picked.attainable_top_mean, 2),
                _number(picked.best_possible, 2),
                f"{picked.recall.text(2)} of {picked.wanted}",
                _number(picked.attainable_recall, 2),
                _number(picked.recall_by_chance, 2),
            )
        )
    return rows


def _persons(evaluation: "Evaluation") -> Sequence[Sequence[str]]:
    return [("trait", "persons", "r within persons", "ceiling", "pairs in order")] + [
        (
            trait.trait,
            str(within.n_persons),
            within.pearson.text(),
            _number(within.highest_r),
            within.pairs_in_order.text(2),
        )
        for trait in evaluation.traits
        if (within := trait.within_person) is not None
    ]


def _learning_curve(curve: "LearningCurve") -> Sequence[Sequence[str]]:
    return [("trained on", "votes each", "mean r", "mean R2", "equivalent number of votes")] + [
        (
            f"{point.pictures} pictures",
            "all" if point.votes is None else f"at most {point.votes:g}",
            point.pearson.text(),
            point.r2.text(),
            point.worth_in_votes.text(1),
        )
        for point in [*curve.by_votes[:-1], *curve.by_pictures]
    ]


def what_more_would_bring(curve: "LearningCurve") -> str:
    """Say in a sentence what the last step of the curve brought, by pictures and by votes; empty if it has none.

    Curves flatten: noise apart, another step of the same size brings no more than the last one.

    Examples
    --------
    >>> from prescreen.evaluation.curves import CurvePoint, LearningCurve
    >>> from prescreen.evaluation.metrics import Estimate
    >>> half, whole = (CurvePoint(n, pearson=Estimate(r)) for n, r in ((40, 0.5), (80, 0.58)))
    >>> what_more_would_bring(LearningCurve((half, whole)))
    'from 40 to 80 pictures mean r changed by +0.080, so 160 would add at most about that'
    """
    said = []
    for points in (curve.by_pictures, curve.by_votes):
        known = [(point, point.pearson.value) for point in points[-2:] if point.pearson.value is not None]
        if len(known) < 2:
            continue
        (before, r_before), (after, r_after) = known
        change = f"mean r changed by {r_after - r_before:+.3f}"
        more = round(after.pictures**2 / before.pictures) if before.votes is None else 0
        if before.votes is not None:
            said.append(f"from at most {before.votes:g} votes each to all of them {change}")
        elif r_after > r_before:
            said.append(
                f"from {before.pictures} to {after.pictures} pictures {change}, so {more} would add at most about that"
            )
        else:
            said.append(f"from {before.pictures} to {after.pictures} pictures {change}: no sign that more would help")
    return "; ".join(said)


def _lowest(evaluation: "Evaluation") -> str | None:
    """Name the slice with the lowest coverage among those large enough to be judged."""
    from prescreen.evaluation.slices import SMALLEST_JUDGED, judged_slices, lowest_coverage

    part = lowest_coverage(evaluation.slices)
    if part is None:
        return None
    where = f"{part.trait}, {part.characteristic} {part.label}, n = {part.n}"
    share = part.covered.share.text(2)
    judged = len(judged_slices(evaluation.slices))
    return f"lowest coverage of {judged} slices of at least {SMALLEST_JUDGED} pictures: {share} ({where})"


def shortlist_lines(shortlist: "pd.DataFrame") -> list[str]:
    """Return rank, name, reasons, and the chance to meet all goals if known, of each picture on the shortlist."""
    lines = []
    for row in shortlist.to_dict("records"):
        chance = ""
        if "p_better" in row:
            chance = f"{chance_with_range(row['p_better'], row['p_better_low'], row['p_better_high'])}  "
        lines.append(f"{row['rank']}. {shown(row['image'])}  {chance}{shown(row['why'])}")
    return lines


def zero_shot_lines(shortlist: "pd.DataFrame") -> list[str]:
    """Return rank, name, margin and basis of each picture that a zero-shot ranking puts first."""
    rows = zip(*(shortlist[column].tolist() for column in ("rank", "image", "why", "basis")), strict=True)
    return [f"{rank}. {shown(image)}  {shown(why)}  ({basis})" for rank, image, why, basis in rows]


def plan_lines(plans: "Sequence[VotePlan]") -> list[str]:
    """Lay out how the votes can be spent, one number of pictures a line; the best plan is marked."""
    from prescreen.ranking.vote_plan import best_plan

    if len(plans) < 2:
        return []
    best = best_plan(plans)
    rows: list[tuple[str, ...]] = [("pictures", "votes each", "one is better", "the test shows it", "")]
    for plan in plans:
        chances = [percent(chance) if chance is not None else "-" for chance in (plan.better, plan.shown)]
        rows.append((str(plan.pictures), str(min(plan.votes_each)), *chances, "<- send these" if plan is best else ""))
    return ["", *aligned(rows)]


def effect_lines(table: "pd.DataFrame", most: int = 12) -> list[str]:
    """Lay out effects, a part for each trait, the strongest first; effects that could not be tested are only counted.

    ``predicted`` is the difference in predicted score points, ``raters`` that in the scores that raters would give,
    both with 95 % intervals; ``p`` is that of the second, adjusted for all effects of the table.
    """
    lines: list[str] = []
    for trait in dict.fromkeys(table["trait"]):
        tested = table[(table["trait"] == trait) & table["p"].notna()]
        strongest = tested.sort_values("effect", key=lambda column: -column.abs(), kind="stable").head(most)
        ordered = strongest.sort_values("effect", ascending=False, kind="stable").to_dict("records")
        head = (str(trait), "pictures", "predicted [95 %]", "raters [95 %]", "p", "")
        lines += aligned([head, *map(_effect, ordered)])
        if left := len(tested) - len(strongest):
            lines.append(f"  and {left} weaker ones")
        lines.append("")
    few = table[table["p"].isna()]
    if len(few):
        names = dict.fromkeys(f"{by} {value}".strip() for by, value in zip(few["by"], few["value"], strict=True))
        listed = ", ".join(shown(name) for name in list(names)[:most])
        lines.append(f"too few different pictures to be tested: {listed}{', ...' if len(names) > most else ''}")
    return lines


def _effect(row: Mapping[Any, Any]) -> tuple[str, ...]:
    from prescreen.shortlist.effect_groups import MEASURED

    what = f"{row['by']} {row['value']}".strip()
    if row["against"] == MEASURED:
        what += ", per SD"
    elif row["against"] != "the rest":
        what += f", not {row['against']}"
    of_all = f" of {row['pictures'] + row['others']}" if row["others"] else ""
    return (
        "  " + shown(what)[:48],
        f"{row['pictures']}{of_all}",
        _signed(row, "effect", "low", "high"),
        _signed(row, "raters", "raters_low", "raters_high"),
        _p(row["raters_p_adjusted"]),
        row["verdict"],
    )


def _signed(row: Mapping[Any, Any], value: str, low: str, high: str) -> str:
    if row[low] != row[low]:
        return "-"
    return f"{row[value]:+.2f} [{row[low]:+.2f}, {row[high]:+.2f}]"


def _p(value: float) -> str:
    if value != value:
        return "-"
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def round_lines(content: Mapping[str, Any]) -> list[str]:
    """Lay out how predictions and human scores agreed, one trait a row; offsets in score points with 90 % intervals.

    ``human - predicted`` is the mean difference in standard deviations of portraits (z) for the pictures of this round,
    ``person`` the offset of the person over all rounds, ``inside`` the share of human scores inside the 90 % intervals
    of their predictions.
    """
    head = (f"round {content['round']}", "pictures", "r", "human - predicted", "inside", "person [90 %]")
    offsets = {part["trait"]: part for part in content["offset"]}
    rows = [
        (
            part["trait"],
            str(part["pictures"]),
            _number(part["pearson"], 2),
            "unknown" if part["offset"] is None else f"{part['offset']:+.2f}",
            "unknown" if part["inside"] is None else f"{100 * part['inside']:.0f} %",
            f"{own['points']:+.1f} [{own['low']:+.1f}, {own['high']:+.1f}]",
        )
        for part in content["agreement"]
        for own in (offsets[part["trait"]],)
    ]
    return aligned([head, *rows])


def _coverage(covered: "Coverage") -> tuple[str, str]:
    return covered.share.text(2, interval=False), _number(covered.width, 2)


def _number(value: float | None, digits: int = 3) -> str:
    from prescreen.evaluation.metrics import Estimate

    return Estimate(value).text(digits)
