"""Centra's event queue: events are landed as hints, then confirmed, so that a crash in between brings them again.

The queue belongs to an integration name, not to a token: another consumer that confirms its events takes them from us, and
we from it. Only events of the types that we listen to are read, so that those of others stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.sources.centra import hints
from hr_centra_pipeline.sources.centra.centra_calls import EVENT_CHANGES, EVENT_TYPES, PAYMENT
from hr_centra_pipeline.sources.centra.centra_errors import CentraError, Permanent
from hr_centra_pipeline.sources.centra.client import CentraClient
from hr_centra_pipeline.sources.centra.hints import Hint, HintReport
from hr_centra_pipeline.sources.centra.judged import identity, shown
from hr_centra_pipeline.sources.intake.rejected import Rejected
from hr_centra_pipeline.warehouse import watermarks
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.made import makes

_PAGE = 200  # the most that Centra's lists give at once
_MOST_PAGES = 50  # of one run; the others are read by the next
_OURS = {
    "Order": hints.ORDER, "Shipment": hints.SHIPMENT, "Return": hints.RETURN, "StockChange": hints.STOCK_CHANGE,
    PAYMENT: hints.PAYMENT,
}  # fmt: skip


@dataclass(frozen=True)
class Listener:
    """One type of object whose changes Centra keeps, for an integration name."""

    integration_name: str
    object_type: str
    changes: tuple[str, ...]
    created_at: str
    updated_at: str


def take(client: CentraClient, warehouse: Warehouse, policy: Policy, now: datetime) -> HintReport:
    """Read, land and confirm what waits. Whatever Centra refuses is a problem of the report; the polls do without."""
    report = HintReport()
    if not policy.events.centra_queue:
        return report
    try:
        set_listeners(client, warehouse, now)
    except CentraError as error:
        report.problems.append(f"the listeners of the event queue could not be set: {error}")
    types = [one for one in EVENT_TYPES if one != PAYMENT]
    for operation, variables in (("ReadEvents", {"objectType": types}), ("ReadPaymentEvents", {})):
        try:
            _drain(client, warehouse, operation, variables, report, now)
        except CentraError as error:
            report.problems.append(str(error))
    return report


def _drain(
    client: CentraClient,
    warehouse: Warehouse,
    operation: str,
    variables: Mapping[str, Any],
    report: HintReport,
    now: datetime,
) -> None:
    confirmed: set[int] = set()
    for _ in range(_MOST_PAGES):
        raws = client.objects(operation, {**variables, "limit": _PAGE}, "events")
        ids = [event_id for raw in raws if (event_id := identity(raw)) is not None]
        fresh = [event_id for event_id in ids if event_id not in confirmed]
        if not fresh:
            if ids:
                raise Permanent("events that were confirmed come back: no end", operation=operation)
            return
        with warehouse.transaction() as connection:
            _land(connection, raws, report, now)
        answer = client.execute("ConfirmEvents", {"input": {"eventsIds": fresh}})
        if answer.errors:
            raise Permanent(
                f"Centra did not confirm events: {shown(answer.errors[0].get('message'))}", operation="ConfirmEvents"
            )
        confirmed.update(fresh)
        if len(raws) < _PAGE:
            return


def _land(connection: Connection, raws: Sequence[Mapping[str, Any]], report: HintReport, now: datetime) -> None:
    batch = watermarks.next_batch(connection)
    known = hints.known(connection, hints.QUEUE, [str(identity(raw)) for raw in raws])
    rows: list[tuple[str, datetime, Hint]] = []
    report.events += len(raws)
    for raw in raws:
        event_id = identity(raw)
        found = _hint(raw)
        if isinstance(found, str):
            report.rejected += 1
            refused: list[Rejected] = [(1, None, found, shown(dict(raw))[:500], None)]
            hints.set_aside(connection, f"{event_id or 'without an id'}", "", refused, batch, now)
        elif str(event_id) in known:
            report.repeated += 1
        else:
            rows.append((str(event_id), now, found))
    hints.insert(connection, hints.QUEUE, rows, batch, report, now)


def _hint(raw: Mapping[str, Any]) -> Hint | str:
    """The hint of an event, or what is wrong with it."""
    of, change = raw.get("objectType"), raw.get("changeType")
    object_id = hints.id_of(raw.get("objectReference"))
    if identity(raw) is None:
        return "id is not a number"
    if object_id is None:
        return "objectReference is not the number of an object"
    if not isinstance(of, str) or not isinstance(change, str):
        return "objectType or changeType is not a word"
    return Hint(
        1, _OURS.get(of, shown(of)), object_id, shown(change), hints.instant_of(raw.get("createdAt"), ZoneInfo("UTC")),
        _order_of(raw.get("object")),
    )  # fmt: skip


def _order_of(payment: Any) -> str | None:
    order = payment.get("order") if isinstance(payment, Mapping) else None
    number = order.get("number") if isinstance(order, Mapping) else None
    return str(number) if hints.id_of(number) is not None else None


# ---------------------------------------------------------------- listeners


def listeners(client: CentraClient) -> list[Listener]:
    """Which changes Centra keeps, and for whom.

    Raises:
        Transient, Permanent: Centra does not say.
    """
    return [
        Listener(
            shown(raw.get("integrationName")), shown(raw.get("objectType")),
            tuple(shown(one) for one in given) if isinstance(given := raw.get("changeTypes"), list) else (),
            shown(raw.get("createdAt")), shown(raw.get("updatedAt")),
        )
        for raw in client.objects("ReadEventListeners", {}, "eventListeners")
    ]  # fmt: skip


@makes(
    "landing.centra_listeners",
    "One row per type of object whose events hr-centra has asked Centra's queue to keep, and when it did.",
    reads=("meta.turns",),
    kind="source",
)
def set_listeners(client: CentraClient, warehouse: Warehouse, now: datetime) -> None:
    """Have Centra keep the events that we need: once, when the policy has switched the queue on for this Centra.

    Every kind of change is asked for, and whatever else is listened to, so that another consumer loses nothing. Whose the
    listeners are that Centra lists is not known, so that they are set even where some are there. A listener that another user
    removes later is not set again: ``doctor`` reports it.
    """
    with warehouse.transaction() as connection:
        known = set_types(connection)
    missing = [one for one in EVENT_TYPES if one not in known]
    if not missing:
        return
    wanted = {one: dict.fromkeys(EVENT_CHANGES) for one in missing}
    for one in listeners(client):
        if one.object_type in wanted:
            wanted[one.object_type].update(dict.fromkeys(one.changes))
    given = [{"objectType": one, "changeTypes": list(changes)} for one, changes in wanted.items()]
    answer = client.execute("SetEventListeners", {"input": given})
    if answer.errors:
        raise Permanent(f"Centra refused: {shown(answer.errors[0].get('message'))}", operation="SetEventListeners")
    with warehouse.transaction() as connection:
        batch = watermarks.next_batch(connection)
        connection.executemany(
            "insert into landing.centra_listeners (object_type, change_types, set_at, batch) values (?, ?, ?, ?)",
            [(one, list(changes), now, batch) for one, changes in wanted.items()],
        )


def set_types(connection: Connection) -> dict[str, datetime]:
    """Types of objects that we have had Centra keep events of, since this database belongs to it; and since when."""
    rows = connection.execute(
        """
        select object_type, max(set_at) from landing.centra_listeners
        where batch > (select coalesce(max(batch), -1) from meta.turns where reason = 'rebound')
        group by object_type
        """
    ).fetchall()
    return dict(rows)
