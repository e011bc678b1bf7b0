"""Rows whose ids, times or codes were spoiled on their way: the same unit, or refused by name, never another unit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.effects.plan import plan
from hr_centra_pipeline.matching.match import match
from hr_centra_pipeline.reconciliation.reconcile import reconcile
from hr_centra_pipeline.sources.intake import contents
from hr_centra_pipeline.sources.intake.instants import instant, quoted
from hr_centra_pipeline.warehouse.database import run_sql
from hr_centra_pipeline.warehouse.policy_tables import write_policy
from hr_centra_pipeline_tests import staged
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY
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

_INVISIBLE = ["\u00a0", "\t", "\u200b", "\r", "\ufeff", "\u2003", "\u00ad", "\u2060", "\x00", "\u3000"]


def test_an_id_with_blanks_and_invisible_characters_around_or_inside_it_is_the_same_unit(harness: Harness) -> None:
    harness.csv("items", ITEM | {"item_id": "IT-00001"}, name="items-2026-09-20.csv")
    harness.ingest()
    for number, extra in enumerate(_INVISIBLE):
        later = {"updated_at": f"2026-09-21T08:00:{number:02}Z"}
        harness.csv("items", ITEM | later | {"item_id": f"{extra}IT-00001{extra}"}, name=f"items-{number}.csv")
    harness.csv("items", ITEM | {"item_id": "IT-\u200b00001", "sku": "SKU-2", "updated_at": "2026-09-22T08:00:00Z"})
    harness.ingest()
    harness.refresh()
    assert harness.rejected() == []
    assert harness.rows("select return_item_id, item_id, sku from staging.return_items") == [
        ("IT-00001", "IT-00001", "SKU-2")
    ]


@pytest.mark.parametrize(
    ("kind", "column", "stored"),
    [
        ("items", "order_number", "order_number"), ("items", "return_id", "return_id"), ("items", "sku", "sku"),
        ("items", "order_line_item_id", "base_line_item_id"), ("items", "express_code", "express_code"),
        ("returns", "order_number", "order_number"), ("returns", "refund_status", "refund_status"),
        ("refunds", "refund_id", "refund_id"), ("refunds", "currency", "currency"),
        ("refunds", "gift_card_id", "gift_card_id"), ("shipments", "tracking", "tracking"),
        ("shipments", "item_id", "return_item_id"),
    ],
)  # fmt: skip
def test_every_code_is_cleaned_of_what_cannot_be_seen(harness: Harness, kind: str, column: str, stored: str) -> None:
    value = COMPLETE[kind].get(column, "1Z999AA1")
    harness.csv(kind, COMPLETE[kind] | {column: f"\u200b\u00a0{value}\u00a0\u200b\t"})
    harness.ingest()
    assert harness.rejected() == []
    assert harness.rows(f"select {stored} from landing.happy_returns_{kind}") == [(value,)]


@pytest.mark.parametrize("mangled", ["5.32494E+12", "5,32494e+12", "1E+13", "#N/A", "#REF!", "null", "N/A", "None", "######",
                                     '["IT-1"]', "1001.0", "nan"])  # fmt: skip
def test_ids_that_a_spreadsheet_or_program_spoiled_are_refused_and_fold_no_two_units_into_one(
    harness: Harness, mangled: str
) -> None:
    harness.csv(
        "items", ITEM | {"item_id": mangled}, ITEM | {"item_id": mangled, "return_id": "RT-2", "order_number": "1002"}
    )
    harness.ingest()
    assert harness.totals() == (2, 0, 2, 0)
    for _, column, reason, _ in harness.rejected():
        assert column == "item_id"
        assert mangled in reason


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        ("items", "order_number"), ("items", "return_id"), ("items", "order_line_item_id"), ("items", "sku"),
        ("items", "express_code"), ("items", "upc"), ("refunds", "refund_id"), ("shipments", "shipment_id"),
        ("shipments", "tracking"), ("returns", "order_number"),
    ],
)  # fmt: skip
def test_any_code_that_a_spreadsheet_rounded_is_refused_by_name(harness: Harness, kind: str, column: str) -> None:
    harness.csv(kind, COMPLETE[kind] | {column: "5.32494E+12"})
    harness.ingest()
    ((_, named, reason, _),) = harness.rejected()
    assert named == column
    assert "5.32494E+12" in reason


def test_a_gift_card_that_is_null_is_none(harness: Harness) -> None:
    harness.csv("refunds", REFUND | {"gift_card_id": "NULL"})
    harness.csv("items", ITEM | {"exchange_sku": "n/a", "upc": "None"})
    harness.ingest()
    assert harness.rows("select gift_card_id from landing.happy_returns_refunds") == [(None,)]
    assert harness.rows("select exchange_sku, upc from landing.happy_returns_items") == [(None, None)]


def test_an_id_that_later_names_another_return_is_a_contradiction_and_no_update(harness: Harness) -> None:
    harness.csv("items", ITEM, name="items-2026-09-20.csv")
    harness.ingest()
    other = ITEM | {"return_id": "RT-2", "order_number": "1002", "updated_at": "2026-09-21T08:00:00Z"}
    harness.csv("items", other, ITEM | {"item_id": "IT-2"}, name="items-2026-09-21.csv")
    harness.csv("refunds", REFUND, name="refunds-2026-09-22.csv")
    harness.csv("refunds", REFUND | {"return_id": "RT-2"}, name="refunds-2026-09-23.csv")
    harness.ingest()
    harness.refresh()
    assert harness.rows("select return_item_id, return_id from staging.return_items order by 1") == [
        ("IT-1", "RT-1"), ("IT-2", "RT-1"),
    ]  # fmt: skip
    assert [(column, reason) for _, column, reason, _ in harness.rejected()] == [
        ("item_id", "names return RT-2, and was landed for RT-1"),
        ("refund_id", "names return RT-2, and was landed for RT-1"),
    ]


def test_an_id_that_names_two_returns_or_orders_in_one_file_is_refused_for_all(harness: Harness) -> None:
    harness.csv("items", ITEM, ITEM | {"order_number": "1002"}, ITEM | {"item_id": "IT-2"})
    harness.ingest()
    assert harness.totals() == (3, 1, 2, 0)
    assert {column for _, column, _, _ in harness.rejected()} == {"item_id"}


def test_a_later_file_may_correct_the_order_of_a_unit(harness: Harness) -> None:
    harness.stage("items", ITEM, name="items-2026-09-20.csv")
    harness.stage(
        "items", ITEM | {"order_number": "1002", "updated_at": "2026-09-21T08:00:00Z"}, name="items-2026-09-21.csv"
    )
    assert harness.rows("select order_number from staging.return_items") == [("1002",)]


def test_a_source_time_after_now_is_refused_and_later_rows_count(harness: Harness) -> None:
    harness.csv("items", ITEM | {"sku": "WRONG", "updated_at": "2062-09-20T08:00:00Z"}, name="items-1.csv")
    harness.csv("items", ITEM | {"sku": "SOON", "updated_at": "2026-09-30T13:00:01Z"}, name="items-2.csv")
    harness.csv("items", ITEM | {"sku": "RIGHT", "updated_at": "2026-09-30T12:59:00Z"}, name="items-3.csv")
    harness.ingest()
    harness.refresh()
    assert harness.rows("select sku from staging.return_items") == [("RIGHT",)]
    assert [(column, reason) for _, column, reason, _ in harness.rejected()] == [
        ("updated_at", "is in the future: 2026-09-30T13:00:01Z"), ("updated_at", "is in the future: 2062-09-20T08:00:00Z"),
    ]  # fmt: skip


@pytest.mark.parametrize(("kind", "column"), [("items", "approved_at"), ("items", "received_at"), ("refunds", "issued_at"),
                                              ("shipments", "departed_at"), ("returns", "created_at")])  # fmt: skip
def test_what_has_not_happened_yet_is_refused(harness: Harness, kind: str, column: str) -> None:
    harness.csv(kind, COMPLETE[kind] | {column: "2062-01-01T00:00:00Z"})
    harness.csv("returns", RETURN | {"expired_at": "2026-12-31T00:00:00Z", "return_id": "RT-9"}, name="labels.csv")
    harness.ingest()
    assert [named for _, named, _, _ in harness.rejected()] == [column], "a label may expire later"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("items_2026-09-01_2026-09-30.csv", datetime(2026, 9, 30, tzinfo=UTC)),
        ("items_20260901-20260930.csv", datetime(2026, 9, 30, tzinfo=UTC)),
        ("items_2026-09-20.csv", datetime(2026, 9, 20, tzinfo=UTC)),
        ("items_2026-09-20T0845Z.csv", datetime(2026, 9, 20, 8, 45, tzinfo=UTC)),
        ("items-20260920_084530.csv", datetime(2026, 9, 20, 8, 45, tzinfo=UTC)),
        ("items_job20311205_0007.csv", None),
        ("items_20311205.csv", None),
        ("items_2026-02-31.csv", None),
        ("items_job20200105_0007.csv", None),
        ("items_1202609201.csv", None),
        ("items_2026-09-20_2561.csv", datetime(2026, 9, 20, tzinfo=UTC)),
    ],
)
def test_the_day_in_a_name_is_the_last_one_of_a_range_and_one_that_can_be(
    harness: Harness, name: str, meant: datetime | None
) -> None:
    path = harness.csv("items", ITEM | {"updated_at": ""}, name=name)
    harness.ingest()
    modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    assert harness.rows("select source_time from landing.happy_returns_items") == [(meant or min(modified, NOW),)]


def test_a_range_that_came_after_a_day_inside_it_is_newer(harness: Harness) -> None:
    states = {"items_2026-09-20.csv": "", "items_2026-09-01_2026-09-30.csv": "2026-09-25T08:00:00Z"}
    for name, approved in states.items():
        harness.csv("items", ITEM | {"updated_at": "", "approved_at": approved}, name=name)
        harness.ingest()
    harness.refresh()
    assert harness.rows("select approved_at from staging.return_items") == [(datetime(2026, 9, 25, 8, tzinfo=UTC),)]


def test_a_word_for_a_zone_is_refused_and_does_not_reach_the_next_row(harness: Harness) -> None:
    harness.csv(
        "items",
        ITEM | {"approved_at": "2026-09-02 08:00:00 PST"},
        ITEM | {"item_id": "IT-2", "approved_at": "2026-09-02 09:00:00"},
    )
    harness.ingest()
    assert harness.rows("select approved_at from landing.happy_returns_items") == [
        (datetime(2026, 9, 2, 9, tzinfo=UTC),)
    ]
    assert [(column, reason) for _, column, reason, _ in harness.rejected()] == [
        ("approved_at", "is not a time: 2026-09-02 08:00:00 PST")
    ]


_BERLIN, _UTC = "Europe/Berlin", "UTC"


@pytest.mark.parametrize(
    ("text", "zone", "format", "meant"),
    [
        ("2026-09-02 08:00:00", _BERLIN, None, "06:00"),
        ("2026-09-02 08:00:00-07", _BERLIN, None, "15:00"),
        ("2026-09-02 08:00:00+00", _BERLIN, None, "08:00"),
        ("2026-09-02 08:00:00 UTC", _BERLIN, None, "08:00"),
        ("2026-09-02T08:00:00 GMT", _UTC, None, "08:00"),
        ("2026-09-02T08:00:00z", _BERLIN, None, "08:00"),
        ("2026-09-02 08:00:00 +02:00", _UTC, None, "06:00"),
        ("2026-09-02 08:00:00+99:00", _BERLIN, None, None),
        ("2026-09-02 08:00:00+99:00", _UTC, None, None),
        ("2026-09-02 08:00:00 PST", _UTC, None, None),
        ("2026-09-02 08:00:00 America/New_York", _BERLIN, None, None),
        ("epoch", _UTC, None, None),
        ("2026-09-02 (BC)", _UTC, None, None),
        ("02.09.2026 08:00", _BERLIN, "%d.%m.%Y %H:%M", "06:00"),
        ("02.09.2026 08:00 -0700", _BERLIN, "%d.%m.%Y %H:%M %z", "15:00"),
        ("02.09.2026 08:00 +9900", _BERLIN, "%d.%m.%Y %H:%M %z", None),
        ("2026-09-02T08:00:00-07", _BERLIN, "%d.%m.%Y %H:%M", "15:00"),
    ],
)  # fmt: skip
def test_every_offset_counts_or_the_time_is_none(text: str, zone: str, format: str | None, meant: str | None) -> None:
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        rows = connection.execute(
            f"select {instant('t', quoted(zone), format)} from (values (?), ('2026-09-02 08:00:00')) as texts(t)",
            [text],
        ).fetchall()
    expected = datetime.fromisoformat(f"2026-09-02T{meant}+00:00") if meant else None
    assert rows[0][0] == expected
    if format is None:
        assert rows[1][0] == datetime(2026, 9, 2, 6 if zone == _BERLIN else 8, tzinfo=UTC), "each row by itself"


@pytest.mark.parametrize(
    "told", ['["IT-1","IT-2"]', "IT-1, IT-2", "{IT-1,IT-2}", "('IT-1', 'IT-2')", "IT-1\nIT-2", "IT-1|IT-2"]
)
def test_units_that_a_refund_row_names_as_a_list_are_paid_by_it(harness: Harness, told: str) -> None:
    harness.csv("items", ITEM, ITEM | {"item_id": "IT-2"}, ITEM | {"item_id": "IT-3"})
    harness.csv("refunds", REFUND | {"item_ids": told})
    harness.ingest()
    harness.refresh()
    assert harness.rows("select return_item_id, is_told from staging.refund_units order by 1") == [
        ("IT-1", True),
        ("IT-2", True),
    ]


def test_units_that_json_names_as_a_list_are_paid_and_a_list_is_no_id(harness: Harness) -> None:
    harness.csv("items", ITEM, ITEM | {"item_id": "IT-2"})
    harness.json_lines("refunds.jsonl", REFUND | {"item_ids": ["IT-1", "IT-2"]})
    harness.json_lines("odd.jsonl", SHIPMENT, SHIPMENT | {"item_id": ["A", "B"]}, SHIPMENT | {"item_id": {"id": "A"}})
    harness.ingest()
    harness.refresh()
    assert harness.rows("select count(*) from staging.refund_units where is_told") == [(2,)]
    assert [(line, column) for line, column, _, _ in harness.rejected()] == [(2, "item_id"), (3, "item_id")]


def test_an_id_longer_than_any_is_refused_and_shown_shortened(harness: Harness) -> None:
    harness.csv("items", ITEM | {"order_number": "9" * 5000}, ITEM | {"item_id": "IT-2"})
    harness.ingest()
    ((_, column, reason, _),) = harness.rejected()
    assert column == "order_number"
    assert len(reason) < 200
    assert harness.totals() == (2, 1, 1, 0)


def test_a_rejected_row_of_many_kilobytes_without_a_blank_is_kept_short(harness: Harness) -> None:
    row = as_csv(harness.header("items"), [ITEM]).decode().splitlines()[1]
    long = "x" * 200_000 + "@" + "y" * 200_000
    harness.put("items.csv", (as_csv(harness.header("items"), []).decode() + row + "\n" + long + "\n").encode())
    harness.ingest()
    ((line, _, _, raw),) = harness.rejected()
    assert line == 3
    assert len(raw) < 5000
    assert harness.totals() == (2, 1, 1, 0)


# ---------------------------------------------------------------- a mended profile mends the past

PROFILE = """
name = "ours"
delimiter = ";"
[times]
zone = "{zone}"
[money]
decimal = "{decimal}"
[columns.items]
item_id = "Teil"
return_id = "Retoure"
order_number = "Bestellung"
sku = "Artikel"
refund_type = "Wunsch"
approved_at = "Freigabe"
disposition = "Befund"
updated_at = "Stand"
[columns.refunds]
refund_id = "Erstattung"
return_id = "Retoure"
order_number = "Bestellung"
refund_type = "Wunsch"
status = "Status"
currency = "Waehrung"
total_refunded = "Betrag"
updated_at = "Stand"
[words.refund_type]
Geld = "refund"
[words.disposition]
{words}
"""
_ROWS = (
    "Teil;Retoure;Bestellung;Artikel;Wunsch;Freigabe;Befund;Stand\n"
    "IT-1;RT-1;1001;A;Geld;2026-09-20 08:00:00;A-Ware;2026-09-20 08:00:00\n"
    "IT-2;RT-1;1001;B;Geld;2026-09-20 08:00:00;kaputt;2026-09-20 08:00:00\n"
    "IT-3;RT-1;1001;B;Tausch;2026-09-20 08:00:00;kaputt;2026-09-20 08:00:00\n"
)


def _with_profile(harness: Harness, words: str, zone: str = "UTC", decimal: str = ",", more: str = "") -> None:
    from hr_centra_pipeline.sources.happy_returns.export_profiles import load_profiles

    folder = harness.folder.parent / "profiles"
    folder.mkdir(exist_ok=True)
    text = PROFILE.format(words=words, zone=zone, decimal=decimal).replace(
        'Geld = "refund"', f'Geld = "refund"\n{more}'
    )
    (folder / "ours.toml").write_text(text, encoding="utf-8")
    harness.profiles = load_profiles(folder)


def test_a_word_that_is_mapped_later_or_corrected_mends_rows_that_have_landed_although_their_file_is_gone(
    harness: Harness,
) -> None:
    _with_profile(harness, 'A-Ware = "damaged"')
    path = harness.put("items-2026-09-21.csv", _ROWS.encode())
    harness.ingest()
    harness.refresh()
    graded = "select return_item_id, disposition, disposition_at from staging.return_items order by 1"
    at = datetime(2026, 9, 20, 8, tzinfo=UTC)
    assert harness.rows(graded) == [("IT-1", "damaged", at), ("IT-2", "kaputt", at)]
    path.unlink()
    _with_profile(harness, 'A-Ware = "sellable"\nkaputt = "damaged"')
    harness.ingest(NOW + timedelta(hours=1))
    harness.refresh(NOW + timedelta(hours=1))
    assert harness.rows(graded) == [("IT-1", "sellable", at), ("IT-2", "damaged", at)]
    assert harness.ingest(NOW + timedelta(hours=2)).files == 0
    assert harness.refresh(NOW + timedelta(hours=2)).units == 0, "once is enough"


def test_a_zone_or_decimal_that_is_corrected_mends_times_and_amounts_that_have_landed(harness: Harness) -> None:
    _with_profile(harness, "", zone="UTC")
    harness.put("items-2026-09-21.csv", _ROWS.encode())
    refunds = "Erstattung;Retoure;Bestellung;Wunsch;Status;Waehrung;Betrag;Stand\nRF-1;RT-1;1001;Geld;issued;EUR;1.234;2026-09-20\n"
    harness.put("refunds-2026-09-21.csv", refunds.encode())
    harness.ingest()
    _with_profile(harness, "", zone="Europe/Berlin", decimal=".")
    harness.ingest(NOW + timedelta(hours=1))
    harness.refresh(NOW + timedelta(hours=1))
    at = datetime(2026, 9, 20, 6, tzinfo=UTC)
    assert harness.rows("select distinct approved_at, source_time from staging.return_items") == [(at, at)]
    assert harness.rows("select total_refunded::varchar from staging.refunds") == [("1.2340",)]


def test_a_column_that_is_mapped_to_another_header_mends_the_files_that_have_landed(harness: Harness) -> None:
    from hr_centra_pipeline.sources.happy_returns.export_profiles import load_profiles

    rows = (
        "Teil;Retoure;Bestellung;Artikel;Wunsch;Freigabe;Befund;Note;Stand\n"
        "IT-1;RT-1;1001;A;Geld;;neu;A-Ware;2026-09-20 08:00:00\n"
        "IT-2;RT-1;1001;B;Geld;;alt;alt;2026-09-20 08:00:00\n"
    )
    _with_profile(harness, 'A-Ware = "sellable"')
    harness.put("items-2026-09-21.csv", rows.encode())
    harness.put("items-2026-09-22.csv", rows.encode())  # the same bytes
    harness.ingest()
    harness.refresh()
    graded = "select return_item_id, disposition from staging.return_items order by 1"
    assert harness.rows(graded) == [("IT-1", "neu"), ("IT-2", "alt")]
    ours = harness.folder.parent / "profiles" / "ours.toml"
    ours.write_text(ours.read_text("utf-8").replace('"Befund"', '"Note"'), encoding="utf-8")
    harness.profiles = load_profiles(ours.parent)
    assert harness.ingest(NOW + timedelta(hours=1)).rows_landed == 1, "only what says something else now"
    harness.refresh(NOW + timedelta(hours=1))
    assert harness.rows(graded) == [("IT-1", "sellable"), ("IT-2", "alt")]
    assert harness.rows("select sum(rows_conflicting) from landing.files") == [(0,)]
    assert harness.ingest(NOW + timedelta(hours=2)).files == 0, "once is enough"


def test_a_file_that_other_profiles_refuse_as_before_is_opened_once_for_each_of_them(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.put("items-2026-09-21.csv", b"Was;auch;immer\n1;2;3\n")
    assert harness.ingest().refused_files == 1
    opened: list[str] = []
    real = contents.opened

    def noted(data: bytes, name: str) -> contents.Content:
        opened.append(name)
        return real(data, name)

    monkeypatch.setattr(contents, "opened", noted)
    for words in ("", 'A-Ware = "sellable"', 'A-Ware = "damaged"'):
        _with_profile(harness, words)
        for _ in range(2):
            harness.ingest()
    assert opened == ["items-2026-09-21.csv"] * 3
    assert len(harness.rejected()) == 1


def test_a_fact_that_a_corrected_profile_says_otherwise_is_said_again_and_what_is_only_looked_at_again_is_not(
    harness: Harness,
) -> None:
    _with_profile(harness, 'A-Ware = "damaged"')
    another = "IT-4;RT-1;1001;C;Geld;2026-09-20 08:00:00;A-Ware;2026-09-20 08:00:00\n"
    harness.put("items-2026-09-21.csv", (_ROWS + another).encode())
    later = _ROWS.replace("Freigabe;Befund", "Befund;Freigabe").splitlines()[0] + "\n"
    later += "IT-1;RT-1;1001;A;Geld;kaputt;2026-09-20 08:00:00;2026-09-21 08:00:00\n"
    harness.put("items-2026-09-22.csv", later.encode())
    harness.ingest()
    ((first, second),) = harness.rows("select min(batch), max(batch) from landing.happy_returns_items")
    _with_profile(harness, 'A-Ware = "sellable"')
    harness.ingest(NOW + timedelta(hours=1))
    assert harness.rows("select count(*) from landing.happy_returns_items where batch > ?", second) == [(3,)]
    with harness.warehouse.transaction() as connection:
        write_policy(connection, load_policy(EXAMPLE_POLICY).policy, "live")
        connection.execute(
            """
            create or replace temp table desired_effects as
            select effect_key('inventory_adjustment', [return_item_id]) as effect_key, 'inventory_adjustment' as effect_kind,
                return_item_id, return_id, order_number
            from (select distinct return_item_id, return_id, order_number from landing.happy_returns_items)
            """
        )
        run_sql(connection, "hr_centra_pipeline.push", "latest_reports.sql", {"is_asked": True})
        said = connection.execute(
            "select return_item_id, batch from latest_reports join desired_effects using (effect_key) order by 1"
        ).fetchall()
    assert said[:2] == [("IT-1", second), ("IT-2", first)], "the grades that hold are what they were"
    assert said[2][0] == "IT-4"
    assert said[2][1] > second


def test_rows_and_files_that_a_profile_refused_are_read_again_with_a_corrected_one(harness: Harness) -> None:
    harness.put("items-2026-09-21.csv", _ROWS.encode())
    assert harness.ingest().refused_files == 1
    _with_profile(harness, "")
    assert harness.ingest().rows_landed == 2
    assert [(line, column) for line, column, _, _ in harness.rejected() if line] == [(4, "refund_type")]
    _with_profile(harness, "", more='Tausch = "exchange"')
    harness.ingest(NOW + timedelta(hours=1))
    harness.refresh()
    assert [row for row in harness.rejected() if row[0]] == []
    assert harness.rows("select count(*), count(distinct return_item_id) from landing.happy_returns_items") == [(3, 3)]
    assert harness.rows(
        "select return_item_id, refund_type from staging.return_items where return_item_id = 'IT-3'"
    ) == [("IT-3", "exchange")]
    assert harness.ingest(NOW + timedelta(hours=2)).files == 0


def test_a_code_like_half_a_pattern_and_an_order_number_of_5000_digits_pass_through_every_step(
    harness: Harness,
) -> None:
    long = "9" * 5_000
    harness.csv("returns", {**RETURN, "express_code": "HR(1"})
    harness.csv("items", {**ITEM, "express_code": "HR(1"}, {**ITEM, "item_id": "IT-2", "order_number": long})
    harness.ingest()
    harness.refresh()
    ((line, column, why, _),) = harness.rejected()
    assert (line, column) == (3, "order_number")
    assert why.startswith("is longer than 200 characters")
    with harness.warehouse.transaction() as connection:
        write_policy(connection, load_policy(EXAMPLE_POLICY).policy, "live")
        # What Centra says of them is not refused.
        staged.order(connection, "1001", ("77", "SKU-1", 1))
        staged.put(connection, "staging.orders", order_number=long, currency="EUR", captured=100)
        staged.put(
            connection,
            "staging.order_lines",
            order_line_id="88",
            order_number=long,
            sku="SKU-1",
            is_product=True,
            quantity=1,
        )
        staged.shipment(connection, 8, long, (88, "88", 1))
        staged.unit(connection, "IT-LONG", long, sku="SKU-1", express_code="HR(1", approved_at=NOW)
        staged.put(
            connection, "staging.centra_returns", centra_return_id=7, order_number="1001", shipment_id=1001,
            status="COMPLETED", express_codes=["HR(1"], created_at=NOW,
        )  # fmt: skip
        staged.put(
            connection, "staging.centra_return_lines", centra_return_line_id=70, centra_return_id=7, order_number="1001",
            shipment_line_id=77, order_line_id="77",
        )  # fmt: skip
        match(connection, NOW)
        plan(connection, NOW)
        reconcile(connection, NOW)
        found = connection.execute(
            "select return_item_id, foreign_centra_return_id, shipment_line_id from matching.matched_items order by 1"
        ).fetchall()
        assert found == [("IT-1", 7, 77), ("IT-LONG", None, 88)]
        known = connection.execute("select order_number from effects.units where return_item_id = 'IT-LONG'").fetchall()
        assert known == [(long,)]


@pytest.mark.parametrize("column", ["processing_fee", "shipping_refund"])
def test_a_fee_or_shipping_below_zero_is_refused_by_name(harness: Harness, column: str) -> None:
    harness.csv("refunds", REFUND | {column: "-5.00"}, REFUND | {"refund_id": "RF-2", column: "5.00"})
    harness.ingest()
    ((_, named, reason, _),) = harness.rejected()
    assert (named, reason) == (column, "is below 0: -5.0000")
