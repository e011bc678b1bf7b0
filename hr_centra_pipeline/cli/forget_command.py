"""``hr-centra forget``: erase a person; the ledger stays."""

from __future__ import annotations

from pathlib import Path

import typer

from hr_centra_pipeline.cli.progress_bar import progress
from hr_centra_pipeline.cli.table import echo
from hr_centra_pipeline.core import clock
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.oversight import decision_privacy, forget, inbox_privacy, person_files, published
from hr_centra_pipeline.publishing.publish import publish
from hr_centra_pipeline.warehouse import lock
from hr_centra_pipeline.warehouse.database import Warehouse


def forget_person(who: str, *, by: str, is_sure: bool) -> None:
    """Say what is known, ask, erase, publish again, and name the export files that still hold the person.

    Raises:
        ConfigurationError: nothing is known about the person, or there is no database yet.
        RunFailed: a sync is under way and did not end within 30 seconds, or the inbox cannot be read.
    """
    settings = Settings.from_environment()
    if not settings.database.exists():
        raise ConfigurationError(f"{settings.database}: there is no database yet; run `hr-centra sync` first.")
    warehouse = Warehouse(settings.database)
    with lock.held(settings.lock_path, "hr-centra forget", wait_seconds=30):
        with warehouse.transaction() as connection:
            emails = forget.addresses_of(connection, who)
        with progress("Searching the delivered files …"):
            places = ((settings.exports, "HAPPY_RETURNS_EXPORTS"), (settings.payouts, "HR_CENTRA_PAYOUTS"))
            holding, problems = person_files.everywhere(
                emails,
                places,
                settings.home,
                without=[settings.database, *_inboxes(settings), *decision_privacy.stores(settings)],
            )
            deliveries = inbox_privacy.holding(settings, emails)
            decided = decision_privacy.holding(settings, emails)
        with warehouse.transaction() as connection:
            person = forget.find(connection, who, holding, deliveries + decided)
        addresses, files = len(person.emails), len(person.named)
        what = f"{addresses} e-mail address{'' if addresses == 1 else 'es'}, " + (
            "1 file that holds this person" if files == 1 else f"{files} files that hold this person"
        )
        if deliveries:
            what += f", {deliveries} {'delivery' if deliveries == 1 else 'deliveries'} of the inbox"
        if decided:
            what += f", {decided} decision{'' if decided == 1 else 's'}"
        if not is_sure and not typer.confirm(f"{what}. Erase for good?"):
            echo("Nothing was erased.")
            return
        with progress("Erasing, and rewriting the database …"):
            erased = forget.forget(
                warehouse, who, by, clock.now(), holding=holding, deliveries=deliveries + decided, settings=settings
            )
            as_of = published.as_of(settings)
            if as_of is not None:
                publish(warehouse, settings, as_of)
    told = ", ".join(f"{count} in {place}" for place, count in sorted(erased.places.items()))
    echo(f"Erased: {told or 'nothing was left to erase'}.")
    if erased.backups:
        echo(f"Also in {', '.join(one.name for one in erased.backups)}.")
    if erased.files:
        echo("These export files still name the person and are not changed by hr-centra: delete them yourself.")
        for name in erased.files:
            echo(f"  {name}")
    for problem in problems:
        echo(f"Not searched: {problem}")


def _inboxes(settings: Settings) -> list[Path]:
    """Files of the inbox and its backups: the person is erased from them, not only found there."""
    return [*([] if "://" in settings.inbox else [Path(settings.inbox)]), *inbox_privacy.backups_of(settings)]
