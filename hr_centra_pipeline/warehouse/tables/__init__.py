"""The declared tables, one file per stage: the single truth of their columns, types, allowed values and keys."""

from __future__ import annotations

from hr_centra_pipeline.warehouse.declare import Table
from hr_centra_pipeline.warehouse.tables import (
    centra,
    effect_tables,
    happy_returns,
    month_end_tables,
    operation_tables,
    payouts,
    reconciliation_tables,
)

DERIVED: dict[str, Table] = {
    declared.name: declared
    for module in (
        happy_returns,
        centra,
        payouts,
        effect_tables,
        reconciliation_tables,
        month_end_tables,
        operation_tables,
    )
    for declared in vars(module).values()
    if isinstance(declared, Table)
}
