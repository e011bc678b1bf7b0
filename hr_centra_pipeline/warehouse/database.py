"""Short transactions on the one DuckDB file. Nobody holds a connection during an HTTP call."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import duckdb

from hr_centra_pipeline.core import keys, money
from hr_centra_pipeline.core.errors import RunFailed

Connection = duckdb.DuckDBPyConnection
# Every opening replays the log: folded in when it has grown to this.
_MOST_LOG_BYTES = 64 * 1024


@dataclass(frozen=True)
class Warehouse:
    """The database file; ``memory_limit`` as DuckDB writes it."""

    path: Path
    memory_limit: str = "2GB"

    @contextmanager
    def transaction(self, *, wait_seconds: float = 30, is_brief: bool = False) -> Iterator[Connection]:
        """One committed transaction, rolled back on any error; the connection is always closed.

        ``is_brief``: for the many small ones between two calls. They go without our SQL macros, and leave the (fsynced)
        write-ahead log to be folded into the file by the next ordinary one.

        Raises:
            RunFailed: another process still has the file open after ``wait_seconds``.
        """
        connection = self._connect(wait_seconds)
        try:
            if is_brief and self._log_size() < _MOST_LOG_BYTES:
                connection.execute("pragma disable_checkpoint_on_shutdown")
            connection.execute("set timezone = 'UTC'")
            if not is_brief:
                connection.execute(keys.SQL_MACROS)
                connection.execute(money.SQL_MACROS)
            connection.execute("begin")
            try:
                yield connection
            except BaseException:
                connection.execute("rollback")
                raise
            connection.execute("commit")
        finally:
            connection.close()

    def _connect(self, wait_seconds: float) -> Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + wait_seconds
        while True:
            try:
                return duckdb.connect(
                    self.path, config={"memory_limit": self.memory_limit, "preserve_insertion_order": False}
                )
            except duckdb.IOException as error:
                if "lock" not in str(error).lower() or time.monotonic() >= deadline:
                    raise RunFailed(f"Cannot open {self.path}: {error}") from error
                time.sleep(0.1)

    def _log_size(self) -> int:
        try:
            return self.path.with_name(self.path.name + ".wal").stat().st_size
        except FileNotFoundError:
            return 0


@cache
def sql_text(package: str, name: str) -> str:
    """The text of a ``.sql`` file that lies in a package of ours."""
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def run_sql(connection: Connection, package: str, name: str, parameters: Mapping[str, Any] | None = None) -> Connection:
    """Run every statement of a ``.sql`` file; each gets those of the named parameters that it mentions.

    Returns the connection, so that the last statement's rows can be fetched.
    """
    given = dict(parameters or {})
    for statement in connection.extract_statements(sql_text(package, name)):
        wanted = {key: given[key] for key in statement.named_parameters}
        connection.execute(statement, wanted)
    return connection
