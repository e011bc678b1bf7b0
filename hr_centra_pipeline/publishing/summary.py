"""The month on one page: HTML with its charts inside, readable without a network."""

from __future__ import annotations

from decimal import Decimal
from functools import cache

from jinja2 import Environment, PackageLoader, select_autoescape

from hr_centra_pipeline.core.money import decimals
from hr_centra_pipeline.publishing import charts
from hr_centra_pipeline.publishing.content import Content
from hr_centra_pipeline.publishing.workbook import mismatch_rows, rollforward_rows, summary_rows

_MEASURES = {
    "double_credits_prevented": "Double credits prevented: the money had already been refunded by others",
    "over_credits_found": "Over-credits found: more was given back than was due",
    "unbooked_units_value": "Units that cannot be sold: not booked, not graded, or lost in transit",
}
_SHOWN_MISMATCHES = 15


@cache
def pages() -> Environment:
    """The templates. Everything that is put into them is escaped, charts aside, which we draw."""
    environment = Environment(
        loader=PackageLoader("hr_centra_pipeline.publishing"), autoescape=select_autoescape(["html"]), trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["money"] = _money
    environment.filters["words"] = lambda text: str(text).replace("_", " ")
    environment.filters["size"] = _size
    return environment


def _money(amount: object, currency: str | None) -> str:
    if not isinstance(amount, Decimal):
        return "–"
    return f"{amount:,.{decimals(amount, currency or 'EUR')}f}".replace("-", "−")


def _size(count: int) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1000  # type: ignore[assignment]
    return f"{count:,.1f} GB"


def summary_page(content: Content) -> str:
    """The page's text."""
    open_by_owner = content.ask(
        """
        select owner_team, count(*) as cases, count(*) filter (where is_overdue) as overdue, max(age_days) as oldest
        from month_end.open_items where month = $month group by owner_team order by owner_team
        """,
        {"month": content.month},
    )
    oldest = content.ask(
        """
        select kind, owner_team, return_id, order_number, currency, amount, age_days, detail
        from month_end.open_items where month = $month
        order by opened_at, exception_id limit 10
        """,
        {"month": content.month},
    )
    gaps = content.ask(
        """
        select source, problem from month_end.control_totals
        where month = $month and not is_covered order by source limit 20
        """,
        {"month": content.month},
    )
    mismatches = [row for row in mismatch_rows(content) if not row["within_tolerance"] and not row["is_explained"]]
    return (
        pages()
        .get_template("summary.html")
        .render(
            content=content,
            certificate=content.certificate,
            rows=list(summary_rows(content)),
            rollforward=list(rollforward_rows(content)),
            liability=list(content.rows("refund_liability")),
            goods=content.ask(
                """
                select stage, currency, sum(units)::bigint as units, sum(selling_value) as selling_value,
                    sum(refunded_units)::bigint as refunded_units
                from month_end.goods_in_transit where month = $month
                group by stage, currency
                order by list_position(
                    ['not_handed_over', 'on_its_way', 'at_bar', 'at_hub', 'outbound', 'arrived_not_booked'], stage
                ), currency
                """,
                {"month": content.month},
            ),
            saved=[
                {**row, "words": _MEASURES[row["measure"]]} for row in content.rows("money_saved")
            ],
            late=list(content.rows("late_items")),
            mismatches=mismatches[:_SHOWN_MISMATCHES],
            more_mismatches=max(0, len(mismatches) - _SHOWN_MISMATCHES),
            open_by_owner=open_by_owner,
            oldest=oldest,
            gaps=gaps,
            charts={
                "open": charts.open_by_kind_and_age(content),
                "mismatch": charts.mismatch_by_component(content),
                "bridge": charts.rollforward_bridge(content),
                "turnaround": charts.turnaround(content),
            },
        )
    )  # fmt: skip
