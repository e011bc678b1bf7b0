"""What ``doctor`` says about the decisions of people: whether the store is what was recorded, and what waits or was refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import duckdb

from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.decisions import carry_out
from hr_centra_pipeline.decisions.decision_store import DecisionStore
from hr_centra_pipeline.oversight.findings import Finding
from hr_centra_pipeline.warehouse import lock

SECTION = "decisions"

_LATE = timedelta(hours=1)
_LATELY = timedelta(days=7)
_SHOWN = 5


def findings(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Nothing where nobody has decided anything.

    Raises:
        StoreFailed: the store cannot be read.
    """
    store = DecisionStore(settings)
    try:
        if store.exists:
            yield from _chain(store)
            yield from _outcomes(store, now)
        if settings.database.exists():
            yield from _both(store, settings)
    finally:
        store.close()


def _chain(store: DecisionStore) -> Iterator[Finding]:
    chain = store.verify_chain()
    if chain.problems:
        more = f"; {len(chain.problems) - _SHOWN} more" if len(chain.problems) > _SHOWN else ""
        yield Finding(
            SECTION, "error", f"{store.file} was changed by hand: {'; '.join(chain.problems[:_SHOWN])}{more}",
            "Restore it from a backup, and find out who can write to it: nothing of ours changes these rows.",
        )  # fmt: skip
        return
    erased = f", {chain.erased} with a text erased on request" if chain.erased else ""
    yield Finding(
        SECTION, "ok", f"{chain.decisions:,} decisions and {chain.outcomes:,} outcomes, each as it was recorded{erased}"
    )


def _outcomes(store: DecisionStore, now: datetime) -> Iterator[Finding]:
    late = [kept for kept in store.waiting() if now - kept.at > _LATE]
    if late:
        oldest = late[0]
        yield Finding(
            SECTION, "warning",
            f"{len(late)} wait for more than an hour, the oldest is {oldest.kind} by {oldest.who.name}, "
            f"{oldest.at:%Y-%m-%d %H:%M} UTC",
            "Is the Dagster daemon running? `hr-centra decisions carry-out` does it now, and says what keeps them.",
        )  # fmt: skip
    refused = store.refused_since(now - _LATELY)
    if refused:
        yield Finding(
            SECTION, "note", f"{refused} were refused within the last seven days", "`hr-centra decisions` says why."
        )


def _both(store: DecisionStore, settings: Settings) -> Iterator[Finding]:
    """A restored database does not know what was done after its backup; a lost store does not know what the database does."""
    try:
        with (
            lock.held_if_there(settings.lock_path, "hr-centra doctor", wait_seconds=3),
            duckdb.connect(settings.database, read_only=True) as connection,
        ):
            compared = carry_out.compare(store, connection)
    except (RunFailed, duckdb.Error):  # in use, or older than this program: the look at the database says so
        return
    if compared.undone:
        yield Finding(
            SECTION, "warning",
            f"{len(compared.undone)} decisions were carried out in a later state of the database, and are not in this one",
            "It was restored from a backup. They are not repeated automatically: facts may have changed. Look at them with"
            " `hr-centra decisions`, and decide again what still holds.",
        )  # fmt: skip
    if compared.unknown or compared.changed:
        yield Finding(
            SECTION, "error",
            f"{len(compared.unknown)} decisions that this database carried out are missing from {store.file}, "
            f"{len(compared.changed)} are recorded otherwise there",
            "Restore decisions.sqlite from the backup that was taken with the database.",
        )  # fmt: skip
