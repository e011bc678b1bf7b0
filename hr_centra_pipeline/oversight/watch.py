"""Coverage, drift and standing alarms, computed over everything that is open."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hr_centra_pipeline.core.kinds import OWNERS
from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.oversight.exception_texts import COLUMNS, SHOWN, line
from hr_centra_pipeline.warehouse import models
from hr_centra_pipeline.warehouse.database import Connection

_SHOWN = 20
OVERDUE = {f"{team}_has_no_overdue_exception": team for team in OWNERS}
"""The alarms about overdue exceptions, and whose they are."""


@dataclass(frozen=True)
class AlarmRule:
    """One standing alarm: which table it is about, whose work it is, whether it is an error, and what it says in a sentence."""

    table: str
    owner_team: str
    is_error: bool
    sentence: str


RULES: dict[str, AlarmRule] = {
    **{
        name: AlarmRule(
            "reconciliation.exceptions", team, False, f"No open exception of {team.replace('_', ' ')} is past its due time."
        )
        for name, team in OVERDUE.items()
    },
    "no_write_is_in_doubt_beyond_its_window": AlarmRule(
        "push.ledger", "data", True, "Every call to Centra whose outcome was unknown was looked up and settled in time."
    ),
    "every_effect_is_in_the_ledger_once": AlarmRule(
        "push.ledger", "data", True, "No effect key has two rows: an effect has one state."
    ),
    "every_disposition_is_mapped": AlarmRule(
        "reconciliation.unmapped_dispositions", "warehouse", False, "The policy maps every grade to a warehouse."
    ),
    "every_missed_hour_was_caught_up": AlarmRule(
        "operations.coverage_gaps", "data", True, "Everything that was not read in time was read later, or is listed here."
    ),
    "every_hour_has_an_export_file": AlarmRule(
        "operations.coverage_gaps", "data", False, "No gap between export files is longer than [coverage] exports_every_hours."
    ),
    "events_reported_almost_everything": AlarmRule(
        "reconciliation.feed_days", "data", False,
        "Happy Returns' events reported starts and approvals in time: no day missed more than [events] missed_alarm_percent.",
    ),
    "happy_returns_has_no_unknown_words": AlarmRule(
        "operations.vendor_drift", "data", False, "No new column or word in the exports."
    ),
    "centra_has_no_unknown_words": AlarmRule(
        "operations.vendor_drift", "data", False, "No new word, deprecated field or unexpected shape in Centra's answers."
    ),
    "this_centra_fits_every_operation_of_ours": AlarmRule(
        "operations.contract", "data", True, "This Centra's schema supports every operation that the policy uses."
    ),
    "this_centra_is_as_we_assume": AlarmRule(
        "operations.contract", "data", False, "Assumptions that block nothing hold as well: words, signs, a readable schema."
    ),
    "every_landed_key_is_staged_once": AlarmRule(
        "staging.return_items", "data", True, "The number of landed and staged objects is the same, for every kind."
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Alarm:
    """The state of one standing alarm: ``found`` problems, the first of them in words.

    ``identity``: the same for the same set of problems, in whatever order and words. ``paths``: the page of each line, if any.
    """

    name: str
    found: int
    lines: tuple[str, ...]
    identity: str = ""
    paths: tuple[str, ...] = ()

    @property
    def rule(self) -> AlarmRule:
        """What it is about."""
        return RULES[self.name]

    @property
    def told(self) -> list[str]:
        """Its troubles, a line each, and how many more there are; empty when there are none."""
        shown = self.lines[:_SHOWN]
        return [*shown, *([f"… and {self.found - len(shown)} more"] if self.found > len(shown) else [])]


def refresh(connection: Connection, policy: Policy, now: datetime) -> None:
    """Refill ``operations.coverage_gaps`` and ``operations.vendor_drift``; erase personal data that is old enough."""
    coverage = policy.coverage
    given = {
        "now": now, "sync_every_minutes": coverage.sync_every_minutes,
        "exports_every_hours": coverage.exports_every_hours, "accepted_days": coverage.accepted_days,
    }  # fmt: skip
    models.run(connection, models.made_in("oversight"), {"oversight"}, given)
    # The row stays, so that a file that is delivered again does not bring the address back.
    connection.execute(
        "update landing.personal set value = null where value is not null and received_at < ?",
        [now - timedelta(days=policy.privacy.keep_days)],
    )


def alarms(connection: Connection, now: datetime) -> list[Alarm]:
    """Every standing alarm, ringing or not."""
    models.run(connection, ["oversight/alarms.sql"], (), {"now": now, "owners": list(OWNERS)})
    found = [Alarm(name, count, tuple(lines), identity) for name, count, lines, identity in connection.fetchall()]
    return [_with_exceptions(connection, alarm) if alarm.found and alarm.name in OVERDUE else alarm for alarm in found]


def _with_exceptions(connection: Connection, alarm: Alarm) -> Alarm:
    rows = connection.execute(
        f"""
        select {COLUMNS} from reconciliation.exceptions where overdue and owner_team = ?
        order by due_at, exception_id limit {SHOWN}
        """,  # noqa: S608 - our own words
        [OVERDUE[alarm.name]],
    )
    names = [column[0] for column in rows.description]
    shown = [line(dict(zip(names, row, strict=True))) for row in rows.fetchall()]
    return replace(alarm, lines=tuple(one.text for one in shown), paths=tuple(one.path for one in shown))
