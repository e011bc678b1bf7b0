"""What a month's pack is made of: its tables row by row, and the facts about it that every page shows."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from hr_centra_pipeline.core import months
from hr_centra_pipeline.core.version import code_version
from hr_centra_pipeline.month_end.close import Certificate, certificate_of
from hr_centra_pipeline.month_end.compute import MonthReport, cut_off
from hr_centra_pipeline.warehouse.database import Connection
from hr_centra_pipeline.warehouse.declare import Table
from hr_centra_pipeline.warehouse.tables.month_end_tables import MONTHLY

Row = dict[str, Any]
_AT_ONCE = 5_000


@dataclass(frozen=True)
class Content:
    """A month as its tables show it. One table is read at a time, on one connection; none is held whole."""

    connection: Connection
    report: MonthReport
    as_of: datetime
    policy_sha256: str
    key: str
    """Of this database's workbooks."""
    _reading: list[str] = field(default_factory=list)

    @property
    def month(self) -> str:
        """``YYYY-MM``."""
        return self.report.month

    @property
    def cut_off(self) -> datetime:
        """Up to when its data goes."""
        return cut_off(self.month, self.as_of)

    @property
    def is_over(self) -> bool:
        """The month has ended."""
        return self.cut_off == months.end(self.month)

    @property
    def code_version(self) -> str:
        """Program that made it."""
        return code_version()

    @cached_property
    def certificate(self) -> Certificate:
        """How far it is closed and signed."""
        return certificate_of(self.connection, self.month, self.as_of)

    @property
    def status(self) -> str:
        """The worst status of its rows, as people read it."""
        for worst in ("not_covered", "does_not_tie"):
            if self.report.statuses.get(worst):
                return worst.replace("_", " ")
        return "ties" if self.report.statuses else "empty"

    def rows(self, name: str, *, where: str = "true", order: str = "", month: str | None = None) -> Iterator[Row]:
        """The month's rows of one table in the order of its key (or of ``order``), as dictionaries."""
        declared = MONTHLY[name]
        columns = ", ".join(declared.columns)
        ordered = f"{order}, {ordering(declared)}" if order else ordering(declared)
        query = f"select {columns} from {declared.name} where month = ? and {where} order by {ordered}"  # noqa: S608 - our own names
        if self._reading:
            raise RuntimeError(f"{name}: the connection still reads {self._reading[0]}")
        self._reading.append(name)
        try:
            cursor = self.connection.execute(query, [month or self.month])
            while found := cursor.fetchmany(_AT_ONCE):
                for row in found:
                    yield dict(zip(declared.columns, row, strict=True))
        finally:
            self._reading.clear()

    def ask(self, query: str, parameters: dict[str, Any] | None = None) -> list[Row]:
        """Rows of a query, as dictionaries."""
        if self._reading:
            raise RuntimeError(f"the connection still reads {self._reading[0]}")
        cursor = self.connection.execute(query, parameters or {})
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def check_of(self, exception_id: str) -> str:
        """The mark beside an exception's id in the workbook, by which its rows are known again."""
        return check_of(self.key, self.month, exception_id)


def ordering(declared: Table) -> str:
    """``order by`` of a table's key."""
    return ", ".join(f"{column} nulls first" for column in declared.key)


def workbook_key(connection: Connection) -> str:
    """The key of this database's workbooks, made when it is first needed."""
    row = connection.execute("select value from meta.keys where name = 'workbook'").fetchone()
    if row is not None:
        return str(row[0])
    key = secrets.token_hex(32)
    connection.execute("insert into meta.keys (name, value) values ('workbook', ?)", [key])
    return key


def check_of(key: str, month: str, exception_id: str) -> str:
    """A keyed hash over a month and an exception's id: an id that was changed or made up does not fit it."""
    return hmac.new(bytes.fromhex(key), f"{month} {exception_id}".encode(), hashlib.sha256).hexdigest()[:16]
