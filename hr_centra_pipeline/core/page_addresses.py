"""Where each page for the teams is, for the pages themselves and for alerts, workbooks and the Dagster UI that link to them.

Each function answers a path that begins with ``/``, every name in it percent-encoded; put ``Settings.pages_url`` in front of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode

SEARCH, WORKLIST, WAREHOUSE, FINANCE, HEALTH, DECISIONS, MANUAL = (
    "/search", "/worklist", "/warehouse", "/finance", "/health", "/decisions", "/manual",
)  # fmt: skip


def of_return(return_id: str) -> str:
    """One return's story."""
    return f"/returns/{_name(return_id)}"


def of_exception(exception_id: str) -> str:
    """One exception, open or closed."""
    return f"/exceptions/{_name(exception_id)}"


def of_worklist(**filters: str) -> str:
    """The worklist with these filters: ``team``, ``kind``, ``state``; those without a value are left out."""
    return _with_query(WORKLIST, filters)


def of_search(**filters: str) -> str:
    """What a search for ``q`` finds."""
    return _with_query(SEARCH, filters)


def of_warehouse(**filters: str) -> str:
    """The warehouse's lists with these filters: ``warehouse``, ``box``."""
    return _with_query(WAREHOUSE, filters)


def of_warehouse_print(**filters: str) -> str:
    """A list to print: ``list`` (``arrivals`` or ``put-away``), ``warehouse``, ``box``."""
    return _with_query(f"{WAREHOUSE}/print", filters)


def of_month(month: str) -> str:
    """A month's status, and its files."""
    return f"{FINANCE}/{_name(month)}/"


def of_manual(page: str, section: str = "") -> str:
    """A page of the manual, such as ``exceptions``, and the anchor of one entry in it, such as the name of a kind."""
    return f"{MANUAL}/{_name(page)}{f'#{_name(section)}' if section else ''}"


def _name(text: str) -> str:
    return quote(text, safe="")


def _with_query(path: str, filters: Mapping[str, str]) -> str:
    given = {name: value for name, value in filters.items() if value}
    return f"{path}?{urlencode(given, quote_via=quote)}" if given else path
