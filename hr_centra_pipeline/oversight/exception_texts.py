"""An exception as an alert says it: what, of which file, order or return, how much, since when, and what to do next."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from hr_centra_pipeline.core import page_addresses
from hr_centra_pipeline.core.money import shown

SHOWN = 8
"""Exceptions of one alert; the worklist has the others."""
COLUMNS = "exception_id, kind, return_id, return_item_id, order_number, currency, amount, opened_at, due_at, detail, next_step"
_LONGEST = 300  # characters of a sentence: an alert is read on a telephone
_MORE = re.compile(r"\s*More: docs/[\w-]+\.md(?:#[\w-]+)?\.?$")  # as earlier versions ended a next step; no address


@dataclass(frozen=True)
class ExceptionLine:
    """One exception in words (``text``: two lines), and the path of its page."""

    text: str
    path: str


def line(row: Mapping[str, Any]) -> ExceptionLine:
    """Of a row with ``COLUMNS``. Times are UTC."""
    about = [
        *([f"return {row['return_id']}"] if row["return_id"] else []),
        *([f"unit {row['return_item_id']}"] if row["return_item_id"] else []),
        *([f"order {row['order_number']}"] if row["order_number"] else []),
        *([shown(row["amount"], row["currency"])] if row["currency"] and row["amount"] is not None else []),
        f"open since {_day(row['opened_at'])}",
        f"was due {_day(row['due_at'])} UTC",
    ]
    kind = str(row["kind"]).replace("_", " ").capitalize()
    step = _short(_MORE.sub("", row["next_step"]))
    return ExceptionLine(
        f"{kind}: {', '.join(about)}. {_ended(_short(row['detail']))}\nNext: {step}",
        page_addresses.of_exception(row["exception_id"]),
    )


def money(rows: Iterable[tuple[str | None, Decimal | None]]) -> str:
    """The sum of amounts with their currencies: ``12.50 EUR, 3.00 GBP``; empty when there are none."""
    sums: dict[str, Decimal] = {}
    for currency, amount in rows:
        if currency and amount is not None:
            sums[currency] = sums.get(currency, Decimal(0)) + amount
    return ", ".join(shown(amount, currency) for currency, amount in sorted(sums.items()))


def listed(lines: Sequence[ExceptionLine], count: int, team: str, pages_url: str) -> str:
    """The lines with the addresses of their pages, and where the others of the team are."""
    texts = [f"{one.text}\n{pages_url}{one.path}" for one in lines]
    everything = f"{pages_url}{page_addresses.of_worklist(team=team, overdue='1')}"
    more = count - len(lines)
    texts.append(f"{f'… and {more} more: ' if more else 'In the worklist: '}{everything}")
    return "\n\n".join(texts)


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _LONGEST else f"{flat[: _LONGEST - 1]}…"


def _ended(text: str) -> str:
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
