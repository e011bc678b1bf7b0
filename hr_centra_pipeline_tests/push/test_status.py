"""Where customer service sees a return: written once in each place that the policy names, seen there, and missed when gone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from hr_centra_pipeline.push.wire import Wire
from hr_centra_pipeline.sandbox.centra.store import CentraSettings
from hr_centra_pipeline.sources.centra.centra_calls import least, used
from hr_centra_pipeline_tests.cases import mostly_slow
from hr_centra_pipeline_tests.harness import Harness, Sold, harness

ATTRIBUTE = {"attribute_type": "happy_returns", "attribute_element": "state"}
PLACES: dict[str, dict[str, Any]] = {
    "order_attribute": {"status_target": "order", **ATTRIBUTE},
    "customer_note": {"status_target": "customer"},
    "customer_attribute": {"status_target": "customer", **ATTRIBUTE},
}
MUTATIONS = {
    "status_update": "updateDirectToConsumerOrder", "order_attribute": "assignAttributes",
    "customer_note": "updateCustomer", "customer_attribute": "assignAttributes",
}  # fmt: skip
MOST_PLACES = pytest.mark.parametrize("kind", mostly_slow(PLACES, "order_attribute"))


@pytest.fixture
def at_harness(tmp_path: Path) -> Iterator[Harness]:
    """A shop whose Centra has the attribute configured, beside one that belongs to somebody."""
    with harness(tmp_path, centra=CentraSettings(attributes=("happy_returns.state", "vip.level"))) as opened:
        yield opened


def shown(at_harness: Harness, kind: str, sold: Sold) -> str:
    """What is written in a place."""
    if kind == "status_update":
        return at_harness.comment_of(sold)
    if kind == "customer_note":
        return str(
            at_harness.store.rows("select internal_comment from customers where id = 1")[0]["internal_comment"] or ""
        )
    object_type, object_id = ("Order", sold.number) if kind == "order_attribute" else ("Customer", 1)
    found = at_harness.store.rows(
        "select content from attributes where object_type = ? and object_id = ? and type = 'happy_returns' and key = 'state'",
        [object_type, object_id],
    )
    return str(found[0]["content"]) if found else ""


def overwrite(at_harness: Harness, kind: str, sold: Sold, text: str) -> None:
    """Somebody writes something else there."""
    with at_harness.store.write():
        if kind == "customer_note":
            at_harness.store.update("customers", "id", 1, {"internal_comment": text})
        else:
            object_type, object_id = ("Order", sold.number) if kind == "order_attribute" else ("Customer", 1)
            at_harness.store.rows(
                "insert or replace into attributes values (?, ?, 'happy_returns', 'state', ?)",
                [object_type, object_id, text],
            )


def gone(at_harness: Harness) -> list[tuple[Any, ...]]:
    """(detail, culprit) of what is missed: looked at two days later, and two days after that, when its window is over."""
    for _ in range(2):
        at_harness.clock.advance_to(at_harness.clock.now() + timedelta(days=2))
        at_harness.plan()
        at_harness.reconcile()
    return at_harness.rows("select detail, culprit from reconciliation.exceptions where kind = 'status_not_updated'")


def next_hour(at_harness: Harness) -> None:
    """An hour passes, then all that is due is written."""
    at_harness.clock.advance_to(at_harness.clock.now() + timedelta(hours=1))
    at_harness.settle()


def states_of(at_harness: Harness, kind: str) -> list[tuple[Any, ...]]:
    """Rows of the ledger; an earlier milestone that the refund has overtaken is withdrawn."""
    return at_harness.rows(
        "select effect_kind, state, centra_id from push.ledger where effect_kind = ? and state <> 'withdrawn' order by planned_at",
        kind,
    )


@pytest.mark.slow
@MOST_PLACES
def test_the_state_is_written_once_where_the_policy_wants_it_and_nowhere_else(at_harness: Harness, kind: str) -> None:
    at_harness.with_policy(status=PLACES[kind])
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    unit = at_harness.comes_back(sold)
    at_harness.settle()
    written = [name for name in at_harness.mutations() if name in MUTATIONS.values()]
    assert written == [MUTATIONS[kind]]
    assert f"{unit.code}" in shown(at_harness, kind, sold)
    assert ": refunded 2026-09-28" in shown(at_harness, kind, sold)
    assert all(shown(at_harness, other, sold) in ("", "None") for other in MUTATIONS if other != kind)
    assert [row[1] for row in states_of(at_harness, kind)] == ["confirmed"]
    before = len(at_harness.mutations())
    at_harness.sync()
    assert len(at_harness.mutations()) == before
    assert gone(at_harness) == []


@pytest.mark.slow
def test_both_are_an_order_s_note_and_a_customer_s_each_with_a_key_of_its_own(at_harness: Harness) -> None:
    at_harness.with_policy(status={"status_target": "both"})
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    unit = at_harness.comes_back(sold)
    at_harness.settle()
    rows = at_harness.rows(
        "select effect_kind, effect_key, centra_id from push.ledger"
        " where effect_kind in ('status_update', 'customer_note') and state = 'confirmed' order by 1"
    )
    assert [(kind, centra_id) for kind, _, centra_id in rows] == [
        ("customer_note", "1"), ("status_update", str(sold.number)),
    ]  # fmt: skip
    customer, order = (key for _, key, _ in rows)
    assert customer != order
    # The key of the order's note is the one that ledgers hold since before there were other places.
    expected = at_harness.rows(
        "select effect_key('status_update', [?, ?, 'refunded'])", unit.return_id, str(sold.number)
    )
    assert expected == [(order,)]
    assert shown(at_harness, "status_update", sold) == f"[hr-centra {order} {unit.code}: refunded 2026-09-28]"
    assert shown(at_harness, "customer_note", sold) == (
        f"[hr-centra {customer} {unit.code} order {sold.number}: refunded 2026-09-28]"
    )


@pytest.mark.slow
def test_a_customer_with_several_returns_has_a_line_for_each_and_keeps_other_people_s_words(
    at_harness: Harness,
) -> None:
    at_harness.with_policy(status=PLACES["customer_note"])
    overwrite(at_harness, "customer_note", at_harness.sell(("SHIRT-M", 1, "10.00")), "Prefers the phone \\1 [sic]")
    first, second = (at_harness.sell(("DRESS-S", 2, "100.00")) for _ in range(2))
    one = at_harness.comes_back(first)
    other = at_harness.comes_back(second)
    at_harness.settle()
    at_harness.change(one, disposition="sellable")
    next_hour(at_harness)
    lines = shown(at_harness, "customer_note", first).splitlines()
    assert lines[0] == "Prefers the phone \\1 [sic]"
    assert [line.split(" ", 2)[2] for line in lines[1:]] == [
        f"{one.code} order {first.number}: processed 2026-09-30]",
        f"{other.code} order {second.number}: refunded 2026-09-28]",
    ]
    # Both customers' lines of one run travel in one write.
    assert at_harness.mutations().count("updateCustomer") == 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", mostly_slow(["order_attribute", "customer_attribute"], "order_attribute"))
def test_an_attribute_holds_the_latest_milestone_of_the_return_that_began_last(at_harness: Harness, kind: str) -> None:
    at_harness.with_policy(status=PLACES[kind])
    sold = at_harness.sell(("DRESS-S", 3, "100.00"))
    earlier = at_harness.comes_back(sold, started_days_ago=9, days_ago=8)
    next_hour(at_harness)
    assert shown(at_harness, kind, sold).startswith(earlier.code)
    later = at_harness.comes_back(sold, started_days_ago=5, days_ago=4)
    next_hour(at_harness)
    assert shown(at_harness, kind, sold).startswith(later.code)
    at_harness.change(earlier, disposition="sellable")  # the earlier one goes on, and is not the latest
    next_hour(at_harness)
    assert shown(at_harness, kind, sold).startswith(later.code)
    at_harness.change(later, disposition="damaged")
    next_hour(at_harness)
    assert ": processed" in shown(at_harness, kind, sold)
    assert shown(at_harness, kind, sold).startswith(later.code)
    assert gone(at_harness) == []


@pytest.mark.slow
def test_a_customer_s_attribute_is_that_of_the_latest_return_of_all_orders(at_harness: Harness) -> None:
    at_harness.with_policy(status=PLACES["customer_attribute"])
    first, second = at_harness.sell(("DRESS-S", 1, "100.00")), at_harness.sell(("DRESS-M", 1, "100.00"))
    later = at_harness.comes_back(second, started_days_ago=3, days_ago=2, grade="sellable")
    at_harness.settle()
    at_harness.reconcile()
    # The order of the latest return is settled by now, and the other one is touched alone.
    assert at_harness.rows("select order_number from reconciliation.settled_orders") == [(str(second.number),)]
    at_harness.comes_back(first, started_days_ago=9, days_ago=8)
    at_harness.settle()
    assert shown(at_harness, "customer_attribute", first).startswith(f"{later.code} order {second.number}: processed")
    assert [row[1:] for row in states_of(at_harness, "customer_attribute")] == [("confirmed", "1")]


@pytest.mark.slow
def test_another_attribute_is_left_alone_and_nothing_of_it_is_landed(at_harness: Harness) -> None:
    at_harness.with_policy(status=PLACES["customer_attribute"])
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    with at_harness.store.write():
        at_harness.store.rows("insert into attributes values ('Customer', 1, 'vip', 'level', 'Anna is a friend')")
    at_harness.comes_back(sold)
    at_harness.settle()
    at_harness.sync()
    kept = at_harness.store.rows("select content from attributes where type = 'vip'")
    assert [row["content"] for row in kept] == ["Anna is a friend"]
    landed = " ".join(str(payload) for (payload,) in at_harness.rows("select payload from landing.centra_status_marks"))
    assert "refunded" in landed
    assert "Anna" not in landed


@pytest.mark.slow
@MOST_PLACES
def test_what_someone_overwrites_is_an_exception_and_written_again_at_the_next_milestone(
    at_harness: Harness, kind: str
) -> None:
    at_harness.with_policy(status=PLACES[kind])
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    unit = at_harness.comes_back(sold)
    at_harness.settle()
    overwrite(at_harness, kind, sold, "Call Anna")
    before = len(at_harness.mutations())
    at_harness.sync()
    assert len(at_harness.mutations()) == before
    ((detail, culprit),) = gone(at_harness)
    place = {"order_attribute": "the order's attribute", "customer_note": "the customer's internal comment",
             "customer_attribute": "the customer's attribute"}[kind]  # fmt: skip
    assert detail == f"What we wrote into {place} on 2026-09-30 is gone"
    assert culprit == "person"
    landed = " ".join(str(payload) for (payload,) in at_harness.rows("select payload from landing.centra_status_marks"))
    assert "Anna" not in landed
    at_harness.change(unit, disposition="sellable")
    at_harness.settle()
    assert ": processed" in shown(at_harness, kind, sold)
    assert ("Call Anna" in shown(at_harness, kind, sold)) is (kind == "customer_note")
    assert gone(at_harness) == []


@pytest.mark.slow
@MOST_PLACES
def test_what_is_gone_before_anybody_saw_it_is_missed_too(at_harness: Harness, kind: str) -> None:
    at_harness.with_policy(status=PLACES[kind])
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    at_harness.comes_back(sold)
    at_harness.sync()
    at_harness.sync()  # the note about the refund follows the refund
    assert [row[1] for row in states_of(at_harness, kind)][-1:] == ["confirmed"]
    overwrite(at_harness, kind, sold, "")
    assert [detail.endswith("is gone") for detail, _ in gone(at_harness)] == [True]


@pytest.mark.slow
@MOST_PLACES
@pytest.mark.parametrize("fault", mostly_slow(["dropped_after", "dropped_before", "error_after"], "dropped_after"))
def test_a_call_whose_answer_is_lost_is_looked_up_and_made_once(at_harness: Harness, kind: str, fault: str) -> None:
    at_harness.with_policy(status=PLACES[kind])
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    at_harness.comes_back(sold)
    operation = {
        "order_attribute": "AssignOrderAttribute", "customer_note": "UpdateCustomer",
        "customer_attribute": "AssignCustomerAttribute",
    }[kind]  # fmt: skip
    at_harness.fault(fault, operation)
    for _ in range(4):
        at_harness.sync()
    assert ": refunded 2026-09-28" in shown(at_harness, kind, sold)
    assert [row[1] for row in states_of(at_harness, kind)] == ["confirmed"]
    reached = [name for name in at_harness.mutations() if name == MUTATIONS[kind]]
    assert len(reached) == 1


@pytest.mark.slow
@MOST_PLACES
@pytest.mark.parametrize("moment", ["before the call", "after the call"])
def test_a_sender_that_dies_around_the_call_writes_once(
    at_harness: Harness, monkeypatch: pytest.MonkeyPatch, kind: str, moment: str
) -> None:
    at_harness.with_policy(status=PLACES[kind])
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    at_harness.comes_back(sold)
    at_harness.sync()
    at_harness.plan()

    class Killed(BaseException):
        """Nothing of ours catches it."""

    def die(*_: Any, **__: Any) -> Any:
        raise Killed

    with monkeypatch.context() as dies:
        if moment == "before the call":
            dies.setattr(Wire, "_send", die)
        else:
            dies.setattr(Wire, "_take_down", die)
        with pytest.raises(Killed):
            at_harness.push()
    assert [row[1] for row in states_of(at_harness, kind)] == ["sending"]
    for _ in range(3):
        at_harness.sync()
    assert [row[1] for row in states_of(at_harness, kind)] == ["confirmed"]
    assert at_harness.mutations().count(MUTATIONS[kind]) == 1
    assert ": refunded 2026-09-28" in shown(at_harness, kind, sold)


@pytest.mark.slow
@MOST_PLACES
def test_after_the_database_was_lost_nothing_is_written_again(at_harness: Harness, kind: str) -> None:
    at_harness.with_policy(status=PLACES[kind])
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    at_harness.comes_back(sold)
    at_harness.settle()
    before = at_harness.mutations()
    at_harness.forget()
    at_harness.settle()
    assert at_harness.mutations() == before
    assert [row[1] for row in states_of(at_harness, kind)] == ["confirmed"]


@pytest.mark.slow
@MOST_PLACES
def test_after_the_database_was_lost_what_names_a_replacement_is_not_overwritten(
    at_harness: Harness, kind: str
) -> None:
    at_harness.with_policy(status=PLACES[kind])
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    unit = at_harness.comes_back(sold, refund_type="exchange", exchange_sku="DRESS-M")
    at_harness.settle()
    next_hour(at_harness)
    (order,) = at_harness.orders_of_ours()
    said = shown(at_harness, kind, sold)
    assert f"replacement order {order['number']}" in said
    before = at_harness.mutations()
    at_harness.forget()
    at_harness.settle()
    assert at_harness.mutations() == before
    assert shown(at_harness, kind, sold) == said
    # What comes later is written as ever.
    at_harness.clock.advance_to(at_harness.clock.now() + timedelta(hours=2))
    at_harness.change(unit, disposition="sellable")
    at_harness.settle()
    assert f": processed, replacement order {order['number']}" in shown(at_harness, kind, sold)


def test_an_attribute_that_is_not_configured_is_refused_once_and_said(at_harness: Harness) -> None:
    at_harness.with_policy(status={"status_target": "order", "attribute_type": "missing"})
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    at_harness.comes_back(sold)
    at_harness.settle()
    assert [row[1] for row in states_of(at_harness, "order_attribute")] == ["rejected"]
    assert at_harness.states() == {"IT-00001": "confirmed"}  # the money went
    details = [detail for kind, _, detail in at_harness.reconcile() if kind == "rejected_write"]
    assert details == ["Centra refused the order attribute: Attribute not found"]


@pytest.mark.slow
def test_a_token_that_may_not_change_customers_holds_back_the_notes_alone(at_harness: Harness) -> None:
    at_harness.with_policy(status={"status_target": "both"})
    allowed = [name for name in least(used(at_harness.policy)) if name != "Customer:write"]
    answer = requests.post(f"{at_harness.note['control_url']}/tokens", json={"permissions": allowed}, timeout=30)
    at_harness.note = {**at_harness.note, "token": answer.json()["token"]}
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    at_harness.comes_back(sold)
    for _ in range(3):
        at_harness.sync()
    assert at_harness.states() == {"IT-00001": "confirmed"}
    assert ": refunded" in at_harness.comment_of(sold)
    assert [row[1] for row in states_of(at_harness, "customer_note")] == ["planned"]
    missed = gone(at_harness)
    assert len(missed) == 1
    assert "Customer:write" in missed[0][0]


def test_an_order_without_a_customer_says_so(at_harness: Harness) -> None:
    at_harness.with_policy(status=PLACES["customer_note"])
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    with at_harness.store.write():
        at_harness.store.update("orders", "number", sold.number, {"customer_id": None})
    at_harness.comes_back(sold)
    at_harness.sync()
    assert "updateCustomer" not in at_harness.mutations()
    ((detail, culprit),) = gone(at_harness)
    assert "the order names no customer in Centra" in detail
    assert culprit == "centra"


@pytest.mark.slow
def test_announcements_are_written_where_the_policy_wants_them_before_the_refund(at_harness: Harness) -> None:
    at_harness.with_policy(status={**PLACES["customer_note"], "in_flight_note": True})
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    at_harness.comes_back(sold)
    at_harness.sync()
    names = at_harness.mutations()
    assert names.index("updateCustomer") < names.index("createReturn")
    at_harness.settle()
    assert shown(at_harness, "customer_note", sold).endswith(": refunded 2026-09-28]")
    assert len(shown(at_harness, "customer_note", sold).splitlines()) == 1


@pytest.mark.slow
def test_a_policy_that_asks_for_nothing_beside_the_order_s_note_reads_no_customer(at_harness: Harness) -> None:
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    at_harness.comes_back(sold)
    at_harness.settle()
    operations = {name for entry in at_harness.log() for name in entry["operations"]}
    assert not {name for name in operations if name.startswith(("ReadCustomerA", "ReadCustomerC", "ReadOrderA"))}


@pytest.mark.slow
def test_a_code_with_brackets_in_it_does_not_break_the_line(at_harness: Harness) -> None:
    at_harness.with_policy(status={"status_target": "both"})
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    unit = at_harness.comes_back(sold)
    for kind, key in (("returns", f"{unit.return_id}/{sold.number}"), ("items", unit.item)):
        at_harness._put(kind, key, express_code="HR].*[1")
    at_harness.settle()
    at_harness.change(unit, disposition="sellable")
    next_hour(at_harness)
    for kind in ("status_update", "customer_note"):
        assert len(shown(at_harness, kind, sold).splitlines()) == 1
        assert ": processed 2026-09-30]" in shown(at_harness, kind, sold)
    assert gone(at_harness) == []
