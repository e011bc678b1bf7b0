"""What ``doctor`` says about the inbox: whether its store can be used, and whether deliveries verify and land."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from hr_centra_pipeline.core import addresses
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.inbox.inbox_store import Inbox
from hr_centra_pipeline.inbox.signatures import (
    MALFORMED_SIGNATURE,
    NO_SIGNATURE,
    STALE,
    WRONG_SIGNATURE,
    verifiers,
)
from hr_centra_pipeline.oversight.findings import Finding

SECTION = "inbox"

_LATE = timedelta(hours=2)
_NAMES = {"happy_returns": "Happy Returns", "centra": "Centra"}
_FIXES: Mapping[str, str] = {
    NO_SIGNATURE: "Does the proxy pass the signature header on, and is this address of nobody else's use?",
    MALFORMED_SIGNATURE: "Describe encoding and prefix in [signature] of an event profile.",
    WRONG_SIGNATURE: "Compare the secret with the subscription's; see [signature] of an event profile for the algorithm.",
    STALE: "Set this machine's clock by NTP.",
}


def findings(settings: Settings, now: datetime, wait_hours: int = 0) -> Iterator[Finding]:
    """Nothing where no webhook has ever been set up. ``wait_hours``: how long a credit waits for a refund row.

    Raises:
        ConfigurationError: the store's address or an event profile is wrong.
        StoreFailed: the store cannot be read.
    """
    known = verifiers(settings)
    inbox = Inbox.open(settings.inbox)
    try:
        if not known and (inbox.file is None or not inbox.file.exists()):
            return
        if known:
            names = " and ".join(_NAMES[vendor] for vendor in known)
            yield Finding(SECTION, "ok", f"deliveries of {names} are verified by their secrets")
        else:
            yield Finding(
                SECTION, "warning", "deliveries were kept before, but no webhook secret is set: none is accepted now",
                "Set HAPPY_RETURNS_WEBHOOK_SECRET or CENTRA_WEBHOOK_SECRET.",
            )  # fmt: skip
        yield from _store(inbox)
        yield from _deliveries(inbox, now)
        if wait_hours and settings.has_events:
            yield Finding(
                SECTION, "note", f"a credit waits up to {wait_hours} hours for Happy Returns' refund row, which no webhook brings",
                "To refund minutes after an event, set [components] amount_wait_hours = 0 (docs/events.md, How fast).",
            )  # fmt: skip
    finally:
        inbox.close()


def _store(inbox: Inbox) -> Iterator[Finding]:
    shown = addresses.shown(inbox.address)
    if inbox.file is None:
        inbox.waiting()
        yield Finding(SECTION, "ok", f"{shown} can be read")
        return
    if not inbox.file.exists():
        yield Finding(SECTION, "note", f"{shown} does not exist yet", "`hr-centra inbox serve` makes it.")
        return
    if not (os.access(inbox.file, os.W_OK) and os.access(inbox.file.parent, os.W_OK)):
        yield Finding(SECTION, "error", f"{shown} cannot be written", "Make the service's user its owner.", True)
        return
    if _is_open_to_others(inbox.file):
        yield Finding(
            SECTION, "warning", f"{shown} is readable by every user of this machine, and holds e-mail addresses",
            f"chmod o-rwx {inbox.file}",
        )  # fmt: skip
    yield Finding(SECTION, "ok", f"{shown}, {inbox.file.stat().st_size / 2**20:,.1f} MB, can be written")


def _deliveries(inbox: Inbox, now: datetime) -> Iterator[Finding]:
    waiting, last = inbox.waiting(), inbox.last_received_at()
    if last is None:
        yield Finding(SECTION, "note", "no delivery has come yet", "Subscribe to the webhooks: docs/events.md.")
        return
    yield Finding(SECTION, "ok", f"the last delivery came at {last:%Y-%m-%d %H:%M} UTC")
    if waiting.oldest_at is not None:
        is_late = now - waiting.oldest_at > _LATE
        yield Finding(
            SECTION, "warning" if is_late else "ok",
            f"{waiting.count:,} deliveries wait to land, the oldest since {waiting.oldest_at:%Y-%m-%d %H:%M} UTC",
            "Check the runs in Dagster: no sync has landed them." if is_late else "",
        )  # fmt: skip
    for day in inbox.counts(since=(now - timedelta(days=1)).date()):
        for reason, number in sorted(day.unverified.items()):
            if number > 0:
                name = _NAMES.get(day.vendor, day.vendor)
                yield Finding(
                    SECTION, "warning", f"{number:,} deliveries of {name} did not verify on {day.day}: {reason.replace('_', ' ')}",
                    f"{_FIXES.get(reason, '')} Then `hr-centra inbox replay --unverified`.".strip(),
                )  # fmt: skip
        for bound, number in sorted(day.refused.items()):
            if number > 0:
                yield Finding(
                    SECTION, "note", f"{number:,} requests of {day.vendor} were refused on {day.day}: {bound.replace('_', ' ')}",
                    "docs/events.md says what each bound is for.",
                )  # fmt: skip


def _is_open_to_others(file: Path) -> bool:
    return bool(file.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH))
