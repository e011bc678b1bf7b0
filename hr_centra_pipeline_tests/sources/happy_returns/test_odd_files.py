"""Files of odd names, encodings, sizes and line ends: each is read, or refused by name, and never stops another."""

from __future__ import annotations

import gzip
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hr_centra_pipeline.sources.intake import bounds, contents
from hr_centra_pipeline.warehouse import models
from hr_centra_pipeline_tests.sources.happy_returns.conftest import ITEM, NOW, REFUND, RETURN, SHIPMENT, Harness, as_csv


def _problem(harness: Harness, name: str) -> str | None:
    ((problem,),) = harness.rows("select problem from landing.files where source_file = ?", name)
    return None if problem is None else str(problem)


def test_a_file_with_single_carriage_returns_is_read_packed_or_not(harness: Harness) -> None:
    data = as_csv(harness.header("items"), [ITEM, ITEM | {"item_id": "IT-2"}], end="\r")
    harness.put("items.csv", data)
    harness.put("returns.csv.gz", gzip.compress(as_csv(harness.header("returns"), [RETURN], end="\r")))
    harness.csv("refunds", REFUND)
    harness.ingest()
    assert harness.totals() == (4, 4, 0, 0)
    assert harness.rows("select item_id, source_line from landing.happy_returns_items order by 1") == [
        ("IT-1", 2),
        ("IT-2", 3),
    ]


def test_a_carriage_return_in_a_header_is_refused_by_name_and_stops_no_other_file(harness: Harness) -> None:
    header, row = as_csv(harness.header("items"), [ITEM]).split(b"\n")[:2]
    harness.put("items.csv", header.replace(b",sku,", b',"s\rku",') + b"\n" + row + b"\n")
    harness.csv("returns", RETURN)
    harness.ingest()
    assert _problem(harness, "items.csv") is not None
    assert harness.totals() == (1, 1, 0, 0)


def test_names_are_names_and_no_patterns(harness: Harness) -> None:
    names = ["items1.csv", "items[12].csv", "items*.csv", "items?.csv", "it'ems\".csv", "100%20.csv", "{a,b}.csv"]
    for number, name in enumerate(names):
        harness.csv("items", ITEM | {"item_id": f"IT-{number}"}, name=name)
    harness.ingest()
    assert harness.rows("select item_id, source_file, source_line from landing.happy_returns_items order by 1") == [
        (f"IT-{number}", name, 2) for number, name in enumerate(names)
    ]


def test_a_name_that_is_no_text_or_goes_over_lines_is_shown_as_one(harness: Harness) -> None:
    for number, name in enumerate([b"items-\xff.csv", b"items\n2.csv"]):
        Path(os.fsdecode(os.fsencode(harness.folder) + b"/" + name)).write_bytes(
            as_csv(harness.header("items"), [ITEM | {"item_id": f"IT-{number}"}])
        )
    harness.ingest()
    assert harness.rows("select source_file from landing.happy_returns_items order by item_id") == [
        ("items-\\xff.csv",), ("items\\n2.csv",),
    ]  # fmt: skip
    assert harness.ingest().files == 0


@pytest.mark.parametrize("is_linked", [False, True])
def test_a_pipe_is_refused_by_name_and_keeps_nobody_waiting(harness: Harness, *, is_linked: bool) -> None:
    pipe = harness.folder / ("pipe" if is_linked else "items.csv")
    os.mkfifo(pipe)
    if is_linked:
        (harness.folder / "items.csv").symlink_to(pipe)
    harness.csv("returns", RETURN, name="returns.csv")
    harness.ingest()
    assert "pipe" in str(_problem(harness, "items.csv"))
    assert harness.totals() == (1, 1, 0, 0)


def test_a_link_to_a_file_is_read_and_a_loop_is_refused(harness: Harness) -> None:
    kept = harness.folder.parent / "elsewhere.csv"
    kept.write_bytes(as_csv(harness.header("items"), [ITEM]))
    (harness.folder / "items.csv").symlink_to(kept)
    (harness.folder / "loop.csv").symlink_to(harness.folder / "loop.csv")
    harness.ingest()
    assert harness.totals() == (1, 1, 0, 0)
    assert "cannot be read" in str(_problem(harness, "loop.csv"))


def test_an_archive_that_unpacks_to_a_thousand_times_its_size_is_refused_before_it_does(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "_MOST_TIMES_ITS_SIZE", 20)
    harness.put("items.csv.gz", gzip.compress(b"\0" * 30_000_000))
    harness.csv("returns", RETURN, name="returns.csv")
    harness.ingest()
    assert "unpacks to more than" in str(_problem(harness, "items.csv.gz"))
    assert harness.totals() == (1, 1, 0, 0)


def test_a_file_larger_than_any_export_is_refused_unread(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_BYTES_OF_A_FILE", 10_000)
    with (harness.folder / "items.csv").open("wb") as file:
        file.truncate(20_000)
    harness.csv("returns", RETURN, name="returns.csv")
    harness.ingest()
    assert "larger than 10,000 bytes" in str(_problem(harness, "items.csv"))
    assert harness.ingest(NOW + timedelta(hours=1)).files == 0
    assert harness.totals() == (1, 1, 0, 0)


def test_a_row_larger_than_any_is_refused_alone(harness: Harness) -> None:
    harness.csv("items", ITEM, ITEM | {"item_id": "IT-2", "product_name": "x" * 4_500_000}, ITEM | {"item_id": "IT-3"})
    lines = [SHIPMENT, SHIPMENT | {"item_id": "IT-2", "carrier": "y" * 4_500_000}, SHIPMENT | {"item_id": "IT-3"}]
    harness.json_lines("shipments.jsonl", *lines)
    harness.ingest()
    assert harness.totals() == (6, 4, 2, 0)
    for line, _, reason, raw in harness.rejected():
        assert line in (2, 3)
        assert "is larger than 4,000,000 bytes" in reason
        assert len(raw) < 5000


def test_what_was_hashed_is_what_is_read(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    path = harness.csv("items", ITEM, name="items.csv")
    real = contents.opened

    def grows(raw: bytes, name: str) -> contents.Content:
        content = real(raw, name)
        harness.csv("items", ITEM | {"sku": "LATER"}, ITEM | {"item_id": "IT-2"}, name="items.csv")
        return content

    monkeypatch.setattr(contents, "opened", grows)
    harness.ingest()
    monkeypatch.undo()
    assert harness.rows("select item_id, sku from landing.happy_returns_items") == [("IT-1", "SKU-1")]
    os.utime(path, (1_790_000_000, 1_790_000_000))
    assert harness.ingest(NOW + timedelta(hours=1)).rows_landed == 2, "the grown file is another one"


@pytest.mark.parametrize("name", ["items.json", "items.json.gz", "items.jsonl"])
def test_a_json_array_is_read_like_json_lines(harness: Harness, name: str) -> None:
    twice = json.dumps(ITEM)[:-1] + ', "item_id": "IT-9"}'
    text = f"[\n  {json.dumps(ITEM)},\n  {json.dumps(ITEM | {'item_id': 'IT-2'})}, 5, {twice}\n]\n".encode()
    harness.put(name, gzip.compress(text) if name.endswith(".gz") else text)
    harness.ingest()
    assert harness.rows("select item_id from landing.happy_returns_items order by 1") == [("IT-1",), ("IT-2",)]
    assert [(line, reason) for line, _, reason, _ in harness.rejected()] == [
        (3, "is not a JSON object"),
        (4, "names a column twice"),
    ]


@pytest.mark.parametrize("ending", [".xlsx", ".zip", ".parquet"])
def test_a_format_that_is_not_read_is_refused_by_name(harness: Harness, ending: str) -> None:
    harness.put(f"items{ending}", b"PK\x03\x04")
    harness.ingest()
    assert f"({ending})" in str(_problem(harness, f"items{ending}"))


_WEBHOOK_NAMES = """
purchased_date order_number order_id order_line_item_id sku upc product_variant_id label_barcode product_name return_reason
category_id refund_type one_click_exchange location location_metro country started_date approved_date inspection_outcome
po_number pallet_number shipping_box_barcode shipping_box_kind tracking carrier departure_date happy_returns_retailer_id
destination_address_id happy_returns_express_code happy_returns_item_id shipment_id bag_barcodes
"""


def test_a_shipments_file_with_the_names_of_the_webhook_is_read(harness: Harness) -> None:
    header = _WEBHOOK_NAMES.split()
    row = {"happy_returns_item_id": "IT-1", "shipment_id": "S-1", "departure_date": "2026-09-23T08:00:00Z", "order_number": "#1001",
           "tracking": "1Z1", "happy_returns_express_code": "HRAAAAAA"}  # fmt: skip
    harness.put("shipments.csv", as_csv(header, [row]))
    harness.ingest()
    assert harness.rows(
        "select shipment_id, return_item_id, departed_at, order_number, express_code, tracking from landing.happy_returns_shipments"
    ) == [("S-1", "IT-1", datetime(2026, 9, 23, 8, tzinfo=UTC), "1001", "HRAAAAAA", "1Z1")]
    assert harness.rows("select unknown_headers from landing.files") == [(None,)]


def test_small_files_land_together_with_the_counts_and_lines_of_each(harness: Harness) -> None:
    for number in range(40):
        rows = [ITEM | {"item_id": f"IT-{number}-{row}"} for row in range(1 + number % 3)]
        bad = [ITEM | {"refund_type": "barter", "item_id": "BAD"}] if number % 5 == 0 else []
        repeated = rows[:1] if number % 7 == 0 else []
        harness.csv("items", *rows, *bad, *repeated, name=f"items-{number:03}.csv")
    harness.put("items-017b.csv", as_csv(harness.header("items"), [ITEM, ITEM | {"item_id": "IT-2"}]) + b"too,short\n")
    harness.json_lines("items-100.jsonl", ITEM | {"item_id": "J-1"}, ITEM | {"item_id": "J-2"})
    harness.json_lines("items-101.jsonl", ITEM | {"item_id": "J-3"}, {**ITEM, "refund_type": "x"})
    report = harness.ingest()
    assert (report.files, report.refused_files) == (43, 0)
    for number in range(40):
        ((read, landed, rejected, repeated),) = harness.rows(
            "select rows_read, rows_landed, rows_rejected, rows_repeated from landing.files where source_file = ?",
            f"items-{number:03}.csv",
        )
        count, wrong, again = 1 + number % 3, int(number % 5 == 0), int(number % 7 == 0)
        assert (read, landed, rejected, repeated) == (count + wrong + again, count, wrong, again)
        assert harness.rows(
            "select item_id, source_line from landing.happy_returns_items where source_file = ? order by 2",
            f"items-{number:03}.csv",
        ) == [(f"IT-{number}-{row}", 2 + row) for row in range(count)]
    assert harness.rows("select item_id, source_line from landing.happy_returns_items where item_id like 'J%' order by 1") == [
        ("J-1", 1), ("J-2", 2), ("J-3", 1),
    ]  # fmt: skip
    assert len(harness.rows("select distinct batch from landing.happy_returns_items")) == 43
    assert [(line, column) for line, column, _, _ in harness.rejected()].count((4, None)) == 1


def test_small_files_are_landed_with_a_handful_of_statements(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    from hr_centra_pipeline.sources.happy_returns import export_landing, row_landing

    groups: list[int] = []
    real = export_landing.land

    def counted(connection: object, group: export_landing.Group, *rest: object) -> list[row_landing.Counts]:
        groups.append(len(group.members))
        return real(connection, group, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(export_landing, "land", counted)
    for number in range(120):
        harness.csv("items", ITEM | {"item_id": f"IT-{number}"}, name=f"items-{number:03}.csv")
        harness.csv("refunds", REFUND | {"refund_id": f"RF-{number}"}, name=f"refunds-{number:03}.csv")
    assert harness.ingest().rows_landed == 240
    assert groups == [120, 120]


def test_a_row_that_is_rejected_without_a_column_is_an_exception_with_its_reason(harness: Harness) -> None:
    harness.put(
        "shipments.jsonl",
        b'{"shipment_id": "1", "item_id": "A"}\n{broken\n[1]\n{"shipment_id": "\xff", "item_id": "C"}\n',
    )
    harness.put("items.csv", as_csv(harness.header("items"), [ITEM]) + b"RT-9,1\n")
    harness.ingest()
    harness.refresh()
    found = _findings(harness, "quarantined_row")
    assert {name for name, _, _ in found} == {"shipments.jsonl", "items.csv"}
    assert all("is not valid JSON" in detail or "has 2 of" in detail for _, detail, _ in found)


def test_a_bad_file_is_an_exception_although_the_clock_was_set_back(harness: Harness) -> None:
    harness.put("items.csv", b"what,is,this\n1,2,3\n")
    earlier = NOW - timedelta(days=300)
    harness.ingest(earlier)
    found = _findings(harness, "source_not_covered", earlier - timedelta(days=1))
    assert [(name, at <= earlier - timedelta(days=1)) for name, _, at in found] == [("items.csv", True)]


def _findings(harness: Harness, kind: str, now: datetime = NOW) -> list[tuple[str, str, datetime]]:
    """Identity, detail and time of what the sources raise."""
    with harness.warehouse.transaction() as connection:
        connection.execute(
            """
            create temp table findings (
                kind varchar, subject varchar, identity varchar, class varchar, cause varchar, culprit varchar,
                fact_at timestamptz, detail varchar not null, next_step varchar not null, evidence json
            )
            """
        )
        for file in ("latest_deliveries", f"kinds/{kind}"):
            models.run_file(connection, f"reconciliation/{file}.sql", {"now": now})
        return connection.execute("select identity, detail, fact_at from findings where kind = ?", [kind]).fetchall()


def test_a_portion_of_files_that_cannot_be_read_stops_none_of_the_others(harness: Harness, tmp_path: Path) -> None:
    for number in range(20):
        harness.put(f"bad-{number}.csv", os.urandom(50))
        harness.csv("items", ITEM | {"item_id": f"IT-{number}"}, name=f"good-{number}.csv")
    report = harness.ingest()
    assert (report.refused_files, report.rows_landed) == (20, 20)


def test_a_file_of_which_hardly_a_row_can_be_read_is_refused_by_name_with_their_number(harness: Harness) -> None:
    harness.put("items.csv.gz", gzip.compress(as_csv(harness.header("items"), [ITEM]) + b"a\n" * 30_000))
    harness.csv("returns", RETURN)
    harness.ingest()
    assert (_problem(harness, "items.csv.gz") or "").startswith(
        "10,001 of its first 10,003 lines cannot be read: line 3 has"
    )
    assert harness.rows("select count(*) from quarantine.rejected_rows") == [(1,)]
    assert harness.rows("select count(*) from landing.happy_returns_returns") == [(1,)]


def test_a_gzip_file_of_many_members_is_read_and_one_of_far_too_many_is_refused() -> None:
    parts = [gzip.compress(b"%d\n" % number) + b"\0" * (number % 3) for number in range(2_000)]
    read = contents.opened(b"".join(parts), "x.csv.gz")
    assert (read.problem, read.is_cut, read.data.split()) == (None, False, [b"%d" % number for number in range(2_000)])
    assert contents.opened(gzip.compress(b"") * 100_001, "x.csv.gz").problem == "is made of more than 100,000 archives"
