"""Short transactions on the one DuckDB file; who waits for another system gives it to any other process that wants it."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import duckdb

from hr_centra_pipeline.core import exception_kinds, file_permissions
from hr_centra_pipeline.core.errors import NotOpened, RunFailed
from hr_centra_pipeline.warehouse import log, swap, versions

Connection = duckdb.DuckDBPyConnection
# Every opening replays the log: folded in when it has grown to this.
_MOST_LOG_BYTES = 1024 * 1024
# Connections of this process by file. Closing any other descriptor of a file would give up DuckDB's lock on it.
_open_here: Counter[Path] = Counter()
_opening = threading.Lock()


CONFIG: dict[str, str | bool | int] = {"preserve_insertion_order": False}
"""Settings of DuckDB for every connection."""


class Warehouse:
    """The database file; ``memory_limit`` as DuckDB writes it. For one thread."""

    def __init__(self, path: Path, memory_limit: str = "1600MB") -> None:
        self.path = path
        self.memory_limit = memory_limit
        self.migrates = False  # who is about to migrate it may open an older one
        self._is_ours = False
        self._keeping = 0  # blocks that keep the connection open
        self._kept: Connection | None = None

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Inside the block transactions share a connection, which ``yield_to_others`` gives back. Blocks may be nested."""
        self._keeping += 1
        try:
            yield
        finally:
            self._keeping -= 1
            if not self._keeping:
                self._release()

    def yield_to_others(self) -> None:
        """Before a wait: close a kept connection if another process wants the file; the next transaction opens again."""
        if self._kept is not None and self._wanted.exists():
            self._release()

    @contextmanager
    def transaction(self, *, wait_seconds: float = 30) -> Iterator[Connection]:
        """One committed transaction, rolled back on any error; the connection is closed unless it is kept.

        Raises:
            RunFailed: another process still has the file open after ``wait_seconds``, or it is another version's.
        """
        connection = self._kept or self._connect(wait_seconds)
        self._kept = connection
        try:
            if not self._is_ours:
                versions.refuse_others(connection, self.path, may_be_older=self.migrates)
                self._is_ours = True
            connection.execute("begin")
            try:
                yield connection
            except BaseException:
                connection.execute("rollback")
                raise
            connection.execute("commit")
        except BaseException:
            self._release()  # after a failed commit or rollback nobody knows its state
            raise
        if not self._keeping:
            self._release()

    def release(self) -> None:
        """Before a long wait: close a kept connection."""
        self._release()

    def fold_log_in(self) -> None:
        """Write what is in the log into the file, and close it: then the file alone is the database."""
        connection = self._kept or self._connect(30)
        self._kept = None
        connection.execute("force checkpoint")
        self._close(connection)

    def _release(self) -> None:
        if self._kept is None:
            return
        connection, self._kept = self._kept, None
        if log.size(self.path) < _MOST_LOG_BYTES:
            # What is committed is in the log, synced; folding it into the file at each closing would cost more.
            connection.execute("pragma disable_checkpoint_on_shutdown")
        self._close(connection)

    def _close(self, connection: Connection) -> None:
        with _opening:
            connection.close()
            _open_here[self.path] -= 1

    def _connect(self, wait_seconds: float) -> Connection:
        file_permissions.keep()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + wait_seconds
        is_waiting = False
        try:
            while True:
                try:
                    connection = self._opened()
                except duckdb.Error as error:
                    if not isinstance(error, duckdb.IOException) or "lock on file" not in str(error):
                        raise NotOpened(
                            f"Cannot open {self.path}: {str(error).splitlines()[0]}. If it is damaged: hr-centra restore BACKUP."
                        ) from error
                    if time.monotonic() >= deadline:
                        raise NotOpened(f"Cannot open {self.path}: {error}") from error
                    self._wanted.touch()
                    is_waiting = True
                    time.sleep(0.02)
                else:
                    connection.execute("set timezone = 'UTC'")
                    return connection
        finally:
            if is_waiting:
                self._wanted.unlink(missing_ok=True)

    def _opened(self) -> Connection:
        with _opening:
            count = None
            if not _open_here[self.path]:
                swap.carry_out(self.path)
                count = self._checkpoints()
            connection = duckdb.connect(self.path, config={**CONFIG, "memory_limit": self.memory_limit})
            try:
                log.begin(self.path, count)
            except RunFailed:
                connection.close()
                raise
            _open_here[self.path] += 1
        return connection

    def _checkpoints(self) -> int | None:
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return log.refuse_foreign(self.path, None)
        try:
            return log.refuse_foreign(self.path, descriptor)
        finally:
            os.close(descriptor)

    @property
    def _wanted(self) -> Path:
        # Left behind by a waiter that was killed, it only makes the holder open more often.
        return swap.wanted(self.path)


@cache
def sql_text(package: str, name: str) -> str:
    """The statements of a ``.sql`` file in one of our packages."""
    return exception_kinds.sql_of(resources.files(package).joinpath(name).read_text(encoding="utf-8"))


def run_sql(connection: Connection, package: str, name: str, parameters: Mapping[str, Any] | None = None) -> Connection:
    """Run every statement of a ``.sql`` file; each gets those of the named parameters that it mentions.

    Returns the connection, so that the last statement's rows can be fetched.
    """
    given = dict(parameters or {})
    for statement in connection.extract_statements(sql_text(package, name)):
        wanted = {key: given[key] for key in statement.named_parameters}
        connection.execute(statement, wanted)
    return connection
