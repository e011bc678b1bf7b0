"""Centra's history for a backfill: what was created in a range of days, in short slices, each of them once.

Never by a past ``updatedAt``: what changed since then would be left out. Orders that return items name are asked for by number.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta

from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.sources.centra import pull
from hr_centra_pipeline.sources.centra.centra_errors import CentraError, Permanent
from hr_centra_pipeline.sources.centra.client import CentraClient
from hr_centra_pipeline.sources.centra.pull_progress import Pull, text_of
from hr_centra_pipeline.warehouse import watermarks
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.made import makes

_LOG = logging.getLogger(__name__)

Slice = Callable[[], AbstractContextManager[None]]
Work = Callable[[Pull, datetime, datetime], None]

_FIRST_SLICE = timedelta(hours=6)
_SHORTEST, _LONGEST = timedelta(minutes=15), timedelta(days=7)
_AIM_SECONDS = 10.0  # that a slice keeps the others out
_PAUSE_SECONDS = 0.3  # between slices: who waits for the lock looks every tenth of a second
_NUMBERS_AT_ONCE = 200


@dataclass(frozen=True)
class HistoryReport:
    """What a backfill of one object read. ``known``: the part of the range that an earlier one had read."""

    object: str
    rows_read: int = 0
    rows_landed: int = 0
    slices: int = 0
    known: timedelta = timedelta(0)

    def plus(self, done: Pull) -> HistoryReport:
        """With one slice more."""
        return HistoryReport(
            self.object,
            self.rows_read + done.rows_read,
            self.rows_landed + done.rows_landed,
            self.slices + 1,
            self.known,
        )


def orders(pulling: Pull, start: datetime, end: datetime) -> None:
    """Orders created in a window, with their shipments."""
    for page in pull.order_pages(pulling, {"createdAt": _between(start, end)}):
        pull.land_orders(pulling, page)


def returns(pulling: Pull, start: datetime, end: datetime) -> None:
    """Returns created in a window."""
    pull.land_returns(pulling, {"createdAt": _between(start, end)})


def stock_changes(pulling: Pull, start: datetime, end: datetime) -> None:
    """Stock changes created in a window."""
    pull.land_stock_changes(pulling, {"createdAt": _between(start, end)})


WORK: dict[str, Work] = {"orders": orders, "returns": returns, "stock_changes": stock_changes}


def _between(start: datetime, end: datetime) -> dict[str, str]:
    return {"from": text_of(start), "to": text_of(end)}


def read(
    name: str, client: CentraClient, warehouse: Warehouse, policy: Policy, now: datetime,
    start: datetime, end: datetime, *, slice_: Slice, again: bool = False, sleep: Callable[[float], None] = time.sleep,
) -> HistoryReport:  # fmt: skip
    """Read one object's history between two instants; what was read before is left out unless ``again``.

    Each slice is read, landed and noted inside ``slice_()``, which keeps other writers out, and which the next one may have
    in between: a longer slice would let them wait, a page that is landed after them would be older than theirs.

    Raises:
        CentraError: Centra could not be read; the slices before are kept, and a later call goes on from there.
    """
    end = min(end, now)
    with slice_(), warehouse.transaction() as connection:
        parts = [(start, end)] if again else list(unread(connection, name, start, end))
    report = HistoryReport(name, known=max(end - start, timedelta(0)) - sum((b - a for a, b in parts), timedelta(0)))
    length = _FIRST_SLICE
    for part_start, part_end in parts:
        at = part_start
        while at < part_end:
            until = min(at + length, part_end)
            pulling = Pull(name, client, warehouse, policy, now, window_from=at)
            began = time.monotonic()
            with slice_():
                _slice(pulling, WORK[name], at, until)
            report = report.plus(pulling)
            _LOG.info(
                "backfill: %s until %s, %s read", name.replace("_", " "), f"{until:%Y-%m-%d %H:%M}", report.rows_read
            )
            length = _fitting(length, time.monotonic() - began)
            at = until
            sleep(_PAUSE_SECONDS)
    return report


def read_named_orders(
    client: CentraClient, warehouse: Warehouse, policy: Policy, now: datetime, *, slice_: Slice,
    sleep: Callable[[float], None] = time.sleep,
) -> HistoryReport:  # fmt: skip
    """Every order that return items name and that was never asked for, by number, in slices.

    Raises:
        CentraError: as ``read``.
    """
    report = HistoryReport("named_orders")
    left: int | None = None
    while True:
        with slice_():
            with warehouse.transaction() as connection:
                unknown = pull.unknown_orders(connection, now, policy)
            if not unknown or len(unknown) == left:
                return report
            left = len(unknown)
            pulling = Pull("named_orders", client, warehouse, policy, now)
            pull.name_orders(pulling, unknown[:_NUMBERS_AT_ONCE])
            if pulling.problems:
                raise Permanent(" ".join(pulling.problems), operation="PullOrders")
        report = report.plus(pulling)
        sleep(_PAUSE_SECONDS)


def unread(connection: Connection, name: str, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The parts of a range that no complete slice covers, in order."""
    rows = connection.execute(
        """
        select window_from, window_to from landing.centra_history
        where object = ? and is_complete and window_to > ? and window_from < ?
        order by window_from
        """,
        [name, start, end],
    ).fetchall()
    at = start
    for since, until in rows:
        if since > at:
            yield at, since
        at = max(at, until)
    if at < end:
        yield at, end


def _slice(pulling: Pull, work: Work, start: datetime, end: datetime) -> None:
    try:
        work(pulling, start, end)
        if pulling.problems:
            raise Permanent(" ".join(pulling.problems), operation=f"history of {pulling.object}")
    except CentraError as error:
        _note(pulling, start, end, str(error))
        raise
    _note(pulling, start, end, None)


@makes("landing.centra_history", "One row per slice of Centra's history that a backfill has read.", kind="source")
def _note(pulling: Pull, start: datetime, end: datetime, problem: str | None) -> None:
    with pulling.warehouse.transaction() as connection:
        connection.execute(
            "insert into landing.centra_history"
            " (object, window_from, window_to, rows_read, rows_landed, is_complete, problem, batch, fetched_at)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                pulling.object, start, end, pulling.rows_read, pulling.rows_landed, problem is None, problem,
                watermarks.next_batch(connection), pulling.now,
            ],
        )  # fmt: skip


def _fitting(length: timedelta, seconds: float) -> timedelta:
    """The next slice: about ``_AIM_SECONDS``, and no more than twice this one."""
    wanted = length * min(2.0, _AIM_SECONDS / max(seconds, 0.01))
    return min(_LONGEST, max(_SHORTEST, wanted))
