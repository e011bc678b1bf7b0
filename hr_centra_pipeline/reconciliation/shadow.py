"""The shadow report: what we would have done next to what people did in Centra, and whether that is enough to go live."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from hr_centra_pipeline.warehouse import models
from hr_centra_pipeline.warehouse.database import Connection
from hr_centra_pipeline.warehouse.made import makes


@dataclass(frozen=True)
class Criterion:
    """One thing that *ready to go live* asks for."""

    criterion: str
    required: str
    found: str
    passed: bool


@dataclass(frozen=True)
class Outcome:
    """How many decisions of a kind of effect came out so, in one currency, and the money at stake in them."""

    effect_kind: str
    outcome: str
    currency: str | None
    decisions: int
    at_stake: Decimal


@dataclass(frozen=True)
class ShadowReport:
    """A period's decisions and the verdict on them."""

    since: datetime
    until: datetime
    outcomes: list[Outcome]
    criteria: list[Criterion]

    @property
    def is_ready(self) -> bool:
        """Every criterion is met."""
        return all(criterion.passed for criterion in self.criteria)


def report(connection: Connection, since: datetime, until: datetime) -> ShadowReport:
    """The decisions from ``since`` until before ``until``, as the last reconciliation saw them."""
    models.run_file(connection, "reconciliation/shadow_verdict.sql", {"from_at": since, "to_at": until})
    criteria = connection.execute(
        "select criterion, required, found, passed from shadow_criteria order by place"
    ).fetchall()
    outcomes = connection.execute(
        """
        select effect_kind, outcome, currency, count(*), coalesce(sum(at_stake), 0)
        from reconciliation.shadow where happened_at >= ? and happened_at < ?
        group by all order by all
        """,
        [since, until],
    ).fetchall()
    return ShadowReport(since, until, [Outcome(*row) for row in outcomes], [Criterion(*row) for row in criteria])


@makes("reconciliation.shadow_verdict", "", reads=("reconciliation/shadow_verdict.sql", "policy.parameters"))
def keep_verdict(connection: Connection, now: datetime) -> None:
    """Fill ``reconciliation.shadow_verdict``, over twice the days that the policy asks for, up to now."""
    row = connection.execute("select shadow_days from policy.parameters").fetchone()
    days = int(row[0]) if row else 0
    models.run_file(
        connection, "reconciliation/shadow_verdict.sql", {"from_at": now - timedelta(days=2 * days), "to_at": now}
    )
    connection.execute("delete from reconciliation.shadow_verdict")
    connection.execute("insert into reconciliation.shadow_verdict by name from shadow_criteria")
