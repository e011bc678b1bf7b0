"""The code location: what exists, wired. No logic."""

from __future__ import annotations

import dagster as dg

from hr_centra_pipeline.orchestration.assets import effects, landing, push, reconciliation, staging
from hr_centra_pipeline.orchestration.executor import in_process_behind_the_lock
from hr_centra_pipeline.orchestration.jobs import SYNC, hourly_sync
from hr_centra_pipeline.orchestration.run import Run

defs = dg.Definitions(
    assets=[
        *landing.ASSETS, *staging.ASSETS, *effects.ASSETS, *push.ASSETS, *reconciliation.ASSETS,
    ],
    jobs=[SYNC],
    schedules=[hourly_sync],
    resources={"run": Run()},
    executor=in_process_behind_the_lock,
)  # fmt: skip
