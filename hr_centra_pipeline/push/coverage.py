"""What was not seen is not absent: nothing is sent while what proves it was not read, back to the cut-over and since the last turn.

A *turn* is any time at which Centra may have come to hold what this database does not know (``warehouse/place.py``).
"""

from __future__ import annotations

from hr_centra_pipeline.core.codes import say
from hr_centra_pipeline.core.kinds import OperationName
from hr_centra_pipeline.push.operations.registry import OPERATIONS
from hr_centra_pipeline.warehouse.database import Connection, run_sql

_TURNS = {
    "lost": "this database was recreated",
    "put_back": "this database was put back from an earlier time",
    "copied": "this database was copied here",
    "restored": "this database was restored",
    "rebound": "this database was bound to another address of Centra",
}


def uncovered(connection: Connection) -> dict[OperationName, str]:
    """Operations whose effects could be in Centra unseen, each with what was not read yet.

    An operation looks once more right before it sends (``Traits.seen_in``); after a turn that look is not enough: what people
    did since then, and what Happy Returns said since then, has to be known, too.
    """
    read = {
        source: (back, since, reason)
        for source, back, since, reason in run_sql(
            connection, "hr_centra_pipeline.push", "proving_sources.sql"
        ).fetchall()
    }
    found: dict[OperationName, str] = {}
    for operation, one in OPERATIONS.items():
        for source in one.traits.seen_in:
            is_back, is_since, reason = read[source]
            name = "Happy Returns' exports" if source == "exports" else f"Centra's {source.replace('_', ' ')}"
            if not is_since:
                found[operation] = say("not_read_since", name, _TURNS.get(reason, reason))
                break
            if not is_back and source in one.traits.back_to_cutover:
                found[operation] = say("not_read_back", name)
                break
    return found
