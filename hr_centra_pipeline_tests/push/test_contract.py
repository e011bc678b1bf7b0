"""A Centra whose schema is not quite ours: what still fits is sent, the rest waits and says why."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hr_centra_pipeline.push import returns
from hr_centra_pipeline.push.operations import attribute, credit, exchange, note, release, stock
from hr_centra_pipeline.push.preview import preview
from hr_centra_pipeline.sources.centra import centra_calls, centra_operations, contract_record
from hr_centra_pipeline.sources.centra.centra_contract import without_schema
from hr_centra_pipeline.sources.centra.contract_record import Looked
from hr_centra_pipeline_tests.harness import Harness, harness
from hr_centra_pipeline_tests.sources.centra.schemas import FIVE, introspection, write_introspection

SORT, CANCEL, CREDIT, MEMBER, WORD = FIVE


def look(shop: Harness, *edits: tuple[str, str]) -> None:
    """Keep the contract with a schema, as if the sync had looked at it just now."""
    looked = contract_record.look_at_file(introspection(*edits), shop.policy)
    with shop.warehouse.transaction() as connection:
        contract_record.keep(connection, looked, shop.policy, shop.clock.now(), app_version="1.60")


@pytest.fixture
def shop(at_harness: Harness) -> Harness:
    """A refund whose goods are put back, an exchange, and the notes about them: planned, and not sent yet."""
    at_harness.comes_back(at_harness.sell(("DRESS-S", 1, "100.00")), grade="sellable")
    at_harness.comes_back(at_harness.sell(("DRESS-S", 1, "100.00")), refund_type="exchange", exchange_sku="DRESS-M")
    at_harness.plan()
    return at_harness


def states(shop: Harness) -> dict[str, set[str]]:
    """The states of each kind of effect; a note that a later one overtook is none."""
    found: dict[str, set[str]] = {}
    for kind, state in shop.rows("select effect_kind, state from push.ledger where state <> 'withdrawn'"):
        found.setdefault(str(kind), set()).add(str(state))
    return found


KINDS = ("credit_note", "exchange_order", "inventory_adjustment", "status_update")
DONE_BY = {
    "credit_note": {"refundReturn"}, "exchange_order": {"POST /order"}, "inventory_adjustment": {"changeStock"},
    "status_update": {"updateDirectToConsumerOrder"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("edits", "waiting"),
    [
        pytest.param((), set(), marks=pytest.mark.slow),
        pytest.param((SORT,), {"exchange_order"}, marks=pytest.mark.slow),
        pytest.param((CANCEL,), {"exchange_order"}, marks=pytest.mark.slow),
        pytest.param((CREDIT,), set(), marks=pytest.mark.slow),
        pytest.param((MEMBER,), {"inventory_adjustment"}, marks=pytest.mark.slow),
        pytest.param((WORD,), {"credit_note", "exchange_order"}, marks=pytest.mark.slow),
        ((("input DirectToConsumerOrderUpdateInput { internalComment: String", "input DirectToConsumerOrderUpdateInput {"),),
         {"status_update"}),
        ((SORT, CREDIT, MEMBER), {"exchange_order", "inventory_adjustment"}),
        pytest.param(
            (("trackingNumber: String  returnTrackingNumber", "returnTrackingNumber"),), set(), marks=pytest.mark.slow
        ),
        ((("  isCaptured: Boolean!\n", ""),), set(KINDS)),
    ],
    ids=[
        "nothing differs", "a missing sort", "another argument", "no issueCredit", "a required member", "a missing word",
        "a missing member", "three at once", "what we do not use", "what every pull needs",
    ],
)  # fmt: skip
def test_what_still_fits_is_sent_and_nothing_else(
    shop: Harness, edits: tuple[tuple[str, str], ...], waiting: set[str]
) -> None:
    look(shop, *edits)
    shop.settle()
    assert states(shop) == {kind: {"planned" if kind in waiting else "confirmed"} for kind in KINDS}
    told = [why for why in shop.push().waiting.values() if "does not fit this Centra" in why]
    assert bool(told) == bool(waiting)
    done = set(shop.mutations())
    assert {kind for kind in KINDS if DONE_BY[kind] <= done} == set(KINDS) - waiting


def test_what_waits_goes_out_once_the_remedy_was_applied(shop: Harness) -> None:
    look(shop, WORD)
    shop.push()
    assert states(shop)["credit_note"] == {"planned"}
    shop.with_policy(centra={"words": {"payment_type": {"refund_failed": ["REFUND_REJECTED"]}}})
    look(shop, WORD)
    shop.sync()
    assert states(shop)["credit_note"] == {"confirmed"}


def test_a_gift_card_waits_where_there_is_no_mutation_for_it_and_a_refund_does_not(at_harness: Harness) -> None:
    card = at_harness.comes_back(at_harness.sell(("DRESS-S", 1, "100.00")), refund_type="gift-card")
    refund = at_harness.comes_back(at_harness.sell(("DRESS-S", 1, "100.00")))
    at_harness.plan()
    look(at_harness, CREDIT)
    at_harness.push()
    assert at_harness.states() == {card.item: "planned", refund.item: "confirmed"}
    ((reason,),) = at_harness.rows("select reason from push.ledger where return_item_id = ?", card.item)
    assert str(reason).startswith("it does not fit this Centra: Mutation.issueCredit (this Centra: nothing like it).")
    assert "createReturn" in at_harness.mutations()
    assert at_harness.returns_of(card.sold) == []


@pytest.mark.slow
def test_the_reason_is_an_exception_of_the_data_team_which_closes_by_itself(shop: Harness) -> None:
    look(shop, MEMBER)
    report = shop.push()
    assert [told for told in report.breached if "StockChangeInput.reason" in told]
    shop.reconcile()
    query = "select owner_team, culprit, cause, detail, next_step from reconciliation.exceptions where kind = 'guard_breached'"
    ((owner, culprit, cause, detail, next_step),) = shop.rows(query)
    assert (owner, culprit, cause) == ("data", "centra", "system_error")
    assert str(detail).startswith(
        "inventory_adjustment: it does not fit this Centra: StockChangeInput.reason (this Centra: required: String!)."
    )
    assert "`hr-centra doctor` lists what does not fit" in str(next_step)
    look(shop)
    shop.push()
    shop.reconcile()
    assert shop.rows(query) == []


def test_a_dry_run_and_the_preview_show_the_same(shop: Harness) -> None:
    look(shop, MEMBER)
    shop.mode = "dry_run"
    report = shop.push()
    assert len([why for why in report.waiting.values() if "StockChangeInput.reason" in why]) == 1
    assert [told for told in report.breached if "StockChangeInput.reason" in told]
    with shop.warehouse.transaction() as connection:
        shown = preview(connection, shop.policy, shop.clock.now())
    assert {planned.packet.operation for planned in shown.packets} == {"credit", "exchange"}
    assert {effect.effect_kind for effect, why in shown.staying if "StockChangeInput" in why} == {
        "inventory_adjustment"
    }


def test_a_credit_that_is_half_done_is_not_paid_where_its_mutation_has_gone(at_harness: Harness) -> None:
    sold = at_harness.sell(("DRESS-S", 1, "100.00"))
    at_harness.comes_back(sold)
    at_harness.with_policy(settling_minutes=60)
    at_harness.fault("error_before", "RefundReturn", status=500)
    at_harness.sync()
    at_harness.with_policy()
    look(at_harness, ("  refundReturn(id: Int!, input: ReturnRefundInput): ReturnRefundPayload!", ""))
    at_harness.push()
    assert at_harness.refunded(sold) == 0
    ((message,),) = at_harness.rows("select message from push.packets where operation = 'credit'")
    assert str(message).startswith("half done, before refund: it does not fit this Centra: Mutation.refundReturn")
    look(at_harness)
    at_harness.push()
    assert at_harness.refunded(sold) == 100


@pytest.mark.slow
def test_before_the_first_look_nothing_is_refused(shop: Harness) -> None:
    shop.settle()
    assert states(shop) == {kind: {"confirmed"} for kind in KINDS}


@pytest.mark.slow
def test_a_schema_that_cannot_be_seen_refuses_nothing(shop: Harness) -> None:
    with shop.warehouse.transaction() as connection:
        looked = Looked([without_schema("introspection is disabled")])
        contract_record.keep(connection, looked, shop.policy, shop.clock.now(), app_version=None)
    shop.settle()
    assert states(shop) == {kind: {"confirmed"} for kind in KINDS}


# ---------------------------------------------------------------- on a Centra that really has another schema


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edits", "fitting"),
    [(FIVE, {"status_update"}), (FIVE[:4], {"credit_note", "status_update"})],
    ids=["five differences", "without the word"],
)
def test_on_a_centra_with_another_schema_only_what_fits_is_called(
    tmp_path: Path, edits: tuple[tuple[str, str], ...], fitting: set[str]
) -> None:
    file = write_introspection(tmp_path / "schema.json", *edits)
    with harness(tmp_path, schema_path=file) as odd:
        odd.comes_back(odd.sell(("DRESS-S", 1, "100.00")), grade="sellable")
        odd.comes_back(odd.sell(("DRESS-S", 1, "100.00")), refund_type="exchange", exchange_sku="DRESS-M")
        card = odd.comes_back(odd.sell(("DRESS-S", 1, "100.00")), refund_type="gift-card")
        odd.plan()
        with odd.warehouse.kept_open():
            contract_record.refresh(odd.client(), odd.order_api(), odd.warehouse, odd.policy, odd.clock.now())
        odd.settle()
        found = states(odd)
        assert {kind for kind in KINDS if "confirmed" in found[kind]} == fitting
        assert odd.states()[card.item] == "planned"
        assert not odd.rows("select * from push.attempts where outcome in ('not_done', 'unknown')")
        calls = {name for kind in fitting for name in DONE_BY[kind]} | {"createReturn", "completeReturn"}
        assert set(odd.mutations()) <= calls


# ---------------------------------------------------------------- the map of operations


def named_in(*modules: ModuleType) -> set[str]:
    """Operations that modules name."""
    trees: Iterable[Any] = (ast.walk(ast.parse(inspect.getsource(module))) for module in modules)
    texts = {node.value for tree in trees for node in tree if isinstance(node, ast.Constant)}
    return {str(text) for text in texts} & set(centra_operations.names())


@pytest.mark.parametrize(
    ("effect_type", "modules"),
    [
        ("credit_note", (credit, returns)),
        ("exchange_order", (exchange, release, returns)),
        ("inventory_adjustment", (stock,)),
        ("status_update", (note, attribute)),
    ],
)
def test_whatever_operation_an_effect_type_calls_is_among_those_that_it_needs(
    effect_type: str, modules: tuple[ModuleType, ...]
) -> None:
    by_policy = {
        "credit_note": centra_calls.PAYING.values(),
        "exchange_order": [centra_calls.RELEASING],
        "status_update": centra_calls.WRITING.values(),
    }
    needed = centra_calls.SENDING[effect_type].union(*by_policy.get(effect_type, ()))
    assert named_in(*modules) == {name for name in needed if not name.startswith("Pull") and name != "ReadRateLimits"}
