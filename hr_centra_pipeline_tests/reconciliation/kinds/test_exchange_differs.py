from __future__ import annotations

import json

from hr_centra_pipeline_tests.reconciliation.kinds.alone import NOW, Alone, proof

PAID = proof("paid_instead", "the money was refunded instead: Return 9")


def test_a_replacement_order_that_is_not_what_was_meant() -> None:
    alone = Alone("exchange_differs")
    alone.put("known_units", {"return_item_id": "IT-1", "evidence": "{}"}, {"return_item_id": "IT-2", "evidence": "{}"})
    payload = json.dumps({"order_numbers": ["9"], "differs": ["address", "market"]})
    alone.put("push.packets", {"packet_key": "PK1", "trouble": "differs", "payload": payload, "created_at": NOW})
    alone.put("push.packets", {"packet_key": "PK2", "trouble": "differs", "payload": payload, "created_at": NOW})
    alone.put("push.ledger", {"packet_key": "PK1", "return_item_id": "IT-1", "state": "sending"})
    alone.put("push.ledger", {"packet_key": "PK2", "return_item_id": "IT-2", "state": "confirmed"})
    assert alone.opened("return_item_id", "fact_at", "detail") == [
        ("IT-1", NOW, "The replacement is not what was meant: order 9 differs in address, market")
    ]


def test_the_exchange_is_confirmed_or_money_was_given() -> None:
    alone = Alone("exchange_differs")
    alone.was_open("ordered", effect_proof=proof("in_centra", "the exchange order is in Centra: 5"))
    alone.was_open("still", effect_state="sending")
    alone.was_open("paid", effect_state="planned", refusal_proof=proof("refused", "refused by Happy Returns"))
    alone.put("unseen_replacements", exception_id="paid", is_paid_instead=True, paid_instead_proof=PAID)
    assert alone.closed() == {
        "ordered": "the exchange order is in Centra: 5",
        "paid": "the money was refunded instead: Return 9",
    }
