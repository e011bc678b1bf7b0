"""Asks the partner API what no feed has reported: silent returns, returns that only Centra knows, outbound shipments.

The oldest need first, within a budget of requests; what was not asked stays in line, and is counted.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal, cast

from hr_centra_pipeline.core.errors import RunFailed, Unreachable
from hr_centra_pipeline.core.policy import PartnerApi as Limits
from hr_centra_pipeline.sources.happy_returns.event_landing import Asked, Body, BodyReport, land_bodies
from hr_centra_pipeline.sources.happy_returns.event_reading import EventProfile, Message
from hr_centra_pipeline.sources.happy_returns.partner_client import (
    VENDOR,
    Answer,
    Criterion,
    ListedShipment,
    PartnerApi,
    PartnerRefused,
)
from hr_centra_pipeline.sources.happy_returns.row_landing import expect_retailer
from hr_centra_pipeline.sources.intake import rejected
from hr_centra_pipeline.sources.intake.halves import by_halves
from hr_centra_pipeline.warehouse import models, watermarks
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.made import makes

_MOST_PAGES = 20  # of one look-up
_MOST_ODD = 3  # answers in a row that cannot be used: something is wrong with all of them
_LANDED_TOGETHER = 20  # answers
_BYTES_TOGETHER = 8 * 2**20
_SHORTEST_WINDOW = timedelta(minutes=30)

Window = tuple[datetime, datetime]
Land = Callable[[Connection, Sequence[Body], EventProfile, datetime], list[BodyReport]]
Outcome = Literal["found", "nothing", "odd", "cut_short"]


@dataclass(frozen=True)
class LookUp:
    """One look-up that is due since ``since``. ``criterion``: what is asked by, or ``shipment``; ``reason``: a code."""

    criterion: str
    value: str
    reason: str
    since: datetime


@dataclass(frozen=True)
class PartnerReport:
    """What a run asked. ``waiting``: look-ups that are due and were not asked; ``problem``: why it stopped early."""

    requests: int = 0
    look_ups: int = 0
    nothing_found: int = 0
    odd_answers: int = 0
    shipments: int = 0
    rows_read: int = 0
    rows_landed: int = 0
    rows_rejected: int = 0
    waiting: int = 0
    waits_since: datetime | None = None
    problem: RunFailed | None = None


@dataclass(frozen=True)
class _Asked:
    """One call and its answer, until both are stored."""

    answer_id: str
    criterion: str
    value: str
    reason: str
    page: int
    answer: Answer
    is_last: bool
    has_next: bool
    problem: str | None
    body: Body | None = None
    listed: tuple[ListedShipment, ...] = ()
    written: tuple[str, ...] = ()  # ways in which the order number may be written


def due(connection: Connection, limits: Limits, now: datetime, window: Window | None = None) -> list[LookUp]:
    """The look-ups that are due, the oldest need first; ``window``: the days that a backfill is about."""
    oldest = now - timedelta(
        days=2 * limits.look_back_days
    )  # what was reported, listed or asked before decides nothing
    models.run_file(
        connection, "sources/happy_returns/partner_lookups.sql",
        {
            "now": now, "started_hours": limits.started_hours, "again_hours": limits.again_hours,
            "most_look_ups": limits.most_look_ups, "look_back_days": limits.look_back_days,
            "oldest": min(oldest, window[0]) if window else oldest,
            "window_from": window[0] if window else None, "window_to": window[1] if window else None,
        },
    )  # fmt: skip
    return [LookUp(*row) for row in connection.fetchall()]


def ask(
    warehouse: Warehouse,
    api: PartnerApi,
    profile: EventProfile,
    limits: Limits,
    now: datetime,
    *,
    window: Window | None = None,
    land: Land = land_bodies,
) -> PartnerReport:
    """List outbound shipments, look up what is due, land what comes back. The database is not held while a call waits.

    ``window``: the days that a backfill is about; it has a budget of its own.
    What cannot be asked now (no connection, a full bucket, a refused key) ends the run's questions, not the run: see ``problem``.
    """
    budget = limits.requests_per_backfill if window else limits.requests_per_run
    if not budget:
        return PartnerReport()
    expect_retailer(warehouse, api.retailer_id, now)
    api.wait_left = limits.wait_seconds_per_backfill if window else limits.wait_seconds_per_run
    run = _Run(warehouse, api, profile, limits, now, budget, window, land)
    can_ask = run.goes_on(run.list_shipments)
    run.store()
    with warehouse.transaction() as connection:  # whatever became of the list: what waits is counted
        waiting = due(connection, limits, now, window)
    if can_ask:
        run.goes_on(lambda: run.look_up_all(waiting))
    run.store()
    return run.noted(waiting)


@dataclass
class _Run:
    """The questions of one run, and its answers that are not stored yet."""

    warehouse: Warehouse
    api: PartnerApi
    profile: EventProfile
    limits: Limits
    now: datetime
    budget: int
    window: Window | None
    land: Land
    report: PartnerReport = PartnerReport()
    pending: list[_Asked] = field(default_factory=list)
    shipments_until: datetime | None = None
    odd_in_a_row: int = 0

    def __post_init__(self) -> None:
        self._before = self.api.requests

    def goes_on(self, step: Callable[[], None]) -> bool:
        """Whether more can be asked after a step; what stopped it is the run's problem."""
        try:
            step()
        except (Unreachable, PartnerRefused) as error:
            self.report = replace(self.report, problem=error)
            return False
        return True

    @property
    def left(self) -> int:
        """Requests that this run may still send."""
        return self.budget - (self.api.requests - self._before)

    # ---------------------------------------------------------------- outbound shipments

    def list_shipments(self) -> None:
        """List outbound shipments since the last look, or of a backfill's days, window by window; at most half of the budget."""
        with self.warehouse.transaction() as connection:
            start, end = self.window or (_listed_until(connection, self.limits, self.now), self.now)
        end = min(end, self.now)
        least_left = self.budget - max(1, self.budget // 2)
        length = longest = timedelta(hours=self.api.facts.window_hours)
        while start < end and self.left > least_left:
            until = min(start + length, end)
            answer = self.api.outbound_shipments(start, until)
            # Nobody knows how its next page is asked for: shorter windows fit on one, and longer ones again after a busy hour.
            has_next = answer.cursor is not None
            is_cut = has_next and until - start > _SHORTEST_WINDOW
            is_too_long = has_next and not is_cut
            length = (until - start) / 2 if is_cut else min(2 * length, longest)
            found, nameless = self.api.listed(answer) if answer.body is not None else ([], 0)
            problem = answer.problem
            if not problem and nameless:
                problem = (
                    f"{nameless} of its {answer.rows} shipments have no id that the profile knows ([api] shipment_ids)"
                )
            if is_too_long:
                minutes = f"{(until - start) / timedelta(minutes=1):.3g}"
                problem = f"more shipments than one page holds left within {minutes} minutes: the others are not known"
            self._keep(
                _Asked(
                    _new_id(), "window", f"{start:%Y-%m-%dT%H:%M:%SZ}/{until:%Y-%m-%dT%H:%M:%SZ}", "shipments_listed", 1,
                    answer, not has_next and not answer.problem, has_next, problem, listed=tuple(found),
                )
            )  # fmt: skip
            if is_too_long:
                told = f"{VENDOR} (outbound_shipments), from {start:%Y-%m-%d %H:%M} UTC: {problem}"
                self.report = replace(self.report, problem=Unreachable(told))
            if is_too_long or answer.problem or (nameless and not found):
                return  # the next run lists it again
            if not is_cut:
                start = until
                self.shipments_until = None if self.window else until

    # ---------------------------------------------------------------- look-ups

    def look_up_all(self, waiting: list[LookUp]) -> None:
        """Ask one after the other while the budget lasts, and take what was asked out of the line."""
        while waiting and self.left > 0 and self.look_up(waiting[0]):
            waiting.pop(0)

    def look_up(self, one: LookUp) -> bool:
        """Ask one look-up to its last page; false: the budget ended before."""
        if one.criterion == "shipment":
            outcome = self._pages(one, lambda cursor: self.api.shipment_contents(one.value, cursor), "outbound")
        else:
            outcome = self._of_return(one, cast(Criterion, one.criterion))
        if outcome == "cut_short":
            return False
        self.report = replace(
            self.report,
            look_ups=self.report.look_ups + 1,
            nothing_found=self.report.nothing_found + (outcome == "nothing"),
        )
        return True

    def _of_return(self, one: LookUp, criterion: Criterion) -> Outcome:
        """An order number is written in each of the ways of the profile, until one finds something."""
        outcome: Outcome = "nothing"
        for form in self.api.facts.order_numbers if criterion == "orderNumber" else ("{}",):
            if self.left <= 0:
                return "cut_short"
            text = form.replace("{}", one.value)

            def page_of(cursor: str | None, text: str = text) -> Answer:
                return self.api.returns(criterion, text, cursor)

            outcome = self._pages(one, page_of, "return")
            if outcome != "nothing":
                break
        return outcome

    def _pages(self, one: LookUp, page_of: Callable[[str | None], Answer], message: Message) -> Outcome:
        cursor: str | None = None
        seen: set[str] = set()
        page = found = 0
        while True:
            answer = page_of(cursor)
            page, found = page + 1, found + answer.rows
            has_next = answer.cursor is not None and answer.cursor not in seen
            problem = answer.problem
            if has_next and page >= _MOST_PAGES:
                has_next, problem = False, f"it has more than {_MOST_PAGES} pages: the others were not read"
            answer_id = _new_id()
            given = {"shipment_id": one.value} if message == "outbound" else {}
            body = Body(f"api {answer_id}", "api", self.now, answer.data, message, given=given) if answer.rows else None
            self._keep(
                _Asked(
                    answer_id, one.criterion, one.value, one.reason, page, answer,
                    not has_next and not answer.problem, has_next, problem, body,
                    written=tuple(form.replace("{}", one.value) for form in self.api.facts.order_numbers),
                )
            )  # fmt: skip
            if answer.problem:
                return "odd"
            if not has_next:
                return "found" if found else "nothing"
            if self.left <= 0:
                return "cut_short"
            seen.add(answer.cursor or "")
            cursor = answer.cursor

    def _keep(self, asked: _Asked) -> None:
        """Keep an answer for the next transaction.

        Raises:
            Unreachable: none of the last answers could be used.
        """
        self.pending.append(asked)
        if asked.answer.was_asked:  # else it says nothing about the vendor
            self.odd_in_a_row = self.odd_in_a_row + 1 if asked.answer.problem else 0
            self.report = replace(self.report, odd_answers=self.report.odd_answers + bool(asked.answer.problem))
        if self.odd_in_a_row >= _MOST_ODD:
            raise Unreachable(
                f"{VENDOR}: {_MOST_ODD} answers in a row cannot be used, the last one because {asked.answer.problem}"
            )
        size = sum(len(one.answer.data) for one in self.pending)
        if len(self.pending) >= _LANDED_TOGETHER or size >= _BYTES_TOGETHER:
            self.store()

    # ---------------------------------------------------------------- into the database

    @makes(
        "landing.partner_shipments", "One row per outbound shipment as it was listed, when that differs.", kind="source"
    )
    def store(self) -> None:
        """Land what was answered, and note each call."""
        pending, self.pending = self.pending, []
        if not pending:
            return
        for some, stored, why in by_halves(self.warehouse, pending, self._store):
            if stored is None:
                self._refuse(some[0], why)
                continue
            shipments, landed = stored
            self.report = replace(
                self.report,
                shipments=self.report.shipments + shipments,
                rows_read=self.report.rows_read + sum(one.rows_read for one in landed),
                rows_landed=self.report.rows_landed + sum(one.rows_landed for one in landed),
                rows_rejected=self.report.rows_rejected + sum(one.rows_rejected for one in landed),
            )

    def _store(self, connection: Connection, pending: Sequence[_Asked]) -> tuple[int, list[BodyReport]]:
        """How many shipments are new, and what became of the bodies."""
        bodies = _about_what_was_asked(connection, self.api.retailer_id, pending)
        landed = self.land(connection, bodies, self.profile, self.now) if bodies else []
        self._note_answers(connection, pending, {report.name: report for report in landed})
        listed = {one.shipment_id: one for asked in pending for one in asked.listed}
        new = _new_shipments(connection, list(listed.values()))
        if new:
            batch = watermarks.next_batch(connection)
            connection.executemany(
                "insert into landing.partner_shipments (shipment_id, content_sha256, listed_at, batch) values (?, ?, ?, ?)",
                [[one.shipment_id, one.content_sha256, self.now, batch] for one in new],
            )
        return len(new), landed

    def _refuse(self, asked: _Asked, why: str) -> None:
        """An answer that spoils a transaction is set aside as a whole, and noted."""
        with self.warehouse.transaction() as connection:
            if asked.body is not None:
                sha256 = asked.answer.sha256 or ""
                batch = watermarks.next_batch(connection)
                rejected.set_aside(
                    connection, asked.body.name, None, sha256, [(None, None, why, None, None)], batch, self.now
                )
            noted = replace(asked, body=None, is_last=False, problem=rejected.kept_text(why), listed=())
            self._note_answers(connection, [noted], {})
        self.report = replace(self.report, odd_answers=self.report.odd_answers + 1)

    @makes(
        "landing.partner_answers",
        "One row per call of Happy Returns' partner API: what was asked, why, and what came of it.",
        reads=("sources/happy_returns/partner_lookups.sql",),
        loops={
            "staging.returns": "an answer is about a return that the last staging knows by that code",
            "staging.return_items": "an answer is about an order that the last staging knows by that code",
        },
        kind="source",
    )
    def _note_answers(self, connection: Connection, asked: Sequence[_Asked], landed: dict[str, BodyReport]) -> None:
        batch = watermarks.next_batch(connection)
        rows = []
        for one in asked:
            report = landed.get(one.body.name if one.body else "", BodyReport(""))
            rows.append(
                [
                    one.answer_id, one.criterion, one.value, one.reason, one.page, one.answer.http_status,
                    len(one.answer.data), one.answer.sha256, report.rows_read, report.rows_landed, report.rows_rejected,
                    report.rows_repeated, one.is_last, one.has_next, one.problem or report.problem, self.now,
                    report.batch or batch,
                ]
            )  # fmt: skip
        connection.executemany(
            "insert into landing.partner_answers (answer_id, criterion, value, reason, page, http_status, bytes, sha256,"
            " rows_read, rows_landed, rows_rejected, rows_repeated, is_last, has_next, problem, asked_at, batch)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )

    @makes(
        "landing.partner_looks",
        "One row per run that asked the partner API: how much it asked, what stays in line, and why it stopped early.",
        kind="source",
    )
    def noted(self, waiting: Sequence[LookUp]) -> PartnerReport:
        """Note the run, and answer its report."""
        since = min((one.since for one in waiting), default=None)
        report = replace(
            self.report, requests=self.api.requests - self._before, waiting=len(waiting), waits_since=since
        )
        problem = str(report.problem) if report.problem else None
        with self.warehouse.transaction() as connection:
            connection.execute(
                "insert into landing.partner_looks (looked_at, requests, look_ups, nothing_found, rows_landed, waiting,"
                " waits_since, shipments_until, is_complete, problem, batch) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    self.now, report.requests, report.look_ups, report.nothing_found, report.rows_landed, report.waiting,
                    since, self.shipments_until, problem is None, problem, watermarks.next_batch(connection),
                ],
            )  # fmt: skip
        return report


def _listed_until(connection: Connection, limits: Limits, now: datetime) -> datetime:
    """From when on outbound shipments are listed: a little before the end of the last list."""
    row = connection.execute("select max(shipments_until) from landing.partner_looks").fetchone()
    earliest = now - timedelta(days=limits.look_back_days)
    if row is None or row[0] is None:
        return earliest
    until: datetime = row[0]
    return max(earliest, until - timedelta(hours=limits.shipments_overlap_hours))


def _new_shipments(connection: Connection, listed: Sequence[ListedShipment]) -> list[ListedShipment]:
    """Those that are listed for the first time, or in another state than the last time."""
    if not listed:
        return []
    known = dict(
        connection.execute(
            "select shipment_id, arg_max(content_sha256, batch) from landing.partner_shipments"
            " semi join (select unnest(?::varchar[]) as shipment_id) as listed using (shipment_id) group by shipment_id",
            [[one.shipment_id for one in listed]],
        ).fetchall()
    )
    return [one for one in listed if known.get(one.shipment_id) != one.content_sha256]


def _about_what_was_asked(connection: Connection, retailer: str, pending: Sequence[_Asked]) -> list[Body]:
    """The bodies of answers, each with what it has to be about."""
    codes = [one.value for one in pending if one.criterion == "happyReturnsExpressCode"]
    known = {
        code: (frozenset(returns), frozenset(orders))
        for code, returns, orders in connection.execute(
            """
            select express_code, list(distinct return_id), list(distinct order_number)
            from (
                select express_code, return_id, order_number from staging.returns
                union
                select express_code, return_id, order_number from staging.return_items
            )
            where express_code in (select unnest(?::varchar[])) and return_id is not null and order_number is not null
            group by express_code
            """,
            [codes],
        ).fetchall()
    } if codes else {}  # fmt: skip
    bodies = []
    for one in pending:
        if one.body is None:
            continue
        about = Asked(retailer)
        if one.criterion == "happyReturnsExpressCode":
            returns, orders = known.get(one.value, (frozenset(), frozenset()))
            about = Asked(retailer, express_code=one.value, returns=returns, orders=orders)
        elif one.criterion == "orderNumber":
            about = Asked(retailer, order_numbers=(one.value, *one.written))
        bodies.append(replace(one.body, asked=about))
    return bodies


def _new_id() -> str:
    """32 hexadecimal characters that sort by time."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"
