"""Centra's hints: what its webhook left in the inbox, and what waits in its event queue."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from hr_centra_pipeline.inbox.inbox_store import Inbox, StoreFailed
from hr_centra_pipeline.orchestration import failures
from hr_centra_pipeline.orchestration.asset_steps import step
from hr_centra_pipeline.orchestration.asset_tables import key, results, spec
from hr_centra_pipeline.orchestration.run import Run
from hr_centra_pipeline.sources.centra import event_queue, hints
from hr_centra_pipeline.sources.intake.halves import NotNow

_HINTS, _LISTENERS = "landing.centra_hints", "landing.centra_listeners"
_READ = "the_inbox_and_the_event_queue_were_read"


@step(
    "centra_hints",
    specs=[spec(name, "landing", "data", kinds=["graphql"]) for name in (_HINTS, _LISTENERS)],
    check_specs=[
        dg.AssetCheckSpec(
            _READ, asset=key(_HINTS),
            description="Hints only make it faster: without them the hourly sync finds the same changes.",
        )
    ],
)  # fmt: skip
def centra_hints(context: Any, run: Run) -> Iterator[dg.MaterializeResult[Any]]:
    """Everything that waits, whatever the partition. What cannot be read is a warning: nothing relies on hints."""
    problems: list[str] = []
    reports = [event_queue.take(run.client, run.warehouse, run.policy.policy, run.now)]
    inbox = Inbox.open(run.settings.inbox)
    try:
        reports.append(hints.take(inbox, run.warehouse, run.policy.policy, run.now))
    except (StoreFailed, NotNow) as error:
        failures.try_again(context, run, error)
        problems.append(str(error))
    finally:
        inbox.close()
    problems += [problem for report in reports for problem in report.problems]
    names = ("deliveries", "events", "landed", "repeated", "rejected", "ignored")
    metadata: dict[str, Any] = {name: sum(getattr(report, name) for report in reports) for name in names}
    check = dg.AssetCheckResult(
        asset_key=key(_HINTS), check_name=_READ, passed=not problems, severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(problems) or None,
    )  # fmt: skip
    yield from results(run.warehouse, [_HINTS, _LISTENERS], metadata, {_HINTS: [check]}, is_brief=run.follows_events)


ASSETS = [centra_hints]
