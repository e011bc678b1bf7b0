"""What the pages that people work with show: home, search, a return, the worklist, an exception, the warehouse, health.

Each function reads one snapshot of the publication, and answers the name of a template with what is put into it.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any

from hr_centra_pipeline.core import page_addresses
from hr_centra_pipeline.core.codes import needs_approval
from hr_centra_pipeline.core.exception_kinds import EXCEPTION_KINDS
from hr_centra_pipeline.core.kinds import OWNERS
from hr_centra_pipeline.core.words import effect_text
from hr_centra_pipeline.pages import finding, warehouse_lists, worklist
from hr_centra_pipeline.pages.manual import manual_section
from hr_centra_pipeline.pages.page_file import Row, one, parsed, publication, rows
from hr_centra_pipeline.pages.page_words import at, words
from hr_centra_pipeline.pages.worklist import Assigned, Filter
from hr_centra_pipeline.publishing.page_tables import EXCEPTION_STATES
from hr_centra_pipeline.publishing.refund_sentence import refund_sentence, wait_sentence
from hr_centra_pipeline.reconciliation.story import Reported, Story, read_story

Query = Mapping[str, str]
_OLD_AFTER = timedelta(hours=3)
"""A publication older than this is marked: the hourly schedule missed two syncs."""
SIDES = (
    ("expected", "Expected"), ("happy_returns", "Happy Returns"), ("centra", "Centra"), ("provider", "Payment provider"),
)  # fmt: skip


@dataclass(frozen=True)
class View:
    """A page: its template and what is put into it, or (``address``) another page to go to."""

    template: str
    given: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    address: str | None = None


def home(connection: sqlite3.Connection) -> View:
    """What is open by team, and the search box."""
    found = rows(connection, "select * from exception_counts")
    teams = [
        _team(team, [row for row in found if row["state"] == "open" and row["owner_team"] == team]) for team in OWNERS
    ]
    levels = rows(connection, "select level, count(*) as many from health group by level")
    many = {row["level"]: row["many"] for row in levels}
    return View(
        "home.html",
        {
            "publication": publication(connection), "teams": teams,
            "dry_run": sum(row["exceptions"] for row in found if row["state"] == "dry_run"),
            "dry_run_address": Filter(state="dry_run").address(),
            "errors": many.get("error", 0), "warnings": many.get("warning", 0),
        },
    )  # fmt: skip


def _team(team: str, counted: Sequence[Row]) -> Row:
    money: dict[str, Decimal] = {}
    for row in counted:
        if row["currency"] and Decimal(row["amount"]):
            money[row["currency"]] = money.get(row["currency"], Decimal(0)) + Decimal(row["amount"])
    return {
        "team": team, "open": sum(row["exceptions"] for row in counted), "overdue": sum(row["overdue"] for row in counted),
        "oldest": min((row["oldest"] for row in counted), default=None), "money": dict(sorted(money.items())),
        "address": Filter(team=team).address(), "overdue_address": Filter(team=team, overdue=True).address(),
    }  # fmt: skip


def search(connection: sqlite3.Connection, query: Query) -> View:
    """Where a name leads: to the return, if there is one; else the list of those that have it."""
    q, after = query.get("q", "").strip()[:200], query.get("after", "")[:200]
    published = publication(connection)
    given: dict[str, Any] = {"q": q, "after": after, "publication": published, "page_size": finding.PAGE, "found": None}
    if not q:
        return View("search.html", given)
    found = finding.find(connection, q, email_key=published["email_key"], after=after)
    if len(found.returns) == 1 and not after:
        return View("search.html", address=page_addresses.of_return(found.returns[0]["return_id"]))
    for row in found.returns:
        row["address"] = page_addresses.of_return(row["return_id"])
    more = page_addresses.of_search(q=q, after=found.after) if found.after else None
    return View("search.html", {**given, "found": found, "next_address": more}, 200 if found.returns else 404)


def one_return(connection: sqlite3.Connection, return_id: str) -> View:
    """One return's story."""
    row = one(connection, "select story from returns where return_id = $return_id", {"return_id": return_id})
    if row is None:
        return missing(connection, f"The last sync knows no return {return_id}.")
    story = read_story(row["story"])
    return View(
        "return.html",
        {
            "publication": publication(connection), "sides": SIDES,
            "story": story,
            "reports": [asdict(report) | _verdict(report) for report in story.reports],
            "waits": [wait_sentence(wait) for wait in story.waits],
            "refunds": [asdict(refund) | {"sentence": refund_sentence(refund)} for refund in story.refunds],
            "exceptions": [
                asdict(trouble) | {"address": page_addresses.of_exception(trouble.exception_id)} for trouble in story.exceptions
            ],
            "to_approve": _to_approve(story), "can_adopt": _is_before_cutover(story),
            "timeline": [
                (day, list(lines)) for day, lines in groupby(story.timeline, lambda line: f"{line.at:%A, %Y-%m-%d}")
            ],
        },
    )  # fmt: skip


def _verdict(report: Reported) -> Row:
    """Whether the sides agree on a part of a refund, and if not, who deviates or what explains it."""
    told = {amount for name, _ in SIDES if (amount := getattr(report, name)) is not None}
    if len(told) <= 1 and report.culprit is None:
        waits = report.centra is None and any(told)
        return {"mark": "info" if waits else "good", "verdict": "not in Centra yet" if waits else "agrees", "why": ""}
    why = words(report.explained_by or report.rule or "")
    if report.is_explained:
        return {"mark": "info", "verdict": "explained", "why": why}
    if report.within_tolerance:
        return {"mark": "info", "verdict": "within the tolerance", "why": why}
    if report.culprit is None:
        return {"mark": "info", "verdict": "not compared yet", "why": why}
    return {"mark": "bad", "verdict": "differs", "why": words(report.culprit) if report.culprit != "unknown" else ""}


def worklist_page(connection: sqlite3.Connection, query: Query, assigned: Assigned, people: Sequence[str]) -> View:
    """The worklist with the filter that the query asks for."""
    wanted, after = Filter.of(query), query.get("after", "")
    found = worklist.page(connection, wanted, assigned, after=after)
    for row in found.exceptions:
        row["address"] = page_addresses.of_exception(row["exception_id"])
        row["return_address"] = page_addresses.of_return(row["return_id"]) if row["return_id"] else None
        row["assignee"] = assigned.by_exception.get(row["exception_id"])
    return View(
        "worklist.html",
        {
            "publication": publication(connection), "wanted": wanted, "after": after, "page": found, "page_size": worklist.PAGE,
            "counts": worklist.counts(connection, wanted, assigned), "teams": OWNERS, "states": EXCEPTION_STATES,
            "kinds": list(EXCEPTION_KINDS), "people": people,
        },
    )  # fmt: skip


def one_exception(connection: sqlite3.Connection, exception_id: str, assigned: Assigned) -> View:
    """One exception, open or closed within the last months."""
    row = one(connection, "select * from exceptions where exception_id = $id", {"id": exception_id})
    if row is None:
        return missing(
            connection,
            f"The last sync knows no exception {exception_id}: it was closed more than 90 days ago, or never was.",
        )
    found = parsed(row, "history")
    meaning = manual_section("exceptions", row["kind"])
    of_return = None
    if row["return_id"]:
        of_return = one(connection, "select story from returns where return_id = $id", {"id": row["return_id"]})
    story = read_story(of_return["story"]) if of_return else None
    is_open = row["state"] != "closed"
    return View(
        "exception.html",
        {
            "publication": publication(connection), "one": found | {"assignee": assigned.by_exception.get(exception_id)},
            "evidence": list(_flat(json.loads(row["evidence"] or "{}"))),
            "return_address": page_addresses.of_return(row["return_id"]) if row["return_id"] else None,
            "worklist_address": Filter(team=row["owner_team"]).address(),
            "manual_address": page_addresses.of_manual("exceptions", row["kind"]), "meaning": meaning,
            "forms_for": set(_COMMAND.findall(f"{row['next_step']} {meaning.striptags()}")) if is_open else set(),
            "to_approve": _to_approve(story, row["return_item_id"]) if story and is_open else [],
            "can_adopt": story is not None and is_open and _is_before_cutover(story),
            "guarded": next(iter(_GUARDED.findall(row["next_step"])), ""),
        },
    )  # fmt: skip


_COMMAND = re.compile(r"\bhr-centra (approve|adopt|tie|raise|reorder|pay-instead)\b")
"""A command that a next step or the manual names: its form is offered. Nothing is decided by it."""
_GUARDED = re.compile(r"\bhr-centra raise (credit_note|inventory_adjustment|exchange_order|status_update)\b")


def _to_approve(story: Story, unit: str | None = None) -> list[Row]:
    """What waits for an approval: of one unit, with what belongs to the whole return, or of all of them."""
    return [
        {
            "effect_key": sent.effect_key, "approval_sha256": None, "amount": sent.amount, "currency": sent.currency,
            "what": f"{effect_text(sent.effect_kind)} of {sent.return_item_id or 'the return'}: {sent.reason}",
        }
        for sent in story.sent
        if sent.state == "planned" and needs_approval(sent.reason_code) and unit in (None, sent.return_item_id)
    ]  # fmt: skip


def _is_before_cutover(story: Story) -> bool:
    return any(wait.reason_code == "before_cutover" for wait in story.waits) or any(
        sent.reason_code == "before_cutover" and sent.state == "planned" for sent in story.sent
    )


def _flat(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """JSON as names and texts, one level deep: what is deeper is written as JSON."""
    if not isinstance(value, dict):
        yield name or "evidence", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return
    for key, inner in value.items():
        if inner is None or inner == "":
            continue
        if isinstance(inner, bool):
            yield key, "yes" if inner else "no"
        elif isinstance(inner, list) and all(isinstance(part, str | int) for part in inner):
            yield key, ", ".join(map(str, inner))
        else:
            yield key, inner if isinstance(inner, str) else json.dumps(inner, ensure_ascii=False)


def warehouse(connection: sqlite3.Connection, query: Query) -> View:
    """What is on its way, where each unit goes, and what is held."""
    known = warehouse_lists.warehouses(connection)
    where, box = _known(query.get("warehouse", ""), known), query.get("box", "").strip()[:200]
    boxes = None if box else warehouse_lists.boxes(connection, where, after=query.get("boxes", ""))
    for parcel in boxes.rows if boxes else []:
        named = parcel["shipment_id"] or parcel["parcel"] or parcel["loose_bag"] or warehouse_lists.NO_BOX
        parcel["title"], parcel["address"] = _box_title(parcel), page_addresses.of_warehouse(warehouse=where, box=named)
        _link_returns(parcel["arrivals"])
    under_way = warehouse_lists.arrivals(connection, where, box, after=query.get("units", "")) if box else None
    put_aways = warehouse_lists.put_aways(connection, where, after=query.get("graded", ""))
    held = warehouse_lists.holds(connection, after=query.get("held", ""))
    for part in (under_way, put_aways, held):
        _link_returns(part.rows if part else [])

    def further(part: warehouse_lists.Part | None, name: str, place: str) -> str | None:
        if part is None or part.after is None:
            return None
        return page_addresses.of_warehouse(warehouse=where, box=box, **{name: part.after}) + f"#{place}"

    return View(
        "warehouse.html",
        {
            "publication": publication(connection), "warehouse": where, "warehouses": known, "box": box,
            "totals": warehouse_lists.totals(connection, where), "boxes": boxes, "arrivals": under_way,
            "put_aways": put_aways, "put_away_counts": warehouse_lists.put_away_counts(connection, where), "holds": held,
            "next_boxes": further(boxes, "boxes", "arrivals"), "next_arrivals": further(under_way, "units", "arrivals"),
            "next_put_aways": further(put_aways, "graded", "put-away"), "next_holds": further(held, "held", "holds"),
            "print_arrivals": page_addresses.of_warehouse_print(list="arrivals", warehouse=where, box=box),
            "print_put_away": page_addresses.of_warehouse_print(list="put-away", warehouse=where),
        },
    )  # fmt: skip


def warehouse_print(connection: sqlite3.Connection, query: Query) -> View:
    """A list to print: what is on its way (in one box, if the query names one), or what is to be put away."""
    where = _known(query.get("warehouse", ""), warehouse_lists.warehouses(connection))
    most, box = warehouse_lists.MOST_PRINTED, query.get("box", "").strip()[:200]
    if query.get("list") == "arrivals":
        name, title = "arrivals", f"On their way{f', in {box}' if box else ''}"
        part = warehouse_lists.arrivals(connection, where, box, most=most)
    else:
        name, title = "put-away", "Put-away"
        part = warehouse_lists.put_aways(connection, where, most=most)
    return View(
        "warehouse_print.html",
        {
            "publication": publication(connection), "title": title, "list_name": name, "warehouse": where, "units": part.rows,
            "is_cut": part.after is not None,
        },
    )  # fmt: skip


def _known(given: str, known: Sequence[str]) -> str:
    return given if given in known else ""


def _box_title(parcel: Row) -> str:
    if parcel["shipment_id"]:
        return f"Box {parcel['shipment_id']}"
    if parcel["parcel"]:
        return f"Parcel {parcel['parcel']}"
    return f"Bag {parcel['loose_bag']}" if parcel["loose_bag"] else "Not in a box, bag or parcel yet"


def _link_returns(found: Sequence[Row]) -> None:
    for row in found:
        row["address"] = page_addresses.of_return(row["return_id"])


_AREAS = {
    "sync": ("Syncs", "operations"), "sources": ("Sources", "operations"), "gaps": ("What is not covered", "exceptions"),
    "quota": ("Centra’s quota", "operations"), "in_doubt": ("In doubt", "exceptions"),
    "contract": ("Centra’s schema", "operations"), "quarantine": ("Rows set aside", "exceptions"),
    "drift": ("Words that are not known", "operations"),
    "inbox": ("Webhooks", "events"),
}  # fmt: skip
_SECTIONS = {"gaps": "source_not_covered", "in_doubt": "write_in_doubt", "quarantine": "quarantined_row"}


def health(connection: sqlite3.Connection, now: datetime, waiting: int) -> View:
    """Whether everything holds that should, and what to do where it does not. ``now``: the real clock."""
    found = rows(connection, "select * from health order by place")
    published = publication(connection)
    written = at(published["written_at"])
    areas = [
        (
            {
                "title": _AREAS.get(area, (area.replace("_", " ").capitalize(), ""))[0],
                "manual": page_addresses.of_manual(_AREAS.get(area, ("", "operations"))[1], _SECTIONS.get(area, "")),
            },
            list(of_area),
        )
        for area, of_area in groupby(found, lambda row: str(row["area"]))
    ]
    return View(
        "health.html",
        {
            "publication": published, "now": now, "areas": areas, "waiting": waiting,
            "errors": sum(row["level"] == "error" for row in found),
            "warnings": sum(row["level"] == "warning" for row in found),
            "is_old": written is None or now - written > _OLD_AFTER,
        },
    )  # fmt: skip


def missing(connection: sqlite3.Connection, text: str) -> View:
    """Nothing is at an address: the page helps to find what was meant."""
    return View("missing.html", {"text": text, "publication": publication(connection)}, 404)
