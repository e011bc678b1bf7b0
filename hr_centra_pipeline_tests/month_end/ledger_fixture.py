"""Hand-made facts and findings: a database in which a test says what the reconciliation would have said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.month_end import compute as month_end
from hr_centra_pipeline.month_end.compute import MonthReport
from hr_centra_pipeline.month_end.fact_journal import remember
from hr_centra_pipeline.reconciliation.reconcile import find, next_run, settle
from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.policy_tables import write_policy
from hr_centra_pipeline_tests.staged import pair_payments

POLICY = """
cutover = 2026-01-01T00:00:00Z
[pays_through]
refund = "centra"
gift-card = "gift_card"
[dispositions.sellable]
warehouse_id = 1
[dispositions.missing]
stock = "none"
[tolerance.EUR]
absolute = "0.05"
[coverage]
exports_every_hours = 0
"""
OBJECTS = ("orders", "shipments", "returns", "stock_changes")


def utc(text: str) -> datetime:
    """A time of a test."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@dataclass
class LedgerFixture:
    """One open transaction on a prepared database. Amounts are texts, times ISO texts in UTC."""

    connection: Connection

    def fact(
        self, side: str, amount: str, at: str, *, fact_id: str = "", return_id: str | None = "RT-1", order: str = "1001",
        component: str = "items", currency: str = "EUR", pending: bool = False,
    ) -> None:  # fmt: skip
        """One row of ``reconciliation.refund_facts``."""
        self.connection.execute(
            """
            insert into reconciliation.refund_facts by name
            select ? as side, ? as fact_id, ? as return_id, ? as order_number, null as return_item_id, ? as component,
                ? as currency, ?::decimal(18, 4) as amount, ?::timestamptz as happened_at, ? as is_pending, 'a test' as source,
                0 as in_goods
            """,
            [
                side, fact_id or f"{side} {return_id} {component} {at}", return_id, order, component, currency,
                Decimal(amount), utc(at), pending,
            ],
        )  # fmt: skip

    def three_sides(self, amount: str, at: str, **more: Any) -> None:
        """Expected, told and credited, all at once."""
        for side in ("expected", "happy_returns", "centra"):
            self.fact(side, amount, at, **more)

    def match(
        self, *, return_id: str | None = "RT-1", order: str = "1001", component: str = "items", currency: str = "EUR",
        tolerance: str = "0", explained_by: str | None = None, culprit: str = "happy_returns", **sides: str | None,
    ) -> None:  # fmt: skip
        """One row of ``reconciliation.refund_match``; sides: expected, happy_returns, centra, provider."""
        amounts = {name: None if value is None else Decimal(value) for name, value in sides.items()}
        difference = (amounts.get("happy_returns") or Decimal(0)) - (amounts.get("centra") or Decimal(0))
        within = abs(difference) <= Decimal(tolerance)
        self.connection.execute(
            """
            insert into reconciliation.refund_match by name
            select ? as return_id, ? as order_number, ? as component, ? as currency, ?::decimal(18, 4) as expected_amount,
                ?::decimal(18, 4) as happy_returns_amount, ?::decimal(18, 4) as centra_amount,
                ?::decimal(18, 4) as provider_amount, ?::decimal(18, 4) as difference, ? as culprit,
                ?::decimal(18, 4) as deviation, ?::decimal(18, 4) as tolerance_used, ? as within_tolerance,
                ? as is_explained, ? as explained_by, true as is_compared, 'a rule' as rule,
                ?::decimal(18, 4) as allowed_difference
            """,
            [
                return_id, order, component, currency, amounts.get("expected"), amounts.get("happy_returns"),
                amounts.get("centra"), amounts.get("provider"), difference, culprit, abs(difference),
                abs(difference) if within else Decimal(0), within, explained_by is not None, explained_by, Decimal(tolerance),
            ],
        )  # fmt: skip

    def pulled(self, until: str, since: str = "2026-01-01") -> None:
        """Centra was read whole, day after day."""
        self.connection.execute(
            """
            insert into landing.centra_pulls
            select object, day - interval 2 day, null, 1, 1, true, null, nextval('landing.batch_numbers'), day, 0
            from (select unnest(?) as object), (select unnest(generate_series(?, ?, interval 1 day)) as day)
            """,
            [list(OBJECTS), utc(since), utc(until)],
        )

    def learn(self, at: str) -> int:
        """A sync ended: what is new is entered into the journal. Answers the entries."""
        pair_payments(self.connection)
        self.connection.execute("delete from matching.orders_in_play")
        self.connection.execute(
            """
            insert into matching.orders_in_play
            select order_number from reconciliation.refund_facts
            union select order_number from month_end.fact_journal
            union select order_number from staging.payment_entries
            union select order_number from staging.return_items
            """
        )
        return remember(self.connection, utc(at), "policy").entries

    def findings(self, rows: Iterable[dict[str, Any]], at: datetime) -> None:
        """A reconciliation that found just these, through the real precedence, windows and history.

        A mismatch of order 1001 that is not found any more is one whose sides agree now, which closes it.
        """
        self.connection.execute("delete from matching.orders_in_play")  # no order's facts are made again
        find(self.connection, at)
        self.connection.execute("delete from findings")
        for row in rows:
            names = ", ".join(row)
            marks = ", ".join("?" * len(row))
            self.connection.execute(f"insert into findings ({names}) values ({marks})", list(row.values()))
        self.connection.execute(
            """
            insert into reconciliation.refund_match by name
            select
                '1001' as order_number, unnest(['items', 'tax']) as component, 'EUR' as currency, true as is_compared,
                0 as deviation, true as within_tolerance, 0 as tolerance_used, false as is_explained, 'test' as rule
            """
        )
        settle(self.connection, at, next_run(self.connection))
        self.connection.execute("delete from reconciliation.refund_match where rule = 'test'")

    def compute(self, month: str, as_of: str | datetime) -> MonthReport:
        """The month's tables."""
        moment = utc(as_of) if isinstance(as_of, str) else as_of
        return month_end.compute(self.connection, month, moment)

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Rows as dictionaries."""
        cursor = self.connection.execute(query)
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@contextmanager
def open_ledger(folder: Path, policy: str = POLICY) -> Iterator[LedgerFixture]:
    """An empty database with this policy, in one transaction."""
    warehouse = Warehouse(folder / "warehouse.duckdb")
    migrate.prepare(warehouse)
    (folder / "policy.toml").write_text(policy, encoding="utf-8")
    with warehouse.transaction() as connection:
        write_policy(connection, load_policy(folder / "policy.toml").policy, "live")
        yield LedgerFixture(connection)
