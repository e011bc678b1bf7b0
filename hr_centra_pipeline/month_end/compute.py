"""The tables of a month: as it is now, or as it was on a day. A closed month's rows are the frozen ones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hr_centra_pipeline.core import months
from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.core.version import code_version
from hr_centra_pipeline.month_end import cost_intake, frozen
from hr_centra_pipeline.warehouse import models
from hr_centra_pipeline.warehouse.database import Connection
from hr_centra_pipeline.warehouse.tables.month_end_tables import MONTHLY

_TABLES = tuple(declared.name for declared in MONTHLY.values())
_JOURNAL = "month_end/journal.sql"


@dataclass(frozen=True)
class MonthReport:
    """The state of a month."""

    month: str
    statuses: dict[str, int]
    """Rows of ``month_end`` by status."""
    open_items: int
    dry_run_items: int
    """Open only because nothing was sent."""
    late_items: int
    breaks: list[str]
    """Where the roll-forward does not tie, or a figure is not the sum of its rows, in words. Empty: all of it ties."""

    @property
    def is_clean(self) -> bool:
        """Every row ties, every source covers the month, the roll-forward ties, and nothing waits for the end of the dry run."""
        return not self.breaks and not self.dry_run_items and not set(self.statuses) - {"ties", "late"}


def compute(
    connection: Connection,
    month: str,
    as_of: datetime,
    *,
    policy_sha256: str = "",
    cost_file: Path | None = None,
) -> MonthReport:
    """Fill the month's tables in ``month_end`` from what was known at ``as_of``; a close counts from its own time on.

    Tables of all months (``month_end``, ``rollforward``, ``refund_liability``, ``late_items``) are filled for every month up
    to ``as_of``, the lists for ``month`` alone.

    Raises:
        RunFailed: the month had not begun.
        ConfigurationError: the cost file has a mistake; the message names its line.
    """
    if months.start(month) > as_of:
        raise RunFailed(f"{month} has not begun: it is {as_of:%Y-%m-%d %H:%M} UTC.")
    cost_intake.load(connection, cost_file)
    given = {
        "as_of": as_of, "month": month, "cut_off": cut_off(month, as_of), "code_version": code_version(),
        "policy_sha256": policy_sha256,
    }  # fmt: skip
    # The journal is read as the sync has kept it.
    models.run(connection, _TABLES, {"month_end"}, given, done={_JOURNAL})
    breaks = _texts(connection, "month_end/breaks.sql")
    frozen.put_back(connection)
    return _report(connection, month, [*breaks, *_texts(connection, "month_end/footing.sql")])


def cut_off(month: str, as_of: datetime) -> datetime:
    """The instant up to which the month is reported: its end, or ``as_of`` when it is not over."""
    return min(months.end(month), as_of)


def _texts(connection: Connection, file: str) -> list[str]:
    return [row[0] for row in models.run_file(connection, file).fetchall()]


def _report(connection: Connection, month: str, breaks: list[str]) -> MonthReport:
    statuses = dict(
        connection.execute(
            "select status, count(*) from month_end.month_end where month = ? group by status order by status",
            [month],
        ).fetchall()
    )
    counted = connection.execute(
        """
        select
            (select count(*) from month_end.open_items where month = $month),
            (select count(*) from month_end.open_in_dry_run where month = $month),
            (select count(*) from month_end.late_items where month = $month)
        """,
        {"month": month},
    ).fetchone()
    open_items, dry_run_items, late_items = counted or (0, 0, 0)
    return MonthReport(month, statuses, open_items, dry_run_items, late_items, breaks)
