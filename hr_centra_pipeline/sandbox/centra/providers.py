"""What payment providers answer: the raw text that Centra keeps with a payment entry, personal data and all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

# Payment types of the shop: how an entry names them -> as GraphQL shows them.
METHODS: Mapping[str, Mapping[str, Any]] = {
    "card": {"id": 1, "name": "Adyen Drop-In", "uri": "adyen-drop-in"},
    "wallet": {"id": 2, "name": "PayPal Commerce", "uri": "paypal-commerce"},
}
_KINDS = {
    "AUTH": "AUTHORISATION", "CAPTURE_REQUEST": "CAPTURE", "REFUND_REQUEST": "REFUND", "CANCEL_REQUEST": "CANCELLATION",
    "CANCEL": "CANCELLATION", "CAPTURE_FAILED": "CAPTURE_FAILED", "REFUND_FAILED": "REFUND_FAILED",
}  # fmt: skip


def method_of(order_number: int) -> str:
    """How an order was paid: every fourth by the wallet."""
    return "wallet" if order_number % 4 == 0 else "card"


@dataclass(frozen=True)
class Transaction:
    """One call to a provider. ``own``: its number; ``authorisation``: that of the payment that it belongs to."""

    entry_type: str
    own: str
    authorisation: str | None
    order_number: int
    amount: Decimal
    currency: str
    succeeded: bool
    shopper_name: str
    shopper_email: str


def raw_answer(provider: str, done: Transaction) -> str:
    """The provider's own JSON: ``adyen``, ``qliro`` or ``paypal``."""
    return json.dumps(_ANSWERS[provider](done), ensure_ascii=False)


def _adyen(done: Transaction) -> dict[str, Any]:
    return {
        "pspReference": done.own, "originalReference": done.authorisation, "merchantReference": str(done.order_number),
        "eventCode": _KINDS.get(done.entry_type, done.entry_type), "success": "true" if done.succeeded else "false",
        "amount": {"currency": done.currency, "value": int(done.amount * 100)},
        "additionalData": {"shopperName": done.shopper_name, "shopperEmail": done.shopper_email},
    }  # fmt: skip


def _qliro(done: Transaction) -> dict[str, Any]:
    return {
        "MerchantReference": str(done.order_number),
        "PaymentTransactions": [
            {"PaymentTransactionId": done.own, "Status": "Success" if done.succeeded else "Error", "Amount": str(done.amount)}
        ],
        "Customer": {"Name": done.shopper_name, "Email": done.shopper_email},
    }  # fmt: skip


def _paypal(done: Transaction) -> dict[str, Any]:
    return {
        "id": done.own, "status": "COMPLETED" if done.succeeded else "DECLINED", "invoice_id": str(done.order_number),
        "amount": {"currency_code": done.currency, "value": str(done.amount)},
        "payer": {"name": done.shopper_name, "email_address": done.shopper_email},
    }  # fmt: skip


_ANSWERS = {"adyen": _adyen, "qliro": _qliro, "paypal": _paypal}
