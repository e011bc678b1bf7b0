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
) -> MonthReport:
    """Freeze the month with a hash of its content and of its sources; it covers every earlier month, too.

    ``accept``: why it is closed although something does not tie or is not covered; without it that refuses the close.

    Raises:
        RunFailed: the month is not over, closed already, out of order, or not clean; the message says what to do.
    """
    name = _said("--by", by)
    if now < months.end(month):
        raise RunFailed(f"{month} is not over: it can be closed from {months.end(month):%Y-%m-%d} 00:00 UTC on.")
    last = _last_closed(connection)
    if last is not None and month <= last:
        raise RunFailed(f"{month} is closed already. To change it: hr-centra close --month {last} --reopen --why …")
    if last is not None and month != months.following(last):
        raise RunFailed(f"{last} is the last closed month: close {months.following(last)} first.")
    report = compute(connection, month, now, policy_sha256=policy_sha256, cost_file=cost_file)
    if report.breaks:
        raise RunFailed("The roll-forward does not tie, so nothing can be closed:\n" + "\n".join(report.breaks))
    if not report.is_clean and not (accept or "").strip():
        states = ", ".join(
            [f"{count} {status.replace('_', ' ')}" for status, count in report.statuses.items()]
            + [f"{report.dry_run_items} open only because nothing was sent"] * bool(report.dry_run_items)
        )
        raise RunFailed(
            f"{month} is not clean ({states}). Fix it, or close it with --accept and the reason why it is acceptable."
        )
    run_number = next_run(connection)
    content, sources = frozen.freeze(connection, month, run_number)
    _append(
        connection, run_number, month, "closed", now, name, why=None if report.is_clean else (accept or "").strip(),
        content=content, sources=sources, policy_sha256=policy_sha256,
    )  # fmt: skip
    return report


def reopen(connection: Connection, month: str, now: datetime, *, by: str, why: str) -> None:
    """Open the last closed month again; its signatures become void. The frozen rows stay, so that its earlier state can be read.

    Raises:
        RunFailed: it is not the last closed month, or nobody says who and why.
    """
    name, reason = _said("--by", by), _said("--why", why)
    last = _last_closed(connection)
    if last is None or month > last:
        raise RunFailed(f"{month} is not closed.")
    if month != last:
        raise RunFailed(f"{last} was closed after {month} and builds on it: reopen {last} first.")
    _append(connection, next_run(connection), month, "reopened", now, name, why=reason)


def sign(connection: Connection, month: str, now: datetime, *, role: Role, by: str, comment: str | None = None) -> None:
    """Sign what was frozen: first the preparer, then a reviewer who is another user.

    Raises:
        RunFailed: the month is not closed, or signed by them already, or the reviewer is the preparer, or its certification
            fell, or what is frozen is not what was closed.
    """
    name = _said("--by", by)
    certificate = certificate_of(connection, month, now)
    if certificate.standing == "open":
        raise RunFailed(f"{month} is not closed: nothing is frozen that could be signed.")
    if certificate.standing == "decertified":
        raise RunFailed(
            f"{month} moved beyond the tolerance after its close: reopen it, or sign the month of the late items."
        )
    verify(connection, month)
    signed = {one.role: one.by for one in certificate.signatures}
    if role in signed:
        raise RunFailed(f"{signed[role]} has signed {month} as {role} already.")
    if role == "reviewer" and "preparer" not in signed:
        raise RunFailed(f"Nobody has prepared {month} yet: the preparer signs first.")
    if any(_same(name, other) for other in signed.values()):
        raise RunFailed(f"{name} has prepared {month}: another person has to review it.")
    _append(
        connection, next_run(connection), month, "signed", now, name, role=role, why=(comment or "").strip() or None,
        content=certificate.content_sha256, sources=certificate.sources_sha256,
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
        select run_number, "at", "by", why, content_sha256, sources_sha256
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
    run_number, at, by, why, content, sources = closed
    signatures = tuple(
        Signature(*row)
        for row in connection.execute(
            """
            select role, "by", "at", why from month_end.closes
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
    return Certificate(month, standing, at, by, why, content, sources, signatures, moved)


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
) -> None:  # fmt: skip
    connection.execute(
        "insert into month_end.closes"
        ' (run_number, month, event, "at", "by", role, why, content_sha256, sources_sha256, code_version, policy_sha256)'
        " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [run_number, month, event, at, by, role, why, content, sources, code_version(), policy_sha256],
    )


def _said(option: str, text: str) -> str:
    stripped = " ".join(text.split())
    if not stripped:
        raise RunFailed(f"{option} is empty: give a value; it is recorded.")
    return stripped


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()
