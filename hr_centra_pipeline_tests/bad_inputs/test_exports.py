"""Bad export files and rows: quarantined with line, column and reason; the good ones are landed; the ledger stays as they were."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from hr_centra_pipeline.sources.happy_returns.export_intake import ingest
from hr_centra_pipeline.sources.happy_returns.export_profiles import load_profiles
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline_tests.bad_inputs.conftest import NOW, content

T = "2026-09-02T08:00:00Z"
RETURNS = "return_id,order_number,refund_status,created_at,items_total,updated_at"
ITEMS = "item_id,return_id,order_number,sku,refund_type,unit_offset,received_at,updated_at"
REFUNDS = (
    "refund_id,return_id,order_number,refund_type,status,currency,total_refunded,tax,issued_at,fee_basis,updated_at"
)
SHIPMENTS = "shipment_id,item_id,departed_at,updated_at"

# name -> (header, a bad row in line 3, column, reason). Lines 2 and 4 hold good rows.
ROWS: dict[str, tuple[str, str, str | None, str]] = {
    "a return without an id": (RETURNS, f",1002,started,{T},1,{T}", "return_id", "is missing"),
    "a return without an order": (RETURNS, f"RT-9,,started,{T},1,{T}", "order_number", "is missing"),
    "a return of a bare hash": (RETURNS, f"RT-9,#,started,{T},1,{T}", "order_number", "is missing"),
    "an unknown state": (RETURNS, f"RT-9,1002,lost,{T},1,{T}", "refund_status", "is none of started, dropped-off, approved, partly-approved, expired, failed: lost"),
    "a state in capitals": (RETURNS, f"RT-9,1002,STARTED,{T},1,{T}", "refund_status", "is none of"),
    "no state": (RETURNS, f"RT-9,1002,,{T},1,{T}", "refund_status", "is missing"),
    "a time that is a word": (RETURNS, f"RT-9,1002,started,yesterday,1,{T}", "created_at", "is not a time: yesterday"),
    "a day that is none": (RETURNS, f"RT-9,1002,started,2026-02-30T08:00:00Z,1,{T}", "created_at", "is not a time: 2026-02-30T08:00:00Z"),
    "the year 1": (RETURNS, f"RT-9,1002,started,0001-01-01T00:00:00Z,1,{T}", "created_at", "is not a time"),
    "infinity": (RETURNS, f"RT-9,1002,started,infinity,1,{T}", "created_at", "is not a time: infinity"),
    "Unix seconds": (RETURNS, f"RT-9,1002,started,1790000000,1,{T}", "created_at", "is not a time: 1790000000"),
    "a source time that is none": (RETURNS, f"RT-9,1002,started,{T},1,later", "updated_at", "is not a time: later"),
    "a count that is a word": (RETURNS, f"RT-9,1002,started,{T},many,{T}", "items_total", "is not a whole number: many"),
    "a count with a fraction": (RETURNS, f"RT-9,1002,started,{T},1.5,{T}", "items_total", "is not a whole number: 1.5"),
    "a count below zero": (RETURNS, f"RT-9,1002,started,{T},-1,{T}", "items_total", "is below 0: -1"),
    "a count beyond all": (RETURNS, f"RT-9,1002,started,{T},99999999999999999999,{T}", "items_total", "is not a whole number"),
    "too few columns": (RETURNS, "RT-9,1002,started", None, "has 3 of 6 columns"),
    "too many columns": (RETURNS, f"RT-9,1002,started,{T},1,{T},surprise", None, "has 7 of 6 columns"),
    "another delimiter": (RETURNS, f"RT-9;1002;started;{T};1;{T}", None, "has 1 of 6 columns"),
    "an open quote": (RETURNS, f'RT-9,"1002,started,{T},1,{T}', None, "has a quote that is never closed"),
    "a quote in the middle": (RETURNS, f'RT-9,10"02"x,st"arted,{T},1,{T}', "refund_status", "is none of"),
    "a unit without a return": (ITEMS, f"I9,,1002,SKU-1,refund,0,{T},{T}", "return_id", "is missing"),
    "a unit of an unknown kind of refund": (ITEMS, f"I9,RT-9,1002,SKU-1,barter,0,{T},{T}", "refund_type", "is none of refund, gift-card, exchange: barter"),
    "a unit that cannot be told apart": (ITEMS, f",RT-9,1002,SKU-1,refund,,{T},{T}", "item_id", "the file does not hold the whole return"),
    "a unit with a negative place": (ITEMS, f"I9,RT-9,1002,SKU-1,refund,-1,{T},{T}", "unit_offset", "is below 0: -1"),
    "a unit received at noon": (ITEMS, f"I9,RT-9,1002,SKU-1,refund,0,noon,{T}", "received_at", "is not a time: noon"),
    "a refund without an id": (REFUNDS, f",RT-1,1001,refund,issued,EUR,1.00,0.20,{T},item,{T}", "refund_id", "is missing"),
    "an amount that is a word": (REFUNDS, f"RF9,RT-1,1001,refund,issued,EUR,ten,0.20,{T},item,{T}", "total_refunded", "is not an exact amount: ten"),
    "an amount in German": (REFUNDS, f'RF9,RT-1,1001,refund,issued,EUR,"1.234,56",0.20,{T},item,{T}', "total_refunded", "is not an exact amount: 1.234,56"),
    "an amount with thousands": (REFUNDS, f'RF9,RT-1,1001,refund,issued,EUR,"1,234.56",0.20,{T},item,{T}', "total_refunded", "is not an exact amount: 1,234.56"),
    "an amount with five decimals": (REFUNDS, f"RF9,RT-1,1001,refund,issued,EUR,1.00001,0.20,{T},item,{T}", "total_refunded", "is not an exact amount: 1.00001"),
    "an amount with an exponent": (REFUNDS, f"RF9,RT-1,1001,refund,issued,EUR,1e3,0.20,{T},item,{T}", "total_refunded", "is not an exact amount: 1e3"),
    "an amount that is no number": (REFUNDS, f"RF9,RT-1,1001,refund,issued,EUR,NaN,0.20,{T},item,{T}", "total_refunded", "is not an exact amount: NaN"),
    "an infinite amount": (REFUNDS, f"RF9,RT-1,1001,refund,issued,EUR,inf,0.20,{T},item,{T}", "total_refunded", "is not an exact amount: inf"),
    "an amount beyond all": (REFUNDS, f"RF9,RT-1,1001,refund,issued,EUR,999999999999999999999,0.20,{T},item,{T}", "total_refunded", "is not an exact amount"),
    "an amount that no return costs": (REFUNDS, f"RF9,RT-1,1001,refund,issued,EUR,10000000000.00,0.20,{T},item,{T}", "total_refunded", "is beyond what an amount may be, 10,000,000,000: 10000000000.00"),
    "a negative amount that no return costs": (REFUNDS, f"RF9,RT-1,1001,refund,issued,EUR,-99999999999999.99,0.20,{T},item,{T}", "total_refunded", "is beyond what an amount may be"),
    "an amount that is a formula": (REFUNDS, f"RF9,RT-1,1001,refund,issued,EUR,=1+1,0.20,{T},item,{T}", "total_refunded", "is not an exact amount: =1+1"),
    "no amount": (REFUNDS, f"RF9,RT-1,1001,refund,issued,EUR,,0.20,{T},item,{T}", "total_refunded", "is missing"),
    "no currency": (REFUNDS, f"RF9,RT-1,1001,refund,issued,,1.00,0.20,{T},item,{T}", "currency", "is missing"),
    "a currency that is none": (REFUNDS, f"RF9,RT-1,1001,refund,issued,euro,1.00,0.20,{T},item,{T}", "currency", "does not look like"),
    "two currencies in one row": (REFUNDS, f"RF9,RT-1,1001,refund,issued,EUR,5.00 USD,0.20,{T},item,{T}", "total_refunded", "is in another currency than EUR: 5.00 USD"),
    "an unknown state of a refund": (REFUNDS, f"RF9,RT-1,1001,refund,done,EUR,1.00,0.20,{T},item,{T}", "status", "is none of issued, pending, failed: done"),
    "a fee by the kilo": (REFUNDS, f"RF9,RT-1,1001,refund,issued,EUR,1.00,0.20,{T},kilo,{T}", "fee_basis", "is none of item, return: kilo"),
    "a refund issued soon": (REFUNDS, f"RF9,RT-1,1001,refund,issued,EUR,1.00,0.20,soon,item,{T}", "issued_at", "is not a time: soon"),
    "a shipment without an id": (SHIPMENTS, f",I1,{T},{T}", "shipment_id", "is missing"),
    "a shipment of no unit": (SHIPMENTS, f"S9,,{T},{T}", "item_id", "is missing"),
    "a shipment that left some day": (SHIPMENTS, f"S9,I1,some day,{T}", "departed_at", "is not a time: some day"),
}  # fmt: skip
GOOD_ROWS = {
    RETURNS: (f"RT-7,1007,started,{T},1,{T}", f"RT-8,1008,expired,{T},2,{T}"),
    ITEMS: (f"I7,RT-7,1007,SKU-1,refund,0,{T},{T}", f"I8,RT-8,1008,SKU-2,exchange,0,{T},{T}"),
    REFUNDS: (
        f"RF7,RT-1,1001,refund,issued,EUR,5.00 EUR,0.80,{T},item,{T}", f"RF8,RT-1,1001,gift-card,failed,SEK,-7,,{T},,{T}",
    ),
    SHIPMENTS: (f"S7,I1,{T},{T}", f"S8,I7,{T},{T}"),
}  # fmt: skip

# Files that are of no use as a whole: (name, bytes, words of the reason).
FILES: dict[str, tuple[str, bytes, str]] = {
    "empty": ("returns-20260902.csv", b"", "is empty"),
    "blank lines": ("returns-20260902.csv", b"\n\n  \n", "is empty"),
    "only a mark": ("returns-20260902.csv", b"\xef\xbb\xbf", "is empty"),
    "an unknown header": ("returns-20260902.csv", b"Retoure,Bestellung\n1,2\n", "no profile knows the header (Retoure, Bestellung); the closest is"),
    "a header that misses a column": ("returns-20260902.csv", b"return_id,order_number\n1,2\n", "the closest is default/returns, which needs refund_status"),
    "another delimiter": ("returns-20260902.csv", b"return_id;order_number;refund_status\n1;2;started\n", "no profile knows the header"),
    "rows without a header": ("returns-20260902.csv", b"RT-9,1002,started\nRT-8,1003,started\n", "no profile knows the header (RT-9, 1002, started)"),
    "one header twice": ("returns-20260902.csv", b"return_id,order_number,refund_status,return_id\n1,2,started,3\n", "its header names return_id twice"),
    "UTF-16": ("returns-20260902.csv", "return_id,order_number,refund_status\n".encode("utf-16"), "its header is not UTF-8"),
    "Latin-1 in the header": ("returns-20260902.csv", "return_id,order_number,refund_status,Größe\n".encode("latin-1"), "its header is not UTF-8"),
    "an archive that is none": ("returns-20260902.csv.gz", b"return_id,order_number,refund_status\n", "is not a gzip file, or is damaged"),
    "an empty archive": ("returns-20260902.csv.gz", gzip.compress(b""), "is empty"),
    "a spreadsheet": ("returns-20260902.csv", b"PK\x03\x04\x14\x00\x06\x00[Content_Types].xml\n", "no profile knows the header"),
    "a web page": ("returns-20260902.csv", b"<!DOCTYPE html>\n<html><body>Please log in</body></html>\n", "no profile knows the header (<!DOCTYPE html>)"),
    "JSON of something else": ("returns-20260902.jsonl", b'{"a": 1}\n{"b": 2}\n', "no profile knows the header (a, b)"),
}  # fmt: skip

# Files of which a part is of use: (name, bytes, bad lines with reasons, good rows).
PARTS: dict[str, tuple[str, bytes, list[tuple[int, str]], int]] = {
    "a row that is not UTF-8": ("r.csv", f"{RETURNS}\nRT-7,1007,started,{T},1,{T}\nRT-9,Stra".encode() + b"\xdfe" + f",started,{T},1,{T}\n".encode(), [(3, "is not UTF-8 (character")], 1),
    "an end inside a row": ("r.csv", f"{RETURNS}\nRT-7,1007,started,{T},1,{T}\nRT-9,1002,sta".encode(), [(3, "has 3 of 6 columns: the file ends inside it")], 1),
    "an end inside the last value": ("r.csv", f"{RETURNS}\nRT-7,1007,started,{T},1,{T}\nRT-9,1002,started,{T},1,2026-09-0".encode(), [(3, "is cut off: the file ends inside it")], 1),
    "a cut archive": ("r.csv.gz", gzip.compress("".join([f"{RETURNS}\n", *(f"RT-{n},10{n},started,{T},1,{T}\n" for n in range(3000))]).encode())[:-900], [], 1),
    "a line that is not valid JSON": ("r.jsonl", f'{{"return_id": "RT-7", "order_number": "1007", "refund_status": "started", "updated_at": "{T}"}}\n{{"return_id": \n'.encode(), [(2, "is not valid JSON")], 1),
    "a line that is no object": ("r.jsonl", f'{{"return_id": "RT-7", "order_number": "1007", "refund_status": "started", "updated_at": "{T}"}}\n["RT-8"]\n'.encode(), [(2, "is not a JSON object")], 1),
    "half a character": ("r.jsonl", f'{{"return_id": "RT-7", "order_number": "1007", "refund_status": "started", "updated_at": "{T}"}}\n{{"return_id": "\\ud800", "order_number": "1", "refund_status": "started"}}\n'.encode(), [(2, "half a character")], 1),
    "half a character in a name": ("r.jsonl", f'{{"return_id": "RT-7", "order_number": "1007", "refund_status": "started", "updated_at": "{T}"}}\n{{"return_id": "RT-8", "\\ud800": "1", "refund_status": "started"}}\n'.encode(), [(2, "half a character")], 1),
}  # fmt: skip


def landed(ledger: Warehouse, tmp_path: Path, name: str, data: bytes) -> tuple[object, ...]:
    """Ingest one file; answers read, landed, rejected, repeated, problem of it, after checking that they add up."""
    folder = tmp_path / "incoming"
    folder.mkdir()
    (folder / name).write_bytes(data)
    ingest(ledger, str(folder), load_profiles(Path("/nowhere")), NOW)
    with ledger.transaction() as connection:
        found = connection.execute(
            "select rows_read, rows_landed, rows_rejected, rows_repeated, problem from landing.files where source_file = ?",
            [name],
        ).fetchall()
    assert len(found) == 1
    read, good, bad, repeated, _ = found[0]
    assert read == good + bad + repeated
    return tuple(found[0])


def quarantined(ledger: Warehouse, name: str) -> list[tuple[int | None, str | None, str, str | None]]:
    with ledger.transaction() as connection:
        return connection.execute(
            "select source_line, column_name, reason, raw_text from quarantine.rejected_rows where source_file = ? order by 1",
            [name],
        ).fetchall()


@pytest.mark.parametrize("case", ROWS)
def test_a_bad_row_is_set_aside_with_line_column_and_reason_and_its_neighbours_are_landed(
    case: str, ledger: Warehouse, tmp_path: Path
) -> None:
    header, row, column, reason = ROWS[case]
    before = set(content(ledger, "landing", "push", "effects"))
    first, last = GOOD_ROWS[header]
    read, good, bad, _, problem = landed(
        ledger, tmp_path, "r-20260902.csv", f"{header}\n{first}\n{row}\n{last}\n".encode()
    )
    assert (read, good, bad, problem) == (3, 2, 1, None)
    ((line, told_column, told, raw),) = quarantined(ledger, "r-20260902.csv")
    assert (line, told_column) == (3, column)
    assert reason in told
    assert "\n" not in told
    assert raw == row
    assert before <= set(content(ledger, "landing", "push", "effects"))  # what was there is as it was


@pytest.mark.parametrize("case", FILES)
def test_a_useless_file_is_refused_as_a_whole_with_one_reason_and_changes_nothing(
    case: str, ledger: Warehouse, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name, data, reason = FILES[case]
    before = [
        one for one in content(ledger, "landing", "push", "effects") if "files" not in one[0] and "looks" not in one[0]
    ]
    with caplog.at_level("WARNING"):
        read, good, bad, repeated, problem = landed(ledger, tmp_path, name, data)
    assert (read, good, bad, repeated) == (0, 0, 0, 0)
    assert reason in str(problem)
    assert quarantined(ledger, name) == [(None, None, problem, None)]
    after = [
        one for one in content(ledger, "landing", "push", "effects") if "files" not in one[0] and "looks" not in one[0]
    ]
    assert after == before
    (warning,) = [record.getMessage() for record in caplog.records if name in record.getMessage()]
    assert "\n" not in warning
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("case", PARTS)
def test_what_is_good_of_a_damaged_file_is_landed(case: str, ledger: Warehouse, tmp_path: Path) -> None:
    name, data, expected, at_least = PARTS[case]
    _, good, _, _, problem = landed(ledger, tmp_path, name, data)
    assert problem is None
    assert isinstance(good, int)
    assert good >= at_least
    found = quarantined(ledger, name)
    if expected:
        assert [(line, reason) for line, _, reason, _ in found if any(told in reason for _, told in expected)] != []
        assert [line for line, *_ in found] == [line for line, _ in expected]
    else:
        assert len(found) == 1
        assert "is cut off: the archive ends here" in found[0][2] or "the file ends inside it" in found[0][2]
