"""The declared tables, one file per stage: the single truth of their columns, types, allowed values and keys."""

from __future__ import annotations

from hr_centra_pipeline.warehouse.declare import Table
from hr_centra_pipeline.warehouse.tables import (
    centra,
    effects,
    happy_returns,
    month_end,
    operations,
    payouts,
    reconciliation,
)

DERIVED: dict[str, Table] = {
    declared.name: declared
    for module in (happy_returns, centra, payouts, effects, reconciliation, month_end, operations)
    for declared in vars(module).values()
    if isinstance(declared, Table)
}
