from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from hr_centra_pipeline.sandbox.centra.store import CentraStore
from hr_centra_pipeline.sandbox.sandbox_clock import SandboxClock
from hr_centra_pipeline.sandbox.shop.shop import Shop
from hr_centra_pipeline.sandbox.webhooks.outbox import Outbox

UNTIL = datetime(2026, 9, 30, 12, tzinfo=UTC)
KINDS = {
    "return_without_order", "item_without_shipment_line", "return_without_credit_note",
    "return_without_stock_movement", "exchange_without_order", "exchange_refused", "credited_item_refused",
    "unmapped_disposition", "disposition_missing", "stalled_return", "refund_mismatch_items", "refund_mismatch_tax",
    "centra_return_without_return", "rejected_write", "quarantined_row", "source_not_covered",
    "refund_mismatch_shipping", "refund_mismatch_fee", "refund_mismatch_exchange", "credit_note_without_refund",
    "status_not_updated", "stock_change_without_return", "payout_mismatch",
}  # fmt: skip


def open_shop(home: Path) -> Shop:
    home.mkdir(parents=True, exist_ok=True)
    clock = SandboxClock(home / "clock")
    clock.advance_to(UNTIL - timedelta(days=45))
    return Shop(home, CentraStore(home / "centra.sqlite", clock), clock)


def seeded(home: Path, *, seed: int = 7, returns: int = 40) -> Shop:
    shop = open_shop(home)
    shop.seed(seed=seed, returns=returns, start=UNTIL - timedelta(days=45), until=UNTIL)
    return shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    made = seeded(tmp_path_factory.mktemp("shop"))
    made.advance(48)
    yield made
    made.store.close()


def files(shop: Shop) -> dict[str, str]:
    folder = shop.home / "exports"
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


def rows(shop: Shop, kind: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for file in sorted((shop.home / "exports").glob(f"{kind}-*")):
        data = gzip.decompress(file.read_bytes()) if file.name.endswith(".gz") else file.read_bytes()
        if file.name.endswith(".jsonl"):
            found += [json.loads(line) for line in data.decode().splitlines()]
        else:
            found += list(csv.DictReader(io.StringIO(data.decode())))
    return found


def test_the_same_seed_gives_the_same_files_and_another_seed_others(tmp_path: Path) -> None:
    one, same, other = seeded(tmp_path / "a"), seeded(tmp_path / "b"), seeded(tmp_path / "c", seed=8)
    assert files(one) == files(same)
    assert files(one) != files(other)


def test_a_shop_that_is_pushed_about_is_the_same_shop(tmp_path: Path) -> None:
    alone = seeded(tmp_path / "a")
    (tmp_path / "b").mkdir()
    outbox = Outbox.at(tmp_path / "b" / "happy_returns.sqlite")
    outbox.subscribe("http://127.0.0.1:9/", "s3", UNTIL)
    pushed = seeded(tmp_path / "b")
    assert files(pushed) == files(alone)
    assert pushed.store.records() == alone.store.records()
    topics = Counter(row["topic"] for row in outbox.deliveries())
    assert set(topics) == {"return.asn", "return.label.update", "outbound_shipment.asn", "outbound_shipment.asn.v2"}
    assert topics["return.asn"] > 80


def test_advancing_hour_by_hour_gives_the_same_truth_and_final_rows_as_advancing_at_once(tmp_path: Path) -> None:
    slow, fast = seeded(tmp_path / "a"), seeded(tmp_path / "b")
    for _ in range(24):
        slow.advance(1)
    fast.advance(24)
    assert slow.clock.now() == fast.clock.now() == UNTIL + timedelta(hours=24)
    assert slow.truth() == fast.truth()
    assert set(files(slow)) - {n for n in files(slow) if "late" in n or "copy" in n} == set(files(fast)) - {
        n for n in files(fast) if "late" in n or "copy" in n
    }


def test_a_seeded_home_is_left_alone(tmp_path: Path) -> None:
    before = files(seeded(tmp_path))
    assert files(seeded(tmp_path, seed=99)) == before


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    first = seeded(tmp_path)
    first.advance(3)
    again = Shop(tmp_path, first.store, first.clock)
    again.advance(3)
    assert again.clock.now() == UNTIL + timedelta(hours=6)
    assert again.truth() == first.truth()


def test_every_kind_of_trouble_is_planted_and_known(shop: Shop) -> None:
    assert {row["kind"] for row in shop.truth()} == KINDS


def test_no_planted_trouble_opens_close_to_the_moments_at_which_tests_look(shop: Shop) -> None:
    for row in shop.truth():
        opens = datetime.fromisoformat(row["opens_at"])
        assert all(abs(opens - moment) > timedelta(hours=4) for moment in (UNTIL, UNTIL + timedelta(hours=48))), row


def test_one_planted_return_has_one_trouble(shop: Shop) -> None:
    per_return = Counter(row["return_id"] for row in shop.truth() if row["return_id"])
    assert set(per_return.values()) == {1}


def test_every_refund_row_adds_up_but_those_that_are_planted_not_to(shop: Shop) -> None:
    planted = {
        row["return_id"]
        for row in shop.truth()
        if row["kind"] == "refund_mismatch_exchange" or "add up" in row["description"]
    }
    refunds = [row for row in rows(shop, "refunds") if row["return_id"] not in planted]
    assert len(refunds) > 20
    assert planted
    for row in refunds:
        parts = {
            name: Decimal(row[name])
            for name in ("item_subtotal", "discount", "tax", "shipping_refund", "processing_fee")
        }
        total = (
            parts["item_subtotal"] - parts["discount"] + parts["tax"] + parts["shipping_refund"]
            - parts["processing_fee"]
        )  # fmt: skip
        assert total == Decimal(row["total_refunded"]) >= 0


def test_there_is_one_row_per_unit_and_never_a_quantity(shop: Shop) -> None:
    items = [row for row in rows(shop, "items") if not row["item_id"].startswith("IT-BROKEN")]
    units = {row["item_id"] for row in items}
    assert len(units) > 40
    assert "quantity" not in items[0]
    assert any("-0-2" in row["order_line_item_id"] for row in items)


def test_the_shop_is_as_untidy_as_real_ones(shop: Shop) -> None:
    items = rows(shop, "items")
    assert any(not row["sku"] and row["upc"] for row in items)
    assert any(row["order_number"].startswith("#") for row in items)
    assert {row["updated_at"][-6:] for row in items} > {"+02:00"}
    assert {row["dropoff_method"] for row in items} >= {"return-bar", "mail", "in-store"}
    assert {row["refund_type"] for row in items} >= {"refund", "gift-card", "exchange"}
    numbers = {(row["return_id"], row["order_number"]) for row in items}
    assert len(numbers) > len({row["return_id"] for row in items})
    assert len({row["currency"] for row in rows(shop, "refunds")}) >= 3


def test_no_file_is_half_written(shop: Shop) -> None:
    assert not [name for name in files(shop) if name.endswith(".part")]


def test_settlement_files_report_every_payment_and_add_up_but_the_planted_one(shop: Shop) -> None:
    broken = {row["source_file"] for row in shop.truth() if row["culprit"] == "provider" and row["source_file"]}
    told: Counter[str] = Counter()
    for file in sorted((shop.home / "payouts").glob("*.csv")):
        lines = list(csv.DictReader(io.StringIO(file.read_text("utf-8"))))
        net = sum(Decimal(line["Net Credit (NC)"] or 0) - Decimal(line["Net Debit (NC)"] or 0) for line in lines)
        assert (net != 0) == (file.name in broken), file.name
        told.update(line["Modification Reference"] for line in lines if line["Type"] in ("Settled", "Refunded"))
    for file in sorted((shop.home / "payouts").glob("*.CSV")):
        records = list(csv.reader(io.StringIO(file.read_text("utf-8"))))
        sums = {record[1]: (int(record[2]), int(record[3])) for record in records if record[0] == "SF"}
        for currency, (credits, debits) in sums.items():
            lines_of = [record for record in records if record[0] == "SB" and record[10] == currency]
            assert credits == sum(int(line[9]) for line in lines_of if line[8] == "CR")
            assert debits == sum(int(line[9]) for line in lines_of if line[8] == "DR")
        told.update(record[1] for record in records if record[0] == "SB" and record[5] in ("T0006", "T1107"))
    settled = shop.clock.now() - timedelta(days=4)
    missing = [
        row["order_number"]
        for row in shop.store.rows("select * from payments where entry_type in ('CAPTURE', 'REFUND') order by id")
        if row["status"] == "SUCCESS" and datetime.fromisoformat(row["created_at"]) < settled
        and told[row["own_reference"]] != 1
    ]  # fmt: skip
    planted = [row["order_number"] for row in shop.truth() if row["description"] == "the provider: missing"]
    assert [str(number) for number in missing] == planted
