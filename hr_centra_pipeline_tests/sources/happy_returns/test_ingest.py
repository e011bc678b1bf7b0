from __future__ import annotations

import gzip
import os
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed
from hr_centra_pipeline.sources.happy_returns import export_landing, row_landing
from hr_centra_pipeline_tests.sources.happy_returns.conftest import (
    COMPLETE,
    ITEM,
    NOW,
    REFUND,
    RETURN,
    SHIPMENT,
    Harness,
    as_csv,
)


def test_each_kind_lands_typed_and_is_in_the_common_view(harness: Harness) -> None:
    for kind, row in COMPLETE.items():
        harness.csv(kind, row)
    report = harness.ingest()
    assert (report.files, report.rows_read, report.rows_landed, report.refused_files) == (4, 4, 4, 0)
    assert harness.rows(
        "select kind, profile, source_line, length(row_sha256), received_at from landing.happy_returns_rows order by kind"
    ) == [(kind, "default", 2, 64, NOW) for kind in ("items", "refunds", "returns", "shipments")]
    assert harness.rows("select total_refunded, issued_at from landing.happy_returns_refunds") == [
        (Decimal("119.0000"), datetime(2026, 9, 22, 8, tzinfo=UTC))
    ]


def test_only_the_header_decides_the_kind(harness: Harness) -> None:
    harness.csv("refunds", REFUND, name="returns-2026-09-30T1200Z.csv")
    harness.ingest()
    assert harness.rows("select kind, source_file from landing.happy_returns_rows") == [
        ("refunds", "returns-2026-09-30T1200Z.csv")
    ]


def test_a_second_look_at_the_same_folder_does_nothing(harness: Harness) -> None:
    harness.csv("items", ITEM)
    harness.ingest()
    before = harness.rows("select * from landing.files")
    report = harness.ingest(NOW + timedelta(hours=1))
    assert (report.files, report.rows_read) == (0, 0)
    assert harness.rows("select * from landing.files") == before


def test_the_same_bytes_under_another_name_are_not_landed_again(harness: Harness) -> None:
    first = harness.csv("items", ITEM, name="items-a.csv")
    harness.ingest()
    harness.put("items-b.csv", first.read_bytes())
    harness.ingest(NOW + timedelta(hours=1))
    assert harness.rows("select count(*) from landing.happy_returns_rows") == [(1,)]
    assert harness.totals()[1] == 1


def test_twins_that_arrive_together_land_once(harness: Harness) -> None:
    first = harness.csv("items", ITEM, name="items-a.csv")
    harness.put("items-b.csv", first.read_bytes())
    harness.ingest()
    assert harness.rows("select count(*) from landing.happy_returns_rows") == [(1,)]


def test_a_file_that_grew_is_read_again_and_only_its_new_rows_land(harness: Harness) -> None:
    harness.csv("items", ITEM, name="items.csv")
    harness.ingest()
    harness.csv("items", ITEM, ITEM | {"item_id": "IT-2"}, name="items.csv")
    report = harness.ingest(NOW + timedelta(hours=1))
    assert (report.rows_read, report.rows_landed, report.rows_repeated) == (2, 1, 1)


def test_a_row_is_repeated_only_if_it_equals_the_latest_of_its_key(harness: Harness) -> None:
    a, b = ITEM | {"disposition": "sellable"}, ITEM | {"disposition": "damaged"}
    for number, row in enumerate((a, b, a, a)):
        another = ITEM | {"item_id": f"OTHER-{number}"}  # the same bytes would not be read again
        harness.csv("items", row | {"updated_at": ""}, another, name=f"items-2026-09-2{number}T0000Z.csv")
        harness.ingest()
    assert harness.rows("select disposition from landing.happy_returns_items where item_id = 'IT-1' order by source_time") == [
        ("sellable",), ("damaged",), ("sellable",)
    ]  # fmt: skip
    assert harness.totals() == (8, 7, 0, 1)


def test_a_row_that_goes_back_and_forth_lands_three_times_in_one_run_and_in_one_file(
    tmp_path: Path, harness: Harness
) -> None:
    a, b = ITEM | {"sku": "A", "updated_at": ""}, ITEM | {"sku": "B", "updated_at": ""}
    harness.csv("items", a, a, b, a, name="items-one.csv")
    for number, row in enumerate((a, b, a)):
        harness.csv(
            "items",
            row | {"item_id": "IT-2"},
            ITEM | {"item_id": f"OTHER-{number}"},
            name=f"items-2026-09-2{number}T0000Z.csv",
        )
    harness.ingest()
    landed = harness.rows("select item_id, count(*) from landing.happy_returns_items group by 1 order by 1")
    assert landed[:2] == [("IT-1", 3), ("IT-2", 3)]
    assert harness.totals() == (10, 9, 0, 1)


def test_an_older_state_that_arrives_late_lands_beside_the_newer_one(harness: Harness) -> None:
    harness.csv("items", ITEM | {"updated_at": "2026-09-21T00:00:00Z"}, name="items-new.csv")
    harness.ingest()
    harness.csv("items", ITEM | {"updated_at": "2026-09-20T00:00:00Z"}, name="items-old.csv")
    assert harness.ingest().rows_landed == 1


def test_two_states_of_one_moment_count_as_a_conflict(harness: Harness) -> None:
    harness.csv("items", ITEM | {"sku": "A"}, name="items-1.csv")
    harness.ingest()
    harness.csv("items", ITEM | {"sku": "B"}, name="items-2.csv")
    harness.ingest()
    assert harness.rows("select rows_conflicting from landing.files where source_file = 'items-2.csv'") == [(1,)]


# ---------------------------------------------------------------- bad rows


@pytest.mark.parametrize(
    ("kind", "wrong", "column", "reason"),
    [
        ("items", {"refund_type": "barter"}, "refund_type", "barter"),
        ("items", {"return_id": ""}, "return_id", "missing"),
        ("items", {"updated_at": "yesterday"}, "updated_at", "yesterday"),
        ("items", {"approved_at": "2026-02-30T00:00:00Z"}, "approved_at", "2026-02-30"),
        ("items", {"order_number": " # "}, "order_number", ""),
        ("returns", {"items_total": "two"}, "items_total", "two"),
        ("returns", {"items_total": "-1"}, "items_total", "below 0"),
        ("returns", {"items_total": "1.5"}, "items_total", "1.5"),
        ("refunds", {"currency": "EURO"}, "currency", "EURO"),
        ("refunds", {"total_refunded": "1.00001"}, "total_refunded", "1.00001"),
        ("refunds", {"total_refunded": "1e3"}, "total_refunded", "1e3"),
        ("refunds", {"total_refunded": "1,234.00"}, "total_refunded", "1,234.00"),
        ("refunds", {"total_refunded": "NaN"}, "total_refunded", "NaN"),
        ("refunds", {"total_refunded": "99999999999999999"}, "total_refunded", "99999999999999999"),
        ("refunds", {"status": "perhaps"}, "status", "perhaps"),
        ("shipments", {"shipment_id": ""}, "shipment_id", "missing"),
    ],
)
def test_a_bad_row_is_rejected_with_its_column_reason_and_text_and_the_others_land(
    harness: Harness, kind: str, wrong: dict[str, str], column: str, reason: str
) -> None:
    key = {"items": "item_id", "returns": "return_id", "refunds": "refund_id", "shipments": "item_id"}[kind]
    path = harness.csv(kind, COMPLETE[kind], COMPLETE[kind] | {key: "BAD-1"} | wrong, COMPLETE[kind] | {key: "GOOD-2"})
    harness.ingest()
    assert harness.totals() == (3, 2, 1, 0)
    ((line, named, why, raw),) = harness.rejected()
    assert (line, named) == (3, column)
    assert reason in why
    assert raw == path.read_text().splitlines()[2]


def test_a_row_that_is_not_utf_8_is_rejected_alone(harness: Harness) -> None:
    data = as_csv(
        harness.header("items"), [ITEM, ITEM | {"item_id": "IT-2", "sku": "XXXX"}, ITEM | {"item_id": "IT-3"}]
    )
    harness.put("items.csv", data.replace(b"XXXX", b"X\xff\xfeX"))
    harness.ingest()
    assert harness.totals() == (3, 2, 1, 0)
    ((line, _, reason, raw),) = harness.rejected()
    assert line == 3
    assert "UTF-8" in reason
    assert "IT-2" in raw


def test_a_row_over_several_lines_that_is_not_utf_8_is_rejected_alone(harness: Harness) -> None:
    rows = [ITEM, ITEM | {"item_id": "IT-2", "product_name": "two\nXXXX\nlines"}, ITEM | {"item_id": "IT-3"}]
    harness.put("items.csv", as_csv(harness.header("items"), rows).replace(b"XXXX", b"X\xff\xfeX"))
    harness.ingest()
    assert harness.totals() == (3, 2, 1, 0)
    assert harness.rows("select item_id, source_line from landing.happy_returns_items order by 1") == [
        ("IT-1", 2),
        ("IT-3", 6),
    ]
    assert [row[0] for row in harness.rejected()] == [3]


def test_lines_are_counted_as_they_are_in_the_file(harness: Harness) -> None:
    rows = [
        ITEM | {"product_name": "two\nlines"},
        ITEM | {"item_id": "IT-2"},
        ITEM | {"item_id": "IT-3", "refund_type": "x"},
    ]
    path = harness.put("items.csv", as_csv(harness.header("items"), rows, end="\r\n"))
    harness.ingest()
    assert harness.rows("select item_id, source_line from landing.happy_returns_items order by 1") == [
        ("IT-1", 2),
        ("IT-2", 4),
    ]
    ((line, _, _, raw),) = harness.rejected()
    assert line == 5
    assert raw == path.read_bytes().split(b"\n")[4].decode().rstrip("\r")


def test_a_bad_row_over_several_lines_is_quarantined_whole(harness: Harness) -> None:
    harness.csv("items", ITEM, ITEM | {"item_id": "IT-2", "product_name": "two\nlines", "refund_type": "barter"})
    harness.ingest()
    ((line, column, _, raw),) = harness.rejected()
    assert (line, column) == (3, "refund_type")
    assert "two\nlines" in raw


def test_blank_lines_are_no_rows(harness: Harness) -> None:
    data = as_csv(harness.header("items"), [ITEM, ITEM | {"item_id": "IT-2"}]).replace(b"\nIT-", b"\n\nIT-")
    harness.put("items.csv", data + b"\n\n")
    harness.ingest()
    assert harness.totals() == (2, 2, 0, 0)
    assert harness.rows("select item_id, source_line from landing.happy_returns_items order by 1") == [
        ("IT-1", 3),
        ("IT-2", 5),
    ]


@pytest.mark.parametrize("cut", [1, 5, 9, 30, 60])
def test_a_file_that_ends_inside_a_row_loses_only_the_stump(harness: Harness, cut: int) -> None:
    data = as_csv(harness.header("items"), [ITEM, ITEM | {"item_id": "IT-2"}])
    harness.put("items.csv", data.rstrip(b"\n")[:-cut])
    harness.ingest()
    assert harness.totals() == (2, 1, 1, 0)
    assert [row[0] for row in harness.rejected()] == [3]


def test_a_file_that_ends_inside_a_quoted_field_loses_only_the_stump(harness: Harness) -> None:
    data = as_csv(harness.header("items"), [ITEM, ITEM | {"item_id": "IT-2"}]).rstrip(b"\n")
    harness.put("items.csv", data[: -len("2026-09-20T08:00:00Z")] + b'"2026-09-20T08:00:00Z')
    harness.ingest()
    assert harness.totals() == (2, 1, 1, 0)


def test_a_last_row_without_a_line_break_lands(harness: Harness) -> None:
    harness.put("items.csv", as_csv(harness.header("items"), [ITEM, ITEM | {"item_id": "IT-2"}]).rstrip(b"\n"))
    harness.ingest()
    assert harness.totals() == (2, 2, 0, 0)


def test_an_open_quote_costs_its_own_line_only(harness: Harness) -> None:
    header = as_csv(harness.header("items"), []).decode()
    good = [as_csv(harness.header("items"), [ITEM | {"item_id": f"IT-{n}"}]).decode().splitlines()[1] for n in range(5)]
    good[1] = good[1].replace("SKU-1", '"SKU-1')
    harness.put("items.csv", (header + "\n".join(good) + "\n").encode())
    harness.ingest()
    assert harness.totals() == (5, 4, 1, 0)
    assert [row[0] for row in harness.rejected()] == [3]


def test_a_field_of_many_kilobytes_is_no_trouble(harness: Harness) -> None:
    long = "x" * 200_000
    harness.csv("items", ITEM | {"product_name": f"{long}\n{long}"}, ITEM | {"item_id": "IT-2"})
    harness.ingest()
    assert harness.totals() == (2, 2, 0, 0)


def test_short_and_long_rows_are_rejected_by_themselves(harness: Harness) -> None:
    data = as_csv(harness.header("items"), [ITEM, ITEM | {"item_id": "IT-2"}])
    harness.put("items.csv", data + b"RT-9,1\n" + b"x," * 60 + b"\n")
    harness.ingest()
    assert harness.totals() == (4, 2, 2, 0)
    assert [row[0] for row in harness.rejected()] == [4, 5]


# ---------------------------------------------------------------- whole files


@pytest.mark.parametrize(
    ("name", "data", "word"),
    [
        ("empty.csv", b"", "empty"),
        ("blank.csv", b"\n \n", "empty"),
        ("unknown.csv", b"Retour;Artikel;Betrag\n1;2;3\n", "header"),
        ("binary.csv", bytes(range(128, 256)) * 20, "UTF-8"),
        ("broken.csv.gz", b"this is no gzip", "gzip"),
        ("words.jsonl", b'{"colour": "red"}\n', "header"),
        ("list.jsonl", b"[1, 2]\n", ""),
        ("zeros.csv", b"\0\0\0\0", ""),
    ],
)
def test_a_file_that_is_of_no_use_is_one_row_in_quarantine_and_the_others_go_on(
    harness: Harness, name: str, data: bytes, word: str
) -> None:
    harness.put(name, data)
    harness.csv("items", ITEM, name="items.csv")
    report = harness.ingest()
    assert (report.files, report.refused_files, report.rows_landed) == (2, 1, 1)
    ((problem,),) = harness.rows("select problem from landing.files where source_file = ?", name)
    assert word in problem
    assert [(line, reason) for line, _, reason, _ in harness.rejected()] == [(None, problem)]
    assert harness.totals() == (1, 1, 0, 0)
    assert harness.ingest(NOW + timedelta(hours=1)).files == 0, "a refused file is not looked at again"


def test_a_header_without_rows_is_a_file_without_rows(harness: Harness) -> None:
    harness.csv("items")
    report = harness.ingest()
    assert (report.files, report.rows_read, report.refused_files) == (1, 0, 0)
    assert harness.rejected() == []


def test_a_file_that_cannot_be_opened_is_refused_and_tried_again_when_it_changes(harness: Harness) -> None:
    path = harness.folder / "items.csv"
    path.symlink_to(harness.folder / "nowhere")
    harness.csv("returns", RETURN)
    assert harness.ingest().rows_landed == 1
    path.unlink()
    harness.csv("items", ITEM, name="items.csv")
    assert harness.ingest(NOW + timedelta(hours=1)).rows_landed == 1


def test_a_refused_file_that_is_delivered_again_in_order_lands(harness: Harness) -> None:
    harness.put("items.csv", b"")
    assert harness.ingest().refused_files == 1
    harness.csv("items", ITEM, name="items.csv")
    assert harness.ingest(NOW + timedelta(hours=1)).rows_landed == 1


def test_a_folder_that_is_not_there_stops_the_run_with_its_name(harness: Harness) -> None:
    with pytest.raises(RunFailed, match="nowhere"):
        harness.ingest(url=str(harness.folder / "nowhere"))


def test_an_unknown_protocol_is_a_mistake_in_the_configuration(harness: Harness) -> None:
    with pytest.raises(ConfigurationError, match="HAPPY_RETURNS_EXPORTS"):
        harness.ingest(url="gopher://exports")


def test_a_crash_between_two_files_loses_nothing_and_the_next_run_lands_the_rest(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.csv("items", ITEM, name="items-2026-09-20T0000Z.csv")
    harness.csv("returns", RETURN, name="returns-2026-09-21T0000Z.csv")
    harness.csv("refunds", REFUND, name="refunds-2026-09-22T0000Z.csv")
    begun, real = [], export_landing.land

    def dies(*given: Any) -> list[row_landing.Counts]:
        begun.append(given)
        if len(begun) == 3:
            real(*given)
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(export_landing, "land", dies)
    with pytest.raises(KeyboardInterrupt):
        harness.ingest()
    monkeypatch.undo()
    landed = harness.rows("select count(*) from landing.happy_returns_rows")[0][0]
    assert landed == harness.rows("select coalesce(sum(rows_landed), 0) from landing.files")[0][0] == 2
    harness.ingest()
    assert harness.totals() == (3, 3, 0, 0)


# ---------------------------------------------------------------- formats, times, money


def test_a_byte_order_mark_and_windows_line_ends_are_no_trouble(harness: Harness) -> None:
    harness.put("items.csv", b"\xef\xbb\xbf" + as_csv(harness.header("items"), [ITEM], end="\r\n"))
    harness.ingest()
    assert harness.rows("select return_id, source_line, source_time from landing.happy_returns_items") == [
        ("RT-1", 2, datetime(2026, 9, 20, 8, tzinfo=UTC))
    ]


def test_compressed_files_and_json_lines_land_like_plain_ones(harness: Harness) -> None:
    harness.compressed("refunds", "refunds.csv.gz", REFUND)
    harness.json_lines("shipments.jsonl", SHIPMENT)
    harness.put("items.jsonl.gz", gzip.compress(b'{"return_id": "RT-1", "order_number": 1001, "item_id": "IT-1", "sku": null, '
                                             b'"refund_type": "refund", "updated_at": "2026-09-20T08:00:00Z"}\n'))  # fmt: skip
    harness.ingest()
    assert harness.totals() == (3, 3, 0, 0)
    assert harness.rows("select order_number, sku from landing.happy_returns_items") == [("1001", None)]


def test_amounts_in_json_keep_every_digit(harness: Harness) -> None:
    text = (
        b'{"refund_id": "R", "return_id": "RT-1", "order_number": "1", "refund_type": "refund", "status": "issued", '
        b'"currency": "EUR", "total_refunded": 9345678901.5678}\n'
    )
    harness.put("refunds.jsonl", text)
    harness.ingest()
    assert harness.rows("select total_refunded from landing.happy_returns_refunds") == [(Decimal("9345678901.5678"),)]


def test_bad_lines_of_json_are_rejected_by_themselves(harness: Harness) -> None:
    good = '{"shipment_id": "1", "item_id": "%s"}\n'
    data = (good % "A" + "{broken\n" + "[1]\n" + good % "B").encode() + b'{"shipment_id": "\xff", "item_id": "C"}\n'
    harness.put("shipments.jsonl", data + (good % "D").encode()[:-9])
    harness.ingest()
    assert harness.totals() == (6, 2, 4, 0)
    assert [row[0] for row in harness.rejected()] == [2, 3, 5, 6]


def test_a_compressed_file_that_was_cut_off_loses_only_its_end(harness: Harness) -> None:
    rows = [ITEM | {"item_id": f"IT-{number}", "product_name": os.urandom(40).hex()} for number in range(2000)]
    harness.put("items.csv.gz", gzip.compress(as_csv(harness.header("items"), rows))[:-20000])
    report = harness.ingest()
    read, landed, rejected, _ = harness.totals()
    assert report.refused_files == 0
    assert rejected == 1
    assert 0 < landed == read - 1 < 2000


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("2026-09-20T08:00:00Z", "2026-09-20T08:00:00+00:00"),
        ("2026-09-20T08:00:00.250+02:00", "2026-09-20T06:00:00.250+00:00"),
        ("2026-09-20T08:00:00-05:30", "2026-09-20T13:30:00+00:00"),
        ("2026-09-20 08:00:00", "2026-09-20T08:00:00+00:00"),
        ("2026-09-20T08:00", "2026-09-20T08:00:00+00:00"),
        ("2026-09-20T08:00:00+0200", "2026-09-20T06:00:00+00:00"),
    ],
)
def test_times_with_any_offset_are_the_same_instant_in_utc(harness: Harness, told: str, meant: str) -> None:
    harness.csv("items", ITEM | {"approved_at": told})
    harness.ingest()
    assert harness.rows("select approved_at from landing.happy_returns_items") == [(datetime.fromisoformat(meant),)]


def test_source_time_is_that_of_the_row_else_of_the_name_else_of_the_file(harness: Harness) -> None:
    told = ITEM | {"item_id": "IT-2", "updated_at": "2026-09-01T00:00:00Z"}
    harness.csv("items", ITEM | {"updated_at": ""}, told, name="items-2026-09-30T1145Z.csv")
    path = harness.csv("returns", RETURN | {"updated_at": ""}, name="returns.csv")
    os.utime(path, (1_790_000_000, 1_790_000_000))
    harness.csv("shipments", SHIPMENT, name="shipments.csv")
    harness.ingest()
    assert harness.rows("select kind, source_time from landing.happy_returns_rows order by 1, 2") == [
        ("items", datetime(2026, 9, 1, tzinfo=UTC)), ("items", datetime(2026, 9, 30, 11, 45, tzinfo=UTC)),
        ("returns", datetime.fromtimestamp(1_790_000_000, UTC)), ("shipments", datetime(2026, 9, 23, 8, tzinfo=UTC)),
    ]  # fmt: skip


def test_a_german_export_is_read_with_its_own_headers_words_commas_and_clock(harness: Harness) -> None:
    text = (
        "Erstattung;Retoure;Bestellnummer;Art;Erstattet am;Status;Währung;Warenwert netto;Rabatt netto;Steuer;Versand;"
        "Gebühr;Betrag;Stand\n"
        "RF-1;RT-1;#1001;Gutschein;20.07.2026 14:30;erstattet;EUR;1.234,50;0,00;0,01;;;1.234,51;20.01.2026 14:30\n"
    )
    harness.put("erstattungen.csv", text.encode())
    harness.ingest()
    assert harness.rows(
        "select profile, order_number, refund_type, status, item_subtotal, total_refunded, issued_at, source_time"
        " from landing.happy_returns_refunds"
    ) == [
        ("example-german", "1001", "gift-card", "issued", Decimal("1234.5"), Decimal("1234.51"),
         datetime(2026, 7, 20, 12, 30, tzinfo=UTC), datetime(2026, 1, 20, 13, 30, tzinfo=UTC))
    ]  # fmt: skip


def test_a_decimal_comma_is_not_mistaken_for_thousands(harness: Harness) -> None:
    header = "Erstattung;Retoure;Bestellnummer;Art;Status;Währung;Betrag\n"
    rows = "RF-1;RT-1;1;Erstattung;erstattet;EUR;12.50\nRF-2;RT-1;1;Erstattung;erstattet;EUR;12,50\n"
    harness.put("a.csv", (header + rows).encode())
    harness.ingest()
    assert harness.rows("select refund_id, total_refunded from landing.happy_returns_refunds") == [
        ("RF-2", Decimal("12.5"))
    ]
    assert harness.totals() == (2, 1, 1, 0)


# ---------------------------------------------------------------- people


def test_an_e_mail_is_in_landing_personal_and_nowhere_else(harness: Harness) -> None:
    harness.csv("returns", RETURN | {"customer_email": "Jane.Doe@shop.example"})
    mail = {"email": "jane.doe@shop.example"}
    header = [*harness.header("items"), "email"]
    harness.put(
        "items.csv",
        as_csv(header, [ITEM | mail, ITEM | mail | {"item_id": "2", "refund_type": "jane.doe@shop.example"}]),
    )
    harness.csv(
        "returns",
        RETURN | {"customer_email": "jane.doe@shop.example", "return_id": "2"},
        RETURN | {"refund_status": "odd"},
        name="odd.csv",
    )
    harness.ingest()
    harness.refresh()
    ((token,),) = harness.rows("select distinct customer_token from landing.happy_returns_returns")
    assert harness.rows("select distinct token, lower(value) from landing.personal") == [
        (token, "jane.doe@shop.example")
    ]
    tables = harness.rows("select table_schema || '.' || table_name from information_schema.tables")
    for (table,) in tables:
        if table != "landing.personal":
            assert "doe@" not in str(harness.rows(f"select * from {table}")).lower(), table


def test_the_token_of_one_address_differs_from_database_to_database(harness: Harness, tmp_path: Path) -> None:
    from hr_centra_pipeline_tests.sources.happy_returns.conftest import new_harness

    tokens = []
    for one in (harness, new_harness(tmp_path / "other")):
        one.csv("returns", RETURN | {"customer_email": "jane.doe@shop.example"})
        one.ingest()
        tokens += one.rows("select customer_token from landing.happy_returns_returns")
    assert len(set(tokens)) == 2
    assert None not in tokens[0]


def test_a_refund_row_that_names_no_items_pays_those_that_were_refunded_when_it_was_issued(harness: Harness) -> None:
    approved = {"approved_at": "2026-09-22T07:00:00Z"}
    units = [
        ITEM | approved | {"item_id": "IT-1", "refunded_at": "2026-09-22T08:40:00Z"},
        ITEM | approved | {"item_id": "IT-2", "refunded_at": "2026-09-22T08:00:00Z"},
        ITEM | approved | {"item_id": "IT-3"},
    ]
    harness.csv("items", *units)
    harness.csv("refunds", REFUND, REFUND | {"refund_id": "RF-2", "issued_at": "2026-09-22T08:41:00Z"})
    harness.ingest()
    harness.refresh()
    assert harness.rows("select return_item_id, refund_id from staging.refund_units order by all") == [
        ("IT-1", "RF-2"), ("IT-2", "RF-1"), ("IT-3", "RF-1"),
    ]  # fmt: skip
