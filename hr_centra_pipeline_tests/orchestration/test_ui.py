"""What a real webserver lists: the runs of the command line under their job."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.definitions import defs
from hr_centra_pipeline.orchestration import once
from hr_centra_pipeline.orchestration.instance import WORKSPACE
from hr_centra_pipeline_tests.receivers import free_port

RUNS_OF_A_JOB = """
{ pipelineOrError(params: {
    repositoryLocationName: "hr_centra_pipeline", repositoryName: "__repository__", pipelineName: "sync"
}) { ... on Pipeline { runs { runId } } } }
"""


@pytest.mark.slow
def test_a_run_of_the_command_line_is_listed_under_its_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HR_CENTRA_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    monkeypatch.delenv("CENTRA_TOKEN", raising=False)
    with pytest.raises(ConfigurationError, match="CENTRA_TOKEN"):  # a run that fails is one, too
        once.sync(defs, Settings.from_environment())
    with dg.DagsterInstance.get() as instance:
        (run,) = instance.get_runs()
    port = free_port()
    command = [str(Path(sys.executable).with_name("dagster-webserver")), "-w", str(WORKSPACE), "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            listed = asked(port, server)["data"]["pipelineOrError"]["runs"]
        finally:
            server.kill()
    assert [one["runId"] for one in listed] == [run.run_id]


def asked(port: int, server: subprocess.Popen[bytes]) -> Any:
    """The answer, once the server is up."""
    body = json.dumps({"query": RUNS_OF_A_JOB}).encode()
    address = f"http://127.0.0.1:{port}/graphql"
    request = urllib.request.Request(address, body, {"content-type": "application/json"})
    while server.poll() is None:
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310 - loopback
                return json.load(answer)
        except OSError:
            time.sleep(0.5)
    raise AssertionError("the webserver ended")
