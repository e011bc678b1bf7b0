"""``hr-centra export``, ``close`` and ``sign``: a month's pack, its close, and who signs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from hr_centra_pipeline.cli.table import echo
from hr_centra_pipeline.core import clock, months
from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.decisions import carry_out
from hr_centra_pipeline.decisions.carry_out import Carrier, write_pack
from hr_centra_pipeline.decisions.decision_kinds import Role, parsed
from hr_centra_pipeline.decisions.decision_store import DecisionStore
from hr_centra_pipeline.month_end import due
from hr_centra_pipeline.publishing.pack import Pack
from hr_centra_pipeline.warehouse import lock, migrate
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline.warehouse.policy_tables import write_policy


@contextmanager
def _books(purpose: str) -> Iterator[Carrier]:
    """The database, held against every sync, with the policy that its tables were made with.

    Raises:
        ConfigurationError: there is no database yet, or the policy has a mistake.
        RunFailed: a sync is under way and did not end within 30 seconds, or one has to run first.
    """
    settings = Settings.from_environment()
    if not settings.database.exists():
        raise ConfigurationError(f"{settings.database}: there is no database yet; run `hr-centra sync` first.")
    loaded = load_policy(settings.policy_path)
    with lock.held(settings.lock_path, purpose, wait_seconds=30):
        warehouse = Warehouse(settings.database)
        migrate.prepare(warehouse)
        with warehouse.transaction() as connection:
            due.require_synced(connection, loaded.sha256)
            write_policy(connection, loaded.policy, settings.mode)
        yield Carrier(DecisionStore(settings), warehouse, settings, loaded.sha256, clock.now())


def run_export(month: str, as_of: str | None) -> None:
    """Write the month's pack and name its files.

    Raises:
        ConfigurationError: the month or day is misspelt, the day is in the future, or there is no database yet.
        RunFailed: the month has not begun, or a sync is under way.
    """
    months.checked(month)
    until = _end_of(as_of) if as_of else None
    if until is not None and until.date() > (now := clock.now()).date():
        raise ConfigurationError(f"--as-of {as_of}: that day is in the future; today is {now:%Y-%m-%d} (UTC).")
    with _books(f"hr-centra export --month {month}") as books:
        _show(write_pack(books, month, until))


def run_close(month: str, by: str, accept: str | None) -> None:
    """Freeze the month and write its pack.

    Raises:
        RunFailed: it is not over, out of order, or not clean and no reason to close it anyway is recorded.
    """
    words, pack = _decided(f"hr-centra close --month {month}", "close", month, by, accept=accept or "")
    echo(f"{words} Next: hr-centra sign --month {month} --as preparer --by NAME")
    _show(pack)


def run_reopen(month: str, by: str, why: str) -> None:
    """Reopen the last closed month.

    Raises:
        RunFailed: it is not the last closed month, or nobody says who and why.
    """
    if not why.strip():
        raise RunFailed("--why is empty: give a value; it is recorded.")
    words, pack = _decided(f"hr-centra close --month {month} --reopen", "reopen", month, by, why=why)
    echo(words)
    _show(pack)


def run_sign(month: str, role: Role, by: str, comment: str | None) -> None:
    """Sign the closed month and write its pack again, with the signature.

    Raises:
        RunFailed: it is not closed, it is no longer certified, or the reviewer is the preparer.
    """
    words, pack = _decided(f"hr-centra sign --month {month}", "sign", month, by, role=role, comment=comment or "")
    echo(words)
    _show(pack)


def _decided(purpose: str, kind: str, month: str, by: str, **more: str) -> tuple[str, Pack]:
    """Record a decision about a month, carry it out, and write the month's pack."""
    months.checked(month)
    if not by.strip():
        raise RunFailed("--by is empty: give a value; it is recorded.")
    arguments = parsed(kind, {"month": month, **more})
    with _books(purpose) as books:
        words = carry_out.on_the_command_line(books.settings, by, arguments, lambda _, kept: books.once(kept))
        return words, write_pack(books, month)


def _end_of(day: str) -> datetime:
    """The last instant of a UTC day.

    Raises:
        ConfigurationError: it is not a day.
    """
    try:
        start = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise ConfigurationError(f"--as-of {day}: write a day like 2026-10-05.") from None
    return start + timedelta(days=1) - timedelta(microseconds=1)


def _show(pack: Pack) -> None:
    told = (
        ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in pack.report.statuses.items())
        or "no refunds"
    )
    dry_run = f", {pack.report.dry_run_items} open only because nothing was sent" if pack.report.dry_run_items else ""
    echo(f"{pack.report.month}: {told}; {pack.report.open_items} open items{dry_run}; standing: {pack.standing}")
    for text in pack.report.breaks:
        echo(f"The roll-forward does not tie: {text}", err=True)
    echo(f"{len(pack.files)} files in {pack.folder}: {pack.files[0].name}, {pack.files[1].name}, CSV and Parquet")
