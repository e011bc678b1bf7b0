"""The month's charts as still pictures: SVG for the summary page, PNG for the Dagster UI. Same figures, same bytes.

Colours can be distinguished by people who confuse red and green; every bar carries its number.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hr_centra_pipeline.core.kinds import COMPONENTS
from hr_centra_pipeline.core.money import decimals
from hr_centra_pipeline.publishing.content import Content, Row
from hr_centra_pipeline.warehouse.tables.reconciliation_tables import AGE_BUCKETS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

_INK, _QUIET, _LINES = "#22313F", "#5F6B7A", "#DDE3E8"
_BLUE, _ORANGE, _TEAL, _GREY = "#2C6FAE", "#D9822B", "#2A9D8F", "#9AA7B4"
# From young to old: pale to dark.
_AGES = dict(
    zip(AGE_BUCKETS, ("#D6E6F4", "#ABCFE6", "#73B2D8", "#3F8FC5", "#1F6CAF", "#0D4A8C", "#08244F"), strict=True)
)
_STYLE: Any = {
    "svg.hashsalt": "hr-centra", "svg.fonttype": "none", "font.family": "DejaVu Sans", "font.size": 9,
    "text.color": _INK, "axes.labelcolor": _QUIET, "xtick.color": _QUIET, "ytick.color": _INK, "axes.edgecolor": _LINES,
    "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False, "axes.axisbelow": True,
    "axes.titlelocation": "left", "axes.titlesize": 10, "axes.titleweight": "bold",
}  # fmt: skip


def _drawn(paint: Callable[[Figure], None], width: float, height: float, kind: str) -> bytes:
    import matplotlib  # takes half a second, and is needed only where something is drawn
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
        paint(figure)
        target = io.BytesIO()
        metadata: dict[str, Any] = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
        figure.savefig(target, format=kind, metadata=metadata)
    return target.getvalue()


def _svg(paint: Callable[[Figure], None], width: float, height: float) -> str:
    text = _drawn(paint, width, height, "svg").decode("utf-8")
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # The viewer's own sans serif is near enough when DejaVu is missing.
    return text[text.index("<svg") :].replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")


def _whole_numbers() -> MaxNLocator:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(integer=True)


def _plain(axes: Axes, *, along: str = "x") -> None:
    axes.grid(axis="x" if along == "x" else "y", color=_LINES, linewidth=0.8)
    axes.tick_params(length=0)


def open_by_kind_and_age(content: Content) -> str | None:
    """How many exceptions are open at the cut-off, by kind, each bar split by age."""
    found = content.ask(
        """
        select kind, age_bucket, count(*) as items from month_end.open_items
        where month = $month group by kind, age_bucket order by kind, age_bucket
        """,
        {"month": content.month},
    )
    return _svg(*_open_items(found)) if found else None


def open_by_kind_and_age_png(rows: Sequence[Row]) -> bytes:
    """The same for the Dagster UI, of rows with kind, age bucket and ``items``; the same figures give the same bytes."""
    return _drawn(*_open_items(rows), "png")


def _open_items(rows: Sequence[Row]) -> tuple[Callable[[Figure], None], float, float]:
    """What paints it, with its width and height in inches."""
    kinds = _largest_first(rows, "kind", "items")

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        left = dict.fromkeys(kinds, 0)
        for bucket, colour in _AGES.items():
            here = {row["kind"]: row["items"] for row in rows if row["age_bucket"] == bucket}
            if here:
                axes.barh(
                    [kind.replace("_", " ") for kind in kinds], [here.get(kind, 0) for kind in kinds],
                    left=[left[kind] for kind in kinds], color=colour, label=bucket, height=0.68,
                )  # fmt: skip
                left = {kind: left[kind] + here.get(kind, 0) for kind in kinds}
        for position, kind in enumerate(kinds):
            axes.text(left[kind], position, f" {left[kind]}", va="center", color=_INK)
        axes.set_ylim(max(len(kinds), 4) - 0.5, -0.5)  # from above; a bar alone is not a wall
        axes.set_xlabel("open exceptions")
        axes.xaxis.set_major_locator(_whole_numbers())
        _plain(axes)
        # Beside the bars: with few kinds there is no room below the shortest.
        axes.legend(
            title="days open", frameon=False, loc="upper left", bbox_to_anchor=(1.02, 1.0), fontsize=8, title_fontsize=8
        )

    return paint, 8.6, max(1.9, 0.9 + 0.27 * len(kinds))


def mismatch_by_component(content: Content) -> str | None:
    """How far Happy Returns and Centra are apart, by component: what is explained, tolerated, and left. One panel a currency."""
    found = content.ask(
        """
        select
            currency, component, sum(abs(explained_amount)) as explained, sum(abs(within_tolerance_amount)) as tolerated,
            sum(abs(unexplained_amount)) as left_over
        from month_end.month_end where month = $month
        group by currency, component
        order by currency
        """,
        {"month": content.month},
    )
    currencies = [
        currency for currency in dict.fromkeys(row["currency"] for row in found)
        if any(_any_of(row) for row in found if row["currency"] == currency)
    ]  # fmt: skip
    if not currencies:
        return None

    def paint(figure: Figure) -> None:
        panels = figure.subplots(1, len(currencies), squeeze=False, sharey=True)[0]
        for axes, currency in zip(panels, currencies, strict=True):
            rows = {row["component"]: row for row in found if row["currency"] == currency}
            left = dict.fromkeys(COMPONENTS, Decimal(0))
            parts = (("explained", _GREY), ("tolerated", _TEAL), ("left_over", _ORANGE))
            for name, colour in parts:
                here = {part: rows[part][name] if part in rows else Decimal(0) for part in COMPONENTS}
                axes.barh(
                    list(COMPONENTS), [float(here[part]) for part in COMPONENTS],
                    left=[float(left[part]) for part in COMPONENTS], color=colour, height=0.62,
                    label={"left_over": "unexplained", "tolerated": "within tolerance"}.get(name, name),
                )  # fmt: skip
                left = {part: left[part] + here[part] for part in COMPONENTS}
            for position, part in enumerate(COMPONENTS):
                if left[part]:
                    axes.text(
                        float(left[part]),
                        position,
                        f" {left[part]:,.{decimals(left[part], currency)}f}",
                        va="center",
                        fontsize=8,
                    )
            axes.set_title(currency)
            axes.margins(x=0.22)
            axes.invert_yaxis() if axes is panels[0] else None
            _plain(axes)
            axes.locator_params(axis="x", nbins=4)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=8)

    return _svg(paint, 8.6, 2.5)


def _any_of(row: Row) -> bool:
    return bool(row["explained"] or row["tolerated"] or row["left_over"])


def _bridge(content: Content) -> Callable[[Figure], None]:
    (row,) = content.ask(
        """
        select
            coalesce(sum(opening_count), 0)::bigint as opening, coalesce(sum(new_count), 0)::bigint as new,
            coalesce(sum(resolved_count - written_off_count), 0)::bigint as resolved,
            coalesce(sum(written_off_count), 0)::bigint as written_off,
            coalesce(sum(closing_count), 0)::bigint as closing
        from month_end.rollforward where month = $month and kind <> 'before_cutover'
        """,
        {"month": content.month},
    )
    steps = [
        ("opening", 0, row["opening"], _BLUE), ("new", row["opening"], row["new"], _ORANGE),
        ("resolved", row["opening"] + row["new"] - row["resolved"], row["resolved"], _TEAL),
        ("written off", row["closing"], row["written_off"], _GREY), ("closing", 0, row["closing"], _BLUE),
    ]  # fmt: skip
    steps = [step for step in steps if step[0] != "written off" or step[2]]

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for position, (name, bottom, height, colour) in enumerate(steps):
            axes.bar(position, height, bottom=bottom, color=colour, width=0.62)
            sign = {"new": "+", "resolved": "−", "written off": "−"}.get(name, "")
            axes.text(position, bottom + height, f"{sign}{height}", ha="center", va="bottom", weight="bold")
            if position + 1 < len(steps):
                level = bottom if name in ("resolved", "written off") else bottom + height
                axes.plot([position + 0.31, position + 0.69], [level, level], color=_GREY, linewidth=1)
        axes.set_xticks(range(len(steps)), [name for name, *_ in steps])
        axes.tick_params(axis="x", labelcolor=_INK)
        axes.set_ylabel("exceptions")
        axes.yaxis.set_major_locator(_whole_numbers())
        axes.margins(y=0.14)
        _plain(axes, along="y")

    return paint


def rollforward_bridge(content: Content) -> str:
    """From the opening to the closing number of exceptions. What was reclassified cancels out over all kinds."""
    return _svg(_bridge(content), 5.4, 3.0)


def rollforward_bridge_png(content: Content) -> bytes:
    """The same as PNG."""
    return _drawn(_bridge(content), 5.4, 3.0, "png")


def turnaround(content: Content) -> str | None:
    """Days from drop-off to refund and to restock, by drop-off method: half of the units, and nine of ten."""
    found = list(content.rows("turnaround"))
    if not found:
        return None
    methods = sorted({row["dropoff_method"] for row in found})

    def paint(figure: Figure) -> None:
        panels = figure.subplots(1, 2, sharey=True)
        for axes, stretch in zip(panels, ("refund", "restock"), strict=True):
            rows = {row["dropoff_method"]: row for row in found if row["stretch"] == stretch}
            for position, method in enumerate(methods):
                row = rows.get(method)
                if row is None:
                    continue
                median, most = row["median_hours"] / 24, row["p90_hours"] / 24
                axes.plot([median, most], [position, position], color=_GREY, linewidth=3, solid_capstyle="round")
                axes.plot(median, position, "o", color=_BLUE, markersize=8)
                axes.plot(most, position, "o", color="white", markeredgecolor=_BLUE, markersize=7)
                units = f"{row['units']} unit{'s' if row['units'] > 1 else ''}"
                axes.text(
                    most,
                    position - 0.24,
                    f"{median:.1f} / {most:.1f} days, {units}",
                    fontsize=7.5,
                    ha="center",
                    color=_QUIET,
                )
            axes.set_title(f"drop-off to {stretch}")
            axes.set_yticks(range(len(methods)), methods)
            axes.set_ylim(len(methods) - 0.4, -0.7)
            axes.set_xlim(left=0)
            axes.margins(x=0.3)
            axes.set_xlabel("days: half of the units ●   nine of ten ○")
            _plain(axes)

    return _svg(paint, 8.6, 1.2 + 0.5 * len(methods))


def _largest_first(rows: Iterable[Row], name: str, measure: str) -> Sequence[str]:
    totals: dict[str, int] = {}
    for row in rows:
        totals[row[name]] = totals.get(row[name], 0) + row[measure]
    return sorted(totals, key=lambda key: (-totals[key], key))
