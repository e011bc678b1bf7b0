"""Deliveries that wait to be sent, beside the vendor's own records in one SQLite file; a kill loses none of them."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Literal, Self, TypeVar

Row = dict[str, Any]
Signature = Literal["good", "bad", "missing"]

SCHEMA = """
create table if not exists subscriptions (
    id integer primary key autoincrement, url text unique, secret text, subscribed_at text
);
create table if not exists webhook_settings (name text primary key, value text);
create table if not exists deliveries (
    id integer primary key autoincrement, subscription_id integer, topic text, subject text, about text, body blob,
    made_at text, due_at text, fault text, signature text default 'good', waits_for_another integer default 0,
    state text default 'waiting', attempts integer default 0, sent_at text, status integer, problem text
);
create index if not exists waiting_deliveries on deliveries (due_at, id) where state = 'waiting';
"""
_LONGEST_BEHIND = timedelta(days=2)


@dataclass(frozen=True)
class Mishaps:
    """What goes wrong on the way, as shares of all deliveries (0 to 1); the same seed hits the same deliveries.

    ``drops``: never sent. ``duplicates``: sent twice. ``reorders``: sent after the next one about the same thing.
    ``delays``: sent late by ``delay_seconds`` (least, most) of the shop's clock. A delivery that is refused or not
    answered is sent again ``retries`` times, after ``retry_seconds`` each (the last one counts for the rest).
    """

    seed: int = 1
    # Not documented, assumption: behaviour.webhooks_may_get_lost
    drops: float = 0.0
    duplicates: float = 0.0
    reorders: float = 0.0
    delays: float = 0.0
    delay_seconds: tuple[float, ...] = (60.0, 3 * 86_400.0)
    bad_signatures: float = 0.0
    missing_signatures: float = 0.0
    retries: int = 0
    retry_seconds: tuple[float, ...] = (60.0, 600.0, 3_600.0)
    timeout_seconds: float = 5.0

    def changed(self, given: Mapping[str, Any]) -> Self:
        """The same with some of them changed.

        Raises:
            ValueError: there is no such setting.
        """
        known = {one.name for one in fields(self)}
        if unknown := sorted(set(given) - known):
            raise ValueError(f"no such setting: {', '.join(unknown)} (there are: {', '.join(sorted(known))})")
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
        return type(self)(**{**asdict(self), **values})


Settings = TypeVar("Settings", bound=Mishaps)


@dataclass(frozen=True)
class Delivery:
    """One POST that is due: where to, what, and how it is signed."""

    id: int
    url: str
    secret: str
    body: bytes
    signature: Signature
    attempts: int


class Outbox:
    """The deliveries in one SQLite file. Changes made through a connection in a transaction become part of it."""

    def __init__(self, connection: sqlite3.Connection, lock: threading.RLock | None = None) -> None:
        self.connection = connection
        self._lock = lock or threading.RLock()
        connection.executescript(SCHEMA)

    @classmethod
    def at(cls, path: Path) -> Outbox:
        """The outbox of a file, over a connection of its own."""
        return cls(connected(path))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self.connection.close()

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Rows as dictionaries."""
        with self._lock:
            cursor = self.connection.execute(sql, list(parameters))
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What is done inside is done wholly or not at all."""
        with self._lock:
            self.connection.execute("begin immediate")
            try:
                yield
            except BaseException:
                self.connection.execute("rollback")
                raise
            self.connection.execute("commit")

    # ---------------------------------------------------------------- who gets them, and how

    def subscribe(self, url: str, secret: str, at: datetime) -> None:
        """Deliveries go there from now on; a known address gets another secret."""
        self.rows(
            "insert into subscriptions (url, secret, subscribed_at) values (?, ?, ?)"
            " on conflict (url) do update set secret = excluded.secret",
            [url, secret, text_of(at)],
        )

    def unsubscribe(self, url: str | None = None) -> None:
        """Nothing goes there any more, what was waiting neither; ``None``: to nobody."""
        self.rows("delete from subscriptions where ? is null or url = ?", [url, url])

    def subscriptions(self) -> list[Row]:
        """Who is subscribed, without the secrets."""
        return self.rows("select id, url, subscribed_at from subscriptions order by id")

    def settings(self, default: Settings) -> Settings:
        """What was set for this vendor."""
        found = self.rows("select name, value from webhook_settings")
        return default.changed({row["name"]: json.loads(row["value"]) for row in found})

    def configure(self, default: Settings, given: Mapping[str, Any]) -> Settings:
        """Change settings; they are kept.

        Raises:
            ValueError: there is no such setting.
        """
        made = self.settings(default).changed(given)
        for name, value in given.items():
            self.rows("insert or replace into webhook_settings values (?, ?)", [name, json.dumps(value)])
        return made

    # ---------------------------------------------------------------- deliveries

    def put(
        self, topic: str, subject: str, about: Row, body: bytes, made_at: datetime, due_at: datetime, mishaps: Mishaps
    ) -> None:
        """Keep a delivery for each subscriber; ``subject``: deliveries about the same thing can change places."""
        subscribers = self.rows("select id from subscriptions order by id")
        if not subscribers:
            return
        chance = Random(f"{mishaps.seed} {topic} {subject} {text_of(made_at)} {hashlib.sha256(body).hexdigest()}")
        dropped, doubled, behind, late, bad, missing = (chance.random() < share for share in _shares(mishaps))
        faults = {
            "dropped": dropped, "duplicated": doubled, "reordered": behind, "delayed": late, "bad_signature": bad,
            "missing_signature": missing and not bad,
        }  # fmt: skip
        if late:
            least, most = (*mishaps.delay_seconds, *mishaps.delay_seconds)[:2]
            due_at += timedelta(seconds=chance.uniform(least, most))
        self.rows(
            "update deliveries set due_at = ?, waits_for_another = 0"
            " where subject = ? and state = 'waiting' and waits_for_another",
            [text_of(due_at + timedelta(seconds=1)), subject],
        )
        row = {
            "topic": topic, "subject": subject, "about": json.dumps(about), "body": body, "made_at": text_of(made_at),
            "due_at": text_of(due_at + _LONGEST_BEHIND if behind else due_at), "waits_for_another": int(behind),
            "fault": " ".join(name for name, hit in faults.items() if hit),
            "signature": "bad" if bad else "missing" if missing else "good",
            "state": "dropped" if dropped else "waiting",
        }  # fmt: skip
        again = {**row, "due_at": text_of(due_at + timedelta(seconds=chance.uniform(0, 600))), "waits_for_another": 0}
        for subscriber in subscribers:
            for one in (row, again) if doubled and not dropped else (row,):
                self._insert({"subscription_id": subscriber["id"], **one})

    def _insert(self, row: Row) -> None:
        self.rows(
            f"insert into deliveries ({', '.join(row)}) values ({', '.join('?' * len(row))})",  # noqa: S608 - our own names
            list(row.values()),
        )

    def next_due(self, now: datetime) -> Delivery | None:
        """The first delivery whose time has come."""
        found = self.rows(
            "select deliveries.id, url, secret, body, signature, attempts from deliveries"
            " join subscriptions on subscriptions.id = subscription_id"
            " where state = 'waiting' and due_at <= ? order by due_at, deliveries.id limit 1",
            [text_of(now)],
        )
        return Delivery(**found[0]) if found else None

    def answered(self, one: Delivery, status: int | None, problem: str, now: datetime, mishaps: Mishaps) -> None:
        """What became of it: sent, to be sent again, or refused for good."""
        state = "sent" if status is not None and 200 <= status < 300 else "refused"
        due_at = None
        if state == "refused" and one.attempts < mishaps.retries:
            waits = mishaps.retry_seconds[min(one.attempts, len(mishaps.retry_seconds) - 1)]
            state, due_at = "waiting", text_of(now + timedelta(seconds=waits))
        self.rows(
            "update deliveries set state = ?, attempts = attempts + 1, sent_at = ?, status = ?, problem = ?,"
            " due_at = coalesce(?, due_at) where id = ?",
            [state, text_of(now), status, problem, due_at, one.id],
        )

    def due(self, now: datetime) -> int:
        """How many deliveries are due and not sent yet."""
        found = self.rows(
            "select count(*) as due from deliveries join subscriptions on subscriptions.id = subscription_id"
            " where state = 'waiting' and due_at <= ?",
            [text_of(now)],
        )
        return int(found[0]["due"])

    def deliveries(self, *, after: int = 0, with_bodies: bool = False) -> list[Row]:
        """What was sent, is waiting, or was dropped, in the order in which it was made."""
        shown = []
        for row in self.rows("select * from deliveries where id > ? order by id", [after]):
            body = row.pop("body")
            row["about"] = json.loads(row["about"])
            row["body_sha256"] = hashlib.sha256(body).hexdigest()
            shown.append({**row, "body": body.decode("utf-8", "replace")} if with_bodies else row)
        return shown


def _shares(mishaps: Mishaps) -> tuple[float, ...]:
    return (
        mishaps.drops, mishaps.duplicates, mishaps.reorders, mishaps.delays, mishaps.bad_signatures,
        mishaps.missing_signatures,
    )  # fmt: skip


def connected(path: Path) -> sqlite3.Connection:
    """A connection for any thread, whose transactions are begun by hand."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = normal")
    return connection


def text_of(instant: datetime) -> str:
    """An instant as the tables keep it: UTC, sortable as text."""
    return instant.astimezone(UTC).isoformat(timespec="seconds")
