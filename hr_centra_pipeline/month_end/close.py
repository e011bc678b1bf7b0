"""Closing a month, signing it, opening it again; and how far its certification holds. ``month_end.closes`` is append-only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal

from hr_centra_pipeline.core import months
from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.core.version import code_version
from hr_centra_pipeline.month_end import frozen
from hr_centra_pipeline.month_end.compute import MonthReport, compute
from hr_centra_pipeline.reconciliation.reconcile import next_run
from hr_centra_pipeline.warehouse.database import Connection
from hr_centra_pipeline.warehouse.made import makes

Role = Literal["preparer", "reviewer"]
Standing = Literal["open", "closed", "prepared", "certified", "decertified"]


@dataclass(frozen=True)
class Signature:
    """Who signed as what, when, with which words."""

    role: str
    by: str
    at: datetime
    comment: str | None
    user_id: str | None = None
    """Who was logged in; ``None``: it was typed on the command line."""
    recorded_by: str | None = None

    @property
    def signer(self) -> str:
        """The name, and how it is known."""
        return shown_name(self.by, self.user_id, self.recorded_by)


@dataclass(frozen=True)
class Recorder:
    """How it is known who closes or signs: the user that was logged in, and who recorded it; every name of that person."""

    user_id: str | None
    recorded_by: str
    identities: frozenset[str] = frozenset()


def shown_name(by: str, user_id: str | None, recorded_by: str | None) -> str:
    """``Anna Berg (anna@shop.example)``, or ``Anna Berg, typed by shell user deploy``."""
    if user_id:
        return f"{by} ({user_id})"
    return f"{by}, typed by shell user {recorded_by}" if recorded_by else by


@dataclass(frozen=True)
class Effect:
    """By how much late facts move one side of a closed month."""

    source: str
    component: str
    currency: str
    amount: Decimal
    facts: int


@dataclass(frozen=True)
class Certificate:
    """A month's status: its close, who signed, and what moved since. ``why``: what it was closed with, or lost it by."""

    month: str
    standing: Standing
    closed_at: datetime | None = None
    closed_by: str | None = None
    """The name, and how it is known."""
    accepted: str | None = None
    content_sha256: str | None = None
    sources_sha256: str | None = None
    signatures: tuple[Signature, ...] = ()
    moved: tuple[Effect, ...] = ()
    """Late facts beyond the tolerance, by side, component and currency."""


def close(
    connection: Connection,
    month: str,
    now: datetime,
    *,
    by: str,
    policy_sha256: str,
    accept: str | None = None,
    cost_file: Path | None = None,
    recorder: Recorder | None = None,
) -> MonthReport:
    """Freeze the month with a hash of its content and of its sources; it covers every earlier month, too.

    ``accept``: why it is closed although something does not tie or is not covered; without it that refuses the close.

    Raises:
        RunFailed: the month is not over, closed already, out of order, or not clean; the message says what to do.
    """
    name = _said("--by", by)
    if now < months.end(month):
        raise RunFailed(
            f"{month} is not over: it can be closed from {months.end(month):%Y-%m-%d} 00:00 UTC on.",
            code="month_not_over",
        )
    last = _last_closed(connection)
    if last is not None and month <= last:
        raise RunFailed(
            f"{month} is closed already. To change it: hr-centra close --month {last} --reopen --why …",
            code="closed_already",
        )
    if last is not None and month != months.following(last):
        raise RunFailed(f"{last} is the last closed month: close {months.following(last)} first.", code="out_of_order")
    report = compute(connection, month, now, policy_sha256=policy_sha256, cost_file=cost_file)
    if report.breaks:
        raise RunFailed(
            "The roll-forward does not tie, so nothing can be closed:\n" + "\n".join(report.breaks), code="does_not_tie"
        )
    if not report.is_clean and not (accept or "").strip():
        states = ", ".join(
            [f"{count} {status.replace('_', ' ')}" for status, count in report.statuses.items()]
            + [f"{report.dry_run_items} open only because nothing was sent"] * bool(report.dry_run_items)
        )
        raise RunFailed(
            f"{month} is not clean ({states}). Fix it, or close it with --accept and the reason why it is acceptable.",
            code="not_clean",
        )
    run_number = next_run(connection)
    content, sources = frozen.freeze(connection, month, run_number)
    _append(
        connection, run_number, month, "closed", now, name, why=None if report.is_clean else (accept or "").strip(),
        content=content, sources=sources, policy_sha256=policy_sha256, recorder=recorder,
    )  # fmt: skip
    return report


def reopen(
    connection: Connection, month: str, now: datetime, *, by: str, why: str, recorder: Recorder | None = None
) -> None:
    """Open the last closed month again; its signatures become void. The frozen rows stay, so that its earlier state can be read.

    Raises:
        RunFailed: it is not the last closed month, or nobody says who and why.
    """
    name, reason = _said("--by", by), _said("--why", why)
    last = _last_closed(connection)
    if last is None or month > last:
        raise RunFailed(f"{month} is not closed.", code="not_closed")
    if month != last:
        raise RunFailed(f"{last} was closed after {month} and builds on it: reopen {last} first.", code="out_of_order")
    _append(connection, next_run(connection), month, "reopened", now, name, why=reason, recorder=recorder)


def sign(
    connection: Connection, month: str, now: datetime, *, role: Role, by: str, comment: str | None = None,
    recorder: Recorder | None = None, content_sha256: str | None = None,
) -> None:  # fmt: skip
    """Sign what was frozen: first the preparer, then a reviewer who is another user.

    ``content_sha256``: the hash of what was closed, as who signs saw it.

    Raises:
        RunFailed: the month is not closed, or signed by them already, or the reviewer is the preparer, or its certification
            fell, or what is frozen is not what was closed.
    """
    name = _said("--by", by)
    certificate = certificate_of(connection, month, now)
    if certificate.standing == "open":
        raise RunFailed(f"{month} is not closed: nothing is frozen that could be signed.", code="not_closed")
    if certificate.standing == "decertified":
        raise RunFailed(
            f"{month} moved beyond the tolerance after its close: reopen it, or sign the month of the late items.",
            code="decertified",
        )
    if content_sha256 not in (None, certificate.content_sha256):
        raise RunFailed(
            f"{month} was closed again since the page showed it: look at it again, then sign it.",
            code="changed_since_shown",
        )
    verify(connection, month)
    signed = {one.role: one for one in certificate.signatures}
    if role in signed:
        raise RunFailed(f"{signed[role].by} has signed {month} as {role} already.", code="signed_already")
    if role == "reviewer" and "preparer" not in signed:
        raise RunFailed(f"Nobody has prepared {month} yet: the preparer signs first.", code="preparer_first")
    mine = {
        name,
        *(recorder.identities if recorder else ()),
        *([recorder.user_id] if recorder and recorder.user_id else ()),
    }
    if any(
        _same(one, other)
        for earlier in signed.values()
        for other in (earlier.by, earlier.user_id or "")
        for one in mine
    ):
        raise RunFailed(f"{name} has prepared {month}: another person has to review it.", code="reviewer_is_preparer")
    _append(
        connection, next_run(connection), month, "signed", now, name, role=role, why=(comment or "").strip() or None,
        content=certificate.content_sha256, sources=certificate.sources_sha256, recorder=recorder,
    )  # fmt: skip


def verify(connection: Connection, month: str) -> None:
    """Whether the frozen rows still are what was hashed when they were closed.

    Raises:
        RunFailed: they are not: somebody changed the database.
    """
    row = connection.execute(
        """
        select run_number, content_sha256 from month_end.closes
        where event = 'closed' and month = ? order by run_number desc limit 1
        """,
        [month],
    ).fetchone()
    if row is not None and frozen.content_hash(connection, row[0]) != row[1]:
        raise RunFailed(f"The frozen rows of {month} are not those that were closed: the database was changed by hand.")


def certificate_of(connection: Connection, month: str, as_of: datetime) -> Certificate:
    """The state of a month at a time. Reads ``month_end.late_items``: compute the months first."""
    closed = connection.execute(
        """
        select run_number, "at", "by", why, content_sha256, sources_sha256, user_id, recorded_by
        from month_end.closes as closes
        where event = 'closed' and month = $month and "at" <= $as_of and not exists (
            select 1 from month_end.closes as later
            where later.event = 'reopened' and later.month = $month and later.run_number > closes.run_number
                and later."at" <= $as_of
        )
        """,
        {"month": month, "as_of": as_of},
    ).fetchone()
    if closed is None:
        return Certificate(month, "open")
    run_number, at, by, why, content, sources, user_id, recorded_by = closed
    signatures = tuple(
        Signature(*row)
        for row in connection.execute(
            """
            select role, "by", "at", why, user_id, recorded_by from month_end.closes
            where event = 'signed' and month = ? and run_number > ? and "at" <= ? order by run_number
            """,
            [month, run_number, as_of],
        ).fetchall()
    )
    moved = tuple(
        Effect(*row)
        for row in connection.execute(
            """
            select source, component, coalesce(currency, ''), coalesce(sum(effect), 0), count(*)
            from month_end.late_items
            where of_month = ? and is_beyond_tolerance and recorded_at <= ?
            group by all order by all
            """,
            [month, as_of],
        ).fetchall()
    )
    roles = {one.role for one in signatures}
    standing: Standing = "closed"
    if moved:
        standing = "decertified"
    elif roles == {"preparer", "reviewer"}:
        standing = "certified"
    elif roles:
        standing = "prepared"
    closer = shown_name(by, user_id, recorded_by)
    return Certificate(month, standing, at, closer, why, content, sources, signatures, moved)


def closed_through(connection: Connection, as_of: datetime) -> str | None:
    """The last month that was closed at a time; everything until then is."""
    row = connection.execute(
        """
        select max(month) from month_end.closes as closes
        where event = 'closed' and "at" <= $as_of and not exists (
            select 1 from month_end.closes as later
            where later.event = 'reopened' and later.month = closes.month and later.run_number > closes.run_number
                and later."at" <= $as_of
        )
        """,
        {"as_of": as_of},
    ).fetchone()
    return row[0] if row else None


def _last_closed(connection: Connection) -> str | None:
    return closed_through(connection, datetime.max.replace(tzinfo=months.start("2000-01").tzinfo))


@makes("month_end.closes", "One row per close, signature and reopening of a month.", kind="people")
def _append(
    connection: Connection, run_number: int, month: str, event: str, at: datetime, by: str, *, role: str | None = None,
    why: str | None = None, content: str | None = None, sources: str | None = None, policy_sha256: str | None = None,
    recorder: Recorder | None = None,
) -> None:  # fmt: skip
    connection.execute(
        "insert into month_end.closes"
        ' (run_number, month, event, "at", "by", role, why, content_sha256, sources_sha256, code_version, policy_sha256,'
        " user_id, recorded_by)"
        " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            run_number, month, event, at, by, role, why, content, sources, code_version(), policy_sha256,
            recorder.user_id if recorder else None, recorder.recorded_by if recorder else None,
        ],
    )  # fmt: skip


def _said(option: str, text: str) -> str:
    stripped = " ".join(text.split())
    if not stripped:
        raise RunFailed(f"{option} is empty: give a value; it is recorded.")
    return stripped


def _same(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()
