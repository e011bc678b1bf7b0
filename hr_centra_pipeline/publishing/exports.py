"""Finance's download: the reconciliation tables of a month as CSV."""

from __future__ import annotations

from pathlib import Path

from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.publishing.publish import quoted
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.tables import DERIVED

# What a spreadsheet takes for the start of a formula. A quote in front keeps it text.
_FORMULA = r"^[=+\-@\t\r]"
_NOT_FOR_FINANCE = {"reconciliation.settled_orders"}
_TABLES = [name for name in DERIVED if name.startswith("reconciliation.") and name not in _NOT_FOR_FINANCE]


def export_month(warehouse: Warehouse, settings: Settings, month: str) -> list[Path]:
    """Write ``exports/<month>/<table>.csv`` for every reconciliation table; answers the files.

    ``month``: ``YYYY-MM``, UTC. A file holds what is open now and was opened by the end of that month, in the order of
    its key, UTF-8, times in UTC. Text can never start a formula. Each file replaces the old one by rename.
    """
    folder = settings.exported / month
    folder.mkdir(parents=True, exist_ok=True)
    with warehouse.transaction() as connection:
        return [_csv(connection, name, folder, f"{month}-01") for name in _TABLES]


def _csv(connection: Connection, name: str, folder: Path, first_day: str) -> Path:
    declared = DERIVED[name]
    columns = ", ".join(_cell(column, sql_type) for column, sql_type in declared.columns.items())
    until = (
        f"where opened_at < date '{first_day}' + interval 1 month"
        if "opened_at" in declared.columns
        else ""
    )  # fmt: skip
    final = folder / f"{name.split('.')[1]}.csv"
    new = final.with_suffix(".csv.new")
    query = f"select {columns} from {name} {until} order by {', '.join(declared.key)}"  # noqa: S608 - our own names
    connection.execute(f"copy ({query}) to {quoted(new)} (format csv, header)")
    new.replace(final)
    return final


def _cell(column: str, sql_type: str) -> str:
    match sql_type:
        case "VARCHAR":
            return (
                f"case when regexp_matches({column}, '{_FORMULA}') then '''' || {column} else {column} end as {column}"
            )
        case "TIMESTAMPTZ":
            return f"strftime({column}, '%Y-%m-%dT%H:%M:%SZ') as {column}"
        case _:
            return column
