"""The sensor that has decisions carried out: a run when something waits, none again at once, nothing made where none was."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from hr_centra_pipeline.decisions.decision_kinds import WriteNote
from hr_centra_pipeline.decisions.decision_store import Decision, DecisionStore, Who
from hr_centra_pipeline.orchestration.decision_sensor import carry_out_on_decisions
from hr_centra_pipeline.orchestration.embedding import Embedding


def test_a_run_is_requested_once_for_what_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HR_CENTRA_HOME", str(tmp_path))
    with dg.DagsterInstance.ephemeral() as instance:

        def tick(cursor: str | None) -> tuple[object, str | None]:
            with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
                return carry_out_on_decisions(Embedding())(context), context.cursor

        found, cursor = tick(None)
        assert isinstance(found, dg.SkipReason)
        assert list(tmp_path.iterdir()) == []
        store = DecisionStore(tmp_path / "decisions.sqlite")
        kept = store.keep(Decision("form-1", Who("anna", "Anna", "link"), WriteNote(exception_id="EX-1", note="x")))
        found, cursor = tick(cursor)
        assert isinstance(found, dg.RunRequest)
        found, cursor = tick(cursor)
        assert isinstance(found, dg.SkipReason)
        assert "wait on after 1 runs" in (found.skip_message or "")
        store.keep(Decision("form-2", Who("anna", "Anna", "link"), WriteNote(exception_id="EX-1", note="y")))
        found, cursor = tick(cursor)
        assert isinstance(found, dg.RunRequest)
        store.outcome(kept.decision_id, "done", "Noted.")
        store.close()
