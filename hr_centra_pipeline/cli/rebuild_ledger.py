"""``hr-centra rebuild-ledger``: what Centra shows as done becomes the ledger of a database that was lost."""

from __future__ import annotations

import os

from rich import box

from hr_centra_pipeline.cli.progress_bar import progress
from hr_centra_pipeline.cli.sync import run_sync
from hr_centra_pipeline.cli.table import DataConsole, DataTable, echo, echo_json
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.core.words import effect_text
from hr_centra_pipeline.warehouse.database import Warehouse

_COUNT = """
    select effect_kind, count(*) filter (where state = 'confirmed'), count(*) filter (where state in ('sending', 'unknown'))
    from push.ledger group by effect_kind
"""


def rebuild(*, as_json: bool = False) -> None:
    """Read both sides in dry run, whatever ``HR_CENTRA_MODE`` says, and show what the ledger knows afterwards.

    The keys are in Centra's texts; a ledger that is there already only gains what it does not know.

    Raises:
        RunFailed: a step failed; the message holds its own words.
    """
    before = _known(Settings.from_environment())
    os.environ["HR_CENTRA_MODE"] = "dry_run"
    with progress("Reading both sides; nothing is sent …"):
        run_sync()
    after = _known(Settings.from_environment())
    if as_json:
        known = [
            {"effect": kind, "known_before": before.get(kind, (0, 0))[0], "confirmed": confirmed, "half_done": doubtful}
            for kind, (confirmed, doubtful) in sorted(after.items())
        ]
        echo_json(known)
        return
    table = DataTable("effect", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("known before", "confirmed now", "half done: the next live sync finishes"):
        table.add_column(name, justify="right")
    for kind, (confirmed, doubtful) in sorted(after.items()):
        table.add_row(effect_text(kind), str(before.get(kind, (0, 0))[0]), str(confirmed), str(doubtful))
    DataConsole().print(table)
    echo("Check `hr-centra plan` before the next live sync: it lists what Centra does not show.")


def _known(settings: Settings) -> dict[str, tuple[int, int]]:
    if not settings.database.exists():
        return {}
    with Warehouse(settings.database).transaction() as connection:
        exists = connection.execute(
            "select 1 from information_schema.tables where table_schema = 'push' and table_name = 'ledger'"
        ).fetchone()
        rows = connection.execute(_COUNT).fetchall() if exists else []
    return {kind or "unknown": (confirmed, doubtful) for kind, confirmed, doubtful in rows}
