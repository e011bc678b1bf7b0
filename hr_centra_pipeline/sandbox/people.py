"""What people do in Centra's admin, at the worst moment: asked for by the control door, or armed to happen around a request."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from hr_centra_pipeline.sandbox.centra.database import CentraRefusal
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


def _settle_requests(store: CentraStore, given: Given, at: datetime) -> int:
    """The payment provider answers every open refund request of an order (of all orders, when none is named)."""
    number = given.get("order_number")
    entries = store.rows(
        "select id from payments where entry_type = 'REFUND_REQUEST' and status = 'PENDING' and (? is null or order_number = ?)",
        [number, number],
    )
    for entry in entries:
        store.settle_refund_request(entry["id"], succeeded=bool(given.get("succeeded", True)), at=at)
    return len(entries)


def _note(store: CentraStore, given: Given, at: datetime) -> int:
    number = int(given["order_number"])
    text = str(store.order(number)["internal_comment"] or "")
    store.person_set_internal_comment(number, f"{text}\n{given['text']}".strip(), at=at)
    return number


def _cancel_order(store: CentraStore, given: Given, at: datetime) -> int:
    store.person_cancel_order(int(given["order_number"]), at=at)
    return int(given["order_number"])


def _refund_order(store: CentraStore, given: Given, at: datetime) -> int:
    return store.person_refund_order(int(given["order_number"]), Decimal(str(given["amount"])), at=at)


def _move_stock(store: CentraStore, given: Given, at: datetime) -> int:
    return store.person_change_stock(
        sku=str(given["sku"]), quantity=int(given.get("quantity", 1)), into=given.get("into"),
        out_of=given.get("out_of"), comment=str(given.get("comment") or "Moved by hand"), at=at,
    )  # fmt: skip


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
    "settle_requests": _settle_requests,
}


def what_a_request_is_about(variables: Given) -> dict[str, Any]:
    """The Return, the shipment with its lines, or the order that a request names first: for acts that meet it."""
    about: dict[str, Any] = {}
    for name, value in variables.items():
        plain = re.sub(r"_\d+$", "", name)
        if plain == "id" and isinstance(value, int):
            about.setdefault("return_id", value)
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
