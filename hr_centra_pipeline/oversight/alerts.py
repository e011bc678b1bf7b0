"""Alerts: what is reported to whom, and what is suppressed because it was reported a short while ago.

What was reported is kept in ``$HR_CENTRA_HOME/alerts.json``. A line that could not be delivered stays due: its sensor fails, and
its next tick tries again, without the channels that were reached.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.oversight import delivery
from hr_centra_pipeline.oversight.delivery import Channel
from hr_centra_pipeline.warehouse import lock

_FLAPS_WITHIN = timedelta(hours=2)  # what recovers and fails again so soon is not reported again
_KEPT = timedelta(days=60)
_CHANGING = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|\b[0-9a-f]{8,}\b|\d+")

Channels = Callable[[Settings, Policy, str], Sequence[Channel]]


@dataclass(frozen=True)
class Line:
    """One trouble. ``fingerprint``: the same trouble has the same one, whenever it happens; ``event``: this time.

    ``identity``: of a list, what it is about, whatever its words and order: until it is over, the same list is never reported
    again, on whichever day. Empty: it is not a list, and is reported again after ``repeat_hours``.
    """

    fingerprint: str
    event: str
    text: str
    identity: str = ""


@dataclass(frozen=True)
class Alert:
    """What one team gets in one message."""

    team: str
    title: str
    lines: tuple[Line, ...]
    footer: str = ""


@dataclass
class _Told:
    told_at: str
    event: str
    held_back: int = 0
    last_held_back: str = ""
    reached: list[str] = field(default_factory=list)  # channels, while others could not be reached
    is_done: bool = False
    identity: str = ""


@dataclass(frozen=True)
class AlertReport:
    """How many alerts left, and how many lines were held back."""

    sent: int = 0
    held_back: int = 0
    nobody: int = 0  # alerts for which no channel is configured


def fingerprint(*parts: str) -> str:
    """What stays the same of a message: without ids, hashes and figures."""
    return " | ".join(_CHANGING.sub("#", part) for part in parts)


def send_alerts(
    alerts: Iterable[Alert], settings: Settings, policy: Policy, now: datetime, channels: Channels = delivery.channels
) -> AlertReport:
    """Deliver what is due.

    Raises:
        RunFailed: a channel did not take an alert; those before it were delivered.
    """
    sent = held_back = nobody = 0
    with lock.held(settings.home / "alerts.lock", "alerts", wait_seconds=30):
        memory = _read(settings.home / "alerts.json")
        try:
            for alert in alerts:
                judged = [(line, _judged(memory, line, now, policy)) for line in alert.lines]
                due = [line for line, what in judged if what == "due"]
                held_back += sum(what == "held_back" for _, what in judged)
                if not due:
                    continue
                ways = channels(settings, policy, alert.team)
                if not ways:
                    nobody += 1
                    continue
                _deliver(alert, due, ways, memory, now)
                sent += 1
        finally:
            _write(settings.home / "alerts.json", memory, now)
    return AlertReport(sent, held_back, nobody)


def over(fingerprints: Iterable[str], settings: Settings, now: datetime) -> None:
    """A reported problem is over: the next time it is reported immediately, unless it flaps."""
    wanted = set(fingerprints)
    with lock.held(settings.home / "alerts.lock", "alerts", wait_seconds=30):
        memory = _read(settings.home / "alerts.json")
        gone = [
            one for one in wanted & set(memory)
            if memory[one].is_done and now - datetime.fromisoformat(memory[one].told_at) >= _FLAPS_WITHIN
        ]  # fmt: skip
        if gone:
            for one in gone:
                del memory[one]
            _write(settings.home / "alerts.json", memory, now)


def _judged(memory: dict[str, _Told], line: Line, now: datetime, policy: Policy) -> str:
    """``due``, ``held_back``, or ``told`` (this very event was reported or suppressed before: its tick runs again)."""
    told = memory.get(line.fingerprint)
    if told is None or not told.is_done:
        return "due"
    if line.event in (told.event, told.last_held_back) or (line.identity and line.identity == told.identity):
        return "told"
    if now - datetime.fromisoformat(told.told_at) >= timedelta(hours=policy.alerts.repeat_hours):
        return "due"
    told.held_back += 1
    told.last_held_back = line.event
    return "held_back"


def _deliver(
    alert: Alert, due: Sequence[Line], ways: Sequence[Channel], memory: dict[str, _Told], now: datetime
) -> None:
    texts = []
    for line in due:
        before = memory.get(line.fingerprint)
        held = before.held_back if before else 0
        texts.append(
            line.text
            + (f"\n({held} more like this since {before.told_at[:16]} were not reported)" if before and held else "")
        )
    text = "\n\n".join([*texts, alert.footer] if alert.footer else texts)
    reached = set.intersection(*(_reached(memory, line) for line in due))
    for way in ways:
        if way.name in reached:
            continue
        way.send(alert.title, text)
        for line in due:
            entry = memory.get(line.fingerprint)
            if entry is None or entry.event != line.event or entry.is_done:
                entry = _Told(now.isoformat(), line.event, held_back=entry.held_back if entry else 0)
                memory[line.fingerprint] = entry
            entry.reached.append(way.name)
    for line in due:
        memory[line.fingerprint] = _Told(now.isoformat(), line.event, is_done=True, identity=line.identity)


def _reached(memory: dict[str, _Told], line: Line) -> set[str]:
    told = memory.get(line.fingerprint)
    return set(told.reached) if told and told.event == line.event and not told.is_done else set()


def _read(path: Path) -> dict[str, _Told]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {name: _Told(**told) for name, told in kept.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError):
        return {}  # a damaged memory: better an alert twice than none


def _write(path: Path, memory: dict[str, _Told], now: datetime) -> None:
    kept = {name: asdict(told) for name, told in memory.items() if now - datetime.fromisoformat(told.told_at) < _KEPT}
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    fresh.replace(path)
