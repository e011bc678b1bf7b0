"""What no schema shows and old objects do: signs, words, the keys of an answer. Nothing else of them is kept.

The questions ask for no text that people write, and need no permission that the pulls do not need.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.sources.centra.assumptions import ledger
from hr_centra_pipeline.sources.centra.centra_contract import Row, Verdict
from hr_centra_pipeline.sources.centra.centra_errors import CentraError, Permanent
from hr_centra_pipeline.sources.centra.client import CentraClient
from hr_centra_pipeline.sources.centra.order_api import OrderApiClient
from hr_centra_pipeline.sources.centra.texts import values_at

Json = Mapping[str, Any]

QUESTIONS: Mapping[str, tuple[str, Json]] = {
    "OldReturns": (
        """query OldReturns {
          returns(limit: 100) {
            totals { discounts { value } returnCost { value } }
            refundPaymentHistory { entryType status value { value } externalReference paramsJSON }
          }
        }""",
        {},
    ),
    "OldOrders": ("query OldOrders { orders(limit: 100) { number status totals { discounts { value } } } }", {}),
    "OldCancelledOrders": (
        """query OldCancelledOrders($status: [OrderStatus!]) {
          orders(where: { status: $status }, limit: 20) { status lines(includeFullyCancelled: true) { quantity } }
        }""",
        {"status": []},
    ),
    "OldStockChanges": (
        """query OldStockChanges {
          stockChangeConnection(sort: [id_ASC], first: 100) { edges { node { type lines(limit: 20) { deliveredQuantity } } } }
        }""",
        {},
    ),
}  # fmt: skip
"""Text and widest variables of each question, by name."""

_GO_OUT = frozenset({"OUT", "SHIPMENT"})  # types whose goods certainly leave, should Centra use these words


class Seen(NamedTuple):
    """What old objects show of one behaviour."""

    verdict: Verdict
    found: str


@dataclass(frozen=True)
class _Asker:
    client: CentraClient
    order_api: OrderApiClient | None
    policy: Policy
    order_words: Sequence[str]  # of OrderStatus, that this Centra has

    def ask(self, name: str, variables: Json | None = None) -> Any:
        text, _ = QUESTIONS[name]
        return self.client.ask(name, text, variables or {}).data


def look(
    client: CentraClient, order_api: OrderApiClient | None, policy: Policy, order_words: Sequence[str]
) -> list[Row]:
    """One row per behaviour that old objects show, each with what they show; ``cannot_be_seen`` where there are none.

    ``order_words``: the words of ``OrderStatus`` that this Centra has; others cannot be asked for.
    """
    asker = _Asker(client, order_api, policy, order_words)
    return [row for behaviours, question in _LOOKS for row in _rows(behaviours, question, asker)]


def _rows(behaviours: Sequence[str], question: Callable[[_Asker], Json], asker: _Asker) -> Iterator[Row]:
    try:
        found: Mapping[str, Seen] = question(asker)
    except CentraError as error:
        found = dict.fromkeys(behaviours, Seen("cannot_be_seen", f"could not be queried: {error}"[:300]))
    except (KeyError, TypeError, AttributeError, ArithmeticError) as error:
        found = dict.fromkeys(behaviours, Seen("cannot_be_seen", f"an unusable answer ({type(error).__name__})"))
    for name in behaviours:
        seen, of = found[name], ledger().behaviours[name]
        advice = f"{of.known.remedy} ({of.known.setting})" if of.known.setting else of.known.remedy
        yield Row(
            "behaviour", f"behaviour.{name}", of.known.tag, (), (), of.relies_on, seen.found, seen.verdict, False,
            "" if seen.verdict == "as_assumed" else advice,
        )  # fmt: skip


# ---------------------------------------------------------------- the questions


def _returns(asker: _Asker) -> Mapping[str, Seen]:
    returns = asker.ask("OldReturns")["returns"]
    refunds = [entry for one in returns for entry in one["refundPaymentHistory"] if _is_refund(asker.policy, entry)]
    return {
        "payment_value_sign": _any_sign("refunds", (entry["value"]["value"] for entry in refunds)),
        "return_discount_sign": _any_sign("discounts", (one["totals"]["discounts"]["value"] for one in returns)),
        "return_cost_sign": _any_sign("return costs", (one["totals"]["returnCost"]["value"] for one in returns)),
        "external_reference": _external_references(refunds, asker.policy),
        "params_json": _params(refunds, asker.policy),
    }


def _orders(asker: _Asker) -> Mapping[str, Seen]:
    orders = asker.ask("OldOrders")["orders"]
    return {
        "discount_sign": _any_sign("discounts", (one["totals"]["discounts"]["value"] for one in orders)),
        "order_api_shows_order_id": _order_api(asker, orders),
    }


def _cancelled(asker: _Asker) -> Mapping[str, Seen]:
    read = asker.policy.centra.words.order_status.cancelled
    words = [word for word in read if word in asker.order_words]
    orders = asker.ask("OldCancelledOrders", {"status": words})["orders"] if words else []
    if not orders:
        nothing = Seen(
            "cannot_be_seen", "no order with such a status" if words else "this Centra has none of the words"
        )
        return {"cancelled_order": nothing, "cancelled_order_keeps_quantities": nothing}
    statuses = sorted({str(order["status"]) for order in orders})
    kept = [order for order in orders if any(line["quantity"] for line in order["lines"])]
    verdict: Verdict = "as_assumed" if kept else "differs"
    return {
        "cancelled_order": Seen("as_assumed", ", ".join(statuses)),
        "cancelled_order_keeps_quantities": Seen(verdict, f"{len(kept)} of {len(orders)} cancelled orders keep theirs"),
    }


def _stock_changes(asker: _Asker) -> Mapping[str, Seen]:
    changes = [edge["node"] for edge in asker.ask("OldStockChanges")["stockChangeConnection"]["edges"]]
    signs: dict[str, set[str]] = {}
    for change in changes:
        of_type = signs.setdefault(str(change["type"]), set())
        of_type |= {_sign(line["deliveredQuantity"]) for line in change["lines"]} - {"zero"}
    shown = "; ".join(f"{name}: {' and '.join(sorted(of))}" for name, of in sorted(signs.items()) if of)
    if any("negative" in of for of in signs.values()):
        return {"stock_out_is_negative": Seen("as_assumed", shown)}
    if any(of == {"positive"} for name, of in signs.items() if name in _GO_OUT):
        return {"stock_out_is_negative": Seen("differs", shown)}
    return {"stock_out_is_negative": Seen("cannot_be_seen", shown or "no stock change with lines")}


_LOOKS: Sequence[tuple[Sequence[str], Callable[[_Asker], Mapping[str, Seen]]]] = (
    (("payment_value_sign", "return_discount_sign", "return_cost_sign", "external_reference", "params_json"), _returns),
    (("discount_sign", "order_api_shows_order_id"), _orders),
    (("cancelled_order", "cancelled_order_keeps_quantities"), _cancelled),
    (("stock_out_is_negative",), _stock_changes),
)


# ---------------------------------------------------------------- what they show


def _is_refund(policy: Policy, entry: Json) -> bool:
    return policy.centra.words.payment_type.meaning_of(entry["entryType"]) == "refunded"


def _sign(value: Any) -> str:
    number = Decimal(value)
    return "negative" if number < 0 else "positive" if number > 0 else "zero"


def _any_sign(what: str, values: Iterable[Any]) -> Seen:
    """Either sign is read; both at once would mean that the sign says something."""
    signs = [sign for sign in map(_sign, values) if sign != "zero"]
    if not signs:
        return Seen("cannot_be_seen", f"no {what} among the oldest objects")
    found = ", ".join(f"{signs.count(sign)} {sign}" for sign in ("positive", "negative") if sign in signs)
    return Seen("as_assumed" if len(set(signs)) == 1 else "differs", f"{what}: {found}")


def _external_references(refunds: Sequence[Json], policy: Policy) -> Seen:
    """Is ``externalReference`` what the provider's own answer names?"""
    both = [entry for entry in refunds if entry["externalReference"] and entry["paramsJSON"]]
    if not both:
        return Seen("cannot_be_seen", "no refund with both externalReference and paramsJSON")
    paths = policy.centra.reference_paths
    same = sum(entry["externalReference"] in values_at(entry["paramsJSON"], paths) for entry in both)
    return Seen("as_assumed", f"the refund's own reference in {same} of {len(both)} refunds")


def _params(refunds: Sequence[Json], policy: Policy) -> Seen:
    given = [entry["paramsJSON"] for entry in refunds if entry["paramsJSON"]]
    if not given:
        return Seen("cannot_be_seen", "no refund with paramsJSON")
    read = sum(bool(values_at(params, policy.centra.reference_paths)) for params in given)
    keys = sorted({key for params in given for key in _keys(params)})
    found = f"a reference in {read} of {len(given)}; keys: {', '.join(keys[:20]) or 'none'}"
    return Seen("as_assumed" if read == len(given) else "differs", found)


def _keys(params: str) -> list[str]:
    """The names of an answer's outermost keys: enough to write a path, and nobody's data."""
    try:
        answer = json.loads(params)
    except (ValueError, RecursionError):
        return []
    return [key for key in answer if key.isidentifier() and len(key) <= 40] if isinstance(answer, dict) else []


def _order_api(asker: _Asker, orders: Sequence[Json]) -> Seen:
    """The order with the largest number of those that were read, as the Order API shows it."""
    if asker.order_api is None:
        return Seen("cannot_be_seen", "there is no access to the Order API")
    cancelled = asker.policy.centra.words.order_status.cancelled
    numbers = [int(order["number"]) for order in orders if order["status"] not in cancelled]
    if not numbers:
        return Seen("cannot_be_seen", "there is no order yet")
    try:
        shown = asker.order_api.read_order(max(numbers))
    except Permanent as error:
        return Seen("differs", error.message)
    if shown is None:
        return Seen(
            "cannot_be_seen", "GET /orders does not show the order that was asked for: another market or status?"
        )
    return Seen("as_assumed", "orderId is the order's number")
