from __future__ import annotations

import csv
import hashlib
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from openpyxl import load_workbook
from openpyxl.worksheet.worksheet import Worksheet

from hr_centra_pipeline.month_end import close as closing
from hr_centra_pipeline.publishing.pack import read_manifest
from hr_centra_pipeline.warehouse.tables.month_end_tables import MONTHLY
from hr_centra_pipeline_tests.month_end.ledger_fixture import utc
from hr_centra_pipeline_tests.publishing.conftest import MONTH, ODD, Shop

HEADER = 4
SHEETS = [
    "1 Summary", "2 Roll-forward", "3 Refund liability", "4 Goods in transit", "5 Open items", "6 Refund mismatches",
    "7 Orphans", "8 Exchanges", "9 Late items", "10 Adjustments", "11 Sign-off", "12 About",
]  # fmt: skip


def sheet_rows(sheet: Worksheet) -> list[dict[str, Any]]:
    """Rows of a sheet's first table, by the titles of its columns."""
    titles = [str(cell.value) for cell in sheet[HEADER]]
    found = []
    for cells in sheet.iter_rows(min_row=HEADER + 1, max_col=len(titles)):
        values: list[Any] = [cell.value for cell in cells]
        if values[0] is None and values[1] is None:
            break
        found.append(dict(zip(titles, values, strict=True)))
    return found


def exact(value: Any) -> Decimal:
    """A number as another library read it, to the ten-thousandth."""
    return Decimal(str(value)).quantize(Decimal("0.0001"))


def test_the_workbook_has_the_twelve_sheets_and_their_figures_are_those_of_the_tables(shop: Shop) -> None:
    pack = shop.export()
    book = load_workbook(pack.files[0])
    assert book.sheetnames == SHEETS
    told = {
        (row["Currency"], row["Component"]): (
            exact(row["Happy Returns"]), exact(row["Centra"]), exact(row["Unexplained"]), row["Status"]
        )
        for row in sheet_rows(book["1 Summary"]) if row["Component"] != "total"
    }  # fmt: skip
    assert told == {
        (row["currency"], row["component"]): (
            row["happy_returns_amount"],
            row["centra_amount"],
            row["unexplained_amount"],
            row["status"].replace("_", " "),
        )
        for row in shop.rows(f"from month_end.month_end where month = '{MONTH}'")
    }
    assert told["EUR", "items"] == (Decimal("125.1400"), Decimal("120.0900"), Decimal("5.0500"), "does not tie")
    totals = {
        row["Currency"]: exact(row["Centra"]) for row in sheet_rows(book["1 Summary"]) if row["Component"] == "total"
    }
    assert totals == {"EUR": Decimal("122.0900"), "JPY": Decimal("12001.0000"), "KWD": Decimal("10.1250")}
    rolled = {
        (row["Kind"], row["Currency"]): (row["Opening"], row["New"], row["Closing"], exact(row["Closing amount"]))
        for row in sheet_rows(book["2 Roll-forward"])
    }
    assert rolled == {
        (row["kind"], row["currency"]): (
            row["opening_count"],
            row["new_count"],
            row["closing_count"],
            row["closing_amount"],
        )
        for row in shop.rows(f"from month_end.rollforward where month = '{MONTH}'")
    }
    assert {row["Ties to sheet 5"] for row in sheet_rows(book["2 Roll-forward"])} == {"✓"}
    items = {row["Exception"]: row for row in sheet_rows(book["5 Open items"])}
    for row in shop.rows(f"from month_end.open_items where month = '{MONTH}'"):
        shown = items.pop(row["exception_id"])
        assert (shown["Amount"] and exact(shown["Amount"])) == row["amount"]
        assert shown["Currency"] == row["currency"]
        assert shown["Opened"] == row["opened_at"].astimezone(UTC).replace(tzinfo=None)
    assert items == {}


SUMMED = {
    "Expected by policy": "expected_amount", "Happy Returns": "happy_returns_amount", "Centra": "centra_amount",
    "Payment provider": "provider_amount", "Happy Returns − Centra": "difference", "Explained": "explained_amount",
    "Within tolerance": "within_tolerance_amount", "Unexplained": "unexplained_amount", "Expected − Centra": "expected_difference",
    "Expected: explained": "expected_explained_amount", "Expected: within tolerance": "expected_within_tolerance_amount",
    "Expected: unexplained": "expected_unexplained_amount", "Provider − Centra": "provider_difference",
    "Provider: explained": "provider_explained_amount", "Provider: within tolerance": "provider_within_tolerance_amount",
    "Provider: unexplained": "provider_unexplained_amount", "Unexplained, worst of any two sides": "worst_unexplained_amount",
}  # fmt: skip
COUNTED = {
    "Explained (returns)": "explained", "Within tolerance (returns)": "within_tolerance", "Unexplained (returns)": "unexplained",
}  # fmt: skip


def test_every_figure_of_the_summary_is_the_sum_of_rows_in_the_same_pack_and_the_sheets_count_alike(shop: Shop) -> None:
    pack = shop.export()
    book = load_workbook(pack.files[0])
    with (pack.folder / "refund_differences.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    summary = sheet_rows(book["1 Summary"])
    assert len(summary) > 6
    for row in summary:
        its = [
            one
            for one in rows
            if one["currency"] == row["Currency"] and row["Component"] in (one["component"], "total")
        ]
        for title, column in SUMMED.items():
            told = [Decimal(one[column]) for one in its if one[column]]
            assert exact(row[title] or 0) == sum(told, Decimal(0)), (row["Currency"], row["Component"], title)
        for title, verdict in COUNTED.items():
            assert (row[title] or 0) == sum(one["verdict"] == verdict for one in its), (row["Component"], title)
    differing = sheet_rows(book["6 Refund mismatches"])
    assert len(differing) == sum(row["verdict"] != "agrees" for row in rows)
    tolerated = [row for row in sheet_rows(book["10 Adjustments"]) if row["Currency"]]
    assert len(tolerated) == sum(row["verdict"] == "within_tolerance" for row in rows)


def test_numbers_are_formatted_by_their_currency_and_sheets_are_made_for_reading_and_printing(shop: Shop) -> None:
    book = load_workbook(shop.export().files[0])
    formats = {}
    for row in book["1 Summary"].iter_rows(min_row=HEADER + 1):
        if row[1].value == "items":
            formats[row[0].value] = row[4].number_format.partition("_")[0]
    assert formats == {"EUR": "#,##0.00", "JPY": "#,##0", "KWD": "#,##0.000"}
    for sheet in book.worksheets:
        assert sheet.page_setup.orientation == "landscape", sheet.title
        assert sheet.sheet_properties.pageSetUpPr is not None
        assert sheet.sheet_properties.pageSetUpPr.fitToPage
        assert sheet.page_setup.fitToHeight == 0
    for name in ("2 Roll-forward", "5 Open items", "6 Refund mismatches", "12 About"):
        assert book[name].freeze_panes == f"C{HEADER + 1}"
        assert book[name].auto_filter.ref
        assert book[name].print_title_rows == f"${HEADER}:${HEADER}"
    links = [cell.hyperlink.location for row in book["1 Summary"].iter_rows() for cell in row if cell.hyperlink]
    assert {"'5 Open items'!A1", "'12 About'!A1", "'6 Refund mismatches'!A1"} <= set(links)


def test_text_that_looks_like_a_formula_comes_back_as_text_everywhere(shop: Shop) -> None:
    pack = shop.export()
    book = load_workbook(pack.files[0])
    found = set()
    for sheet in book.worksheets:
        for row in sheet.iter_rows():
            for cell in row:
                assert cell.data_type != "f", f"{sheet.title}!{cell.coordinate}"
                if cell.value in ODD:
                    assert cell.quotePrefix, cell.coordinate
                    found.add(cell.value)
    # XML has no carriage return at the start of a text; it comes back as it is written.
    assert {text.replace("\r", "") for text in ODD} <= {str(text).replace("\r", "").replace("_x000D_", "") for text in found} | {
        str(cell.value).replace("\r", "").replace("_x000D_", "") for row in book["5 Open items"].iter_rows() for cell in row
    }  # fmt: skip
    with (pack.folder / "open_items.csv").open(encoding="utf-8", newline="") as file:
        details = {row["detail"] for row in csv.DictReader(file)}
    assert {f"'{text}" for text in ODD} <= details
    page = (pack.folder / "summary.html").read_text(encoding="utf-8")
    assert "=HYPERLINK(&#34;http://example.invalid&#34;)" in page


def test_csv_and_parquet_hold_the_tables_rows_exactly(shop: Shop) -> None:
    pack = shop.export()
    for name, declared in MONTHLY.items():
        expected = shop.rows(f"select * from {declared.name} where month = '{MONTH}'")
        stored = pq.read_table(pack.folder / f"{name}.parquet").to_pylist()
        assert len(stored) == len(expected), name
        assert sorted(_plain(row) for row in stored) == sorted(_plain(row) for row in expected), name
        with (pack.folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == len(expected)
        for money in (column for column, sql in declared.columns.items() if sql.startswith("DECIMAL")):
            assert sorted(row[money] for row in rows) == sorted(
                "" if row[money] is None else str(row[money]) for row in expected
            )


def _plain(row: dict[str, Any]) -> str:
    return str([value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value for value in row.values()])


def contents(folder: Path) -> dict[str, str]:
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir()) if file.is_file()
    }


def test_the_manifest_names_every_file_with_its_hash_and_nothing_else_is_there(shop: Shop) -> None:
    pack = shop.export()
    manifest = read_manifest(pack.folder)
    assert manifest is not None
    hashes = {file["name"]: file["sha256"] for file in manifest["files"]}
    present = contents(pack.folder)
    present.pop("manifest.json")
    assert hashes == present
    assert (manifest["month"], manifest["status"], manifest["standing"]) == (MONTH, "does not tie", "open")
    assert {Path(name).suffix for name in hashes} == {".xlsx", ".html", ".csv", ".parquet"}


def test_the_same_knowledge_gives_the_same_bytes_whenever_it_is_exported(shop: Shop) -> None:
    first = contents(shop.export(now="2026-04-05").folder)
    again = shop.export(now="2026-05-17")
    assert contents(again.folder) == first
    assert not again.is_new
    shop.ledger.three_sides("3", "2026-03-31", return_id="RT-17", order="1017")
    shop.ledger.learn("2026-05-18")
    assert contents(shop.export(now="2026-05-18").folder) != first


def test_a_day_of_the_past_has_a_pack_of_its_own_and_the_present_one_stays(shop: Shop) -> None:
    present = contents(shop.export().folder)
    pack = shop.export(as_of=utc("2026-03-25"))
    assert pack.folder.name == "as-of-2026-03-25"
    assert json.loads((pack.folder / "manifest.json").read_text("utf-8"))["cut_off"] == "2026-03-25T00:00:00Z"
    assert contents(pack.folder.parent) == present


def test_a_closed_month_is_exported_as_it_was_closed_whatever_is_learnt_later(shop: Shop) -> None:
    closing.close(shop.ledger.connection, MONTH, utc("2026-04-04"), by="Pia", policy_sha256="policy", accept="a test")
    closed = shop.export(now="2026-04-04")
    tables = {name: digest for name, digest in contents(closed.folder).items() if name.endswith((".csv", ".parquet"))}
    shop.ledger.connection.execute("update reconciliation.refund_facts set amount = amount + 50 where side = 'centra'")
    shop.ledger.learn("2026-04-10")
    later = shop.export(now="2026-04-11")
    assert later.standing == "decertified"
    changed = {name for name, digest in contents(later.folder).items() if name in tables and digest != tables[name]}
    assert changed == set()
    book = load_workbook(later.files[0])
    values = [cell.value for row in book["11 Sign-off"].iter_rows() for cell in row]
    assert "decertified" in values
    following = shop.export("2026-04", now="2026-04-11")
    late = sheet_rows(load_workbook(following.files[0])["9 Late items"])
    assert {row["Belongs to"] for row in late} == {MONTH}


def test_no_pack_has_an_address_in_it(shop: Shop) -> None:
    shop.ledger.connection.execute(
        "insert into landing.personal values ('t0ken', 'returns', 'email', 'jane@example.com', now())"
    )
    pack = shop.export()
    for file in pack.files:
        if file.suffix != ".xlsx":
            assert b"jane@example.com" not in file.read_bytes(), file.name
    texts = [
        str(cell.value)
        for sheet in load_workbook(pack.files[0]).worksheets
        for row in sheet.iter_rows()
        for cell in row
    ]
    assert not [text for text in texts if "@example.com" in text]


def test_the_summary_page_needs_no_network_and_has_its_charts_inside(shop: Shop) -> None:
    page = (shop.export().folder / "summary.html").read_text(encoding="utf-8")
    assert page.count("<svg") >= 3
    assert "http" not in page.replace("http://www.w3.org", "").replace("http://example.invalid", "")
    assert "src=" not in page
    assert "<script" not in page


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sku;cost\n", "costs.csv:1: the header has to be sku,currency,unit_cost"),
        ("sku,currency,unit_cost\nA,EUR,12\nA,EUR,13\n", "costs.csv:3: A in EUR is in the file twice"),
        ("sku,currency,unit_cost\nA,EUR,cheap\n", "costs.csv:2: 'cheap' is not an amount"),
        ("sku,currency,unit_cost\nA,EURO,12\n", "costs.csv:2: give a SKU, a currency of three letters"),
    ],
)
def test_a_mistake_in_the_cost_file_is_named_with_its_line(shop: Shop, text: str, said: str) -> None:
    (shop.settings.home / "costs.csv").write_text(text, encoding="utf-8")
    with pytest.raises(Exception, match="costs") as caught:
        shop.export()
    assert said in str(caught.value)
