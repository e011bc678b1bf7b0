"""Payment entries of orders: what providers did, were asked for and have not answered yet."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from hr_centra_pipeline.sandbox.centra.centra_database import CentraRefusal, Row, instant_text
from hr_centra_pipeline.sandbox.centra.providers import Transaction, method_of, raw_answer
from hr_centra_pipeline.sandbox.centra.stock_room import StockRoom

ZERO = Decimal(0)
# What a provider is asked for -> entries of its yes and its no.
REQUESTS: Mapping[str, tuple[str, str]] = {
    "CAPTURE_REQUEST": ("CAPTURE", "CAPTURE_FAILED"),
    "REFUND_REQUEST": ("REFUND", "REFUND_FAILED"),
    "CANCEL_REQUEST": ("CANCEL", "CANCEL"),
}
# Entries that no provider has a part in.
_WITHOUT_PROVIDER = ("REFUND_GIFT_CARD", "MARKED_AS_PAID", "MARKED_AS_UNPAID")


class PaymentDesk(StockRoom):
    """Writes payment entries."""

    def order(self, number: int) -> Row:
        """One order.

        Raises:
            CentraRefusal: there is none.
        """
        found = self.row("select * from orders where number = ?", [number])
        if found is None:
            raise CentraRefusal("Order not found", ["order"])
        return found

    def pay(
        self,
        order_number: int,
        entry_type: str,
        value: Decimal,
        at: datetime,
        *,
        return_id: int | None = None,
        shipment_id: int | None = None,
        status: str = "SUCCESS",
        reference: str | None = None,
    ) -> int:
        """Write one entry of the payment history; answers its id. ``reference``: of the request that it answers.

        The amount is kept with the sign that clients see.
        """
        order = self.order(order_number)
        method = order["payment_method"] or method_of(order_number)
        after = self.settings.provider_answers_after_hours
        is_open = entry_type in REQUESTS and status == "PENDING"
        entry_id = self.insert(
            "payments",
            {
                "order_number": order_number, "return_id": return_id, "shipment_id": shipment_id,
                "entry_type": entry_type, "status": status,
                "value": -value if entry_type in self.settings.negative_entries else value, "payment_method": method,
                "source": "psp", "created_at": at, "is_open": int(is_open),
                "answers_at": at + timedelta(hours=after) if is_open and after is not None else None,
            },
        )  # fmt: skip
        own = reference or f"psp-{entry_id:08d}"
        authorisation = own if entry_type == "AUTH" else self.authorisation_of(order_number)
        shows_authorisation = method in self.settings.authorisation_references and authorisation is not None
        self.update(
            "payments", "id", entry_id,
            {
                "own_reference": own, "external_reference": authorisation if shows_authorisation else own,
                "params": self._raw(order, method, entry_type, own, authorisation, value, status),
            },
        )  # fmt: skip
        # Not documented, assumption: behaviour.updated_at_of_orders
        self.update("orders", "number", order_number, {"updated_at": instant_text(at)})
        self.happened("PaymentHistoryEntry", "CREATED", entry_id, at)
        self.happened("Order", "DEPENDENT_DATA_CHANGED", order_number, at)
        return entry_id

    def _raw(
        self, order: Row, method: str, entry_type: str, own: str, authorisation: str | None, value: Decimal, status: str
    ) -> str | None:
        if entry_type in _WITHOUT_PROVIDER:
            return None
        buyer = self.row("select * from customers where id = ?", [order["customer_id"]]) or {}
        provider = "adyen" if method == "card" else self.settings.wallet_answers_as
        return raw_answer(
            provider,
            Transaction(
                entry_type, own, authorisation, order["number"], value, order["currency"], status != "FAILED",
                f"{buyer.get('first_name')} {buyer.get('last_name')}", str(buyer.get("email")),
            ),
        )  # fmt: skip

    def authorisation_of(self, order_number: int) -> str | None:
        """The provider's number of the payment itself; nothing where an order has none."""
        found = self.row(
            "select own_reference from payments where order_number = ? and entry_type = 'AUTH' order by id limit 1",
            [order_number],
        )
        return found["own_reference"] if found else None

    def money_of(self, order_number: int) -> tuple[Decimal, Decimal]:
        """(captured, refunded or credited) on an order; requests for a refund that are still open count as refunded."""
        captured = given = ZERO
        for entry in self.rows("select * from payments where order_number = ?", [order_number]):
            succeeded, value = entry["status"] == "SUCCESS", abs(entry["value"])
            if succeeded and entry["entry_type"] in ("CAPTURE", "CAPTURE_GIFT_CARD"):
                captured += value
            if (entry["is_open"] and entry["entry_type"] == "REFUND_REQUEST") or (
                succeeded and entry["entry_type"] in ("REFUND", "REFUND_GIFT_CARD")
            ):
                given += value
        return captured, given

    # ---------------------------------------------------------------- answers

    def let_providers_answer(self, until: datetime) -> None:
        """Requests whose time has come succeed, in their order and at their time."""
        if self.row("select 1 as x from payments where is_open and answers_at <= ?", [until]) is None:
            return
        with self.write():
            for entry in self.rows(
                "select id, answers_at from payments where is_open and answers_at <= ? order by answers_at, id", [until]
            ):
                self.answer_request(entry["id"], succeeded=True, at=datetime.fromisoformat(entry["answers_at"]))

    def answer_request(self, entry_id: int, *, succeeded: bool, at: datetime) -> int:
        """The provider answers a request for a capture, a refund or a cancellation; answers the new entry's id.

        Raises:
            CentraRefusal: no such request is open.
        """
        with self.write():
            entry = self.row("select * from payments where id = ? and is_open", [entry_id])
            if entry is None:
                raise CentraRefusal("No open request", ["id"])
            status = "SUCCESS" if succeeded else "FAILED"
            shown = entry["status"] if self.settings.requests_stay_pending else status
            self.update("payments", "id", entry_id, {"is_open": 0, "status": shown})
            if shown != entry["status"]:
                self.happened("PaymentHistoryEntry", "UPDATED", entry_id, at)
            yes, no = REQUESTS[entry["entry_type"]]
            made = self.pay(
                entry["order_number"], yes if succeeded else no, abs(entry["value"]), at, return_id=entry["return_id"],
                shipment_id=entry["shipment_id"], status=status, reference=entry["own_reference"],
            )  # fmt: skip
            if yes == "CAPTURE" and succeeded:
                self.captured(entry["shipment_id"], at)
            return made

    def captured(self, shipment_id: int, at: datetime) -> None:
        """A shipment's money has come."""
        raise NotImplementedError

    def settle_refund_request(self, entry_id: int, *, succeeded: bool, at: datetime) -> None:
        """The payment provider answers a refund request."""
        self.answer_request(entry_id, succeeded=succeeded, at=at)

    # ---------------------------------------------------------------- authorisations

    def cancel_authorisation(self, order_number: int, at: datetime) -> tuple[int | None, str | None]:
        """Ask the provider to let a payment go; answers the entry that was written, and what went wrong, if anything did."""
        found = self.row(
            "select value from payments where order_number = ? and entry_type = 'AUTH' and status = 'SUCCESS'",
            [order_number],
        )
        if found is None:
            return None, "There is no authorisation to cancel"
        problem = self.refusal_of("authorisation", order_number)
        if self.row(
            "select 1 as x from payments where order_number = ? and entry_type in ('CAPTURE', 'CAPTURE_REQUEST')"
            " and status <> 'FAILED'",
            [order_number],
        ):
            problem = "The authorisation was captured"
        if problem:
            return self.pay(order_number, "CANCEL", found["value"], at, status="FAILED"), problem
        if self.settings.cancels_in_two_steps:
            return self.pay(order_number, "CANCEL_REQUEST", found["value"], at, status="PENDING"), None
        return self.pay(order_number, "CANCEL", found["value"], at), None

    def refuse_cancelling_authorisation_of(self, order_number: int, message: str) -> None:
        """Plant: the provider does not let this order's payment go."""
        self.refuse("authorisation", order_number, message)
