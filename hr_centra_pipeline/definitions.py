"""The code location: every definition under its own name, all steps of a run in one process. No logic."""

from __future__ import annotations

import dagster as dg

from hr_centra_pipeline.orchestration.build import build_definitions

defs = dg.Definitions.merge(build_definitions(), dg.Definitions(executor=dg.in_process_executor))
