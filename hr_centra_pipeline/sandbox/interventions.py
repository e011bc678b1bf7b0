"""What people do in Centra's admin, at the worst moment: asked for by the control API, or armed to happen around a request."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from hr_centra_pipeline.sandbox.centra import postal_addresses
from hr_centra_pipeline.sandbox.centra.centra_database import CentraRefusal
from hr_centra_pipeline.sandbox.centra.store import CentraStore

Given = Mapping[str, Any]


@dataclass(frozen=True)
class Act:
    """What somebody did: the object's id as Centra has it, or why Centra refused."""

    name: str
    given: Given
    made: int | None = None
    refused: str | None = None


def act(store: CentraStore, name: str, given: Given, at: datetime) -> Act:
    """Let somebody act, now.

    Raises:
        ValueError: nobody knows such an act, or an argument is missing.
    """
    if name not in ACTS:
        raise ValueError(f"act must be one of {', '.join(sorted(ACTS))}")
    try:
        return Act(name, given, made=ACTS[name](store, given, at))
    except CentraRefusal as refusal:
        return Act(name, given, refused=refusal.message)
    except KeyError as error:
        raise ValueError(f"{name} needs {error.args[0]}") from None


def _return(store: CentraStore, given: Given, at: datetime) -> int:
    return store.person_create_return(
        int(given["shipment_id"]),
        {int(line): int(quantity) for line, quantity in given["lines"].items()},
        at=at,
        comment=str(given.get("comment") or ""),
        stock=given.get("stock", "none"),
    )


def _return_and_refund(store: CentraStore, given: Given, at: datetime) -> int:
    made = _return(store, given, at)
    store.person_refund_return(made, at=at)
    return made


def _on_return(change: Callable[[CentraStore, int, Given, datetime], Any]) -> Callable[..., int]:
    def on(store: CentraStore, given: Given, at: datetime) -> int:
        return_id = int(given["return_id"])
        change(store, return_id, given, at)
        return return_id

    return on


def _edit_comment(store: CentraStore, return_id: int, given: Given, _: datetime) -> None:
    with store.write():
        store.a_return(return_id)
        store.update("returns", "id", return_id, {"comment": str(given.get("comment") or "")})
        store.happened("Return", "UPDATED", return_id)


_REQUESTS = {"refund": "REFUND_REQUEST", "capture": "CAPTURE_REQUEST", "cancel": "CANCEL_REQUEST"}


def _answer_requests(*kinds: str) -> Callable[[CentraStore, Given, datetime], int]:
    """The payment provider answers open requests of an order (of all orders, when none is named); answers how many."""

    def answer(store: CentraStore, given: Given, at: datetime) -> int:
        number = given.get("order_number")
        words = [_REQUESTS[kind] for kind in ([given["kind"]] if given.get("kind") else kinds)]
        entries = store.rows(
            f"select id from payments where is_open and entry_type in ({', '.join('?' * len(words))})"  # noqa: S608 - marks only
            " and (? is null or order_number = ?) order by id",
            [*words, number, number],
        )
        for entry in entries:
            store.answer_request(entry["id"], succeeded=bool(given.get("succeeded", True)), at=at)
        return len(entries)

    return answer


def _order_number(store: CentraStore, given: Given) -> int:
    """The order that is named by number or id; else the replacement that was made for a Return, or for one of a shipment."""
    if given.get("order_number") is not None:
        return int(given["order_number"])
    if given.get("order_id") is not None:
        condition, value = "id = ?", given["order_id"]
    elif given.get("return_id") is not None:
        condition, value = "origin_type = 'return' and origin_id = ?", given["return_id"]
    elif given.get("shipment_id") is not None:
        condition = "origin_type = 'return' and origin_id in (select id from returns where shipment_id = ?)"
        value = given["shipment_id"]
    else:
        raise KeyError("order_number")
    found = store.row(f"select max(number) as number from orders where {condition}", [value])  # noqa: S608 - our own names
    if found is None or found["number"] is None:
        raise CentraRefusal("Order not found", ["order"])
    return int(found["number"])


def _return_by_integration(store: CentraStore, given: Given, at: datetime) -> int:
    made = store.integration_return(
        int(given["shipment_id"]),
        {int(line): int(quantity) for line, quantity in given["lines"].items()},
        created_from=str(given.get("created_from") or "Returns agent"),
        at=at,
        comment=str(given.get("comment") or ""),
    )
    if given.get("refunds"):
        store.refund_return(made, at)
    return made


def _create_shipment(store: CentraStore, given: Given, at: datetime) -> int:
    return store.create_shipment(_order_number(store, given), at=at, good_to_go=given.get("good_to_go"))


def _ship(store: CentraStore, given: Given, at: datetime) -> int:
    """The warehouse ships all of an order that is left."""
    return store.ship(_order_number(store, given), at=at, captured=bool(given.get("captured", True)))


def _change_order(store: CentraStore, given: Given, at: datetime) -> int:
    """Somebody changes an order: its address, market, pricelist, shipping cost, or what each unit costs."""
    number = _order_number(store, given)
    changes: dict[str, Any] = {
        name: int(given[name]) for name in ("market_id", "pricelist_id") if given.get(name) is not None
    }
    if given.get("shipping") is not None:
        changes["shipping"] = Decimal(str(given["shipping"]))
    with store.write():
        order = store.order(number)
        if given.get("address"):
            if unknown := sorted(set(given["address"]) - set(postal_addresses.FIELDS)):
                raise ValueError(f"address has no {', '.join(unknown)}: {', '.join(postal_addresses.FIELDS)}")
            changes["address"] = postal_addresses.kept({**postal_addresses.read(order["address"]), **given["address"]})
        if given.get("unit_price") is not None:
            store.update("order_lines", "order_number", number, {"unit_price": Decimal(str(given["unit_price"]))})
        store.set_order(number, changes, at)
    return number


def _cancel_line(store: CentraStore, given: Given, at: datetime) -> int:
    line_id = int(given["order_line_id"])
    store.cancel_line(line_id, int(given.get("quantity", 1)), at=at)
    return line_id


def _note(store: CentraStore, given: Given, at: datetime) -> int:
    number = _order_number(store, given)
    text = str(store.order(number)["internal_comment"] or "")
    store.person_set_internal_comment(number, f"{text}\n{given['text']}".strip(), at=at)
    return number


def _cancel_order(store: CentraStore, given: Given, at: datetime) -> int:
    number = _order_number(store, given)
    store.person_cancel_order(number, at=at)
    return number


def _refund_order(store: CentraStore, given: Given, at: datetime) -> int:
    return store.person_refund_order(int(given["order_number"]), Decimal(str(given["amount"])), at=at)


def _move_stock(store: CentraStore, given: Given, at: datetime) -> int:
    return store.person_change_stock(
        sku=str(given["sku"]), quantity=int(given.get("quantity", 1)), into=given.get("into"),
        out_of=given.get("out_of"), comment=str(given.get("comment") or "Moved by hand"), at=at,
    )  # fmt: skip


def _capture(store: CentraStore, given: Given, at: datetime) -> int:
    """The money of a shipment that left without it is captured."""
    shipment = store.row(
        "select * from shipments where order_number = ? and shipped_at is not null and not is_captured order by id",
        [_order_number(store, given)],
    )
    if shipment is None:
        raise CentraRefusal("No shipment of this order is left to capture", ["order"])
    with store.write():
        store.pay(
            shipment["order_number"], "CAPTURE", store.shipment_total(shipment), at,
            shipment_id=shipment["id"], status="SUCCESS",
        )  # fmt: skip
        store.captured(shipment["id"], at)
    return int(shipment["id"])


def _allow(store: CentraStore, given: Given, _: datetime) -> int:
    """Somebody corrects what Centra refused: an article that it does not sell, a shipment or a stock that is locked."""
    store.allow(str(given["subject"]), given["target"])
    return 1


ACTS: Mapping[str, Callable[[CentraStore, Given, datetime], int]] = {
    "return": _return,
    "return_and_refund": _return_and_refund,
    "refund_return": _on_return(lambda store, return_id, _, at: store.person_refund_return(return_id, at=at)),
    "complete_return": _on_return(lambda store, return_id, _, at: store.person_complete_return(return_id, at=at)),
    "uncomplete_return": _on_return(lambda store, return_id, _, __: store.uncomplete_return(return_id)),
    "delete_return": _on_return(lambda store, return_id, _, at: store.person_delete_return(return_id, at=at)),
    "edit_return_comment": _on_return(_edit_comment),
    "refund_order": _refund_order,
    "cancel_order": _cancel_order,
    "note": _note,
    "move_stock": _move_stock,
    "return_by_integration": _return_by_integration,
    "create_shipment": _create_shipment,
    "ship": _ship,
    "change_order": _change_order,
    "cancel_line": _cancel_line,
    "capture": _capture,
    "allow": _allow,
    "settle_requests": _answer_requests("refund"),
    "answer_requests": _answer_requests("refund", "capture", "cancel"),
}


def what_a_request_is_about(variables: Given, query: str = "") -> dict[str, Any]:
    """The Return, the shipment with its lines, or the order that a request names first: for acts that meet it."""
    about: dict[str, Any] = {}
    for name, value in variables.items():
        plain = re.sub(r"_\d+$", "", name)
        if plain == "id" and isinstance(value, int):
            about.setdefault("shipment_id" if "updateShipment" in query else "return_id", value)
        if plain == "id" and isinstance(value, str):
            about.setdefault("order_id", value)
        if plain == "orderNumber" and isinstance(value, list) and value:
            about.setdefault("order_number", value[0])
        if plain == "order" and isinstance(value, Mapping) and value.get("number"):
            about.setdefault("order_number", value["number"])
        if plain == "input" and isinstance(value, Mapping):
            if isinstance(value.get("shipment"), Mapping) and "shipment_id" not in about:
                about["shipment_id"] = value["shipment"].get("id")
                about["lines"] = {line["shipmentLine"]["id"]: 1 for line in list(value.get("lines") or [])[:1]}
            if isinstance(value.get("order"), Mapping):
                about.setdefault("order_number", value["order"].get("number"))
            if isinstance(value.get("return"), Mapping):
                about.setdefault("return_id", value["return"].get("id"))
    if isinstance(variables.get("orderNumber"), int):  # a body of the Order API
        about["order_number"] = variables["orderNumber"]
    return about
