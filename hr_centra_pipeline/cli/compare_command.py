"""``hr-centra compare``: the full compare with Centra, now and over the whole history."""

from __future__ import annotations

from rich import box

from hr_centra_pipeline.cli.table import DataConsole, DataTable, echo, echo_json
from hr_centra_pipeline.core import clock
from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.sources.centra.client import CentraClient
from hr_centra_pipeline.sources.centra.full_compare import compare_with_centra
from hr_centra_pipeline.warehouse import lock, migrate
from hr_centra_pipeline.warehouse.database import Warehouse


def compare_now(*, as_json: bool = False) -> None:
    """Read all of Centra's history again and list what differs from what we had; the next sync works with it.

    Raises:
        RunFailed: a sync is under way and did not end within 30 seconds, or Centra could not be read to the end.
    """
    settings = Settings.from_environment()
    settings.required("centra_graphql_url", "centra_token")
    policy, now = load_policy(settings.policy_path).policy, clock.now()
    warehouse = Warehouse(settings.database)
    client = CentraClient(settings.centra_graphql_url, settings.centra_token)
    with lock.held(settings.lock_path, "hr-centra compare", wait_seconds=30), warehouse.kept_open():
        migrate.prepare(warehouse)
        report = compare_with_centra(client, warehouse, policy, now, everything=True)
        with warehouse.transaction() as connection:
            rows = connection.execute(
                """
                select object, object_key, coalesce(order_number, ''), difference, array_to_string(coalesce(fields, []), ', ')
                from landing.centra_differences where found_at = ? order by all
                """,
                [now],
            ).fetchall()
    if as_json:
        names = ("object", "id", "order", "difference", "fields")
        counts = {
            "objects": report.objects,
            "edited": report.edited,
            "missed": report.missed,
            "deleted": report.deleted,
        }
        echo_json(
            {**counts, "problem": report.problem, "differences": [dict(zip(names, row, strict=True)) for row in rows]}
        )
        if report.problem:
            raise RunFailed(report.problem)
        return
    echo(
        f"{report.objects:,} objects compared: {report.edited} edited, {report.missed} missed, {report.deleted} deleted."
    )
    if rows:
        table = DataTable(box=box.SIMPLE_HEAD, pad_edge=False)
        for column in ("object", "id", "order", "difference", "fields"):
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*row)
        DataConsole().print(table)
    if report.problem:
        raise RunFailed(report.problem)
