"""The code location: what exists, wired. No logic. It does not load with a lineage that is not that of the SQL."""

from __future__ import annotations

import dagster as dg

from hr_centra_pipeline.orchestration.assets import (
    backfill_assets,
    contract_assets,
    effect_assets,
    hint_assets,
    landing_assets,
    month_end_assets,
    oversight,
    partner_assets,
    push,
    reconciliation_assets,
    staging_assets,
)
from hr_centra_pipeline.orchestration.decision_sensor import CARRY_OUT_DECISIONS, carry_out_on_decisions
from hr_centra_pipeline.orchestration.event_sensor import sync_on_events
from hr_centra_pipeline.orchestration.executor import in_process_behind_the_lock
from hr_centra_pipeline.orchestration.jobs import (
    BACKFILL,
    EVENT_SYNC,
    MONTH_END,
    SYNC,
    hourly_sync,
    month_end_after_sync,
)
from hr_centra_pipeline.orchestration.presentation import presented
from hr_centra_pipeline.orchestration.run import Run
from hr_centra_pipeline.orchestration.sensors import SENSORS
from hr_centra_pipeline.warehouse import models

models.refuse_changed()

defs = dg.Definitions(
    assets=presented([
        *contract_assets.ASSETS, *hint_assets.ASSETS, *landing_assets.ASSETS, *partner_assets.ASSETS,
        *staging_assets.ASSETS, *effect_assets.ASSETS, *push.ASSETS, *reconciliation_assets.ASSETS,
        *month_end_assets.ASSETS, *oversight.ASSETS, *backfill_assets.ASSETS,
    ]),
    asset_checks=[*oversight.CHECKS],
    jobs=[SYNC, EVENT_SYNC, MONTH_END, BACKFILL, CARRY_OUT_DECISIONS],
    schedules=[hourly_sync],
    sensors=[month_end_after_sync, sync_on_events, carry_out_on_decisions, *SENSORS],
    resources={"run": Run()},
    executor=in_process_behind_the_lock,
)  # fmt: skip
