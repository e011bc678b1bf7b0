"""The search box: which returns a name finds."""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass

from hr_centra_pipeline.pages.page_file import Row, one, parsed, rows
from hr_centra_pipeline.publishing.page_data import normalized_name

PAGE = 50
"""Returns on one page of results."""
_LONGEST = 200


@dataclass(frozen=True)
class Found:
    """Returns that a name finds, at most ``PAGE``, by id. ``after``: where the next page begins; ``None``: there is none."""

    returns: list[Row]
    kinds: list[str]
    after: str | None


def find(connection: sqlite3.Connection, given: str, *, email_key: str | None, after: str = "") -> Found:
    """The returns that have this name: return id, order number, express code, RMA, SKU, unit, tracking number or e-mail address.

    An exception's id finds the return that it is about. ``email_key``: of the tokens of e-mail addresses.
    """
    name = normalized_name(given[:_LONGEST])
    if "@" in name and email_key:
        name = hashlib.sha256(f"{email_key}{given.strip().lower()}".encode()).hexdigest()[:24]
    found = rows(
        connection,
        """
        select distinct return_id from (
            select return_id from names where name = $name
            union all select return_id from exceptions where exception_id = upper($name)
        )
        where return_id > $after order by return_id limit $most
        """,
        {"name": name, "after": after, "most": PAGE + 1},
    )
    ids = [row["return_id"] for row in found]
    shown = [
        parsed(row, "orders")
        for name_found in ids[:PAGE]
        if (row := one(connection, _RETURN, {"return_id": name_found})) is not None
    ]
    kinds = rows(connection, "select distinct kind from names where name = $name order by kind", {"name": name})
    return Found(shown, [row["kind"] for row in kinds], ids[PAGE - 1] if len(ids) > PAGE else None)


_RETURN = """
select return_id, express_code, orders, state, started_at, changed_at, units, waits_for, waits_until, must_act, currency, paid,
    open_exceptions
from returns where return_id = $return_id
"""
