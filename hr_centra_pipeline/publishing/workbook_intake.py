"""Workbooks that come back: the three yellow columns of the open items become notes. Nothing else is read, no figure ever."""

from __future__ import annotations

import hashlib
import hmac
import io
import logging
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from openpyxl import load_workbook
from openpyxl.utils import get_column_letter

from hr_centra_pipeline.core import months
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.publishing.content import check_of, workbook_key
from hr_centra_pipeline.publishing.sheet import HEADER_ROW
from hr_centra_pipeline.publishing.workbook import CHECK, EXCEPTION, INPUTS, OPEN_ITEMS
from hr_centra_pipeline.reconciliation import notes
from hr_centra_pipeline.reconciliation.notes import Note
from hr_centra_pipeline.reconciliation.reconcile import next_run
from hr_centra_pipeline.sources.intake.local_files import in_folder, regular_file, shown
from hr_centra_pipeline.sources.intake.put_aside import put_aside
from hr_centra_pipeline.warehouse.database import Connection, Warehouse

_LOG = logging.getLogger(__name__)
_MOST_BYTES = 50_000_000
_MOST_UNPACKED = 500_000_000
_MOST_ROWS = 1_048_576  # Excel's own limits are 1,048,576 rows and 16,384 columns; ours are far to the left
_MOST_COLUMNS = 200
_ENDING = ".xlsx"
_OTHER_ENDINGS = (".xls", ".xlsm", ".xlsb", ".ods")
_LONGEST_NOTE = 2_000
_LONGEST_NAME = 100


@dataclass(frozen=True)
class WorkbookReport:
    """What one workbook brought: notes that were taken, notes that were recorded already, and what was refused and why."""

    name: str
    taken: int
    unchanged: int
    refused: tuple[str, ...]


@dataclass(frozen=True)
class _Entry:
    """What somebody wrote into one row, before it is judged. ``formula``: the cell that is one."""

    note: Note
    is_ours: bool
    """The mark beside the exception fits its id."""
    formula: str | None


class _Unreadable(Exception):
    """Nothing of the file can be used; the message says why."""


def take_workbooks(warehouse: Warehouse, settings: Settings, now: datetime) -> list[WorkbookReport]:
    """Take every workbook in ``$HR_CENTRA_HOME/workbooks``; answers what each one brought.

    A file that was read moves to ``taken/``, one that could not be to ``refused/``, each with a text beside it that says
    what came of it. Good rows are taken although others are refused. The same workbook twice changes nothing.
    """
    found = in_folder(settings.workbooks, (_ENDING, *_OTHER_ENDINGS))
    return [take_workbook(warehouse, path, now) for path in found]


def take_workbook(warehouse: Warehouse, path: Path, now: datetime) -> WorkbookReport:
    """Take one workbook that is there; moves it as :func:`take_workbooks` does."""
    name = shown(path.name)
    with warehouse.transaction() as connection:
        key = workbook_key(connection)
    try:
        raw = _bytes(path)
        read, refused = _read(raw, key)
    except _Unreadable as error:
        return _put_away(path, "refused", WorkbookReport(name, 0, 0, (shown(str(error)),)), now)
    with warehouse.transaction() as connection:
        result = notes.append(connection, read, now)
        whys = tuple(shown(why) for why in (*refused, *result.refused))
        report = WorkbookReport(name, result.taken, result.unchanged, whys)
        _record(connection, report, hashlib.sha256(raw).hexdigest(), now)
    return _put_away(path, "taken", report, now)


def _record(connection: Connection, report: WorkbookReport, sha256: str, now: datetime) -> None:
    connection.execute(
        "insert into month_end.workbooks (run_number, file_name, file_sha256, notes_taken, notes_refused, taken_at)"
        " values (?, ?, ?, ?, ?, ?)",
        [next_run(connection), report.name, sha256, report.taken, len(report.refused), now],
    )


def _put_away(path: Path, where: str, report: WorkbookReport, now: datetime) -> WorkbookReport:
    """Move a file under a name that every system can take; one that cannot be moved stays, and the report says so."""
    for why in report.refused:
        _LOG.warning("workbook %s: %s", report.name, why)
    lines = [
        f"{report.name}: {report.taken} notes taken, {report.unchanged} were there already, {len(report.refused)} refused."
    ]
    lines += [f"refused: {why}" for why in report.refused]
    try:
        put_aside(path, where, lines, now)
    except OSError as error:
        why = f"could not be moved to {where}/ ({error.strerror}); move it away, or grant this user the right to"
        _LOG.warning("workbook %s: %s", report.name, why)
        return replace(report, refused=(*report.refused, why))
    return report


def _bytes(path: Path) -> bytes:
    """A workbook's bytes.

    Raises:
        _Unreadable: it is another format, no regular file, cannot be read, or is too large.
    """
    if path.suffix.lower() != _ENDING:
        raise _Unreadable(f"is not a {_ENDING} file; save it as {_ENDING}")
    try:
        raw = regular_file(path, _MOST_BYTES)
    except OSError as error:
        raise _Unreadable(f"cannot be read: {error.strerror or error}") from None
    if len(raw) > _MOST_BYTES:
        raise _Unreadable(f"larger than {_MOST_BYTES // 1_000_000} MB: an hr-centra workbook never is")
    return raw


def _read(raw: bytes, key: str) -> tuple[list[Note], list[str]]:
    """Notes of a workbook, and rows that were refused by name.

    Raises:
        _Unreadable: it is not an hr-centra workbook, or a broken one. Its sheets are parsed while their rows are read.
    """
    try:
        return _parsed(raw, key)
    except _Unreadable:
        raise
    except Exception as error:  # whatever a broken archive or broken XML makes of its readers
        raise _Unreadable(f"is not a readable workbook; save it as .xlsx ({type(error).__name__})") from error


def _parsed(raw: bytes, key: str) -> tuple[list[Note], list[str]]:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > _MOST_UNPACKED:
            raise _Unreadable("unpacks to more than an hr-centra workbook ever has")
    book = load_workbook(io.BytesIO(raw), read_only=True, data_only=False)
    try:
        if OPEN_ITEMS not in book.sheetnames:
            raise _Unreadable(f"has no sheet {OPEN_ITEMS!r}")
        sheet = book[OPEN_ITEMS]
        sheet.reset_dimensions()  # what a file says of its size may be wrong
        rows = _bounded(sheet.iter_rows(max_col=_MOST_COLUMNS))
        month, places = _header(rows)
        entries = [entry for cells in rows if (entry := _entry(cells, places, month, key)) is not None]
    finally:
        book.close()
    refused = _refused(entries) if entries else {}
    notes_found = [entry.note for number, entry in enumerate(entries) if number not in refused]
    return notes_found, [refused[number] for number in sorted(refused)]


def _bounded(rows: Iterator[Any]) -> Iterator[Any]:
    """Rows that are missing are made up by the reader, up to the number of the next one, whatever that is."""
    for number, cells in enumerate(rows, start=1):
        if number > _MOST_ROWS:
            raise _Unreadable(f"{OPEN_ITEMS!r} has a row after {_MOST_ROWS:,}: no workbook has")
        yield cells


def _header(rows: Iterator[Any]) -> tuple[str, dict[str, int]]:
    """The month that the sheet's title names, and where the columns are that we read.

    Raises:
        _Unreadable: title or columns are not ours.
    """
    title = ""
    for number, cells in enumerate(rows):
        texts = {_text(cell.value): position for position, cell in enumerate(cells)}
        if number == 0:
            title = next((text for text in texts if text), "")
        missing = [name for name in (EXCEPTION, *INPUTS, CHECK) if name not in texts]
        if not missing:
            month = title.rpartition(" ")[2]
            if not months.is_month(month):
                raise _Unreadable(f"the title of {OPEN_ITEMS!r} does not name a month: {title!r}")
            return month, {name: texts[name] for name in (EXCEPTION, *INPUTS, CHECK)}
        if number > HEADER_ROW + 10:
            break
    raise _Unreadable(f"{OPEN_ITEMS!r} has no header with {', '.join((EXCEPTION, *INPUTS, CHECK))}")


def _entry(cells: Sequence[Any], places: dict[str, int], month: str, key: str) -> _Entry | None:
    """What somebody wrote into one row; None when nobody wrote anything."""

    def cell(name: str) -> Any:
        return cells[places[name]] if places[name] < len(cells) else None

    entered = {name: cell(name) for name in INPUTS}
    note, decision, by = (_text(getattr(one, "value", None)) for one in entered.values())
    if not note and not decision:
        return None
    exception_id = _text(getattr(cell(EXCEPTION), "value", None))
    row = next((one.row for one in cells if getattr(one, "row", None)), 0)
    return _Entry(
        Note(exception_id, note or None, decision or None, by, f"{OPEN_ITEMS}!{get_column_letter(places[INPUTS[0]] + 1)}{row}"),
        is_ours=hmac.compare_digest(check_of(key, month, exception_id), _text(getattr(cell(CHECK), "value", None))),
        formula=next((name.lower() for name, one in entered.items() if getattr(one, "data_type", "") == "f"), None),
    )  # fmt: skip


def _refused(entries: Sequence[_Entry]) -> dict[int, str]:
    """Why entries are not notes, by their number; one reason each, the first that holds."""
    import pandera.pandas as pa  # takes its time: only where somebody filled in a workbook

    from hr_centra_pipeline.warehouse import frames

    reasons: dict[str, Callable[[_Entry], str]] = {
        "exception_id": lambda entry: "the row does not name an exception",
        "is_ours": lambda entry: (
            f"{entry.note.exception_id} is not the exception that this row was written for: its id was changed or made up"
        ),
        "formula": lambda entry: f"{entry.note.exception_id}: its {entry.formula} is a formula; write it as text",
        "length": lambda entry: (
            f"{entry.note.exception_id}: a note has at most {_LONGEST_NOTE} characters, a name {_LONGEST_NAME}"
        ),
    }
    schema = pa.DataFrameSchema(
        {
            "exception_id": pa.Column("string", pa.Check.str_length(min_value=1)),
            "is_ours": pa.Column("boolean", pa.Check.eq(True)),
            "formula": pa.Column("string", pa.Check.eq("")),
            "note": pa.Column("string", pa.Check.str_length(max_value=_LONGEST_NOTE)),
            "by": pa.Column("string", pa.Check.str_length(max_value=_LONGEST_NAME)),
        },
        strict=True,
    )
    rows = [
        {
            "exception_id": entry.note.exception_id, "is_ours": entry.is_ours, "formula": entry.formula or "",
            "note": entry.note.note or "", "by": entry.note.by,
        }
        for entry in entries
    ]  # fmt: skip
    dtypes = {name: "boolean" if name == "is_ours" else "string" for name in schema.columns}
    broken: dict[int, set[str]] = {}
    for failure in frames.failures(frames.frame_of_rows(rows, dtypes), schema):
        rule = failure.column if failure.column in reasons else "length"
        broken.setdefault(failure.row or 0, set()).add(rule)
    return {
        number: f"{entries[number].note.place}: {next(say for rule, say in reasons.items() if rule in rules)(entries[number])}"
        for number, rules in broken.items()
    }


def _text(value: object) -> str:
    """A cell's text without control characters and outer blanks."""
    return "".join(
        char for char in str(value if value is not None else "") if char in "\n\t" or char.isprintable()
    ).strip()
