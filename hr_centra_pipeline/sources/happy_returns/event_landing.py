"""Bodies of webhook deliveries and of the partner API's answers into the landing tables: rows that say what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from hr_centra_pipeline.inbox.inbox_store import Inbox
from hr_centra_pipeline.sources.happy_returns.event_reading import EventProfile
from hr_centra_pipeline.warehouse.database import Connection, Warehouse

Feed = Literal["events", "api"]
Message = Literal["return", "label", "outbound"]


@dataclass(frozen=True)
class Body:
    """One body. ``name``: its ``source_file``, such as ``event 0190…`` or ``api 17``.

    ``message``: what it is, where its sender knows (the answer of a look-up of returns is a ``return``); else the profile says.
    """

    name: str
    feed: Feed
    received_at: datetime
    data: bytes
    message: Message | None = None


@dataclass(frozen=True)
class BodyReport:
    """What became of one body: rows read = landed + rejected + repeated. ``problem``: it was refused as a whole."""

    name: str
    rows_read: int = 0
    rows_landed: int = 0
    rows_rejected: int = 0
    rows_repeated: int = 0
    problem: str | None = None
    problem_code: str | None = None
    batch: int | None = None


@dataclass(frozen=True)
class EventReport:
    """Counts of one look at the inbox. ``refused``: deliveries that could not be used as a whole."""

    deliveries: int = 0
    refused: int = 0
    rows_read: int = 0
    rows_landed: int = 0
    rows_rejected: int = 0
    rows_repeated: int = 0


def land_bodies(
    connection: Connection, bodies: Sequence[Body], profile: EventProfile, now: datetime
) -> list[BodyReport]:
    """Land bodies in the order of their arrival, in the caller's transaction. Answers a report per body, in the same order."""
    raise NotImplementedError


def take_events(
    warehouse: Warehouse, inbox: Inbox, profile: EventProfile, now: datetime, *, is_only_feed: bool = False
) -> EventReport:
    """Land every delivery of Happy Returns that waits in the inbox; ``is_only_feed``: there are no export files."""
    raise NotImplementedError
