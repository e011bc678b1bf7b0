"""What doctor says of Centra's event queue: honest about what others may have taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.oversight import queue_findings
from hr_centra_pipeline.sandbox.centra.store import CentraSettings
from hr_centra_pipeline.sources.centra import event_queue, pull
from hr_centra_pipeline_tests.harness import NOW, POLICY, Harness, harness


@pytest.fixture
def at_harness(tmp_path: Path) -> Iterator[Harness]:
    with harness(tmp_path, centra=CentraSettings(event_queue=True)) as opened:
        yield opened


def said(at_harness: Harness, policy: Policy) -> list[tuple[str, str]]:
    settings = Settings.from_environment({"HR_CENTRA_HOME": str(at_harness.home)})
    now = at_harness.clock.now()
    return [(one.level, one.told) for one in queue_findings.findings(at_harness.client(), settings, policy, now)]


def test_what_the_polls_found_and_the_queue_never_brought_is_counted(at_harness: Harness) -> None:
    policy = Policy.model_validate({**POLICY, "events": {"centra_queue": True, "late_minutes": 1}})
    off = Policy.model_validate(POLICY)
    assert said(at_harness, off) == []
    assert said(at_harness, policy)[0] == (
        "note",
        "Centra lists no listener; the next sync sets those that hr-centra needs",
    )
    at_harness.plan()
    warehouse, client, store = at_harness.warehouse, at_harness.client(), at_harness.store
    begun = at_harness.clock.now()
    event_queue.take(client, warehouse, policy, begun)
    at_harness.clock.advance_to(begun.replace(hour=begun.hour + 2))
    taken = [at_harness.sell(("DRESS-S", 1, "100.00")).number for _ in range(2)]
    assert store.consume_events(store.settings.integration_name, 100)
    left = [at_harness.sell(("DRESS-S", 1, "100.00")).number for _ in range(2)]
    with store.write():
        for number in (*taken, *left):
            store.update("orders", "number", number, {"updated_at": at_harness.clock.now()})
    event_queue.take(client, warehouse, policy, at_harness.clock.now())
    pull.pull_orders(client, warehouse, policy, at_harness.clock.now())
    at_harness.clock.advance_to(begun.replace(hour=begun.hour + 3))
    (level, told), *_, (share_level, share) = said(at_harness, policy)
    assert (level, told) == ("ok", f"Centra lists listeners of happy-returns; hr-centra set its own on {NOW:%Y-%m-%d}")
    assert (share_level, share) == (
        "warning", "of 4 changes of the last day, 2 were found by the polls and never came by the queue (50 %)",
    )  # fmt: skip
    store.rows("delete from event_listeners where object_type = 'Return'")
    assert "Gone since: Return" in said(at_harness, policy)[0][1]


def test_a_queue_that_cannot_be_read_is_a_warning(at_harness: Harness) -> None:
    at_harness.store.settings = replace(at_harness.store.settings, event_queue=False)
    at_harness.fault("error_before", "ReadEventListeners", times=20)
    policy = Policy.model_validate({**POLICY, "events": {"centra_queue": True}})
    assert [level for level, _ in said(at_harness, policy)] == ["warning"]
