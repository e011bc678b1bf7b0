"""The code location: what exists, wired. No logic."""

from __future__ import annotations

import dagster as dg

from hr_centra_pipeline.orchestration.assets import (
    backfill,
    contract,
    effects,
    landing,
    month_end,
    oversight,
    push,
    reconciliation,
    staging,
)
from hr_centra_pipeline.orchestration.executor import in_process_behind_the_lock
from hr_centra_pipeline.orchestration.jobs import BACKFILL, MONTH_END, SYNC, hourly_sync, month_end_after_sync
from hr_centra_pipeline.orchestration.presentation import presented
from hr_centra_pipeline.orchestration.run import Run
from hr_centra_pipeline.orchestration.sensors import SENSORS

defs = dg.Definitions(
    assets=presented([
        *contract.ASSETS, *landing.ASSETS, *staging.ASSETS, *effects.ASSETS, *push.ASSETS, *reconciliation.ASSETS,
        *month_end.ASSETS, *oversight.ASSETS, *backfill.ASSETS,
    ]),
    asset_checks=[*oversight.CHECKS],
    jobs=[SYNC, MONTH_END, BACKFILL],
    schedules=[hourly_sync],
    sensors=[month_end_after_sync, *SENSORS],
    resources={"run": Run()},
    executor=in_process_behind_the_lock,
)  # fmt: skip
