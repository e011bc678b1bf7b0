"""How the assets are shown in the UI: groups in the order of the flow, and how old a table may be that people rely on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import dagster as dg

from hr_centra_pipeline.orchestration.asset_steps import Step
from hr_centra_pipeline.orchestration.asset_tables import external
from hr_centra_pipeline.orchestration.embedding import Embedding

FLOW = (
    "inputs", "landing", "staging", "matching", "effects", "push", "reconciliation", "month_end", "publishing", "oversight",
)  # fmt: skip
"""The groups in the order of the flow. The UI sorts them by name: each gets its place in front (``1_landing``)."""

# An hourly sync takes minutes: at two hours one was missed, at three somebody who relies on it looks at old figures.
FRESH = dg.FreshnessPolicy.time_window(warn_window=timedelta(hours=2), fail_window=timedelta(hours=3))
_RELIED_ON = frozenset({"push", "reconciliation", "publishing"})


def presented(steps: Sequence[Step], embedding: Embedding) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """The assets with their group's place and their freshness policy, and what else they read as external assets."""
    made = [
        replace(step, specs=[_presented(spec) for spec in step.specs]).defined(embedding)
        for step in steps
    ]  # fmt: skip
    return [*made, *(embedding.spec(_placed(spec)) for spec in external(spec for step in steps for spec in step.specs))]


def _presented(spec: dg.AssetSpec) -> dg.AssetSpec:
    group = spec.group_name or ""
    fresh = FRESH if group in _RELIED_ON else spec.freshness_policy
    return spec.replace_attributes(group_name=group_in_flow(group), freshness_policy=fresh)


def _placed(spec: dg.AssetSpec) -> dg.AssetSpec:
    return spec.replace_attributes(group_name=group_in_flow(spec.group_name or ""))


def group_in_flow(group: str) -> str:
    """``landing`` as the UI shows it: ``1_landing``."""
    return f"{FLOW.index(group)}_{group}"
