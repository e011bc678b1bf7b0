"""Where webhook deliveries are kept for good: raw bodies in SQLite or PostgreSQL, whatever is in them.

What is new is what nobody has marked as landed; ids say when a delivery came, but several receivers commit out of order.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from hr_centra_pipeline.core import addresses, clock, file_permissions
from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed
from hr_centra_pipeline.inbox.inbox_engines import DeliveryIds, copy_sqlite, postgresql_engine, sqlite_engine
from hr_centra_pipeline.inbox.inbox_tables import APART, COUNTS, DELIVERIES, METADATA, VERSION, VERSIONS

_log = logging.getLogger(__name__)

VENDORS = ("happy_returns", "centra")

VERIFIED = "verified"
"""A delivery's verdict: its signature is that of the secret in use."""
VERIFIED_OLD = "verified_old_secret"
"""Its signature is that of the secret before."""
VERIFIED_LATER = "verified_later"
"""It did not verify when it came; it did after a secret or the signature's description was corrected."""

MOST_APART = 5_000
"""So many of the newest bodies that did not verify are kept, of each vendor and reason."""
MOST_APART_BYTES = 32 << 20
"""And so many bytes of them."""

_SLICE = 500  # ids in one statement
_BODIES = 50  # of a few megabytes each, at most


@dataclass(frozen=True)
class Received:
    """A delivery as it arrived. ``verdict``: ``verified`` or ``verified_old_secret``; of those that did not verify, why not."""

    vendor: str
    shop: str
    received_at: datetime
    headers: Mapping[str, str]
    body: bytes
    verdict: str = VERIFIED


@dataclass(frozen=True)
class Delivery:
    """A delivery that is kept. ``body_sha256``: of the body as it arrived, which an erased person's is no longer."""

    delivery_id: str
    vendor: str
    shop: str
    received_at: datetime
    headers: Mapping[str, str]
    body: bytes
    body_sha256: str
    verdict: str
    landed_at: datetime | None = None
    erased_at: datetime | None = None


@dataclass(frozen=True)
class Summary:
    """A delivery without its body. ``state``: ``waiting``, ``landed`` or ``apart`` (it did not verify)."""

    delivery_id: str
    vendor: str
    shop: str
    received_at: datetime
    bytes: int
    verdict: str
    state: str


@dataclass(frozen=True)
class Waiting:
    """Deliveries that have not landed; the times are ``None`` when there are none."""

    count: int
    oldest_at: datetime | None = None
    newest_at: datetime | None = None


@dataclass(frozen=True)
class DayCount:
    """One UTC day of a vendor. ``verified`` and ``unverified``, by reason: when they came; ``verified_later``: of the latter.

    ``refused``: by the bound that refused them, unread.
    """

    vendor: str
    day: str
    verified: int = 0
    unverified: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    verified_later: Mapping[str, int] = field(default_factory=dict)


class StoreFailed(RunFailed):
    """The store could not be read or written now: the disk is full, the server is away. The same may succeed later."""


class Inbox:
    """The store. Safe for several processes and threads; writes are one transaction each."""

    def __init__(self, engine: sa.Engine, address: str, file: Path | None) -> None:
        self._engine = engine
        self.address = address
        self._file = file
        self._is_made = False
        self._ids = DeliveryIds()
        self._making = threading.Lock()

    @classmethod
    def open(cls, address: str) -> Self:
        """Nothing is connected to or made before the first use.

        Raises:
            ConfigurationError: it is neither a path nor the address of a PostgreSQL server.
        """
        if "://" not in address:
            file = Path(address)
            return cls(sqlite_engine(file), address, file)
        scheme, _, rest = address.partition("://")
        if scheme not in ("postgresql", "postgres"):
            raise ConfigurationError(
                f"HR_CENTRA_INBOX={addresses.shown(address)}: write the path of a SQLite file, or"
                " postgresql://user:password@host/database."
            )
        if said := addresses.problem(address):
            raise ConfigurationError(f"HR_CENTRA_INBOX: {said}")
        return cls(postgresql_engine(f"postgresql+psycopg2://{rest}", address), address, None)

    def close(self) -> None:
        """Give connections back; the next use opens them again."""
        self._engine.dispose()

    # ---------------------------------------------------------------- writing

    def keep(self, received: Sequence[Received]) -> list[str]:
        """Keep deliveries that verified, in one transaction; when this answers, they are on disk. Answers their ids.

        Raises:
            StoreFailed: none of them is kept.
        """
        return self.keep_all(received, [], {})

    def keep_apart(self, received: Sequence[Received]) -> None:
        """Keep bodies that did not verify, ``verdict`` being the reason; the oldest go when there are too many. All are counted.

        Raises:
            StoreFailed: none of them is kept.
        """
        self.keep_all([], received, {})

    def keep_all(
        self,
        received: Sequence[Received],
        unverified: Sequence[Received],
        refused: Mapping[tuple[str, str], int],
    ) -> list[str]:
        """``keep`` and ``keep_apart`` in one transaction. ``refused``: how many were refused unread, by vendor and bound.

        Raises:
            StoreFailed: nothing of it is kept.
        """
        if not (received or unverified or refused):
            return []
        rows = [self._row(one) for one in received]
        counts: dict[tuple[str, str, str], int] = {}
        today = clock.now().astimezone(UTC).strftime("%Y-%m-%d")
        for one in received:
            _count(counts, one.vendor, _day(one), VERIFIED)
        for one in unverified:
            _count(counts, one.vendor, _day(one), f"unverified:{one.verdict}")
        for (vendor, bound), number in refused.items():
            _count(counts, vendor, today, f"refused:{bound}", number)
        with self._writing() as connection:
            if rows:
                connection.execute(sa.insert(DELIVERIES), rows)
            if unverified:
                self._keep_apart(connection, unverified)
            self._add_counts(connection, counts)
        return [row["delivery_id"] for row in rows]

    def probe(self) -> None:
        """Write something, to see whether the store can be written.

        Raises:
            StoreFailed: it cannot.
        """
        with self._writing() as connection:
            connection.execute(sa.update(VERSIONS).values(written_at=datetime.now(UTC)))

    def mark_landed(self, delivery_ids: Sequence[str]) -> None:
        """They are in the warehouse now. Ids that are not known are passed over.

        Raises:
            StoreFailed: none is marked.
        """
        self._mark(delivery_ids, clock.now())

    def mark_waiting(self, delivery_ids: Sequence[str]) -> None:
        """They are to land again. Ids that are not known are passed over.

        Raises:
            StoreFailed: none is marked.
        """
        self._mark(delivery_ids, None)

    def replay(self, *, vendor: str | None = None, since: datetime | None = None, until: datetime | None = None) -> int:
        """Those that landed and came in a period are to land again; answers how many.

        Raises:
            StoreFailed: none is marked.
        """
        again = sa.update(DELIVERIES).where(DELIVERIES.c.landed_at.is_not(None)).values(landed_at=None)
        if vendor:
            again = again.where(DELIVERIES.c.vendor == vendor)
        if since:
            again = again.where(DELIVERIES.c.received_at >= since)
        if until:
            again = again.where(DELIVERIES.c.received_at < until)
        with self._writing() as connection:
            return int(connection.execute(again).rowcount)

    def accept(self, delivery_id: str) -> bool:
        """One that was kept apart verifies now: it is kept for good, and waits. ``False``: none is kept apart by this id.

        Raises:
            StoreFailed: it stays apart.
        """
        chosen = APART.c.delivery_id == delivery_id
        columns = [column for column in APART.columns if column.name != "reason"]
        with self._writing() as connection:
            row = connection.execute(
                sa.select(APART.c.vendor, APART.c.reason, APART.c.received_at).where(chosen)
            ).first()
            if row is None:
                return False
            connection.execute(
                sa.insert(DELIVERIES).from_select(
                    [*(column.name for column in columns), "verdict"],
                    sa.select(*columns, sa.literal(VERIFIED_LATER)).where(chosen),
                )
            )
            connection.execute(sa.delete(APART).where(chosen))
            day = row.received_at.strftime("%Y-%m-%d")
            # That it did not verify when it came stays counted.
            self._add_counts(connection, {(row.vendor, day, f"{VERIFIED_LATER}:{row.reason}"): 1})
        return True

    # ---------------------------------------------------------------- personal data

    def erase(self, erased: Callable[[bytes], bytes], now: datetime) -> int:
        """Rewrite every body in which ``erased`` changes something, those apart as well; answers how many. The hash stays.

        Raises:
            StoreFailed: the store cannot be read or written; what was rewritten before stays so.
        """
        changed = sum(self._erase_in(table, erased, now, None, None) for table in (DELIVERIES, APART))
        if changed:
            self._leave_no_trace()
        return changed

    def erase_old(self, erased: Callable[[bytes], bytes], now: datetime, before: datetime) -> int:
        """``erase`` in bodies received before a time, each looked at once.

        Raises:
            StoreFailed: the store cannot be read or written; what was rewritten before stays so.
        """
        since = next((at for (at,) in self._read(sa.select(VERSIONS.c.aged_until))), None)
        if since is not None and since >= before:
            return 0
        oldest = self._read(
            sa.select(sa.func.min(DELIVERIES.c.received_at)).union_all(sa.select(sa.func.min(APART.c.received_at)))
        )
        if not any(at is not None and at < before for (at,) in oldest):
            return 0
        changed = sum(self._erase_in(table, erased, now, since, before) for table in (DELIVERIES, APART))
        with self._writing() as connection:
            connection.execute(sa.update(VERSIONS).values(aged_until=before))
        if changed:
            self._leave_no_trace()
        return changed

    def _erase_in(
        self,
        table: sa.Table,
        erased: Callable[[bytes], bytes],
        now: datetime,
        since: datetime | None,
        before: datetime | None,
    ) -> int:
        changed = 0
        for found in self._slices_of(table, since, before):
            rewritten = [(one, body) for one, was in found if (body := erased(was)) != was]
            if rewritten:
                with self._writing() as connection:
                    for delivery_id, body in rewritten:
                        connection.execute(
                            sa.update(table)
                            .where(table.c.delivery_id == delivery_id)
                            .values(body=body, bytes=len(body), erased_at=now)
                        )
            changed += len(rewritten)
        return changed

    def _slices_of(
        self, table: sa.Table, since: datetime | None, before: datetime | None
    ) -> Iterator[list[tuple[str, bytes]]]:
        """Ids and bodies, some at a time."""
        last = ""
        while True:
            query = sa.select(table.c.delivery_id, table.c.body).where(table.c.delivery_id > last)
            if since is not None:
                query = query.where(table.c.received_at >= since)
            if before is not None:
                query = query.where(table.c.received_at < before)
            found = self._read(query.order_by(table.c.delivery_id).limit(_BODIES))
            if not found:
                return
            last = found[-1].delivery_id
            yield [(row.delivery_id, bytes(row.body)) for row in found]

    def _leave_no_trace(self) -> None:
        """Of what was rewritten, nothing stays in the log of the database or in rows that are dead.

        Where that fails, the bodies are rewritten all the same; PostgreSQL's own vacuum and SQLite's next checkpoint do it later.
        """
        try:
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                if self._file is not None:
                    connection.exec_driver_sql("pragma wal_checkpoint(truncate)")
                    return
                connection.exec_driver_sql(
                    "set statement_timeout = 0"
                )  # of this connection: a large inbox takes minutes
                try:
                    for table in (DELIVERIES, APART):
                        connection.exec_driver_sql(f"vacuum {table.name}")
                finally:
                    connection.exec_driver_sql("reset statement_timeout")
        except sa.exc.SQLAlchemyError as error:
            _log.warning(
                "%s What was erased may be in its free space until it is vacuumed.", self._failed("vacuumed", error)
            )

    def copy_to(self, target: Path) -> None:
        """Copy a SQLite store as it is now, while deliveries go on; the copy is one file, on disk when this answers.

        Raises:
            StoreFailed: it cannot be read, or the copy cannot be written.
        """
        try:
            damage = copy_sqlite(self._engine, target)
        except (sa.exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise self._failed("copied", error) from error
        if damage is not None:
            raise StoreFailed(f"{self.address}: the copy of the inbox is damaged ({damage}).")

    @property
    def file(self) -> Path | None:
        """The SQLite file; ``None``: the store is a PostgreSQL server's."""
        return self._file

    def _mark(self, delivery_ids: Sequence[str], landed_at: datetime | None) -> None:
        if not delivery_ids:
            return
        with self._writing() as connection:
            for chosen in _slices(delivery_ids):
                connection.execute(
                    sa.update(DELIVERIES).where(DELIVERIES.c.delivery_id.in_(chosen)).values(landed_at=landed_at)
                )

    def _keep_apart(self, connection: sa.Connection, unverified: Sequence[Received]) -> None:
        rows = [self._row(one) for one in unverified]
        for row in rows:
            row["reason"] = row.pop("verdict")
        connection.execute(sa.insert(APART), rows)
        for vendor, reason in sorted({(row["vendor"], row["reason"]) for row in rows}):
            newest_first = sa.select(
                APART.c.delivery_id,
                sa.func.row_number().over(order_by=APART.c.delivery_id.desc()).label("place"),
                sa.func.sum(APART.c.bytes).over(order_by=APART.c.delivery_id.desc()).label("total"),
            ).where(APART.c.vendor == vendor, APART.c.reason == reason)
            ranked = newest_first.subquery()
            too_many = sa.select(ranked.c.delivery_id).where(
                sa.or_(ranked.c.place > MOST_APART, ranked.c.total > MOST_APART_BYTES), ranked.c.place > 1
            )
            connection.execute(sa.delete(APART).where(APART.c.delivery_id.in_(too_many)))

    def _row(self, one: Received) -> dict[str, Any]:
        return {
            "delivery_id": self._ids.next(), "vendor": one.vendor, "shop": one.shop, "received_at": one.received_at,
            "headers": json.dumps(dict(one.headers)), "body": one.body, "bytes": len(one.body),
            "body_sha256": hashlib.sha256(one.body).hexdigest(), "verdict": one.verdict,
        }  # fmt: skip

    def _add_counts(self, connection: sa.Connection, counts: Mapping[tuple[str, str, str], int]) -> None:
        dialect = postgresql if self._file is None else sqlite
        # In one order, so that two receivers never wait for each other.
        for (vendor, day, what), number in sorted(counts.items()):
            added = dialect.insert(COUNTS).values(vendor=vendor, day=day, what=what, number=number)
            connection.execute(
                added.on_conflict_do_update(
                    index_elements=["vendor", "day", "what"], set_={"number": COUNTS.c.number + added.excluded.number}
                )
            )

    # ---------------------------------------------------------------- reading

    def waiting(self, vendor: str | None = None) -> Waiting:
        """What has not landed yet: read from an index that holds nothing else.

        Raises:
            StoreFailed: the store cannot be read.
        """
        query = sa.select(
            sa.func.count(), sa.func.min(DELIVERIES.c.received_at), sa.func.max(DELIVERIES.c.received_at)
        ).where(DELIVERIES.c.landed_at.is_(None))
        if vendor:
            query = query.where(DELIVERIES.c.vendor == vendor)
        for row in self._read(query):
            return Waiting(*row)
        return Waiting(0)

    def last_received_at(self) -> datetime | None:
        """When the last delivery came that verified; ``None``: none ever did.

        Raises:
            StoreFailed: the store cannot be read.
        """
        for (at,) in self._read(sa.select(sa.func.max(DELIVERIES.c.received_at))):
            found: datetime | None = at
            return found
        return None

    def take(self, vendor: str, *, most: int, most_bytes: int) -> list[Delivery]:
        """Deliveries that have not landed, in order of arrival: as many as fit, and at least one. Marks nothing.

        Raises:
            StoreFailed: the store cannot be read.
        """
        sizes = self._read(
            sa.select(DELIVERIES.c.delivery_id, DELIVERIES.c.bytes)
            .where(DELIVERIES.c.vendor == vendor, DELIVERIES.c.landed_at.is_(None))
            .order_by(DELIVERIES.c.received_at, DELIVERIES.c.delivery_id)
            .limit(most)
        )
        chosen: list[str] = []
        room = most_bytes
        for delivery_id, size in sizes:
            room -= size
            if chosen and room < 0:
                break
            chosen.append(delivery_id)
        found = {one.delivery_id: one for one in self._of(chosen)}
        return [found[delivery_id] for delivery_id in chosen if delivery_id in found]

    def waiting_now(self, vendor: str, *, most: int, most_bytes: int) -> Iterator[list[Delivery]]:
        """``take`` again and again, each portion being marked before the next: as many as wait now, not those that come meanwhile.

        Counted, not timed: no clock of a receiver decides when this ends.

        Raises:
            StoreFailed: the store cannot be read.
        """
        left = self.waiting(vendor).count
        while left > 0 and (found := self.take(vendor, most=min(most, left), most_bytes=most_bytes)):
            left -= len(found)
            yield found

    def find(self, delivery_id: str) -> Delivery | None:
        """One delivery, landed or waiting or apart; ``None``: no delivery has this id.

        Raises:
            StoreFailed: the store cannot be read.
        """
        for one in (*self._of([delivery_id]), *self._apart(sa.select(APART).where(APART.c.delivery_id == delivery_id))):
            return one
        return None

    def known(self, delivery_ids: Sequence[str]) -> set[str]:
        """Those of the ids that are kept here.

        Raises:
            StoreFailed: the store cannot be read.
        """
        return {
            delivery_id
            for chosen in _slices(delivery_ids)
            for (delivery_id,) in self._read(
                sa.select(DELIVERIES.c.delivery_id).where(DELIVERIES.c.delivery_id.in_(chosen))
            )
        }

    def landed_count(self, vendor: str) -> int:
        """How many deliveries have landed.

        Raises:
            StoreFailed: the store cannot be read.
        """
        query = sa.select(sa.func.count()).where(DELIVERIES.c.vendor == vendor, DELIVERIES.c.landed_at.is_not(None))
        return next((int(count) for (count,) in self._read(query)), 0)

    def newest_landed(self, vendor: str) -> list[str]:
        """The ids of a vendor among the newest few hundred deliveries that have landed.

        Raises:
            StoreFailed: the store cannot be read.
        """
        newest = (
            sa.select(DELIVERIES.c.delivery_id, DELIVERIES.c.vendor)
            .where(DELIVERIES.c.landed_at.is_not(None))
            .order_by(DELIVERIES.c.delivery_id.desc())
            .limit(_SLICE)
        )
        return [delivery_id for delivery_id, of in self._read(newest) if of == vendor]

    def oldest_id(self) -> str | None:
        """The first id that is kept here, of any vendor; ``None``: nothing is.

        Raises:
            StoreFailed: the store cannot be read.
        """
        return next((found for (found,) in self._read(sa.select(sa.func.min(DELIVERIES.c.delivery_id)))), None)

    def landed_ids(self, vendor: str) -> Iterator[list[str]]:
        """The ids of deliveries that have landed, a few thousand at a time.

        Raises:
            StoreFailed: the store cannot be read.
        """
        last = ""
        while True:
            rows = self._read(
                sa.select(DELIVERIES.c.delivery_id)
                .where(
                    DELIVERIES.c.vendor == vendor, DELIVERIES.c.landed_at.is_not(None), DELIVERIES.c.delivery_id > last
                )
                .order_by(DELIVERIES.c.delivery_id)
                .limit(10 * _SLICE)
            )
            if not rows:
                return
            yield [delivery_id for (delivery_id,) in rows]
            last = rows[-1][0]

    def deliveries(
        self,
        *,
        vendor: str | None = None,
        state: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        most: int | None = 50,
    ) -> list[Summary]:
        """The newest first, without bodies; all of them if ``most`` is ``None``.

        ``state``: ``waiting``, ``landed``, ``apart``, or all but those apart.

        Raises:
            StoreFailed: the store cannot be read.
        """
        table = APART if state == "apart" else DELIVERIES
        query = sa.select(
            table.c.delivery_id, table.c.vendor, table.c.shop, table.c.received_at, table.c.bytes,
            table.c.reason if table is APART else table.c.verdict,
            sa.literal("apart")
            if table is APART
            else sa.case((table.c.landed_at.is_(None), sa.literal("waiting")), else_=sa.literal("landed")),
        )  # fmt: skip
        if vendor:
            query = query.where(table.c.vendor == vendor)
        if since:
            query = query.where(table.c.received_at >= since)
        if until:
            query = query.where(table.c.received_at < until)
        if state == "waiting":
            query = query.where(table.c.landed_at.is_(None))
        if state == "landed":
            query = query.where(table.c.landed_at.is_not(None))
        newest = query.order_by(table.c.received_at.desc(), table.c.delivery_id.desc()).limit(most)
        return [Summary(*row) for row in self._read(newest)]

    def apart_count(
        self, *, vendor: str | None = None, since: datetime | None = None, until: datetime | None = None
    ) -> int:
        """How many are kept apart, because they did not verify.

        Raises:
            StoreFailed: the store cannot be read.
        """
        query = sa.select(sa.func.count()).select_from(APART)
        if vendor:
            query = query.where(APART.c.vendor == vendor)
        if since:
            query = query.where(APART.c.received_at >= since)
        if until:
            query = query.where(APART.c.received_at < until)
        return next((int(count) for (count,) in self._read(query)), 0)

    def bodies(self) -> Iterator[bytes]:
        """Every body that is kept, those apart as well.

        Raises:
            StoreFailed: the store cannot be read.
        """
        for table in (DELIVERIES, APART):
            for found in self._slices_of(table, None, None):
                yield from (body for _, body in found)

    def counts(self, since: date | None = None) -> list[DayCount]:
        """Each day of each vendor, the oldest first. ``since``: the first of these days.

        Raises:
            StoreFailed: the store cannot be read.
        """
        days: dict[tuple[str, str], DayCount] = {}
        query = sa.select(COUNTS.c.day, COUNTS.c.vendor, COUNTS.c.what, COUNTS.c.number)
        if since is not None:
            query = query.where(COUNTS.c.day >= since.isoformat())
        for day, vendor, what, number in self._read(query.order_by(COUNTS.c.day, COUNTS.c.vendor)):
            one = days.get((day, vendor), DayCount(vendor, day))
            kind, _, why = what.partition(":")
            if kind == VERIFIED:
                one = replace(one, verified=one.verified + number)
            elif kind == VERIFIED_LATER:
                one = replace(one, verified_later={**one.verified_later, why: number})
            elif kind == "unverified":
                one = replace(one, unverified={**one.unverified, why: number})
            else:
                one = replace(one, refused={**one.refused, why: number})
            days[day, vendor] = one
        return list(days.values())

    def _of(self, delivery_ids: Sequence[str]) -> Iterator[Delivery]:
        for chosen in _slices(delivery_ids):
            for row in self._read(sa.select(DELIVERIES).where(DELIVERIES.c.delivery_id.in_(chosen))):
                yield Delivery(
                    row.delivery_id, row.vendor, row.shop, row.received_at, json.loads(row.headers), bytes(row.body),
                    row.body_sha256, row.verdict, row.landed_at, row.erased_at,
                )  # fmt: skip

    def _apart(self, query: sa.Executable) -> Iterator[Delivery]:
        for row in self._read(query):
            yield Delivery(
                row.delivery_id, row.vendor, row.shop, row.received_at, json.loads(row.headers), bytes(row.body),
                row.body_sha256, row.reason, None, row.erased_at,
            )  # fmt: skip

    # ---------------------------------------------------------------- connections

    def _read(self, query: sa.Executable) -> Sequence[Any]:
        """All rows; none where no receiver has ever run: reading makes no store."""
        if self._file is not None and not self._file.exists():
            return []
        try:
            with self._engine.connect() as connection:
                if not self._is_made:
                    if not self._is_there(connection):
                        return []
                    self._is_made = True
                return connection.execute(query).fetchall()
        except sa.exc.SQLAlchemyError as error:
            raise self._failed("read", error) from error

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        try:
            if not self._is_made:
                with self._making:
                    self._make()
            with self._engine.connect().execution_options(writes=True) as connection, connection.begin():
                yield connection
        except (sa.exc.SQLAlchemyError, OSError) as error:
            raise self._failed("written", error) from error

    def _make(self) -> None:
        if self._file is not None:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._file, os.O_CREAT | os.O_RDWR, 0o600))
            file_permissions.close_to_others(self._file)
            folder = os.open(self._file.parent, os.O_RDONLY)
            try:
                os.fsync(folder)  # a new file is there after a power cut, too
            finally:
                os.close(folder)
        with self._engine.connect().execution_options(writes=True) as connection, connection.begin():
            if self._file is None:  # several receivers start at once
                connection.execute(sa.text("select pg_advisory_xact_lock(4711018)"))
            if not self._is_there(connection):
                METADATA.create_all(connection)
                connection.execute(sa.insert(VERSIONS).values(version=VERSION))
        self._is_made = True

    def _is_there(self, connection: sa.Connection) -> bool:
        """Whether the tables are made.

        Raises:
            StoreFailed: by a later version, which may keep in them what this one would not read.
        """
        if not sa.inspect(connection).has_table(VERSIONS.name):
            return False
        version = connection.execute(sa.select(sa.func.max(VERSIONS.c.version))).scalar()
        if version is not None and version > VERSION:
            raise StoreFailed(
                f"{addresses.shown(self.address)}: the inbox was made by a later hr-centra (its version is {version}, this one"
                f" knows {VERSION}). Install the later one again."
            )
        return True

    def _failed(self, what: str, error: Exception) -> StoreFailed:
        cause = error.orig if isinstance(error, sa.exc.DBAPIError) and error.orig else error
        said = addresses.hide(str(cause).strip().split("\n")[0], self.address)
        return StoreFailed(f"{addresses.shown(self.address)}: the inbox cannot be {what} ({said}).")


def _count(counts: dict[tuple[str, str, str], int], vendor: str, day: str, what: str, number: int = 1) -> None:
    counts[vendor, day, what] = counts.get((vendor, day, what), 0) + number


def _day(one: Received) -> str:
    return one.received_at.astimezone(UTC).strftime("%Y-%m-%d")


def _slices(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), _SLICE):
        yield ids[start : start + _SLICE]
