"""Orders whose tax an engine adds to the price, beside orders that contain it: what is paid, and what the tables say of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest

from hr_centra_pipeline.month_end import compute as month_end
from hr_centra_pipeline.month_end.journal import remember
from hr_centra_pipeline.sandbox.centra.store import CentraSettings
from hr_centra_pipeline_tests.desk import NOW, Desk, Sold, Unit, desk

ZERO = Decimal(0)
SHOP = {"tax_engine_countries": ("US",), "export_countries": ("CH",)}
PAYS = {"pays_through": {"refund": "centra", "gift-card": "elsewhere"}}
RATES = {"TX": "8.25", "NY": "8.875", "WA": "10.35", "CA": "7.25", "IL": "6.25", "OR": "0"}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path, centra=CentraSettings(**SHOP)) as opened:
        opened.with_policy(**PAYS)
        yield opened


def sell(at: Desk, state: str, *lines: tuple[str, int, str], **more: Any) -> Sold:
    """An order to a state: prices are without tax, which the engine adds."""
    return at.sell(*lines, currency="USD", country="US", state=state, **more)


def comes_back(
    at: Desk, sold: Sold, line: int = 0, *, tax: str | None = None, items: str | None = None, shipping: str = "0",
    fee: str = "0", **more: Any,
) -> Unit:  # fmt: skip
    """A unit with a refund row as an American returns system writes it: tax apart, costs before tax."""
    unit = at.comes_back(sold, line, shipping=shipping, fee=fee, **more)
    told(at, unit, items=items or str(unit.price), tax=tax or "0", shipping=shipping, fee=fee)
    return unit


def told(at: Desk, unit: Unit, *, items: str, tax: str, shipping: str = "0", fee: str = "0") -> None:
    """The refund row of a return, for all of its units."""
    total = Decimal(items) + Decimal(tax) + Decimal(shipping) - Decimal(fee)
    at.change_refund(
        unit, item_subtotal=items, tax=tax, shipping_refund=shipping, processing_fee=fee, total_refunded=str(total)
    )  # fmt: skip


def tax_of(price: str | Decimal, state: str) -> str:
    """As anybody would reckon it."""
    return str((Decimal(price) * Decimal(RATES[state]) / 100).quantize(Decimal("0.01"), ROUND_HALF_UP))


def paid(at: Desk) -> dict[int, Decimal]:
    """What Centra paid, by order; each Return once."""
    found: dict[int, Decimal] = {}
    for made in at.books["returns"]:
        amounts = [Decimal(value) for kind, status, value in made["payments"] if kind == "REFUND" and status == "SUCCESS"]
        assert len(amounts) == 1, made
        found[made["order_number"]] = found.get(made["order_number"], ZERO) + amounts[0]
    return found


def by_order(at: Desk, query: str) -> dict[int, Decimal]:
    return {int(number): amount for number, amount in at.rows(query)}


def the_tables_say_what_was_paid(at: Desk) -> None:
    """The ledger, the facts of Centra's side and the months' figures are what Centra paid, to the cent."""
    given = paid(at)
    assert given == by_order(
        at,
        "select order_number, sum(case effect_kind when 'return_fee' then -amount else amount end) from push.ledger"
        " where state = 'confirmed' and effect_kind in ('credit_note', 'return_fee', 'shipping_refund') group by all",
    )
    assert given == by_order(
        at, "select order_number, sum(amount) from reconciliation.refund_facts where side = 'centra' group by all"
    )
    with at.warehouse.transaction() as connection:
        remember(connection, at.clock.now(), "policy")
        report = month_end.compute(connection, f"{at.clock.now():%Y-%m}", at.clock.now())
    assert report.breaks == []
    currencies = dict(at.rows("select order_number, currency from staging.orders"))
    totals: dict[str, Decimal] = {}
    for number, amount in given.items():
        totals[currencies[str(number)]] = totals.get(currencies[str(number)], ZERO) + amount
    assert totals == dict(
        at.rows("select currency, sum(centra_amount) from reconciliation.month_end group by all having sum(centra_amount) <> 0")
    )
    assert at.rows(
        "select currency, component, unexplained_amount, expected_unexplained_amount from reconciliation.month_end"
        " where unexplained_amount <> 0 or expected_unexplained_amount <> 0"
    ) == []
    assert at.rows("select return_item_id, too_much, refundable from effects.value_given_back where too_much + refundable <> 0") == []


def days_pass(at: Desk, days: int = 3) -> None:
    at.clock.advance_to(at.clock.now() + timedelta(days=days))


# ---------------------------------------------------------------- a US shop beside a European one


@pytest.mark.parametrize("every", [0, 3])
def test_a_us_shop_beside_a_european_one_pays_each_credit_once_and_the_tables_say_what_was_paid(
    tmp_path: Path, every: int
) -> None:
    """States, lines that are rounded, exempt goods, vouchers, shipping and fee with tax; export; an engine that fails at times."""
    settings = CentraSettings(**SHOP, tax_engine_fails_every=every, tax_engine_drift_cents=3)
    with desk(tmp_path, centra=settings) as at:
        # Where the engine fails, the country's own 8 % is a few dollars off in other states: all of this is within the limit.
        at.with_policy(**PAYS, **({"tax": {"percent": "100", "absolute": {"USD": "20"}}} if every else {}))
        texas = sell(at, "TX", ("DRESS-S", 3, "33.33"), ("SHIRT-M", 1, "19.99"), shipping="5.95", voucher="7.00")
        new_york = sell(at, "NY", ("DRESS-S", 1, "100.00"), ("SHIRT-M", 2, "30.00"), shipping="5.95")
        washington = sell(at, "WA", ("DRESS-M", 2, "129.90"), shipping="9.95")
        california = sell(at, "CA", ("DRESS-M", 1, "54.95"), shipping="5.95")
        oregon = sell(at, "OR", ("DRESS-S", 1, "100.00"), shipping="5.95")
        export = at.sell(
            ("DRESS-S", 2, "125.00"), shipping="12.50", voucher="10.00", currency="CHF", country="CH", state="ZH"
        )
        german = at.sell(("DRESS-S", 2, "129.90"), ("SHIRT-M", 1, "40.00"), shipping="4.90")

        first = comes_back(at, texas, 0, shipping="5.95", fee="4.95")
        at.comes_back(texas, 1, with_unit=first)
        told(at, first, items=str(Decimal("33.33") + Decimal("19.99") - Decimal("1.95") - Decimal("1.17")), tax="4.15",
             shipping="5.95", fee="4.95")  # fmt: skip
        comes_back(at, new_york, 0, tax="8.88", shipping="5.95", fee="3.00")
        comes_back(at, new_york, 1, tax="0")  # below 40.00 nothing is taxed there
        comes_back(at, washington, 0, tax=tax_of("129.90", "WA"), fee="4.95")
        comes_back(at, california, 0, tax=tax_of("54.95", "CA"), shipping="5.95")
        comes_back(at, oregon, 0, shipping="5.95", fee="4.95")
        comes_back(at, export, 0, items="96.00", shipping="10.00")
        at.comes_back(german, 0, shipping="4.90", fee="3.00")
        at.settle()
        # The next pieces come later, one by one.
        days_pass(at, 1)
        comes_back(at, texas, 0, items="31.39", tax="2.59")
        comes_back(at, new_york, 1, tax="0")
        comes_back(at, washington, 0, tax=tax_of("129.90", "WA"))
        comes_back(at, export, 0, items="96.00")
        at.settle()
        days_pass(at, 1)
        comes_back(at, texas, 0, items="31.39", tax="2.59")
        at.settle()
        writes = at.mutations()
        at.sync()
        assert at.mutations() == writes
        assert set(at.states().values()) == {"confirmed"}
        days_pass(at)
        at.sync()
        assert [row for row in at.reconcile() if "refund" in row[0] or "credit" in row[0] or "write" in row[0]] == []
        the_tables_say_what_was_paid(at)
        verdicts = dict(at.rows("select verdict, count(*) from reconciliation.tax_readings group by all"))
        assert verdicts.keys() <= {"as_planned", "within_limit"}
        assert verdicts["within_limit"] > 0  # the engine did change its mind
        kept = at.rows("select centra_return_id, paid, final_total from reconciliation.tax_readings where paid <> final_total")
        assert kept
