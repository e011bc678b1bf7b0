"""The definitions, for a code location of their own or for another deployment (docs/embedding.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster as dg

from hr_centra_pipeline.orchestration import sensors
from hr_centra_pipeline.orchestration.decision_sensor import carry_out_decisions, carry_out_on_decisions
from hr_centra_pipeline.orchestration.embedding import Embedding
from hr_centra_pipeline.orchestration.event_sensor import sync_on_events
from hr_centra_pipeline.orchestration.jobs import CHECKS, STEPS, hourly_sync, jobs, month_end_after_sync
from hr_centra_pipeline.orchestration.presentation import presented
from hr_centra_pipeline.orchestration.run import HrCentra
from hr_centra_pipeline.warehouse import models


def build_definitions(
    *,
    home: str | Path | None = None,
    database: str | Path | None = None,
    policy: str | Path | None = None,
    mode: str | None = None,
    environment: Mapping[str, str] | None = None,
    key_prefix: str | Sequence[str] = (),
    name_prefix: str = "",
    resource_key: str = "hr_centra",
) -> dg.Definitions:
    """Assets, checks, jobs, the schedule and sensors, with the resource that they share. No executor: that is the host's.

    ``home``, ``database``, ``policy`` and ``mode`` replace the variables HR_CENTRA_HOME and so on; ``environment`` for any
    other variable by its name, such as ``{"CENTRA_TOKEN": dg.EnvVar("STORE_2_TOKEN")}``. Whatever is left out is read from the
    environment, at each run. ``key_prefix`` goes before every asset's key, ``name_prefix`` before the names of steps, jobs,
    the schedule, sensors and groups.

    Raises:
        ConfigurationError: a setting is wrong; the message names it.
        RunFailed: a SQL file was changed and its lineage was not parsed again.
    """
    models.refuse_changed()
    resource = HrCentra(
        home=str(home or ""), database=str(database or ""), policy=str(policy or ""), mode=mode or "",
        environment=dict(environment or {}),
    )  # fmt: skip
    prefix = (key_prefix,) if isinstance(key_prefix, str) else tuple(key_prefix)
    embedding = Embedding(prefix, name_prefix, resource_key, resource.variables)
    ours = jobs(embedding)
    return dg.Definitions(
        assets=presented(STEPS, embedding),
        asset_checks=[step.defined(embedding) for step in CHECKS],
        jobs=[*ours.all, carry_out_decisions(embedding)],
        schedules=[hourly_sync(embedding, ours.sync)],
        sensors=[
            month_end_after_sync(embedding, ours), sync_on_events(embedding), carry_out_on_decisions(embedding),
            *(one.defined(embedding) for one in sensors.SENSORS),
        ],
        resources={resource_key: resource},
    )  # fmt: skip
