"""The code location: what exists, wired. No logic."""

from __future__ import annotations

import dagster as dg

from hr_centra_pipeline.orchestration.assets import effects, landing, month_end, push, reconciliation, staging
from hr_centra_pipeline.orchestration.executor import in_process_behind_the_lock
from hr_centra_pipeline.orchestration.jobs import MONTH_END, SYNC, hourly_sync, month_end_after_sync
from hr_centra_pipeline.orchestration.run import Run

defs = dg.Definitions(
    assets=[
        *landing.ASSETS, *staging.ASSETS, *effects.ASSETS, *push.ASSETS, *reconciliation.ASSETS, *month_end.ASSETS,
    ],
    jobs=[SYNC, MONTH_END],
    schedules=[hourly_sync],
    sensors=[month_end_after_sync],
    resources={"run": Run()},
    executor=in_process_behind_the_lock,
)  # fmt: skip
