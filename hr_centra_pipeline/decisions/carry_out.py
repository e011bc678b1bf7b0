"""Carries out decisions: in the order in which they were made, each in a transaction of its own, each once.

The transaction that changes the warehouse records the decision's id in ``operations.decisions_done``. Should the process die
before the outcome is in the store, the next one finds the id, and appends the outcome without doing anything twice.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import duckdb

from hr_centra_pipeline.core import clock
from hr_centra_pipeline.core.errors import ConfigurationError, NotOpened, RunFailed, Unreachable
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.decisions import acts, identities
from hr_centra_pipeline.decisions.acts import Act
from hr_centra_pipeline.decisions.decision_kinds import MONTH_END, Arguments
from hr_centra_pipeline.decisions.decision_store import Decision, DecisionStore, Kept, StoreFailed
from hr_centra_pipeline.month_end import due
from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.made import makes
from hr_centra_pipeline.warehouse.policy_tables import write_policy

if TYPE_CHECKING:
    from hr_centra_pipeline.publishing.pack import Pack

_LOG = logging.getLogger(__name__)
MOST_TRIES = 5
"""After so many failures a decision is refused, and someone has to look."""
_LEFT_TO_THE_SHELL = timedelta(minutes=10)  # a command carries its own decision out
_PASSING = (NotOpened, Unreachable, OSError, duckdb.Error)

NOT_POSSIBLE, FAILED = "not_possible", "failed"
"""Codes of outcomes: a rule without a code of its own refused it; it failed again and again."""


@dataclass
class CarriedOut:
    """What became of the decisions that waited: one line each. ``left``: those that wait on; ``months``: whose pack was made."""

    done: int = 0
    refused: int = 0
    failed: int = 0
    left: int = 0
    why_left: str = ""
    months: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Carrier:
    """Where decisions are carried out. Hold the run lock."""

    store: DecisionStore
    warehouse: Warehouse
    settings: Settings
    policy_sha256: str
    now: datetime
    run_id: str = ""

    def all_waiting(self, *, months: bool) -> CarriedOut:
        """Carry out what waits; a refusal or a failure stops nothing else. ``months``: closes and signatures, too.

        Raises:
            StoreFailed: the store cannot be read or written.
        """
        report = CarriedOut()
        for kept in self.store.waiting():
            is_of_month_end = kept.kind in MONTH_END
            if (is_of_month_end and not months) or _is_a_command_at_work(kept, clock.now()):
                report.left += 1
                continue
            self._attempt(kept, report)
        return report

    def _attempt(self, kept: Kept, report: CarriedOut) -> None:
        who = f"{kept.kind} by {kept.who.name}"
        try:
            words = self.once(kept)
            if kept.kind in MONTH_END:
                report.months.append(self.pack_of(kept.arguments).report.month)
        except _PASSING as error:
            self._failed(kept, report, error)
        except (ConfigurationError, RunFailed) as error:
            self.store.outcome(
                kept.decision_id, "refused", str(error), code=error.code or NOT_POSSIBLE, run_id=self.run_id
            )
            report.refused += 1
            report.lines.append(f"{who}: refused: {error}")
        except Exception as error:  # noqa: BLE001 - a bug in one decision must not keep the others from being carried out
            _LOG.exception("decision %s could not be carried out", kept.decision_id)
            self._failed(kept, report, error)
        else:
            self.store.outcome(kept.decision_id, "done", words, run_id=self.run_id)
            report.done += 1
            report.lines.append(f"{who}: {words}")

    def _failed(self, kept: Kept, report: CarriedOut, error: Exception) -> None:
        is_over = kept.tries + 1 >= MOST_TRIES
        words = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
        told = (
            f"It failed {kept.tries + 1} times and was given up ({words})."
            if is_over
            else f"{words} It is tried again."
        )
        self.store.outcome(kept.decision_id, "refused" if is_over else "retry", told, code=FAILED, run_id=self.run_id)
        report.failed += 1
        report.lines.append(f"{kept.kind} by {kept.who.name}: {told}")

    def once(self, kept: Kept) -> str:
        """Change the warehouse as a decision says, unless it was done before; answers what was done. Appends no outcome.

        Raises:
            ConfigurationError: it is refused.
            RunFailed: so with a month.
        """
        act = Act(kept.decision_id, kept.who, self.settings, self.policy_sha256, self.now)
        with self.warehouse.transaction() as connection:
            if _is_done(connection, kept.decision_id):
                return "It was carried out before; that could not be noted then."
            words = acts.carry_out(connection, kept.arguments, act)
            _record(connection, kept, self.now, self.run_id)
        return words

    def pack_of(self, arguments: Arguments) -> Pack:
        """Write the pack of the month that a decision was about.

        Raises:
            RunFailed: the month has not begun.
        """
        return write_pack(self, getattr(arguments, "month", ""))


def write_pack(carrier: Carrier, month: str, as_of: datetime | None = None) -> Pack:
    """Write a month's pack; the one of today is remembered as made.

    Raises:
        RunFailed: the month has not begun.
    """
    from hr_centra_pipeline.publishing.pack import export_month  # loads the workbook's libraries

    pack = export_month(carrier.warehouse, carrier.settings, month, carrier.now, carrier.policy_sha256, as_of=as_of)
    if as_of is None:
        with carrier.warehouse.transaction() as connection:
            due.was_made(connection, month, carrier.now)
    return pack


def now(settings: Settings, run_id: str = "") -> CarriedOut:
    """Carry out everything that waits, by the tables that the last sync made. Hold the run lock.

    Raises:
        ConfigurationError: the policy has a mistake.
        StoreFailed: the store cannot be read or written.
    """
    store = DecisionStore(settings)
    try:
        waiting = store.waiting_count()
        if not waiting:
            return CarriedOut()
        if not settings.database.exists():
            return CarriedOut(left=waiting, why_left="There is no database yet: run `hr-centra sync` first.")
        loaded = load_policy(settings.policy_path)
        warehouse = Warehouse(settings.database)
        migrate.prepare(warehouse)
        with warehouse.kept_open():
            try:
                with warehouse.transaction() as connection:
                    due.require_synced(connection, loaded.sha256)
                    write_policy(connection, loaded.policy, settings.mode)
            except RunFailed as error:
                return CarriedOut(left=waiting, why_left=str(error))
            carrier = Carrier(store, warehouse, settings, loaded.sha256, clock.now(), run_id)
            return carrier.all_waiting(months=True)
    finally:
        store.close()


def in_a_sync(
    warehouse: Warehouse, settings: Settings, policy_sha256: str, at: datetime, run_id: str, replan: Callable[[], None]
) -> CarriedOut:
    """Carry out what waits, by what the sync has just planned; then plan again by what was decided. Months wait for its end.

    Nothing is looked up, and nothing planned twice, while nothing waits.
    """
    store = DecisionStore(settings)
    try:
        if not store.waiting_count():
            return CarriedOut()
        report = Carrier(store, warehouse, settings, policy_sha256, at, run_id).all_waiting(months=False)
    except StoreFailed as error:  # the sync goes on; the decisions wait for the next one
        _LOG.warning("%s Decisions wait.", error)
        return CarriedOut(why_left=str(error))
    finally:
        store.close()
    if report.done:
        replan()
    return report


def on_the_command_line(
    settings: Settings, by: str, arguments: Arguments, carry: Callable[[DecisionStore, Kept], str]
) -> str:
    """Record a decision that was typed, carry it out at once and record what came of it; answers what was done.

    Raises:
        ConfigurationError: it is refused, or the pages are the place to decide it.
        RunFailed: so with a month, or it failed.
    """
    identities.refuse_shell(settings, arguments.kind)
    store = DecisionStore(settings)
    try:
        kept = store.keep(Decision(secrets.token_hex(16), identities.from_shell(by), arguments))
        try:
            words = carry(store, kept)
        except (ConfigurationError, RunFailed) as error:
            store.outcome(kept.decision_id, "refused", str(error), code=error.code or NOT_POSSIBLE)
            raise
        except Exception as error:  # recorded, and shown to the person who typed it
            store.outcome(kept.decision_id, "refused", f"{type(error).__name__}: {error}", code=FAILED)
            raise
        store.outcome(kept.decision_id, "done", words)
    finally:
        store.close()
    return words


@dataclass(frozen=True)
class Compared:
    """What a database and a store do not have in common. ``undone``: done by the store, unknown to the database.

    ``unknown``: carried out in the database, and not in the store; ``changed``: the store says something else about them.
    """

    undone: tuple[str, ...]
    unknown: tuple[str, ...]
    changed: tuple[str, ...]


def compare(store: DecisionStore, connection: Connection) -> Compared:
    """Whether each decision that is done is so on both sides: after a restore, or the loss of the store, some are not.

    Raises:
        StoreFailed: the store cannot be read.
    """
    rows = connection.execute("select decision_id, decision_sha256 from operations.decisions_done").fetchall()
    done: dict[str, str] = dict(rows)
    known = store.hashes(list(done))
    return Compared(
        undone=tuple(one for one in store.done_ids() if one not in done),
        unknown=tuple(sorted(done.keys() - known.keys())),
        changed=tuple(sorted(one for one, sha256 in known.items() if done[one] != sha256)),
    )


def _is_a_command_at_work(kept: Kept, at: datetime) -> bool:
    return kept.who.login == "shell" and at - kept.at < _LEFT_TO_THE_SHELL


def _is_done(connection: Connection, decision_id: str) -> bool:
    found = connection.execute("select 1 from operations.decisions_done where decision_id = ?", [decision_id])
    return found.fetchone() is not None


@makes("operations.decisions_done", "One row per decision that was carried out in this database.", kind="people")
def _record(connection: Connection, kept: Kept, now: datetime, run_id: str) -> None:
    connection.execute(
        "insert into operations.decisions_done (decision_id, decision_sha256, kind, decided_by, user_id, login, decided_at,"
        " done_at, run_id) values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            kept.decision_id, kept.sha256, kept.kind, kept.who.name, kept.who.user_id, kept.who.login, kept.at, now, run_id,
        ],
    )  # fmt: skip
