"""What was not seen is not absent: while Centra was not read back to the cut-over once, nothing is sent that relies on it."""

from __future__ import annotations

from hr_centra_pipeline.push.packets import OperationName
from hr_centra_pipeline.warehouse.database import Connection

# A credit or a replacement is looked for on its own order right before it is made; a stock movement has no such place.
_NEEDED: dict[OperationName, tuple[str, ...]] = {"stock": ("stock_changes", "returns")}


def uncovered(connection: Connection) -> dict[OperationName, str]:
    """Operations whose effects could be in Centra unseen: no pull from the cut-over on ever came to its end.

    A new database (the old one was lost) must have read all of that before it sends.
    """
    complete = {
        name
        for (name,) in connection.execute(
            """
            select object from landing.centra_pulls cross join policy.parameters
            where is_complete and window_from <= cutover group by object
            """
        ).fetchall()
    }
    return {
        operation: f"Centra's {missing[0].replace('_', ' ')} were not read back to the cut-over yet"
        for operation, needed in _NEEDED.items()
        if (missing := [name for name in needed if name not in complete])
    }
