"""A still picture of what is open: exceptions by kind, each bar cut by age."""

from __future__ import annotations

import io
from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hr_centra_pipeline.warehouse.tables.reconciliation import AGE_BUCKETS

# From young to old: pale to dark. Told apart by people who do not see red and green alike.
_AGES = dict(
    zip(AGE_BUCKETS, ("#D6E6F4", "#ABCFE6", "#73B2D8", "#3F8FC5", "#1F6CAF", "#0D4A8C", "#08244F"), strict=True)
)
_INK, _QUIET, _LINES = "#22313F", "#5F6B7A", "#DDE3E8"


def open_by_kind_and_age(counts: Mapping[tuple[str, str], int]) -> bytes:
    """PNG of (kind, age bucket) -> open exceptions; the same figures give the same bytes."""
    totals: dict[str, int] = {}
    for (kind, _), count in counts.items():
        totals[kind] = totals.get(kind, 0) + count
    kinds = sorted(totals, key=lambda kind: (-totals[kind], kind))
    figure = Figure(figsize=(8.6, 1.0 + 0.27 * len(kinds)), dpi=110, layout="constrained")
    axes = figure.subplots()
    left = dict.fromkeys(kinds, 0)
    for bucket, colour in _AGES.items():
        here = {kind: counts.get((kind, bucket), 0) for kind in kinds}
        if any(here.values()):
            axes.barh(
                [kind.replace("_", " ") for kind in kinds], [here[kind] for kind in kinds],
                left=[left[kind] for kind in kinds], color=colour, label=bucket, height=0.68,
            )  # fmt: skip
            left = {kind: left[kind] + here[kind] for kind in kinds}
    for position, kind in enumerate(kinds):
        axes.text(left[kind], position, f" {left[kind]}", va="center", color=_INK, fontsize=9)
    axes.invert_yaxis()
    axes.set_xlabel("open exceptions", color=_QUIET, fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="x", color=_LINES, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=9, labelcolor=_INK)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.legend(title="days open", frameon=False, loc="lower right", fontsize=8, title_fontsize=8)
    target = io.BytesIO()
    figure.savefig(target, format="png", metadata={"Software": None})
    return target.getvalue()
