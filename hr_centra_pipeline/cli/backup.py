"""``hr-centra backup`` and ``restore``: a copy of the database, and back; ``rebind``: the same Centra at another address."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import typer

from hr_centra_pipeline.cli.decisions import opened, signed
from hr_centra_pipeline.cli.table import echo, plain
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.decisions import decision_backup
from hr_centra_pipeline.decisions.decision_store import FILE_NAME as DECISIONS
from hr_centra_pipeline.inbox import inbox_backup
from hr_centra_pipeline.push import approvals
from hr_centra_pipeline.sources.centra import belonging
from hr_centra_pipeline.warehouse import backups, lock
from hr_centra_pipeline.warehouse.backups import Checked

_WAIT_SECONDS = 30.0
_COMMAND = "hr-centra restore"


def take_backup(to: Path | None) -> None:
    """Make a backup of the database and of a SQLite inbox, and say what is in it.

    Raises:
        ConfigurationError: there is no database, or a file has that name.
        RunFailed: there is no room, or the copy cannot be read.
    """
    settings = Settings.from_environment()
    made = backups.take(settings.database, to.resolve() if to else None)
    echo(f"{made.path}: {_told(made)}. Verified by reading all of it.")
    # After the database: whatever has landed in it is in this copy, too.
    copied = inbox_backup.take(settings.inbox, made.path.parent)
    if copied is not None:
        echo(
            f"{copied}: the webhook deliveries, {copied.stat().st_size / 2**20:,.1f} MB. Verified by reading all of it."
        )
    elif "://" in settings.inbox:
        echo("The webhook deliveries are in PostgreSQL: back that up with its own tools.")
    decided = decision_backup.take(settings, made.path.parent)
    if decided is not None:
        echo(
            f"{decided.path}: {decided.decisions:,} decisions, and {decided.files:,} uploaded files beside it. Verified."
        )


def restore_backup(backup: Path, by: str | None, why: str | None, *, is_sure: bool) -> None:
    """Put a backup in the place of the database.

    Raises:
        ConfigurationError: nobody signs, or the file is not there.
        RunFailed: the file is not a complete database of this program, or another command is running. Nothing is changed then.
    """
    signature = signed(by, why)
    settings = Settings.from_environment()
    database = settings.database
    # Another restore would use the same stage. Syncs go on until the question is answered.
    with lock.held(database.with_name(f".{database.name}.restore.lock"), _COMMAND):
        stage = backups.examine(database, backup.resolve())
        try:
            found = backups.looked_at(stage)
            echo(f"{backup}: {_told(found)}.")
            kept = "is kept in backups/" if database.exists() else "does not exist yet"
            question = f"{database} {kept}. Replace it with the backup?"
            if not (is_sure or typer.confirm(plain(question), default=False)):
                raise ConfigurationError("Nothing was changed. Answer y, or pass --yes.")
            with _nobody_else(settings):
                aside = backups.put_into_place(
                    database, stage, by=signature.by, recorded_by=signature.recorded_by, why=signature.why
                )
        finally:
            backups.discard(stage)
    echo(
        f"{database} was restored by {signature.by}."
        + (f" The previous database: {aside}." if aside else "")
        + " The next sync reads what has happened since; until Centra and the exports have been read completely, nothing is sent."
    )
    copies = decision_backup.existing(backup.resolve().parent)
    if (settings.home / DECISIONS).exists():
        echo("The decisions stay as they are. `hr-centra doctor` says which of them this database does not know.")
    elif copies:
        count = decision_backup.restore(settings, copies[-1])
        echo(f"{count:,} decisions were restored from {copies[-1]}.")


def rebind_here(retailer: str | None, by: str | None, why: str | None) -> None:
    """Bind the database to the Centra of the settings; or let it take the returns of one more retailer.

    Raises:
        ConfigurationError: nobody signs, who signs planned last or changed the policy, an address is not set, the database is
            bound so already, or no export has named the retailer.
    """
    signature = signed(by, why)
    settings = Settings.from_environment()
    settings.required("centra_graphql_url", "centra_token", "centra_order_api_url")
    with opened() as connection:
        if connection.execute("select 1 from push.pushes limit 1").fetchone():
            approvals.refuse_own_work(connection, signature)
        if retailer:
            belonging.accept_retailer(
                connection, retailer, by=signature.by, recorded_by=signature.recorded_by, why=signature.why
            )
            echo(
                f"Returns of {retailer} are accepted, confirmed by {signature.by}. Deliver the files that were rejected again."
            )
            return
        belonging.rebind(connection, settings, by=signature.by, recorded_by=signature.recorded_by, why=signature.why)
    echo(
        f"{settings.database} is about {belonging.address(settings.centra_graphql_url)}, signed off by {signature.by}. The next "
        "sync rereads all of it before anything is sent."
    )


@contextmanager
def _nobody_else(settings: Settings) -> Iterator[None]:
    """No sync, no backfill and no push while the file is exchanged."""
    with ExitStack() as held:
        for path in (settings.lock_path, settings.backfill_lock_path, settings.push_lock_path):
            held.enter_context(lock.held(path, _COMMAND, wait_seconds=_WAIT_SECONDS))
        yield


def _told(found: Checked) -> str:
    newest = f"{found.newest:%Y-%m-%d %H:%M UTC}" if found.newest else "never"
    return (
        f"{found.rows:,} rows in {found.tables} tables, {found.bytes / 2**20:,.1f} MB, schema version {found.schema_version}, "
        f"last read from a source: {newest}"
    )
