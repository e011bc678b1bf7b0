"""How far each reader of the landing tables has come: the last batch that it has taken into account.

One table, ``meta.watermarks``: one row per consumer and part of it. Nothing else reads or writes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from hr_centra_pipeline.warehouse.database import Connection
from hr_centra_pipeline.warehouse.made import makes

HAPPY_RETURNS = "staging.happy_returns"
CENTRA = "staging.centra"
PAYOUTS = "staging.payouts"
NAMED = "centra.named_pulls"
"""Parts: objects of Centra. Up to which batch the orders of what Happy Returns' events brought were pulled."""
MATCHING = "matching"
IN_PLAY = "matching.orders_in_play"
"""The batch above which the last matching looked for what is new: a reader that had seen all before needs these orders alone."""
OBSERVED = "effects.observed"
LEDGER = "push.ledger"
RECONCILIATION = "reconciliation"
MONTH_END = "month_end"
"""Parts: months. Its numbers are those of reconciliation's runs, not of batches."""

NOTHING = -1
"""Before the first batch."""


@dataclass(frozen=True)
class Watermark:
    """``batch``: the last one that was taken into account; ``made_with``: a hash of what else the result depends on."""

    batch: int
    updated_at: datetime
    made_with: str | None = None


def parts(connection: Connection, consumer: str) -> dict[str, Watermark]:
    """The watermarks of a consumer's parts."""
    rows = connection.execute(
        "select part, batch, updated_at, made_with from meta.watermarks where consumer = ?", [consumer]
    ).fetchall()
    return {part: Watermark(int(batch), updated_at, made_with) for part, batch, updated_at, made_with in rows}


def find(connection: Connection, consumer: str) -> Watermark | None:
    """The watermark of a consumer without parts; none: it has read nothing yet."""
    return parts(connection, consumer).get("")


def read(connection: Connection, consumer: str, made_with: str | None = None) -> int:
    """The batch up to which ``consumer`` has read; ``NOTHING``: nothing yet, or with something else than ``made_with``."""
    found = find(connection, consumer)
    return found.batch if found is not None and found.made_with == made_with else NOTHING


@makes("meta.watermarks", "One row per reader: up to which batch it has taken over what was landed.")
def write(
    connection: Connection, consumer: str, batch: int, now: datetime, *, part: str = "", made_with: str | None = None
) -> None:
    """Remember that ``consumer`` has read up to ``batch``."""
    connection.execute("delete from meta.watermarks where consumer = ? and part = ?", [consumer, part])
    connection.execute(
        "insert into meta.watermarks (consumer, batch, updated_at, part, made_with) values (?, ?, ?, ?, ?)",
        [consumer, batch, now, part, made_with],
    )


def forget_all(connection: Connection) -> None:
    """Every consumer reads everything again: what they had made of it is gone."""
    connection.execute("delete from meta.watermarks")


def newest_batch(connection: Connection) -> int:
    """A number that no batch that was landed is beyond, and every later one is. It is drawn: DuckDB's ``last_value`` is one too
    low after a replay of the log, and one too high after a checkpoint.
    """
    return next_batch(connection)


def next_batch(connection: Connection) -> int:
    """A new batch number: readers of landing go by it."""
    return next_batches(connection, 1)[0]


def next_batches(connection: Connection, count: int) -> list[int]:
    """New batch numbers, in their order."""
    rows = connection.execute("select nextval('landing.batch_numbers') from range(?)", [count]).fetchall()
    return sorted(int(batch) for (batch,) in rows)
