"""How the inbox's store is connected to, and the ids of deliveries."""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hr_centra_pipeline.core import addresses
from hr_centra_pipeline.core.errors import ConfigurationError

_BUSY_SECONDS = 10
_CONNECT_SECONDS = 5
_STATEMENT_MILLISECONDS = 30_000


def sqlite_engine(file: Path) -> sa.Engine:
    """WAL; a commit answers only once it is on disk."""
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(file)),
        connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False},
        pool_size=5,
        poolclass=sa.QueuePool,
    )

    @sa.event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin below, not where the driver thinks
        for pragma in (
            "journal_mode = wal",
            "synchronous = full",
            "secure_delete = on",
            "journal_size_limit = 67108864",
        ):
            connection.execute(f"pragma {pragma}").fetchall()

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        is_writing = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("begin immediate" if is_writing else "begin")

    return engine


def copy_sqlite(engine: sa.Engine, target: Path) -> str | None:
    """Copy a SQLite store to a new file while others go on writing; the copy is one file, on disk when this answers.

    Answers what is wrong with the copy; ``None``: it is sound. A copy that is damaged, or was not finished, is removed.

    Raises:
        SQLAlchemyError, sqlite3.Error, OSError: the store cannot be read, or the copy cannot be written.
    """
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        with engine.connect() as connection:
            source: Any = connection.connection.driver_connection
            copy = sqlite3.connect(target, isolation_level=None)
            try:
                source.backup(copy)
                copy.execute("pragma journal_mode = delete").fetchall()
                (found,) = copy.execute("pragma integrity_check").fetchone()
            finally:
                copy.close()
        if found != "ok":
            target.unlink()
            return str(found)
        with target.open("rb+") as written:
            os.fsync(written.fileno())
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return None


def postgresql_engine(url: str, address: str) -> sa.Engine:
    """A connection that has died is replaced; no statement and no connecting takes for ever.

    Raises:
        ConfigurationError: it is not an address.
    """
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise ConfigurationError(
            f"HR_CENTRA_INBOX={addresses.shown(address)}: is not an address like postgresql://user:password@host/database."
        ) from None
    return sa.create_engine(
        parsed,
        pool_pre_ping=True,
        pool_size=5,
        pool_timeout=_BUSY_SECONDS,
        connect_args={
            "connect_timeout": _CONNECT_SECONDS,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": _BUSY_SECONDS * 1_000,
            "options": f"-c statement_timeout={_STATEMENT_MILLISECONDS} -c timezone=UTC -c synchronous_commit=on",
            "application_name": "hr-centra-inbox",
        },
    )


class DeliveryIds:
    """Ids of this process: 32 hexadecimal digits, in order of time; no two processes make the same."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> str:
        """One that is later than all before it."""
        with self._lock:
            # Milliseconds with room for 65,536 ids in each; a clock that is set back does not set them back.
            self._last = max(self._last + 1, time.time_ns() // 1_000_000 << 16)
            return f"{self._last:016x}{secrets.token_hex(8)}"
