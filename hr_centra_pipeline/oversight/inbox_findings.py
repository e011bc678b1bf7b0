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
    EVENT_PROFILES,
    MALFORMED_SIGNATURE,
    NO_SIGNATURE,
    STALE,
    WRONG_SIGNATURE,
    HappyReturnsVerifier,
    Verifier,
    verifiers,
)
from hr_centra_pipeline.oversight.findings import Finding

SECTION = "inbox"

_LATE_DEBOUNCES = 4
_LATE_SECONDS = 300  # a sync in progress takes new deliveries along only when it has ended
_NAMES = {"happy_returns": "Happy Returns", "centra": "Centra"}
_FIXES: Mapping[str, str] = {
    NO_SIGNATURE: "Does the proxy pass the signature header on, and is this address of nobody else's use?",
    STALE: "Set this machine's clock by NTP.",
}


def findings(settings: Settings, now: datetime, wait_hours: int = 0, debounce_seconds: int = 60) -> Iterator[Finding]:
    """Nothing where no webhook has ever been set up. ``wait_hours``: how long a credit waits for a refund row.

    ``debounce_seconds``: for how long deliveries are gathered before a sync starts.

    Raises:
        ConfigurationError: the store's address or an event profile is wrong.
        StoreFailed: the store cannot be read.
    """
    yield from _in_use(settings, now, wait_hours, debounce_seconds)
    yield from _left_behind(settings)


def _in_use(settings: Settings, now: datetime, wait_hours: int, debounce_seconds: int) -> Iterator[Finding]:
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
        late = timedelta(seconds=max(_LATE_SECONDS, _LATE_DEBOUNCES * debounce_seconds))
        yield from _deliveries(inbox, now, late, {name: _wrong_signature(settings, one) for name, one in known.items()})
        if wait_hours and settings.has_events:
            yield Finding(
                SECTION, "note", f"a credit waits up to {wait_hours} hours for Happy Returns' refund row, which no webhook brings",
                "To refund minutes after an event, set [components] amount_wait_hours = 0 (docs/events.md, How fast).",
            )  # fmt: skip
    finally:
        inbox.close()


def _left_behind(settings: Settings) -> Iterator[Finding]:
    """What the inbox of the home still holds where the settings name another one."""
    default = Inbox.open(str(settings.home / "inbox.sqlite"))
    if default.file is None or not default.file.exists():
        return
    if "://" not in settings.inbox and Path(settings.inbox).resolve() == default.file.resolve():
        return
    try:
        waiting = default.waiting().count
    finally:
        default.close()
    if waiting:
        yield Finding(
            SECTION, "warning",
            f"{_counted(waiting, 'delivery waits', 'deliveries wait')} in {default.file}, which is not the inbox in the settings",
            f"Sync once with it (HR_CENTRA_INBOX={default.file} hr-centra sync), then switch: docs/events.md, The store.",
        )  # fmt: skip


def _wrong_signature(settings: Settings, verifier: Verifier) -> str:
    told = f"Compare the secret with the subscription's. Expected: {verifier.described}."
    if isinstance(verifier, HappyReturnsVerifier):
        told += f" If yours differs, say so in [signature] of a profile in {settings.home / EVENT_PROFILES}/."
    return told


def _store(inbox: Inbox) -> Iterator[Finding]:
    shown = addresses.shown(inbox.address)
    if inbox.file is None:
        inbox.waiting()
        yield Finding(SECTION, "ok", f"{shown} can be read")
        return
    if not inbox.file.exists():
        yield Finding(SECTION, "note", f"{shown} does not exist yet", "The first delivery makes it.")
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


def _deliveries(inbox: Inbox, now: datetime, late: timedelta, wrong_signature: Mapping[str, str]) -> Iterator[Finding]:
    waiting, last = inbox.waiting(), inbox.last_received_at()
    if last is None:
        yield Finding(SECTION, "note", "no delivery has come yet", "Subscribe to the webhooks: docs/events.md.")
        return
    yield Finding(SECTION, "ok", f"the last delivery came at {last:%Y-%m-%d %H:%M} UTC")
    if waiting.oldest_at is not None:
        is_late = now - waiting.oldest_at > late
        fix = "Is a sync running? If not, look at the daemon, the sensor sync_on_events and the last runs in Dagster."
        yield Finding(
            SECTION, "warning" if is_late else "ok",
            f"{_counted(waiting.count, 'delivery waits', 'deliveries wait')} to land, the oldest since"
            f" {waiting.oldest_at:%Y-%m-%d %H:%M} UTC",
            fix if is_late else "",
        )  # fmt: skip
    for day in inbox.counts(since=(now - timedelta(days=1)).date()):
        for reason, came in sorted(day.unverified.items()):
            number = came - day.verified_later.get(reason, 0)
            if number > 0:
                # Encoding and prefix are a setting, as the algorithm is.
                is_described = reason in (WRONG_SIGNATURE, MALFORMED_SIGNATURE)
                fix = wrong_signature.get(day.vendor, "") if is_described else _FIXES.get(reason, "")
                told = f"{_counted(number, 'delivery', 'deliveries')} of {_NAMES.get(day.vendor, day.vendor)} did not verify"
                yield Finding(
                    SECTION, "warning", f"{told} on {day.day}: {reason.replace('_', ' ')}",
                    f"{fix} Then `hr-centra inbox replay --unverified`.".strip(),
                )  # fmt: skip
        for bound, number in sorted(day.refused.items()):
            if number > 0:
                told = f"{_counted(number, 'request', 'requests')} of {day.vendor} {'was' if number == 1 else 'were'} refused"
                yield Finding(
                    SECTION, "note", f"{told} on {day.day}: {bound.replace('_', ' ')}",
                    "docs/events.md says what each bound is for.",
                )  # fmt: skip


def _counted(number: int, one: str, several: str) -> str:
    return f"{number:,} {one if number == 1 else several}"


def _is_open_to_others(file: Path) -> bool:
    return bool(file.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH))
