"""Operations as typed objects: what they are frozen with, which steps may follow which, and what of them is drawn."""

from __future__ import annotations

import ast
import inspect
import json
import shutil
from collections import Counter
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.core.keys import effect_key, packet_key
from hr_centra_pipeline.core.kinds import EFFECT_KINDS, EFFECT_TYPE_OF, OPERATION_OF, OperationName, Step
from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.push import call_journal
from hr_centra_pipeline.push.call_journal import Journal
from hr_centra_pipeline.push.operations import attribute, credit, diagram, exchange, note, release, stock
from hr_centra_pipeline.push.operations.credit import CreditPayload
from hr_centra_pipeline.push.operations.exchange import ExchangePayload
from hr_centra_pipeline.push.operations.registry import OPERATIONS, cut
from hr_centra_pipeline.push.packets import Effect, Packet, check_move
from hr_centra_pipeline.push.returns import ReturnLine
from hr_centra_pipeline.push.states import PACKETS, ForbiddenMoveError, StepTable
from hr_centra_pipeline.push.steps import Advance
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline_tests.harness import POLICY
from hr_centra_pipeline_tests.staged import template

NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)
STEPS: tuple[Step, ...] = get_args(Step)
MODULES: dict[OperationName, ModuleType] = {
    "credit": credit, "exchange": exchange, "release": release, "stock": stock, "note": note, "customer_note": note,
    "attribute": attribute,
}  # fmt: skip
# Payloads as a version without types wrote them.
EARLIER: list[tuple[OperationName, dict[str, Any]]] = [
    ("credit", {
        "order_number": "1001", "shipment_id": 5, "currency": "EUR", "pays_through": "centra",
        "lines": [{"shipment_line_id": 50, "quantity": 1, "members": ["HRA", "HRB"], "part_lines": [51, 52]}],
        "shipping": "4.00", "voucher": "0.00", "fee": "3.00", "fee_tax": "0.50", "kept": "95.50", "total": "96.00",
        "tax_mode": "added", "fees": {"HRC": "3.5000"}, "shipping_members": [], "fee_members": ["HRC"],
        "comment": "PK HRA", "unit_count": 1, "given_without_return": None, "uncompleted": True, "differs_in": "tax",
    }),
    ("credit", {
        "order_number": "1001", "shipment_id": 5, "currency": "EUR", "pays_through": "gift_card", "total": "96.00",
        "lines": [], "fee": "0", "fee_tax": "0", "comment": "", "rows_issued": "RF-1, issued on 2026-09-01",
        "first_step": "issue_credit", "payments_allowed": 1,
    }),
    ("exchange", {
        "order_number": "1001", "shipment_id": 5, "currency": "EUR",
        "lines": [{"shipment_line_id": 50, "quantity": 1, "members": ["HRA"]}],
        "replacements": [{"sku": "A", "quantity": 1, "members": ["HRA"]}], "voucher": "0.00",
        "new_order_number": 900000001, "comment": "PK HRA", "order_comment": "PK\nHRA", "tried_numbers": [900000001],
        "order_numbers": ["900000001"], "differs": ["lines"], "accepted": ["lines"], "refused": ["HRA"],
    }),
    ("release", {"order_number": "900000001", "shipment_id": 7, "release": "good_to_go"}),
    ("stock", {
        "into": 1, "out_from": None, "sizes": [{"sku": "A", "quantity": 2, "members": ["HRA", "HRB"]}],
        "shipment_lines": {"HRA": 50}, "order_numbers": ["1001", "1002"], "description": "PK HRA HRB",
    }),
    ("note", {
        "order_numbers": ["1001"], "order_number": "1001", "lines": [{"key": "HRA", "about": "R1", "text": "[…]"}],
        "announces": True,
    }),
    ("customer_note", {"order_numbers": ["1001"], "customer_id": 7, "lines": []}),
    ("attribute", {
        "order_numbers": ["1001"], "order_number": "1001", "type": "hr", "element": "state", "value": "received",
    }),
]  # fmt: skip


def effect(kind: str, place: int = 0, **given: Any) -> Effect:
    """One effect that is due now, as the plan has it."""
    plain: dict[str, Any] = {one.name: None for one in fields(Effect)} | {
        "effect_key": effect_key(kind, f"{place}"), "effect_kind": kind, "group_key": "1001", "return_id": "R1",
        "order_number": "1001", "shipment_id": 5, "shipment_line_id": 50, "sku": "A", "quantity": 1, "currency": "EUR",
        "items": Decimal(95), "pays_through": "centra", "warehouse_id": 1, "customer_id": 7, "about": "R1",
        "text": "good_to_go", "travels_alone": False, "is_announcement": False, "waiting_since": NOW - timedelta(days=1),
        "mode": "live", "ledger_state": "planned", "planned_at": NOW, "is_given_back": False,
    }  # fmt: skip
    return Effect(**plain | given)


# ---------------------------------------------------------------- payloads


@pytest.mark.parametrize(("name", "stored"), EARLIER, ids=[name for name, _ in EARLIER])
def test_what_an_earlier_version_stored_is_read_and_stored_again_as_it_was(
    name: OperationName, stored: dict[str, Any]
) -> None:
    payload = OPERATIONS[name].traits.payload.read(json.dumps(stored))
    assert json.loads(payload.stored()) == stored
    assert json.loads(payload.joined({"payments_allowed": 2}).stored()) == stored | {"payments_allowed": 2}


def test_a_key_that_no_field_names_is_refused_and_one_that_was_given_up_is_passed_over() -> None:
    name, stored = EARLIER[0]
    payload = OPERATIONS[name].traits.payload
    assert "given_before" in payload.RETIRED
    assert json.loads(payload.read(json.dumps(stored | {"given_before": "12.00"})).stored()) == stored
    with pytest.raises(RunFailed, match="payload of credit cannot be read by this version: surprise: Extra"):
        payload.read(json.dumps(stored | {"surprise": 1}))
    for learned in ({"surprise": 1}, {"given_before": "12.00"}, {"put_back": "refund"}):
        with pytest.raises(ValidationError):
            payload.read(json.dumps(stored)).joined(learned)
    for kind in OPERATIONS.values():
        assert not kind.traits.payload.RETIRED & kind.traits.payload.model_fields.keys()


def test_amounts_are_text_in_the_json_and_decimals_in_the_program() -> None:
    payload = CreditPayload(
        order_number="1001", shipment_id=5, currency="EUR", pays_through="centra", lines=(), total=Decimal("10.00")
    )
    assert json.loads(payload.stored())["total"] == "10.00"
    assert json.loads(payload.joined({"paid": Decimal("9.9900")}).stored())["paid"] == "9.9900"
    assert CreditPayload.read(payload.stored()).total == Decimal("10.00")


def test_a_payload_is_frozen() -> None:
    payload = OPERATIONS["release"].traits.payload.read(json.dumps(EARLIER[3][1]))
    with pytest.raises(ValidationError, match="frozen"):
        payload.shipment_id = 8


def test_a_person_allows_one_more_payment_or_what_differs() -> None:
    paid = CreditPayload.read(json.dumps(EARLIER[1][1]))
    assert [paid.allowed(trouble).payments_allowed for trouble in ("unpaid", "refused")] == [2, 1]
    order = ExchangePayload.read(json.dumps(EARLIER[2][1] | {"accepted": []}))
    assert order.allowed("differs").accepted == ("lines",)


# ---------------------------------------------------------------- the registry


def test_every_kind_of_effect_is_sent_by_one_operation_whose_kinds_share_an_effect_type() -> None:
    kinds = Counter(kind for one in OPERATIONS.values() for kind in one.traits.effect_kinds)
    assert kinds == Counter(EFFECT_KINDS)
    for name, one in OPERATIONS.items():
        assert {EFFECT_TYPE_OF[kind] for kind in one.traits.effect_kinds} == {one.traits.effect_type}
        assert {OPERATION_OF[kind] for kind in one.traits.effect_kinds} == {name}
    assert set(OPERATIONS) == set(get_args(OperationName))


@pytest.mark.parametrize("kind", [kind for kind in EFFECT_KINDS if kind not in ("return_fee", "shipping_refund")])
def test_each_kind_is_cut_into_a_packet_that_begins_at_a_first_step_and_is_read_as_it_was_stored(kind: str) -> None:
    (packet,) = cut([effect(kind)], Policy.model_validate(POLICY), NOW).packets
    steps = packet.payload.STEPS
    assert (packet.operation, packet.step, packet.is_begun) == (OPERATION_OF[kind], steps.first, False)
    assert type(packet.payload).read(packet.payload.stored()) == packet.payload


# ---------------------------------------------------------------- steps


def named(module: ModuleType) -> set[str]:
    """The steps that a module goes on with or asks for, by its source."""
    tree = ast.parse(inspect.getsource(module))
    table = next(node for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "STEPS")
    inside = {id(node) for node in ast.walk(table)}
    texts = {str(node.value) for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in inside}
    return texts & set(STEPS)


@pytest.mark.parametrize("name", list(OPERATIONS))
def test_the_table_of_an_operation_has_every_step_that_it_names_and_each_of_them_leads_to_an_end(
    name: OperationName,
) -> None:
    table = OPERATIONS[name].traits.steps
    assert {table.first, *table.resumes} <= set(table.rules)
    assert set(table.rules) - {table.first} == named(MODULES[name]) - {"done", table.first}
    for begin in (table.first, *table.resumes):
        walked = walk(table, begin)
        assert walked <= {*table.rules, "done"}
        assert "done" in walked
    assert walk(table, table.first) | table.resumes | walk_all(table) == {*table.rules, "done"}
    for step in table.rules:
        assert "done" in walk(table, step), f"{step} has no end"


def walk(table: StepTable, begin: Step) -> set[Step]:
    """Every step that may be reached from one."""
    seen: set[Step] = set()
    left = [begin]
    while left:
        step = left.pop()
        if step not in seen:
            seen.add(step)
            left += table.of(step).then
    return seen


def walk_all(table: StepTable) -> set[Step]:
    return {step for begin in table.resumes for step in walk(table, begin)}


@pytest.mark.parametrize("name", list(OPERATIONS))
def test_a_packet_moves_as_its_table_says_and_not_otherwise(name: OperationName) -> None:
    table = OPERATIONS[name].traits.steps
    at = Packet("PK", name, ("HR",), OPERATIONS[name].traits.payload.model_construct(), table.first, state="sending")
    for before in table.rules:
        for after in STEPS:
            if after == before or after in table.rules[before].then:
                check_move(at.at(before), at.at(after))
                continue
            with pytest.raises(ForbiddenMoveError, match=f"{table.operation} may not go from step {before} to {after}"):
                check_move(at.at(before), at.at(after))
    for before_state in PACKETS:
        for after_state in PACKETS:
            moved = at.at(table.first, state=before_state), at.at(table.first, state=after_state)
            if after_state in PACKETS[before_state]:
                check_move(*moved)
            else:
                with pytest.raises(ForbiddenMoveError, match=f"from {before_state} to {after_state}"):
                    check_move(*moved)


def test_money_is_given_and_taken_back_by_these_steps_alone() -> None:
    rules = [(name, step, rule) for name, one in OPERATIONS.items() for step, rule in one.traits.steps.rules.items()]
    assert {(name, step) for name, step, rule in rules if rule.pays} == {
        ("credit", "refund"),
        ("credit", "issue_credit"),
    }
    assert {step for _, step, rule in rules if rule.takes_back} == {"delete", "undo", "cancel_order", "complete_anyway"}
    assert {name for name, one in OPERATIONS.items() if one.traits.steps.gives_nothing} == {
        "note", "customer_note", "attribute",
    }  # fmt: skip


def test_a_move_that_is_not_allowed_is_not_written(tmp_path: Path) -> None:
    shutil.copy(template(), tmp_path / "warehouse.duckdb")
    warehouse = Warehouse(tmp_path / "warehouse.duckdb")
    members = (effect_key("credit_note", "IT-1"),)
    line = ReturnLine(shipment_line_id=1, quantity=1, members=members)
    payload = CreditPayload(
        order_number="1001", shipment_id=1, currency="EUR", pays_through="centra", lines=(line,), total=Decimal(10)
    )
    packet = Packet(packet_key(members), "credit", members, payload, "refund", state="unknown", centra_id="9")
    with warehouse.kept_open():
        with warehouse.transaction() as connection:
            connection.execute(
                "insert into push.ledger (effect_key, effect_kind, state, is_foreign, travels_alone, planned_at, updated_at)"
                " values (?, 'credit_note', 'unknown', false, false, ?, ?)",
                [members[0], NOW, NOW],
            )
            call_journal.write(connection, [packet], NOW)
        writes = Journal(warehouse, NOW)
        with pytest.raises(ForbiddenMoveError, match="a packet of credit may not go from step refund to create_order"):
            writes.settle([(packet, Advance("create_order"))])
        with warehouse.transaction() as connection:
            assert connection.execute("select state from push.ledger").fetchall() == [("unknown",)]
            assert call_journal.load(connection, "true")[0].step == "refund"
        (after,) = writes.settle([(packet, Advance("complete"))])
        assert (after.step, after.state) == ("complete", "sending")


def test_a_packet_begins_only_where_its_operation_may_begin() -> None:
    table = OPERATIONS["credit"].traits.steps
    table.check_begin("undo")
    with pytest.raises(ForbiddenMoveError, match="a packet of credit may not begin at step uncomplete"):
        table.check_begin("uncomplete")


def test_the_page_about_the_architecture_shows_the_tables_as_they_are() -> None:
    page = diagram.PAGE.read_text("utf-8")
    assert page == diagram.on_page(page), "run python -m hr_centra_pipeline.push.operations.diagram"
