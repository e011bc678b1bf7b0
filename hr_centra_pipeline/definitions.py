"""The code location: what exists, wired. No logic."""

from __future__ import annotations

import dagster as dg

from hr_centra_pipeline.orchestration.assets import backfill, effects, landing, oversight, push, reconciliation, staging
from hr_centra_pipeline.orchestration.executor import in_process_behind_the_lock
from hr_centra_pipeline.orchestration.jobs import BACKFILL, SYNC, hourly_sync
from hr_centra_pipeline.orchestration.presentation import presented
from hr_centra_pipeline.orchestration.run import Run
from hr_centra_pipeline.orchestration.sensors import SENSORS

defs = dg.Definitions(
    assets=presented([
        *landing.ASSETS, *staging.ASSETS, *effects.ASSETS, *push.ASSETS, *reconciliation.ASSETS,
        *oversight.ASSETS, *backfill.ASSETS,
    ]),
    asset_checks=[*oversight.CHECKS],
    jobs=[SYNC, BACKFILL],
    schedules=[hourly_sync],
    sensors=SENSORS,
    resources={"run": Run()},
    executor=in_process_behind_the_lock,
)  # fmt: skip
