"""How the pages show what the publication holds: codes as people say them, times, amounts, and texts with code in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal

from markupsafe import Markup, escape

from hr_centra_pipeline.core.money import decimals
from hr_centra_pipeline.core.words import effect_text
from hr_centra_pipeline.publishing.refund_sentence import ACTORS

_WORDS: Mapping[str, str] = {
    "happy_returns": "Happy Returns", "pipeline": "hr-centra", "hr_centra": "hr-centra", "centra": "Centra",
    "provider": "payment provider", "dry_run": "dry run", "unknown": "in doubt", "open": "open",
    "grade": "a grade",
    "credit_note": "our credit", "inventory_adjustment": "our stock movement", "exchange_order": "our replacement order",
    "logistics_delay": "late", "in_time": "in time", "chase": "being chased", "carry_forward": "carry forward", "claim": "claim",
    "write_off": "write off", "sku": "SKU", "rma": "RMA", "email_token": "e-mail address", "in_doubt": "in doubt",
    "pending": "not due yet", "other_month": "agrees, in another month", "before_cutover": "before the cut-over",
    "given_instead": "refunded instead", "settled_outside": "settled outside Centra",
}  # fmt: skip
_WAITS: Mapping[str, str] = {
    "hand_over": "the shopper to hand it in", "goods": "the goods", "approval": "an approval", "grade": "a grade",
    "credit_note": "our credit", "inventory_adjustment": "our stock movement", "exchange_order": "our replacement order",
    "exception": "its exceptions to be solved",
}  # fmt: skip
_MOVEMENTS: Mapping[str, str] = {
    "none": "is not booked: the policy has no warehouse for this grade",
    "unmapped": "cannot be booked: the policy does not know this grade",
    "held": "is held",
    "blocked": "is held back",
    "planned": "will be booked",
    "sending": "is being booked",
    "unknown": "in doubt: we do not know yet whether Centra booked it",
    "confirmed": "booked",
    "rejected": "Centra refused it",
    "external": "booked by others in Centra",
}
_MORE = re.compile(r"\s*More: docs/[\w-]+\.md(?:#[\w-]+)?\.?$")
_INSTANT = re.compile(r"\b(\d{4}-\d\d-\d\d)T(\d\d:\d\d):\d\d(?:\.\d+)?(?:Z|\+00:?00)")
_CODE = re.compile(r"`([^`]{1,300})`")
_LONG_AGO_DAYS = 2


def words(code: object) -> str:
    """A code as people say it."""
    text = str(code)
    return _WORDS.get(text, text.replace("_", " "))


def waits(code: str) -> str:
    """What a return waits for."""
    return _WAITS.get(code, effect_text(code))


def team(code: str) -> str:
    """A team, or who must act, at the beginning of a line."""
    said = ACTORS.get(code, words(code)).removeprefix("the ")
    return said if code == "hr_centra" else said[:1].upper() + said[1:]


def many(count: int, one: str) -> str:
    """A count of things: ``1 error``, ``1,200 errors``."""
    return f"{count:,} {one}{'' if count == 1 else 's'}"


def movement(code: str) -> str:
    """What became of a unit's stock movement."""
    return _MOVEMENTS.get(code, words(code))


def money(amount: Decimal | str | None, currency: str | None) -> str:
    """An amount with its currency; a dash where there is none."""
    if amount is None or amount == "" or not currency:
        return "–"
    exact = Decimal(amount)
    return f"{exact:,.{decimals(exact, currency)}f} {currency}".replace("-", "−")


def at(value: str | datetime | None) -> datetime | None:
    """A time of the publication; ``None`` where there is none or it cannot be read."""
    if isinstance(value, datetime) or not value:
        return value or None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def instant(value: str | datetime | None) -> Markup:
    """A time to the minute, in UTC; the page says once which times these are."""
    found = at(value)
    return Markup("–") if found is None else _time(found, f"{found:%Y-%m-%d %H:%M}")


def day(value: str | datetime | None) -> Markup:
    """A day."""
    found = at(value)
    return Markup("–") if found is None else _time(found, f"{found:%Y-%m-%d}")


def _time(found: datetime, text: str) -> Markup:
    return Markup('<time datetime="{}">{}</time>').format(f"{found:%Y-%m-%dT%H:%M:%SZ}", text)


def span(since: str | datetime | None, now: str | datetime | None) -> str:
    """How long it has been, in the largest unit that says it: ``3 h``, ``12 days``."""
    begin, end = at(since), at(now)
    if begin is None or end is None:
        return "–"
    hours = max(0, int((end - begin).total_seconds() // 3600))
    if hours < 1:
        return f"{max(0, int((end - begin).total_seconds() // 60))} min"
    return f"{hours} h" if hours < 24 * _LONG_AGO_DAYS else f"{hours // 24} days"


def prose(text: str | None) -> Markup:
    """A sentence: escaped, with what is between backquotes as code, times to the minute, and without its link to the manual."""
    plain = escape(_INSTANT.sub(r"\1 \2", _MORE.sub("", text or "")))
    return Markup(_CODE.sub(r"<code>\1</code>", str(plain)))  # noqa: S704 - escaped above


FILTERS: Mapping[str, Callable[..., object]] = {
    "words": words, "waits": waits, "team": team, "effect": effect_text, "movement": movement,
    "money": money, "instant": instant, "day": day,
    "span": span, "prose": prose, "many": many,
}  # fmt: skip
"""Of the templates."""
