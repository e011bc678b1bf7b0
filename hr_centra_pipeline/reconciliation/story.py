"""One return's whole story: what happened on both sides, what was decided by which rule, what was called, what is in trouble."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from hr_centra_pipeline.core import codes
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.warehouse.database import Connection, run_sql


@dataclass(frozen=True)
class Line:
    """One thing that happened. ``who``: a side, a rule, or a person's name; ``unit`` ``None``: the whole return."""

    at: datetime
    who: str
    unit: str | None
    what: str


@dataclass(frozen=True)
class UnitStory:
    """The state of one unit. Amounts in ``currency``; ``refundable``: along the chain of exchanges."""

    return_item_id: str
    sku: str | None
    order_number: str
    refund_type: str | None
    disposition: str | None
    effects: str
    currency: str | None
    paid: Decimal | None
    given: Decimal | None
    refundable: Decimal | None
    root_order: str | None
    chain_depth: int | None


@dataclass(frozen=True)
class OpenException:
    """One exception that is open, with what to do. ``is_dry_run``: only because nothing is sent; nobody has to act."""

    kind: str
    detail: str
    next_step: str
    is_dry_run: bool = False


@dataclass(frozen=True)
class Story:
    """One return."""

    return_id: str
    express_code: str | None
    orders: list[str]
    units: list[UnitStory]
    timeline: list[Line]
    exceptions: list[OpenException]


def stories(connection: Connection, named: str) -> list[Story]:
    """The story of each return that a return id, express code, unit or order number names (``#`` is left out).

    Raises:
        ConfigurationError: it names none.
    """
    rows = connection.execute(
        """
        select distinct return_id from (
            select return_id, express_code, order_number, cast(null as varchar) as return_item_id from staging.returns
            union all by name
            select return_id, express_code, order_number, return_item_id from staging.return_items
        )
        where $named in (return_id, express_code, order_number, return_item_id) order by return_id
        """,
        {"named": named.removeprefix("#")},
    ).fetchall()
    if not rows:
        raise ConfigurationError(f"{named}: no return, express code, unit or order has that name.")
    return [_story(connection, return_id) for (return_id,) in rows]


def _story(connection: Connection, return_id: str) -> Story:
    heads = connection.execute(
        "select order_number, express_code from staging.returns where return_id = ? order by order_number", [return_id]
    ).fetchall()
    units = connection.execute(
        """
        select
            items.return_item_id, coalesce(matched.sku, items.sku), items.order_number, items.refund_type, items.disposition,
            coalesce((
                select string_agg(
                    effect_text(effect_kind) || ' ' || replace(state, 'unknown', 'in doubt'), ', ' order by effect_kind
                )
                from push.ledger where ledger.return_item_id = items.return_item_id
            ), 'nothing yet') as effects,
            value.currency, value.paid, value.given, value.refundable, value.root_order, value.chain_depth
        from staging.return_items as items
        left join matching.matched_items as matched using (return_item_id)
        left join effects.value_given_back as value using (return_item_id)
        where items.return_id = ? order by items.return_item_id
        """,
        [return_id],
    ).fetchall()
    orders = list(dict.fromkeys([order for order, _ in heads] + [row[2] for row in units]))
    parameters = {"returns": [return_id], "orders": orders, "waiting": list(codes.WAITING)}
    timeline = run_sql(connection, "hr_centra_pipeline.reconciliation", "story.sql", parameters).fetchall()
    exceptions = connection.execute(
        """
        select kind, detail, next_step, is_dry_run
        from (
            select *, false as is_dry_run from reconciliation.exceptions
            union all by name
            select *, true as is_dry_run from reconciliation.dry_run_items
        )
        where return_id = ? order by is_dry_run, opened_at, kind
        """,
        [return_id],
    ).fetchall()
    return Story(
        return_id=return_id,
        express_code=next((code for _, code in heads if code), None),
        orders=orders,
        units=[UnitStory(*row) for row in units],
        timeline=[Line(at.astimezone(UTC), *rest) for at, *rest in timeline],
        exceptions=[OpenException(*row) for row in exceptions],
    )
