from __future__ import annotations

import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook
from openpyxl.worksheet.worksheet import Worksheet

from hr_centra_pipeline.publishing.workbook_intake import WorkbookReport, take_workbooks
from hr_centra_pipeline_tests.month_end.ledger_fixture import utc
from hr_centra_pipeline_tests.publishing.conftest import MONTH, Shop, finding

HEADER = 4
Edit = Callable[[Worksheet, dict[str, int]], None]


class Harness:
    """Finance: opens the workbook of the month, edits a copy, drops it into the folder."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.folder = shop.settings.workbooks
        self.folder.mkdir()

    def drop(self, edit: Edit, name: str = "march.xlsx") -> WorkbookReport:
        book = load_workbook(self.shop.export().files[0])
        sheet = book["5 Open items"]
        columns = {str(cell.value): cell.column or 0 for cell in sheet[HEADER]}
        edit(sheet, columns)
        book.save(self.folder / name)
        return self.sync()

    def sync(self) -> WorkbookReport:
        (report,) = self.sync_all()
        return report

    def sync_all(self) -> list[WorkbookReport]:
        # The ledger fixture is in one transaction; taking a workbook has transactions of its own.
        connection = self.shop.ledger.connection

        class Same:
            def transaction(self) -> Any:
                return _Kept(connection)

        return take_workbooks(Same(), self.shop.settings, utc("2026-04-06"))  # type: ignore[arg-type]

    def notes(self) -> list[tuple[Any, ...]]:
        rows = self.shop.rows(
            """
            select note, decision, "by", event from reconciliation.exception_events
            where event = 'noted' or (event = 'closed' and decision is not null) order by run_number, rowid
            """
        )
        return [tuple(row.values()) for row in rows]


class _Kept:
    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def __enter__(self) -> Any:
        return self.connection

    def __exit__(self, *_: object) -> None:
        return None


@pytest.fixture
def harness(shop: Shop) -> Harness:
    return Harness(shop)


def write(
    sheet: Worksheet, columns: dict[str, int], row: int, note: object = None, decision: object = None, by: object = None
) -> None:
    for title, value in (("Note", note), ("Decision", decision), ("By", by)):
        sheet.cell(row, columns[title]).value = value  # type: ignore[assignment]


def test_an_edited_copy_brings_its_notes_into_the_history_and_into_the_next_workbook(harness: Harness) -> None:
    def edit(sheet: Worksheet, columns: dict[str, int]) -> None:
        write(sheet, columns, 5, "Asked Happy Returns on Monday", "chase", "Mia")
        write(sheet, columns, 6, "Ready in April", "carry_forward", "Mia")

    report = harness.drop(edit)
    assert (report.taken, report.unchanged, report.refused) == (2, 0, ())
    assert harness.notes() == [
        ("Asked Happy Returns on Monday", "chase", "Mia", "noted"), ("Ready in April", "carry_forward", "Mia", "noted"),
    ]  # fmt: skip
    sheet = load_workbook(harness.shop.export(now="2026-04-07").files[0])["5 Open items"]
    columns = {str(cell.value): cell.column or 0 for cell in sheet[HEADER]}
    assert [sheet.cell(5, columns[title]).value for title in ("Note", "Decision", "By")] == [
        "Asked Happy Returns on Monday", "chase", "Mia",
    ]  # fmt: skip
    (kept,) = (harness.folder / "taken").glob("*.xlsx")
    assert "2 notes taken" in kept.with_name(f"{kept.name}.txt").read_text("utf-8")
    assert list(harness.folder.glob("*.xlsx")) == []


def test_the_same_workbook_twice_changes_nothing(harness: Harness) -> None:
    def edit(sheet: Worksheet, columns: dict[str, int]) -> None:
        write(sheet, columns, 5, "Once", None, "Mia")

    harness.drop(edit)
    assert harness.drop(edit, "again.xlsx").unchanged == 1
    assert len(harness.notes()) == 1


def test_figures_that_someone_changed_are_not_read(harness: Harness) -> None:
    amounts = "select sum(amount) as amount from reconciliation.exceptions"
    before = harness.shop.rows(amounts)

    def edit(sheet: Worksheet, columns: dict[str, int]) -> None:
        for row in range(5, 12):
            sheet.cell(row, columns["Amount"]).value = 1_000_000
            sheet.cell(row, columns["Kind"]).value = "double_credit"
        write(sheet, columns, 5, "Look at this", None, "Mia")

    assert harness.drop(edit).taken == 1
    assert harness.shop.rows(amounts) == before
    assert harness.shop.rows("select 1 from reconciliation.exception_events where kind = 'double_credit'") == []


def test_changed_swapped_and_made_up_ids_are_refused_by_name_and_the_good_rows_are_taken(harness: Harness) -> None:
    ids: list[Any] = []

    def edit(sheet: Worksheet, columns: dict[str, int]) -> None:
        place = columns["Exception"]
        ids.extend(sheet.cell(row, place).value for row in (5, 6, 7))
        write(sheet, columns, 5, "Good", None, "Mia")
        sheet.cell(6, place).value = ids[2]  # another one that exists
        write(sheet, columns, 6, "Swapped", "write_off", "Eve")
        sheet.cell(7, place).value = "EXAAAAAAAAAAAAA"
        write(sheet, columns, 7, "Made up", None, "Eve")

    report = harness.drop(edit)
    assert report.taken == 1
    swapped, made_up = report.refused
    assert str(ids[2]) in swapped
    assert swapped.startswith("5 Open items!L6")
    assert "EXAAAAAAAAAAAAA" in made_up
    assert [note[0] for note in harness.notes()] == ["Good"]
    (text,) = (harness.folder / "taken").glob("*.txt")
    assert "EXAAAAAAAAAAAAA" in text.read_text("utf-8")


@pytest.mark.parametrize(
    ("note", "decision", "by", "said"),
    [
        ("Who?", None, None, "does not say by whom"), ("What?", "forget_it", "Mia", "'forget_it' is none of chase"),
        (None, "write_off", "Mia", "needs a note that says why"), ("=1+1", None, "Mia", "is a formula"),
        ("x" * 2001, None, "Mia", "at most 2000 characters"),
    ],
)  # fmt: skip
def test_what_a_row_lacks_is_said(harness: Harness, note: object, decision: object, by: object, said: str) -> None:
    report = harness.drop(lambda sheet, columns: write(sheet, columns, 5, note, decision, by))
    (refused,) = report.refused
    assert said in refused
    assert harness.notes() == []


def test_a_write_off_closes_its_exception_and_it_stays_closed(harness: Harness) -> None:
    report = harness.drop(lambda sheet, columns: write(sheet, columns, 5, "Too old to chase", "write_off", "Mia"))
    assert report.taken == 1
    assert [event for *_, event in harness.notes()] == ["noted", "closed"]
    open_before = len(harness.shop.rows("from reconciliation.exceptions"))
    harness.shop.ledger.findings([finding(1), finding(2)], utc("2026-04-07"))
    harness.shop.export("2026-04", now="2026-04-08")
    assert len(harness.shop.rows("from month_end.open_items where month = '2026-04'")) < open_before
    (row,) = harness.shop.rows("from month_end.rollforward where month = '2026-04' and written_off_count > 0")
    assert (row["written_off_count"], row["written_off_by"]) == (1, "Mia")


def test_a_file_that_is_not_a_workbook_is_put_aside_with_the_reason(harness: Harness) -> None:
    (harness.folder / "broken.xlsx").write_bytes(b"PK\x03\x04 not really")
    assert "is not a readable workbook" in harness.sync().refused[0]
    other = Workbook()
    other.save(harness.folder / "other.xlsx")
    assert "has no sheet '5 Open items'" in harness.sync().refused[0]
    assert len(list((harness.folder / "refused").glob("*.xlsx"))) == 2
    assert harness.notes() == []


def test_a_workbook_with_broken_xml_is_refused_by_name_and_set_aside_and_the_next_one_is_taken(
    harness: Harness,
) -> None:
    whole = harness.shop.export().files[0]
    with zipfile.ZipFile(whole) as parts, zipfile.ZipFile(harness.folder / "torn.xlsx", "w") as torn:
        for name in parts.namelist():
            is_sheet = name.startswith("xl/worksheets/sheet")
            torn.writestr(name, parts.read(name)[:-40] if is_sheet else parts.read(name))
    report = harness.sync()
    assert (report.name, report.taken) == ("torn.xlsx", 0)
    assert "is not a readable workbook" in report.refused[0]
    (aside,) = (harness.folder / "refused").glob("*.xlsx")
    assert "is not a readable workbook" in aside.with_name(f"{aside.name}.txt").read_text("utf-8")
    assert harness.drop(lambda sheet, columns: write(sheet, columns, 5, "Asked", None, "Mia")).taken == 1


def test_whatever_is_in_the_folder_is_set_aside_by_name_and_the_workbooks_are_taken(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    whole, folder = harness.shop.export().files[0], harness.folder
    os.mkfifo(folder / "pipe.xlsx")
    (folder / "folder.xlsx").mkdir()
    (folder / "dead.xlsx").symlink_to("/nowhere")
    (folder / "endless.xlsx").symlink_to("/dev/zero")
    (folder / "old.xls").write_bytes(b"x")
    (folder / "red\x1b[31m\nline.xlsx").write_bytes(b"x")
    with zipfile.ZipFile(whole) as parts, zipfile.ZipFile(folder / "rows.xlsx", "w", zipfile.ZIP_DEFLATED) as torn:
        for name in parts.namelist():
            text = re.sub(rb"<dimension[^>]*/>", b"", parts.read(name))
            torn.writestr(name, text.replace(b"</sheetData>", b'<row r="1000000000000"/></sheetData>'))
    shutil.copy(whole, folder / ("n" * 245 + "1.xlsx"))
    shutil.copy(whole, folder / ("n" * 245 + "2.xlsx"))
    shutil.copy(whole, folder / os.fsdecode(b"bytes\xff.xlsx"))
    shutil.copy(whole, folder / "UPPER.XLSX")
    reports = {report.name: report for report in harness.sync_all()}
    refused = {name: report.refused[0] for name, report in reports.items() if report.refused}
    assert sorted(refused) == [
        "dead.xlsx", "endless.xlsx", "folder.xlsx", "old.xls", "pipe.xlsx", "red\\x1b[31m\\nline.xlsx", "rows.xlsx",
    ]  # fmt: skip
    assert all("not a regular file" in refused[f"{name}.xlsx"] for name in ("endless", "folder", "pipe"))
    assert "No such file" in refused["dead.xlsx"]
    assert "save it as .xlsx" in refused["old.xls"]
    assert "has a row after 1,048,576" in refused["rows.xlsx"]
    assert reports.keys() - refused.keys() == {
        "n" * 245 + "1.xlsx", "n" * 245 + "2.xlsx", "bytes\\xff.xlsx", "UPPER.XLSX",
    }  # fmt: skip
    assert sorted(one.name for one in folder.iterdir()) == ["refused", "taken"]
    assert len(list((folder / "refused").iterdir())) == 7 * 2
    assert len(list((folder / "taken").iterdir())) == 4 * 2
    assert "\x1b" not in caplog.text


def test_a_workbook_of_another_database_is_refused_row_by_row(harness: Harness) -> None:
    def edit(sheet: Worksheet, columns: dict[str, int]) -> None:
        write(sheet, columns, 5, "From elsewhere", None, "Mia")
        harness.shop.ledger.connection.execute("update meta.keys set value = repeat('ab', 32) where name = 'workbook'")

    (refused,) = harness.drop(edit).refused
    assert "its id was changed or made up" in refused


@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
def test_a_copy_that_libreoffice_saved_brings_its_notes(harness: Harness, tmp_path: Path) -> None:
    def edit(sheet: Worksheet, columns: dict[str, int]) -> None:
        write(sheet, columns, 5, "Through LibreOffice", "chase", "Mia")

    book = load_workbook(harness.shop.export().files[0])
    sheet = book["5 Open items"]
    edit(sheet, {str(cell.value): cell.column or 0 for cell in sheet[HEADER]})
    edited = tmp_path / f"{MONTH}.xlsx"
    book.save(edited)
    subprocess.run(
        [
            "soffice", f"-env:UserInstallation=file://{tmp_path}/profile", "--headless", "--convert-to", "xlsx",
            "--outdir", str(harness.folder), str(edited),
        ],
        check=True, capture_output=True, timeout=180,
    )  # fmt: skip
    assert harness.sync().taken == 1
    assert harness.notes() == [("Through LibreOffice", "chase", "Mia", "noted")]
