"""Components sum to totals, allocations sum back, and no unit is dropped or counted twice, whatever the books hold."""

from __future__ import annotations

import tempfile
from decimal import Decimal
from pathlib import Path
from random import Random

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hr_centra_pipeline.core import money
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.policy_tables import write_policy
from hr_centra_pipeline_tests.reconciliation.ledger_fixture import DROPPED, HOUR, LedgerFixture
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY

CENTS = st.integers(-(10**9), 10**9).map(lambda cents: Decimal(cents) / 100)


@pytest.fixture(scope="module")
def macros() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(money.SQL_MACROS)
    return connection


@settings(max_examples=150, deadline=None)
@given(
    amount=st.one_of(CENTS, st.decimals(-1000, 1000, places=4)),
    weights=st.lists(st.integers(0, 10**6), min_size=1, max_size=9).filter(any),
    currency=st.sampled_from(["EUR", "JPY", "KWD"]),
)
@example(amount=Decimal("0.01"), weights=[1, 1, 1], currency="EUR")
@example(amount=Decimal("-0.0001"), weights=[0, 3, 0], currency="JPY")
def test_parts_of_an_amount_sum_back_exactly(
    macros: duckdb.DuckDBPyConnection, amount: Decimal, weights: list[int], currency: str
) -> None:
    parts = macros.execute(
        """
        select list(part_of($amount::decimal(18, 4), upto - weight, upto, whole, $currency) order by place)
        from (
            select
                place, weight, sum(weight) over (order by place rows between unbounded preceding and current row) as upto,
                sum(weight) over () as whole
            from (select unnest($weights) as weight, unnest(range(len($weights))) as place)
        )
        """,
        {"amount": amount, "weights": weights, "currency": currency},
    ).fetchone()
    assert parts is not None
    assert sum(parts[0], Decimal(0)) == amount.quantize(Decimal("0.0001"))
    # Each part but the last is whole in the currency's smallest unit, and nobody gets more than one of them too much.
    unit = Decimal(1).scaleb(-money.minor_units(currency))
    last = max(place for place, weight in enumerate(weights) if weight)
    for part, weight in list(zip(parts[0], weights, strict=True))[:last]:
        assert part % unit == 0
        assert abs(part - amount * weight / sum(weights)) <= 2 * unit


def fill(ledger: LedgerFixture, random: Random) -> None:
    """A dozen orders: discounts, vouchers, fees, shipping, several pieces, returns, Returns by hand, wrong figures."""
    for position in range(12):
        number = str(1001 + position)
        pieces = random.randint(1, 4)
        price = Decimal(random.randrange(500, 40000)) / 100
        voucher = Decimal(random.randrange(0, 900)) / 100 if random.random() < 0.4 else Decimal(0)
        shipping = random.choice(["0", "4.90", "6.05"])
        ledger.sold(number, pieces=pieces, price=str(price), shipping=shipping, discounts=voucher)
        units = ledger.returned(
            number, pieces=random.randint(1, pieces + 1), dropoff_method=random.choice(["mail", "return-bar"]),
            return_id=f"R-{random.choice([number, '1001'])}",
        )  # fmt: skip
        returned = units[:pieces]
        given = random.sample(returned, random.randint(0, len(returned)))
        off = Decimal(random.choice(["0", "0", "0.01", "-3.33"]))
        by_person = random.random() < 0.3
        fee = random.choice(["0", "4.95"])
        kind = random.choice(["credit_note", "credit_note", "exchange_order"])
        if kind == "exchange_order":
            ledger.connection.execute(
                "update staging.return_items set refund_type = 'exchange' where order_number = ?", [number]
            )
        if given:
            part = (voucher * len(given) / pieces).quantize(Decimal("0.01"))
            ledger.credited(
                number, given, int(number), by_person=by_person, price=str(price),
                tax=str((price / 5).quantize(Decimal("0.01"))), shipping=random.choice(["0", shipping]), fee=fee,
                voucher=str(part), kind=kind, reference=f"psp-{number}", paid=random.random() < 0.8,
            )  # fmt: skip
            row = ledger.rows(f"select grand_total from staging.centra_returns where centra_return_id = {number}")
            ledger.booked(f"psp-{number}", str(-(row[0][0] + off)))
        told = random.sample(units, random.randint(0, len(units)))
        if told:
            cut = random.randint(0, len(told))
            for name, some in (("a", told[:cut]), ("b", told[cut:])):
                if some:
                    ledger.told(
                        number, some, items=str(price * len(some) * 4 / 5 + off), tax=str(price * len(some) / 5), name=name,
                        shipping=random.choice(["0", shipping]), fee=fee, fee_basis=random.choice(["item", "return", None]),
                        refund_type="exchange" if kind == "exchange_order" else "refund",
                        at=DROPPED + random.randint(1, 400) * HOUR, status=random.choice(["issued", "issued", "pending"]),
                    )  # fmt: skip


@pytest.mark.slow
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 10**6))
@example(seed=1)
def test_facts_sum_back_to_what_each_side_reported(seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Warehouse(Path(folder) / "warehouse.duckdb")
        migrate.prepare(warehouse)
        with warehouse.transaction() as connection:
            write_policy(connection, load_policy(EXAMPLE_POLICY).policy, "live")
            ledger = LedgerFixture(connection)
            fill(ledger, Random(seed))
            ledger.reconcile()
            check(ledger)


def check(ledger: LedgerFixture) -> None:
    assert ledger.rows("select count(*) from reconciliation.refund_facts") > [(20,)]
    # Centra: a Return's facts sum to its grandTotal, its tax to its tax.
    assert (
        ledger.rows(
            """
        select source, told, grand_total from (
            select source, sum(amount + in_goods) as told from reconciliation.refund_facts where side = 'centra' group by source
        )
        join staging.centra_returns on source = 'Return ' || centra_return_id
        where told <> grand_total
        """
        )
        == []
    )
    assert (
        ledger.rows(
            """
        select source from (
            select source, sum(amount) as tax from reconciliation.refund_facts
            where side = 'centra' and component = 'tax' group by source
        ) as facts
        join staging.centra_returns as returns on source = 'Return ' || centra_return_id
        where facts.tax <> returns.tax
        """
        )
        == []
    )
    # Happy Returns: the facts of a return on an order sum to its rows, component by component.
    assert (
        ledger.rows(
            """
        with rows_ as (
            select
                return_id, order_number, sum(case when refund_type = 'exchange' then total_refunded else
                    item_subtotal - discount + tax + shipping_refund - processing_fee end) as told
            from staging.refunds group by all
        )
        select rows_.*, facts.told from rows_
        full join (
            select return_id, order_number, sum(amount) as told from reconciliation.refund_facts
            where side = 'happy_returns' group by all
        ) as facts using (return_id, order_number)
        where rows_.told is distinct from facts.told
        """
        )
        == []
    )
    # The provider: its facts sum to its lines.
    assert (
        ledger.rows(
            """
        select source from (
            select source, sum(amount) as told from reconciliation.refund_facts where side = 'provider' group by source
        )
        join staging.payout_lines on source = source_file || ':' || source_line
        where told <> -gross_amount
        """
        )
        == []
    )
    # No fact twice; a unit has each component at most once per side and source.
    assert ledger.rows("select fact_id from reconciliation.refund_facts group by all having count(*) > 1") == []
    assert (
        ledger.rows(
            """
        select return_item_id, side, component, source from reconciliation.refund_facts
        where return_item_id is not null group by all having count(*) > 1
        """
        )
        == []
    )
    # Expected: every matched unit whose money is due (or was given) once, at what it cost.
    assert (
        ledger.rows(
            """
        select return_item_id from (
            select return_item_id, sum(amount) as expected from reconciliation.refund_facts
            where side = 'expected' and return_item_id is not null group by all
        ) as facts
        full join (
            select units.return_item_id, unit_price - voucher_share as price
            from matching.matched_items as units
            join staging.return_items as items using (return_item_id)
            where shipment_line_id is not null and items.refund_type <> 'exchange'
        ) as units using (return_item_id)
        where expected is distinct from price
        """
        )
        == []
    )
    # The match holds every fact once.
    for side in ("expected", "happy_returns", "centra", "provider"):
        assert ledger.rows(
            f"""
            select coalesce((select sum(amount) from reconciliation.refund_facts where side = '{side}'), 0)
                - coalesce((select sum({side}_amount) from reconciliation.refund_match), 0)
            """
        ) == [(Decimal(0),)], side
    # Matching: every unit once, no piece taken twice.
    assert ledger.rows("select count(*) - (select count(*) from staging.return_items) from matching.matched_items") == [
        (0,)
    ]
    assert (
        ledger.rows(
            """
        select shipment_line_id from matching.matched_items
        join (select shipment_line_id, quantity from staging.shipment_lines) as lines using (shipment_line_id)
        group by shipment_line_id, quantity having count(*) > quantity
        """
        )
        == []
    )


def test_a_return_of_millions_of_pieces_is_a_thousand_rows_and_its_rest_and_sums_back(prepared: Connection) -> None:
    ledger, millions = LedgerFixture(prepared), 2_000_000_000
    ledger.sold("1001", pieces=5)
    units = ledger.returned("1001", pieces=2)
    ledger.credited("1001", units, 1, voucher="7.77")
    prepared.execute("update staging.centra_return_lines set quantity = ?", [millions])
    ledger.reconcile()
    pieces = ledger.rows(
        """
        select count(*), sum(pieces), sum(gross), sum(tax), count(return_item_id),
            max(pieces) filter (where return_item_id is not null)
        from return_pieces
        """
    )
    assert pieces == [(1002, millions, Decimal("242.23"), Decimal(50), 2, 1)]
    facts = ledger.rows(
        "select sum(amount), count(*) < 3000 from reconciliation.refund_facts where side = 'centra' and order_number = '1001'"
    )
    assert facts == [(Decimal("242.23"), True)]
