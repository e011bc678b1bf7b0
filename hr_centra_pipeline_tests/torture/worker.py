"""One run of the pipeline's stages or of the push alone, in a process that may be killed at a chosen boundary.

A boundary is each moment before and after a commit of the database, before and after an HTTP request, and before and after the
inbox is told what has landed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import requests

from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.inbox.inbox_store import Inbox
from hr_centra_pipeline.sandbox.centra.store import CentraStore
from hr_centra_pipeline.sandbox.sandbox_clock import SandboxClock
from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.derived import forget_stale
from hr_centra_pipeline.warehouse.policy_tables import write_policy
from hr_centra_pipeline_tests.harness import Harness
from hr_centra_pipeline_tests.torture.broken import break_it

REFUSED = 3  # another process holds the lease or the database


class Boundaries:
    """Counts boundaries; at the chosen one this process kills itself with SIGKILL."""

    def __init__(self, kill_at: int | None) -> None:
        self.left = kill_at

    def pass_one(self) -> None:
        if self.left is None:
            return
        self.left -= 1
        if self.left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self) -> None:
        """Put a boundary around every commit, every request and every mark in the inbox of this process."""
        transaction, request, mark = Warehouse.transaction, requests.Session.request, Inbox.mark_landed

        @contextmanager
        def watched(warehouse: Warehouse, *, wait_seconds: float = 30) -> Iterator[Connection]:
            with transaction(warehouse, wait_seconds=wait_seconds) as connection:
                yield connection
                self.pass_one()
            self.pass_one()

        def sent(session: requests.Session, *given: Any, **more: Any) -> requests.Response:
            self.pass_one()
            answer = request(session, *given, **more)
            self.pass_one()
            return answer

        def marked(inbox: Inbox, delivery_ids: Sequence[str]) -> None:
            self.pass_one()
            mark(inbox, delivery_ids)
            self.pass_one()

        Warehouse.transaction = watched  # type: ignore[method-assign, assignment]
        requests.Session.request = sent  # type: ignore[method-assign, assignment]
        Inbox.mark_landed = marked  # type: ignore[method-assign, assignment]


def run(command: dict[str, Any]) -> int:
    """Do what the harness asks: ``plan``, ``push``, or ``stages`` (both, and the reconciliation)."""
    if command.get("broken"):
        break_it(command["broken"])
    Boundaries(command.get("kill_at")).watch()
    home = Path(command["home"])
    clock = SandboxClock(Path(command["clock"]))
    policy = Policy.model_validate(
        {**command["policy"], "cutover": datetime.fromisoformat(command["policy"]["cutover"])}
    )
    # The sandbox's records belong to its own process: this one only sends requests to it.
    harness = Harness(home, CentraStore.__new__(CentraStore), clock, command["note"], policy, command["mode"])
    harness.may_fail = True  # a pull that is cut short by faults is not covered, and the rest goes on
    try:
        if command["what"] in ("plan", "stages"):
            harness.plan(follows_events=command["follows_events"])
        if command["what"] in ("push", "stages"):
            # Each process of the pipeline first notes whether its database was put back or copied (a plan does), and begins with
            # the policy as it is now, and without what another one had derived.
            if command["what"] == "push":
                migrate.prepare(harness.warehouse)
            with harness.warehouse.transaction() as connection:
                forget_stale(connection, policy.model_dump_json())
                write_policy(connection, policy, harness.settings.mode)
            harness.push(follows_events=command["follows_events"])
        if command["what"] == "stages":
            harness.reconcile()
    except RunFailed:
        return REFUSED
    return 0


def zygote() -> None:
    """Fork one process per command (a line of JSON) and tell how it ended; everything is imported once."""
    for line in sys.stdin:
        command = json.loads(line)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = run(command)
            except BaseException:  # noqa: BLE001 - told, and a status of its own
                traceback.print_exc()
            finally:
                os._exit(status)
        told: dict[str, Any] = {}
        if command.get("kill_after") is not None:
            told["killed"] = _kill_after(child, float(command["kill_after"]))
        _, ended = os.waitpid(child, 0)
        told["status"] = -os.WTERMSIG(ended) if os.WIFSIGNALED(ended) else os.WEXITSTATUS(ended)
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


def _kill_after(child: int, seconds: float) -> bool:
    """Kill a process of ours after some time, unless it has ended by itself."""
    import select

    pidfd = os.pidfd_open(child)
    try:
        ended, _, _ = select.select([pidfd], [], [], seconds)
        if not ended:
            os.kill(child, signal.SIGKILL)
        return not ended
    finally:
        os.close(pidfd)


if __name__ == "__main__":
    zygote()
