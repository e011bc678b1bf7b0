"""Whatever an engine makes of a Return's tax: Centra's side of the facts, the ledger and the value given are what was paid."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from hr_centra_pipeline.core.keys import effect_key, packet_key
from hr_centra_pipeline.core.policy import Policy, Tax
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.policy_tables import write_policy
from hr_centra_pipeline_tests.reconciliation.ledger_fixture import DROPPED, HOUR, NOW, ZERO, LedgerFixture
from hr_centra_pipeline_tests.staged import put, template

CENT = Decimal("0.01")
POLICY = {
    "cutover": DROPPED.replace(month=1), "pays_through": {"refund": "centra", "gift-card": "gift_card"},
    "dispositions": {"sellable": {"warehouse_id": 1}},
}  # fmt: skip


def rounded(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)


@dataclass(frozen=True)
class Sale:
    """One line, all of it in one Return; amounts before tax, ``rate`` in percent. Cents that the engine changed its mind by."""

    net: Decimal
    pieces: int
    rate: Decimal
    voucher: Decimal
    shipping: Decimal
    fee: Decimal
    estimated_off: int
    settled_off: int

    def tax(self, amount: Decimal) -> Decimal:
        return rounded(amount * self.rate / 100)

    @property
    def before_tax(self) -> Decimal:
        return self.pieces * self.net - self.voucher + self.shipping - self.fee

    @property
    def line_tax(self) -> Decimal:
        return self.tax(self.pieces * self.net)

    @property
    def total(self) -> Decimal:
        """As anybody would reckon it."""
        costs = self.tax(self.shipping) - self.tax(self.voucher) - self.tax(self.fee)
        return self.before_tax + self.line_tax + costs


@st.composite
def sales(draw: st.DrawFn) -> Sale:
    cents = st.integers(0, 400).map(lambda n: Decimal(n) * CENT)
    net = Decimal(draw(st.integers(1_000, 30_000))) * CENT
    rate = draw(st.sampled_from(["0.125", "6.25", "8.875", "10.35", "14.975"]))
    off = st.integers(-5, 5)
    return Sale(
        net, draw(st.integers(1, 4)), Decimal(rate), draw(cents), draw(cents), draw(cents), draw(off), draw(off)
    )


def land(ledger: LedgerFixture, sale: Sale) -> Decimal:
    """What Centra and Happy Returns show of it; answers what was paid."""
    connection, number = ledger.connection, "1001"
    unit_tax = sale.tax(sale.net)
    order = {
        "order_number": number, "currency": "USD", "captured": 10_000, "tax_mode": "added", "shipping": sale.shipping,
        "shipping_tax_added": sale.tax(sale.shipping), "discounts": sale.voucher, "fetched_at": DROPPED,
        "discount_tax_added": sale.tax(sale.voucher), "created_at": DROPPED.replace(month=8),
    }  # fmt: skip
    put(connection, "staging.orders", **order)
    put(
        connection, "staging.order_lines", order_line_id=number, order_number=number, sku="SKU-1001", is_product=True,
        quantity=sale.pieces, unit_price=sale.net + unit_tax, unit_original_price=sale.net + unit_tax, unit_tax_added=unit_tax,
        tax_percent=sale.rate,
    )  # fmt: skip
    put(
        connection, "staging.shipments", shipment_id=1001, order_number=number, is_shipped=True, shipped_at=DROPPED.replace(month=8)
    )  # fmt: skip
    put(
        connection, "staging.shipment_lines", shipment_line_id=1001, shipment_id=1001, order_number=number, order_line_id=number,
        quantity=sale.pieces, unit_price=sale.net + unit_tax, unit_tax=unit_tax, unit_tax_added=unit_tax, currency="USD",
    )  # fmt: skip
    units = ledger.returned(number, pieces=sale.pieces)
    ledger.told(
        number, units, items=str(sale.pieces * sale.net - sale.voucher), tax=str(sale.line_tax - sale.tax(sale.voucher)),
        shipping=str(sale.shipping), fee=str(sale.fee), currency="USD",
    )  # fmt: skip
    paid = sale.total + sale.estimated_off * CENT
    final = paid + sale.settled_off * CENT
    keys = [effect_key("credit_note", unit) for unit in units]
    return_level = {"shipping_refund": sale.shipping, "return_fee": sale.fee}
    return_level_keys = {kind: effect_key(kind, "R-1001", number) for kind, amount in return_level.items() if amount}
    line_tax = sale.line_tax + (sale.estimated_off + sale.settled_off) * CENT
    put(
        connection, "staging.centra_returns", centra_return_id=7, order_number=number, shipment_id=1001, status="COMPLETED",
        currency="USD", grand_total=final, net_total=sale.before_tax, line_values=sale.pieces * sale.net + line_tax,
        shipping=sale.shipping, shipping_tax_added=sale.tax(sale.shipping), discounts=sale.voucher,
        discount_tax_added=sale.tax(sale.voucher), return_cost=sale.fee, return_cost_tax_added=sale.tax(sale.fee),
        tax=line_tax - sale.tax(sale.voucher), created_at=DROPPED + 2 * HOUR, fetched_at=NOW, created_from="API",
        packet_key=packet_key(keys), effect_keys=[*keys, *return_level_keys.values()], express_codes=[],
    )  # fmt: skip
    put(
        connection, "staging.centra_return_lines", centra_return_line_id=7, centra_return_id=7, order_number=number,
        shipment_line_id=1001, order_line_id=number, quantity=sale.pieces, line_value=sale.pieces * sale.net + line_tax,
        line_tax=line_tax,
    )  # fmt: skip
    ledger.paid(number, 7, paid, currency="USD")
    for unit, key in zip(units, keys, strict=True):
        _ledger(connection, key, "credit_note", unit, sale.net + unit_tax)
    for kind, key in return_level_keys.items():
        _ledger(connection, key, kind, None, return_level[kind] + sale.tax(return_level[kind]))
    return paid


def _ledger(connection: Connection, key: str, kind: str, unit: str | None, amount: Decimal) -> None:
    connection.execute(
        "insert into push.ledger (effect_key, effect_kind, return_id, return_item_id, order_number, shipment_line_id, currency,"
        " amount, state, centra_id, is_foreign, updated_at)"
        " values (?, ?, 'R-1001', ?, '1001', ?, 'USD', ?, 'confirmed', '7', false, ?)",
        [key, kind, unit, 1001 if unit else None, amount, DROPPED + 2 * HOUR],
    )


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sale=sales())
def test_what_was_paid_is_what_every_table_says(tmp_path_factory: pytest.TempPathFactory, sale: Sale) -> None:
    assume(sale.tax(sale.net) > Decimal("0.05"))  # an engine is a few cents off, and no tax becomes negative by that
    file = tmp_path_factory.mktemp("books") / "warehouse.duckdb"
    file.write_bytes(template().read_bytes())
    with Warehouse(file).transaction() as connection:
        write_policy(connection, Policy.model_validate(POLICY), "live")
        ledger = LedgerFixture(connection)
        paid = land(ledger, sale)
        ledger.reconcile()
        centra = dict(
            ledger.rows(
                "select component, sum(amount) from reconciliation.refund_facts where side = 'centra' group by all"
            )
        )
        assert sum(centra.values(), ZERO) == paid
        # What is before tax is what was planned, to the cent; and so are the costs with their own tax.
        assert centra["items"] == sale.pieces * sale.net - sale.voucher
        assert centra.get("shipping", ZERO) == sale.shipping + sale.tax(sale.shipping)
        assert centra.get("fee", ZERO) == -(sale.fee + sale.tax(sale.fee))
        assert ledger.rows(
            "select sum(case effect_kind when 'return_fee' then -amount else amount end) from push.ledger"
            " where effect_kind in ('credit_note', 'shipping_refund', 'return_fee')"
        ) == [(paid,)]
        assert ledger.rows("select sum(too_much), sum(refundable) from effects.value_given_back") == [(ZERO, ZERO)]
        # Neither a cost that was reported before tax nor a few cents of tax are anybody's mistake.
        assert ledger.open("refund_mismatch", "double_credit", "credit_note", "return_without_credit") == []
        assert (
            ledger.rows(
                "select component from reconciliation.refund_match where component in ('shipping', 'fee')"
                " and happy_returns_amount <> centra_amount"
            )
            == []
        )
        assert ledger.rows("select verdict in ('as_planned', 'within_limit') from reconciliation.tax_readings") == [
            (True,)
        ]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tax=st.decimals("-9999", "9999", places=2),
    percent=st.decimals("0", "20", places=2),
    absolute=st.none() | st.decimals("0", "5", places=2),
    currency=st.sampled_from(["USD", "JPY", "KWD"]),
)
def test_the_limit_is_one_in_sql_and_in_python(
    prepared: Connection, tax: Decimal, percent: Decimal, absolute: Decimal | None, currency: str
) -> None:
    given_absolute = {} if absolute is None else {currency: absolute}
    policy = Policy.model_validate({**POLICY, "tax": {"percent": percent, "absolute": given_absolute}})
    write_policy(prepared, policy, "live")
    assert prepared.execute("select policy.tax_allowed(?::decimal(18, 4), ?)", [tax, currency]).fetchone() == (
        policy.tax.allowed(tax, currency),
    )


def test_a_currency_that_is_not_listed_allows_ten_of_its_smallest_unit() -> None:
    assert [Tax().allowed(ZERO, currency) for currency in ("USD", "JPY", "KWD")] == [
        Decimal("0.10"), Decimal(10), Decimal("0.010"),
    ]  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 50_000), st.integers(-5_000, 9_000), st.integers(0, 100))
def test_a_cost_with_its_tax_is_taken_apart_as_it_was_put_together(
    prepared: Connection, whole: int, added: int, percent: int
) -> None:
    """The whole of it exactly, a part to the cent."""
    added = max(added, -whole // 2)
    base, tax = Decimal(whole) * CENT, Decimal(added) * CENT
    part = rounded(base * percent / 100)
    (back, all_back), *_ = prepared.execute(
        """
        select kept_of_told((part + added_to_part(tax, part, base, 'USD'))::decimal(18, 4), tax, base, 'with_tax', 'USD'),
            kept_of_told((base + tax)::decimal(18, 4), tax, base, 'with_tax', 'USD')
        from (select ?::decimal(18, 4) as base, ?::decimal(18, 4) as tax, ?::decimal(18, 4) as part)
        """,
        [base, tax, part],
    ).fetchall()
    assert all_back == base
    assert abs(back - part) <= CENT


# mode, what the Return gives before and with tax, what a person refunded on it -> what the unit was given too much
BY_HAND = {
    "an export has no tax that could explain it": ("none", "100", "100", "130", "30"),
    "far beyond the tax": ("added", "100", "108", "130", "22"),
    "just beyond the tax and what may differ": ("added", "100", "108", "108.17", "0.17"),
    "as far as the tax may differ": ("added", "100", "108", "108.16", "0"),
}


@pytest.mark.parametrize("case", BY_HAND)
def test_more_than_the_value_and_its_tax_was_given_twice_and_no_tax_engine_is_blamed(tmp_path: Path, case: str) -> None:
    mode, net, total, refunded, too_much = BY_HAND[case]
    file = tmp_path / "warehouse.duckdb"
    file.write_bytes(template().read_bytes())
    with Warehouse(file).transaction() as connection:
        write_policy(connection, Policy.model_validate(POLICY | {"tax": {"absolute": {"EUR": "0.05"}}}), "live")
        ledger = LedgerFixture(connection)
        tax = Decimal(total) - Decimal(net)
        ledger.sold("1001", price=total, tax_mode=mode)
        connection.execute("update staging.shipment_lines set unit_tax = ?, unit_tax_added = ?", [tax, tax])
        units = ledger.returned("1001")
        ledger.told("1001", units, items=net, tax=str(tax))
        ledger.credited("1001", units, 7, price=total, tax=str(tax), paid=False, net_total=Decimal(net))
        ledger.paid("1001", 7, refunded)
        ledger.reconcile()
        assert ledger.rows("select given, too_much from effects.value_given_back") == [
            (Decimal(refunded), Decimal(too_much))
        ]
        doubles = [("double_credit", "R-1001", Decimal(too_much), "unknown")] if Decimal(too_much) else []
        assert ledger.open("double_credit", "refund_mismatch_tax") == doubles
