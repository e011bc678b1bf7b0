"""``/finance``: months with their status, what blocks a clean close, the files of their packs, and what providers settled.

What can be fetched is what a month's manifest lists, looked up by name; no path is ever put together from a request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route

from hr_centra_pipeline.core import months
from hr_centra_pipeline.core.page_addresses import FINANCE, of_month, of_worklist
from hr_centra_pipeline.decisions.decision_kinds import about_month
from hr_centra_pipeline.pages.page_file import NothingPublished, Row, one, parsed, reading, rows
from hr_centra_pipeline.pages.site import decisions_of, must_exist, page, settings_of
from hr_centra_pipeline.publishing.pack import MANIFEST, SUMMARY, months_with_packs, read_manifest

PAYOUTS_SHOWN = 50
_TYPES = {
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", ".csv": "text/csv; charset=utf-8",
    ".parquet": "application/vnd.apache.parquet", ".html": "text/html; charset=utf-8", ".json": "application/json",
}  # fmt: skip
# The summary is a page of its own, with its style and its charts inside; it can do nothing else.
_SUMMARY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; frame-ancestors 'none'; "
    "base-uri 'none'; sandbox"
)
BLOCKERS: Mapping[str, str] = {
    "does_not_tie": of_worklist(team="finance"), "not_covered": of_worklist(kind="source_not_covered"),
    "source_not_covered": of_worklist(kind="source_not_covered"), "dry_run": of_worklist(state="dry_run"),
}  # fmt: skip
"""Where somebody goes to remove what blocks a close, by its code."""


def show_months(request: Request) -> Response:
    """Every month that there is something to report of."""
    packs = {
        month: read_manifest(settings_of(request).exported / month) for month in months_with_packs(settings_of(request))
    }
    found: dict[str, Row] = {}
    payouts: list[Row] = []
    try:
        with reading(settings_of(request).published) as connection:
            found = {row["month"]: _month(row) for row in rows(connection, "select * from months")}
            payouts = rows(
                connection,
                "select verdict, is_settled, count(*) as many from payouts group by 1, 2 order by is_settled, verdict",
            )
    except NothingPublished:
        if not packs:
            raise
    listed = [
        {"month": month, "address": of_month(month), "row": found.get(month), "pack": packs.get(month)}
        for month in sorted({*found, *packs}, reverse=True)
    ]
    return page(request, "finance.html", months=listed, payouts=payouts)


def show_month(request: Request) -> Response:
    """One month: its status, what blocks it, its files, and the forms to close and sign it."""
    month = request.path_params["month"]
    must_exist(request, months.is_month(month))
    settings = settings_of(request)
    row = None
    try:
        with reading(settings.published) as connection:
            row = one(connection, "select * from months where month = $month", {"month": month})
    except NothingPublished:
        pass
    pack = read_manifest(settings.exported / month)
    must_exist(request, row is not None or pack is not None)
    return page(
        request, "month.html", month=month, row=_month(row) if row else None, pack=pack,
        pack_tables=list(_tables(pack)) if pack else [], decided=decisions_of(request, about_month(month)),
    )  # fmt: skip


def show_file(request: Request) -> Response:
    """One file of a month's pack."""
    settings, month = settings_of(request), request.path_params["month"]
    pack = read_manifest(settings.exported / month) if months.is_month(month) else None
    listed = {MANIFEST, *(file["name"] for file in pack["files"])} if pack is not None else set()
    name = next((one for one in listed if one == request.path_params["name"] and Path(one).name == one), None)
    path = settings.exported / month / name if name is not None else None
    must_exist(request, path is not None and path.is_file())
    is_shown = name in (SUMMARY, MANIFEST)
    return FileResponse(
        str(path), media_type=_TYPES.get(Path(str(name)).suffix, "application/octet-stream"),
        filename=None if is_shown else str(name) if month in str(name) else f"{month}-{name}",
        headers={"Content-Security-Policy": _SUMMARY_POLICY},
    )  # fmt: skip


def show_payouts(request: Request) -> Response:
    """What a provider settled beside what Centra shows as paid; what does not agree first."""
    verdict = request.query_params.get("verdict", "")[:40]
    given = request.query_params.get("page", "1")
    number = int(given) if given.isascii() and given.isdecimal() and len(given) <= 6 and int(given) > 0 else 1
    with reading(settings_of(request).published) as connection:
        verdicts = rows(connection, "select verdict, count(*) as many from payouts group by verdict order by verdict")
        shown = rows(
            connection,
            """
            select * from payouts where $verdict = '' or verdict = $verdict
            order by is_settled, happened_at desc, payout_tie_id limit $limit offset $offset
            """,
            {"verdict": verdict, "limit": PAYOUTS_SHOWN + 1, "offset": (number - 1) * PAYOUTS_SHOWN},
        )
    return page(
        request, "payouts.html", verdict=verdict, verdicts=verdicts, number=number, payouts=shown[:PAYOUTS_SHOWN],
        has_more=len(shown) > PAYOUTS_SHOWN,
    )  # fmt: skip


def add_slash(request: Request) -> Response:
    """A month's address ends with a slash."""
    must_exist(request, months.is_month(request.path_params["month"]))
    return RedirectResponse(of_month(request.path_params["month"]), 308)


def _month(row: Row) -> Row:
    found = parsed(row, "signatures", "moved", "blocks")
    for block in found["blocks"]:
        block["address"] = BLOCKERS.get(block["code"], "")
    return found


def _tables(pack: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    by_name = {file["name"]: file for file in pack["files"]}
    for name, file in by_name.items():
        if name.endswith(".csv"):
            parquet = by_name.get(f"{Path(name).stem}.parquet", {})
            yield {
                "name": Path(name).stem, "rows": file.get("rows", 0), "csv_bytes": file["bytes"], "sha256": file["sha256"],
                "parquet_bytes": parquet.get("bytes"),
            }  # fmt: skip


ROUTES = [
    Route(FINANCE, show_months), Route(f"{FINANCE}/", show_months), Route(f"{FINANCE}/payouts", show_payouts),
    Route(f"{FINANCE}/{{month}}", add_slash), Route(f"{FINANCE}/{{month}}/", show_month),
    Route(f"{FINANCE}/{{month}}/{{name}}", show_file),
]  # fmt: skip
