"""The pack of a month: workbook, summary page, CSV and Parquet of each table, and a manifest with their hashes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hr_centra_pipeline.core import months
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.month_end import cost_intake
from hr_centra_pipeline.month_end.compute import MonthReport, compute
from hr_centra_pipeline.publishing import published_tables
from hr_centra_pipeline.publishing.content import Content, workbook_key
from hr_centra_pipeline.publishing.summary import summary_page
from hr_centra_pipeline.publishing.workbook import write_workbook
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.tables.month_end_tables import MONTHLY

MANIFEST = "manifest.json"
SUMMARY = "summary.html"

PACKED = (
    *(declared.name for declared in MONTHLY.values()), "month_end.closes", "reconciliation.exception_events",
    "month_end.journal_runs",
)  # fmt: skip
"""The tables that a pack is made from."""


@dataclass(frozen=True)
class Pack:
    """A pack that was written: its folder, its files, how the month looks, and whether anything changed."""

    folder: Path
    files: tuple[Path, ...]
    report: MonthReport
    standing: str
    is_new: bool


def last_known(connection: Connection) -> datetime | None:
    """The decision time of the last sync, note or close: figures are as of then, however late it is exported."""
    row = connection.execute(
        """
        select max(known_at) from (
            select max(fetched_at) as known_at from landing.centra_pulls
            union all select max(received_at) from landing.files
            union all select max(looked_at) from landing.inbox_looks
            union all select max(recorded_at) from reconciliation.exception_events
            union all select max(recorded_at) from month_end.journal_runs
            union all select max("at") from month_end.closes
        )
        """
    ).fetchone()
    return row[0].astimezone(UTC) if row and row[0] is not None else None


def export_month(
    warehouse: Warehouse,
    settings: Settings,
    month: str,
    now: datetime,
    policy_sha256: str,
    *,
    as_of: datetime | None = None,
) -> Pack:
    """Compute a month and write its pack into ``exports/<month>/`` (``exports/<month>/as-of-…/`` for a day of the past).

    Each file is written beside its place and moved there by rename, the manifest last. The same knowledge gives the same
    bytes, whenever it is exported.

    Raises:
        RunFailed: the month has not begun.
        ConfigurationError: ``costs.csv`` has a mistake.
    """
    with warehouse.transaction() as connection:
        workbook_key(connection)
    with warehouse.transaction() as connection:
        pack = write_pack(connection, settings, month, now, policy_sha256, as_of=as_of)
        if as_of is not None:
            # What was computed for another day must not stay behind as the present.
            connection.execute("rollback")
            connection.execute("begin")
    return pack


def write_pack(
    connection: Connection,
    settings: Settings,
    month: str,
    now: datetime,
    policy_sha256: str,
    *,
    as_of: datetime | None = None,
) -> Pack:
    """The same inside a transaction of the caller's, which a look at another day has to roll back."""
    moment = min(as_of or last_known(connection) or now, now)
    report = compute(connection, month, moment, policy_sha256=policy_sha256, cost_file=settings.home / cost_intake.NAME)
    folder = settings.exported / month
    if as_of is not None:
        folder = folder / f"as-of-{as_of:%Y-%m-%d}"
    return _write(Content(connection, report, moment, policy_sha256, workbook_key(connection)), folder)


def _documents(content: Content) -> list[dict[str, object]]:
    """Supporting documents of the month, with the hashes by which their bytes are kept in the home."""
    return content.ask(
        """
        select file_name, sha256, media_type, bytes, title, added_by, strftime(added_at, '%Y-%m-%dT%H:%M:%SZ') as added_at
        from operations.documents where month = $month order by added_at, document_id
        """,
        {"month": content.month},
    )


def _write(content: Content, folder: Path) -> Pack:
    folder.mkdir(parents=True, exist_ok=True)
    workbook = f"month-end-{content.month}.xlsx"
    rows: dict[str, int] = {}
    names = [workbook, SUMMARY]
    write_workbook(content, _beside(folder, workbook))
    _beside(folder, SUMMARY).write_text(summary_page(content), encoding="utf-8")
    for name in MONTHLY:
        names += [f"{name}.csv", f"{name}.parquet"]
        rows[f"{name}.csv"] = published_tables.write_csv(content, name, _beside(folder, f"{name}.csv"))
        published_tables.write_parquet(content, name, _beside(folder, f"{name}.parquet"))
        rows[f"{name}.parquet"] = rows[f"{name}.csv"]
    files = [
        {
            "name": name, "bytes": _beside(folder, name).stat().st_size, "sha256": _sha256(_beside(folder, name)),
            **({"rows": rows[name]} if name in rows else {}),
        }
        for name in names
    ]  # fmt: skip
    certificate = content.certificate
    manifest = {
        "month": content.month,
        "cut_off": f"{content.cut_off:%Y-%m-%dT%H:%M:%SZ}",
        "is_over": content.is_over,
        "status": content.status,
        "standing": certificate.standing,
        "signed_by": {one.role: one.signer for one in certificate.signatures},
        "documents": _documents(content),
        "content_sha256": certificate.content_sha256,
        "sources_sha256": certificate.sources_sha256,
        "rollforward_ties": not content.report.breaks,
        "open_items": content.report.open_items,
        "open_in_dry_run": content.report.dry_run_items,
        "late_items": content.report.late_items,
        "code_version": content.code_version,
        "policy_sha256": content.policy_sha256,
        "files": files,
    }
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    before = read_manifest(folder)
    for name in names:
        _beside(folder, name).replace(folder / name)
    _beside(folder, MANIFEST).write_text(text, encoding="utf-8")
    _beside(folder, MANIFEST).replace(folder / MANIFEST)
    for gone in {file["name"] for file in (before or {}).get("files", [])} - set(names):
        (folder / gone).unlink(missing_ok=True)
    return Pack(
        folder, tuple(folder / name for name in [*names, MANIFEST]), content.report, certificate.standing,
        before != json.loads(text),
    )  # fmt: skip


def _beside(folder: Path, name: str) -> Path:
    return folder / f".{name}.new"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """What a folder's pack consists of; None when there is none, or none that can be read."""
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("files"), list) else None


def months_with_packs(settings: Settings) -> list[str]:
    """Months of which a pack was written, newest first."""
    if not settings.exported.is_dir():
        return []
    names = [entry.name for entry in settings.exported.iterdir() if entry.is_dir()]
    return sorted(
        (name for name in names if months.is_month(name) and read_manifest(settings.exported / name)), reverse=True
    )
