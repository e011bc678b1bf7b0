"""Write what the pages read: ``published/pages.sqlite``, the returns that changed and no others, in one transaction.

Readers have it open meanwhile (WAL): each sees it as it was before, or as it is afterwards.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from hr_centra_pipeline.core import file_permissions, months
from hr_centra_pipeline.core.clock import instant_text
from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.core.version import code_version
from hr_centra_pipeline.effects.plan import define_pending_effects
from hr_centra_pipeline.month_end.close import certificate_of
from hr_centra_pipeline.publishing import page_tables
from hr_centra_pipeline.publishing.page_tables import PAGES_DATABASE, PageTable
from hr_centra_pipeline.reconciliation.story import story_rows
from hr_centra_pipeline.warehouse import watermarks
from hr_centra_pipeline.warehouse.database import Connection, Warehouse, run_sql

Row = dict[str, Any]

_HERE = "hr_centra_pipeline.publishing"
_AT_ONCE = 10_000
_MOST_CLOSED = 50_000
_WAITS_SECONDS = 30.0
_MOST_LOG_BYTES = 16 << 20
_MERGED = (page_tables.EXCEPTIONS, page_tables.ARRIVALS, page_tables.PUT_AWAYS, page_tables.HOLDS, page_tables.PAYOUTS)
"""Tables whose rows are compared by hash: what is the same stays untouched. Each is made by ``page_<name>.sql``."""


@dataclass(frozen=True)
class PagesReport:
    """How many returns were looked at, written and taken out; ``is_whole``: everything was written again."""

    looked_at: int
    written: int
    removed: int
    is_whole: bool


def write_pages(warehouse: Warehouse, settings: Settings, now: datetime, policy_sha256: str) -> PagesReport:
    """Bring ``published/pages.sqlite`` to what the last reconciliation left.

    Written from scratch when it is missing, damaged, of another program or policy, or when a sync in between did not write it.

    Raises:
        RunFailed: the file cannot be written (no room, no permission, or another process keeps it locked).
    """
    path = settings.published / PAGES_DATABASE
    try:
        settings.published.mkdir(parents=True, exist_ok=True)
        with warehouse.transaction() as connection:
            try:
                return _written(connection, path, settings, now, policy_sha256)
            except sqlite3.DatabaseError as error:
                if not _is_damaged(error):
                    raise
                for file in _files(path):
                    file.unlink(missing_ok=True)
                return _written(connection, path, settings, now, policy_sha256)
    except (OSError, sqlite3.Error) as error:
        raise RunFailed(
            f"{path}: what the pages read could not be written ({error}). Make room, or see who has the file open; the next sync "
            "writes it again."
        ) from error


def normalized_name(text: str) -> str:
    """A name as ``names`` has it: without blanks around it, ``#`` in front, and case."""
    return text.strip().removeprefix("#").casefold()


def forget_in_pages(settings: Settings, tokens: Sequence[str], texts: Sequence[str]) -> int:
    """Erase a person from the file: their tokens, and rows that say one of the texts. Answers how many rows are gone.

    The next sync writes every row again, from what is left. What was deleted is overwritten on the disk, the log included.

    Raises:
        RunFailed: the file cannot be written.
    """
    path = settings.published / PAGES_DATABASE
    if not path.exists():
        return 0
    try:
        with _opened(path) as pages:
            pages.execute("pragma secure_delete = on")
            gone = 0
            with _transaction(pages):
                for token in tokens:
                    gone += pages.execute("delete from names where kind = 'email_token' and name = ?", [token]).rowcount
                for text in texts:
                    mark = {"text": text.casefold()}
                    for table in page_tables.PAGE_TABLES:
                        said = " || ' ' || ".join(f"coalesce({column}, '')" for column in table.columns)
                        query = f"delete from {table.name} where instr(lower({said}), :text) > 0"  # noqa: S608 - our own names
                        gone += pages.execute(query, mark).rowcount
                if gone:  # what is left of these rows is known to the warehouse alone
                    pages.execute("update publication set made_with = ''")
            pages.execute("pragma wal_checkpoint(truncate)")
            if gone:
                pages.execute("vacuum")
                pages.execute("pragma wal_checkpoint(truncate)")
    except sqlite3.Error as error:
        raise RunFailed(
            f"{path}: the person could not be erased from it ({error}): delete the file, it is only a copy."
        ) from error
    return gone


def write_months(warehouse: Warehouse, settings: Settings, now: datetime) -> None:
    """Bring the months in the file to what was computed, closed and signed; if the file does not exist yet, the next sync makes it.

    Raises:
        RunFailed: the file cannot be written.
    """
    path = settings.published / PAGES_DATABASE
    if not path.exists():
        return
    try:
        with warehouse.transaction() as connection, _opened(path) as pages, _transaction(pages):
            if _version(pages) == page_tables.VERSION:
                _replace(pages, page_tables.MONTHS, _months(connection, settings, now))
    except sqlite3.Error as error:
        raise RunFailed(
            f"{path}: the months could not be written ({error}). The next sync writes them again."
        ) from error


# ---------------------------------------------------------------- the file


def _files(path: Path) -> list[Path]:
    return [path, *(path.with_name(f"{path.name}{end}") for end in ("-wal", "-shm"))]


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    # Made for its owner before anything is in it; SQLite gives the log beside it the same permissions.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    file_permissions.close_to_others(path)
    with closing(sqlite3.connect(path, timeout=_WAITS_SECONDS, isolation_level=None)) as pages:
        pages.execute("pragma journal_mode = wal")
        pages.execute(f"pragma journal_size_limit = {_MOST_LOG_BYTES}")
        yield pages


@contextmanager
def _transaction(pages: sqlite3.Connection) -> Iterator[None]:
    pages.execute("begin immediate")
    try:
        yield
    except BaseException:
        pages.execute("rollback")
        raise
    pages.execute("commit")


def _version(pages: sqlite3.Connection) -> int:
    return int(pages.execute("pragma user_version").fetchone()[0])


def _is_damaged(error: sqlite3.DatabaseError) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _written(connection: Connection, path: Path, settings: Settings, now: datetime, policy_sha256: str) -> PagesReport:
    made_with = hashlib.sha256(f"{code_version()} {policy_sha256} {settings.mode}".encode()).hexdigest()
    with _opened(path) as pages:
        with _transaction(pages):
            last = _last(pages, made_with, connection)
            if last is None:
                _make_again(pages)
            report = _write_returns(connection, pages, last, now)
            _forget_tokens(connection, pages)
            define_pending_effects(connection)
            for table in _MERGED:
                _merge(pages, table, _rows(connection, f"page_{table.name}.sql", _given(now)))
            _count(pages)
            _replace(pages, page_tables.MONTHS, _months(connection, settings, now))
            _replace(pages, page_tables.HEALTH, _health(connection, settings, now))
            if last is None:
                page_tables.create_indices(pages)
            number = last.number + 1 if last else 1
            _replace(
                pages, page_tables.PUBLICATION, [_publication(connection, settings, now, made_with, number, report)]
            )
        # Folded in as far as readers allow, without waiting for them; what is left is folded in the next time.
        pages.execute("pragma wal_checkpoint(passive)")
    return report


@dataclass(frozen=True)
class _Last:
    """The last publication: when it was, and its number."""

    as_of: datetime
    number: int


def _last(pages: sqlite3.Connection, made_with: str, connection: Connection) -> _Last | None:
    """The publication that this one can go on from; none: everything has to be written."""
    if _version(pages) != page_tables.VERSION:
        return None
    row = pages.execute("select as_of, made_with, batch, number from publication").fetchone()
    looked_above = watermarks.find(connection, watermarks.IN_PLAY)
    if row is None or row[1] != made_with or looked_above is None:
        return None
    # A sync in between did not write the file, or the database is an older one that was restored.
    if not looked_above.batch <= row[2] <= watermarks.read(connection, watermarks.RECONCILIATION):
        return None
    return _Last(datetime.fromisoformat(row[0]), row[3])


def _make_again(pages: sqlite3.Connection) -> None:
    names = [
        name
        for (name,) in pages.execute("select name from sqlite_schema where type = 'table' and name not like 'sqlite_%'")
    ]
    for name in names:
        pages.execute(f'drop table "{name.replace(chr(34), chr(34) * 2)}"')
    page_tables.create_tables(pages)


def _replace(pages: sqlite3.Connection, table: PageTable, rows: Iterable[Row]) -> None:
    pages.execute(f"delete from {table.name}")  # noqa: S608 - our own name
    pages.executemany(table.insert, rows)


def _merge(pages: sqlite3.Connection, table: PageTable, rows: Iterable[Row]) -> int:
    """Write the rows that are new or different, and delete those that are gone; answers how many were written."""
    (key,) = table.key
    known = dict(pages.execute(f"select {key}, row_hash from {table.name}"))  # noqa: S608 - our own names
    written = 0

    def changed() -> Iterator[Row]:
        nonlocal written
        for row in rows:
            row["row_hash"] = _hash(row)
            if known.pop(row[key], None) != row["row_hash"]:
                written += 1
                yield row

    pages.executemany(table.insert, changed())
    pages.executemany(f"delete from {table.name} where {key} = ?", [(gone,) for gone in known])  # noqa: S608 - our own names
    return written


def _hash(row: Mapping[str, Any], *more: object) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for value in (*row.values(), *more):
        digest.update(f"{value!r}\x1f".encode())
    return digest.hexdigest()


def _count(pages: sqlite3.Connection) -> None:
    pages.execute("delete from exception_counts")
    pages.execute(
        """
        insert into exception_counts
            (state, owner_team, kind, currency, exceptions, overdue, amount, overdue_amount, oldest)
        select
            state, owner_team, kind, currency, exceptions, overdue, printf('%d.%04d', total / 10000, total % 10000),
            printf('%d.%04d', overdue_total / 10000, overdue_total % 10000), oldest
        from (
            select state, owner_team, kind, coalesce(currency, '') as currency, count(*) as exceptions, sum(overdue) as overdue,
                coalesce(sum(amount_sort), 0) as total, coalesce(sum(amount_sort * overdue), 0) as overdue_total,
                min(opened_at) as oldest
            from exceptions group by 1, 2, 3, 4
        )
        """
    )


# ---------------------------------------------------------------- its rows


def _given(now: datetime) -> dict[str, Any]:
    return {
        "now": now,
        "closed_since": now - timedelta(days=page_tables.CLOSED_DAYS),
        "done_since": now - timedelta(days=page_tables.DONE_DAYS),
        "most": _MOST_CLOSED,
    }


def _rows(connection: Connection, file: str, given: Mapping[str, Any]) -> Iterator[Row]:
    found = run_sql(connection, _HERE, file, given)
    names = [column[0] for column in found.description]
    while rows := found.fetchmany(1_000):
        for row in rows:
            yield dict(zip(names, row, strict=True))


def _write_returns(connection: Connection, pages: sqlite3.Connection, last: _Last | None, now: datetime) -> PagesReport:
    wanted = sorted(_all_returns(connection) if last is None else _touched(connection, pages, last.as_of))
    written = removed = 0
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        known = _hashes(pages, some) if last else {}
        names: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for row in _rows(connection, "page_names.sql", {"returns": some}):
            if name := normalized_name(row["name"]):
                names[row["return_id"]].append((name, row["kind"]))
        stories = story_rows(connection, some, now)
        while found := list(islice(stories, 500)):
            changed = []
            for row in found:
                row["row_hash"] = _hash(row, names[row["return_id"]])
                if known.pop(row["return_id"], None) != row["row_hash"]:
                    changed.append(row)
            _take_out(pages, [row["return_id"] for row in changed] if last else [])
            pages.executemany(page_tables.RETURNS.insert, changed)
            pages.executemany(
                page_tables.NAMES.insert,
                (
                    {"name": name, "kind": kind, "return_id": row["return_id"]}
                    for row in changed
                    for name, kind in sorted(set(names[row["return_id"]]))
                ),
            )
            written += len(changed)
        _take_out(pages, list(known))
        removed += len(known)
    return PagesReport(len(wanted), written, removed, last is None)


def _take_out(pages: sqlite3.Connection, return_ids: Sequence[str]) -> None:
    for table in ("names", "returns"):
        pages.executemany(f"delete from {table} where return_id = ?", [(one,) for one in return_ids])  # noqa: S608 - our own names


def _all_returns(connection: Connection) -> set[str]:
    return {
        return_id
        for (return_id,) in connection.execute(
            "select return_id from staging.returns union select return_id from staging.return_items"
        ).fetchall()
    }


def _touched(connection: Connection, pages: sqlite3.Connection, since: datetime) -> set[str]:
    found = {row["return_id"] for row in _rows(connection, "page_touched.sql", {"since": since})}
    # A return that is gone (two ids became one) has its orders here alone.
    orders = [order for (order,) in connection.execute("select order_number from matching.orders_in_play").fetchall()]
    for order in orders:
        query = "select return_id from names where kind = 'order' and name = ?"
        found |= {return_id for (return_id,) in pages.execute(query, [normalized_name(order)])}
    return found


def _hashes(pages: sqlite3.Connection, return_ids: Sequence[str]) -> dict[str, str]:
    marks = json.dumps(return_ids)
    query = "select return_id, row_hash from returns where return_id in (select value from json_each(?))"
    return dict(pages.execute(query, [marks]))


def _forget_tokens(connection: Connection, pages: sqlite3.Connection) -> None:
    """Nobody is found by an address that was erased, or is older than it may be kept."""
    kept = {
        token
        for (token,) in connection.execute("select token from landing.personal where value is not null").fetchall()
    }
    there = [name for (name,) in pages.execute("select distinct name from names where kind = 'email_token'")]
    gone = [(name,) for name in there if name not in kept]
    pages.executemany("delete from names where kind = 'email_token' and name = ?", gone)


def _publication(
    connection: Connection, settings: Settings, now: datetime, made_with: str, number: int, report: PagesReport
) -> Row:
    currencies = connection.execute(
        """
        select currency from effects.value_given_back where currency is not null
        group by currency order by count(*) desc, currency
        """
    ).fetchall()
    cutover = connection.execute("select cutover from policy.parameters").fetchone()
    email_key = connection.execute("select value from meta.keys where name = 'personal'").fetchone()
    return {
        "only": 1, "number": number, "as_of": instant_text(now), "written_at": instant_text(datetime.now(UTC)),
        "code_version": code_version(), "mode": settings.mode, "made_with": made_with,
        "batch": watermarks.read(connection, watermarks.RECONCILIATION),
        "currencies": json.dumps([currency for (currency,) in currencies]),
        "cutover": instant_text(cutover[0]) if cutover and cutover[0] else None,
        "email_key": email_key[0] if email_key else None, "rewritten": report.written,
    }  # fmt: skip


def _months(connection: Connection, settings: Settings, now: datetime) -> Iterator[Row]:
    computed = watermarks.parts(connection, watermarks.MONTH_END)
    present = months.of(now)
    for row in list(_rows(connection, "page_months.sql", {})):
        month = row["month"]
        if month > present:
            continue
        certificate = certificate_of(connection, month, now)
        yield {
            "month": month, "standing": certificate.standing, "is_over": int(months.end(month) <= now), "status": row["status"],
            "computed_at": instant_text(computed[month].updated_at) if month in computed else None,
            "closed_at": instant_text(certificate.closed_at) if certificate.closed_at else None,
            "closed_by": certificate.closed_by, "accepted": certificate.accepted,
            "signatures": json.dumps([{**asdict(one), "at": instant_text(one.at)} for one in certificate.signatures]),
            "moved": json.dumps([{**asdict(one), "amount": str(one.amount)} for one in certificate.moved]),
            "blocks": json.dumps(_blocks(row, is_over=months.end(month) <= now)), "open_items": row["open_items"],
            "has_pack": int((settings.exported / month).is_dir()),
        }  # fmt: skip


def _blocks(row: Row, *, is_over: bool) -> list[Row]:
    """What a clean close of the month waits for, as codes with their counts, and in words."""
    example = f", such as {row['uncovered_example']}" if row["uncovered_example"] else ""
    found = (
        ("not_over", int(not is_over), "The month has not ended."),
        ("not_covered", row["uncovered"], "{} components of the month end are not covered by what was read."),
        ("does_not_tie", row["untied"], "{} components of the month end do not tie."),
        ("source_not_covered", row["uncovered_sources"], f"{{}} sources do not cover the month{example}."),
        ("dry_run", row["dry_run_items"], "{} were left open only because nothing was sent (dry run)."),
    )
    return [{"code": code, "count": count, "text": text.format(count)} for code, count, text in found if count]


def _health(connection: Connection, settings: Settings, now: datetime) -> Iterator[Row]:
    rows: list[Row] = [
        {
            "area": "sync", "name": "last sync", "value": f"{settings.mode.replace('_', ' ')}, program {code_version()}",
            "level": "ok", "at": instant_text(now), "next_step": None,
        },
        *_rows(connection, "page_health.sql", {"now": now}),
    ]  # fmt: skip
    for place, row in enumerate(rows, start=1):
        yield row | {"place": place}
