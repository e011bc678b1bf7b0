from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hr_centra_pipeline.sandbox.centra.store import CentraSettings, CentraStore
from hr_centra_pipeline.sandbox.payouts import settlements
from hr_centra_pipeline.sandbox.sandbox_clock import SandboxClock
from hr_centra_pipeline_tests.sandbox.centra.conftest import SHIPPED, furnish, sell

END = datetime(2026, 9, 30, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CentraStore]:
    """One order by card and one by the wallet, each with a refund; entries show the authorisation's number."""
    clock = SandboxClock(tmp_path / "clock")
    clock.advance_to(END)
    made = CentraStore(
        tmp_path / "centra.sqlite",
        clock,
        CentraSettings(authorisation_references=("card", "wallet"), first_order_number=1003),
    )
    furnish(made)
    for _ in range(2):
        sale = sell(made)
        made.refund_return(made.person_create_return(sale.shipment, {sale.dresses: 1}, at=SHIPPED), SHIPPED)
    yield made
    made.close()


def booked(store: CentraStore) -> list[settlements.Movement]:
    payments = store.rows(
        "select payments.*, orders.currency from payments join orders on orders.number = order_number order by payments.id"
    )
    return settlements.movements(payments, [])


def numbers(store: CentraStore, order: int) -> dict[str, tuple[str, Any]]:
    """Entry type -> (what the entry shows, the number in the provider's raw answer)."""
    return {
        row["entry_type"]: (
            row["external_reference"],
            json.loads(row["params"]).get("pspReference") or json.loads(row["params"])["id"],
        )
        for row in store.rows("select * from payments where order_number = ?", [order])
    }


def test_a_line_of_the_card_processor_has_the_bookings_own_number_and_the_payments(store: CentraStore) -> None:
    text = settlements.card_file(1, [one for one in booked(store) if one.order_number == 1003], END).decode()
    lines = {row["Type"]: row for row in csv.DictReader(io.StringIO(text))}
    known = numbers(store, 1003)
    assert lines["Refunded"]["Modification Reference"] == known["REFUND"][1]
    assert lines["Settled"]["Modification Reference"] == known["CAPTURE"][1]
    assert (
        {lines[kind]["Psp Reference"] for kind in ("Settled", "Refunded")} == {known["AUTH"][0]} == {known["REFUND"][0]}
    )
    assert lines["Refunded"]["Modification Merchant Reference"] == lines["Refunded"]["Merchant Reference"] == "1003"


def test_a_line_of_the_wallet_has_them_too(store: CentraStore) -> None:
    text = settlements.wallet_file([one for one in booked(store) if one.order_number == 1004], END, END).decode()
    header, *records = [row for row in csv.reader(io.StringIO(text)) if row[0] in ("CH", "SB")]
    assert {len(row) for row in records} == {len(header)}
    lines = {
        row["Transaction Event Code"]: row for row in (dict(zip(header, record, strict=True)) for record in records)
    }
    known = numbers(store, 1004)
    assert lines["T1107"]["Transaction ID"] == known["REFUND"][1] != known["REFUND"][0]
    assert lines["T1107"]["PayPal Reference ID"] == lines["T0006"]["PayPal Reference ID"] == known["AUTH"][0]
