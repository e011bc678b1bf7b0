"""The contract with a Centra: its schema next to what our operations use."""

from __future__ import annotations

from typing import Any

import pytest

from hr_centra_pipeline.core.policy import Policy, load_policy
from hr_centra_pipeline.core.words import CentraWords
from hr_centra_pipeline.sources.centra import centra_calls, centra_contract, centra_operations
from hr_centra_pipeline.sources.centra.assumptions import ledger
from hr_centra_pipeline.sources.centra.centra_contract import NotASchema, Row
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY
from hr_centra_pipeline_tests.sources.centra.schemas import FIVE, introspection

POLICY = load_policy(EXAMPLE_POLICY).policy


def rows(*edits: tuple[str, str], policy: Policy = POLICY, words: CentraWords | None = None) -> list[Row]:
    read = centra_contract.words_read(words or policy.centra.words)
    return centra_contract.compared(centra_contract.schema_of(introspection(*edits)), centra_calls.needed(policy), read)


def differences(*edits: tuple[str, str], **given: Any) -> dict[str, Row]:
    """What differs, by coordinate."""
    return {row.coordinate: row for row in rows(*edits, **given) if row.verdict == "differs"}


def only(*edits: tuple[str, str], **given: Any) -> Row:
    """The one thing that differs."""
    (row,) = differences(*edits, **given).values()
    return row


def test_the_documented_schema_is_as_assumed_in_every_coordinate_that_we_use() -> None:
    found = rows()
    assert {row.verdict for row in found} == {"as_assumed"}
    kinds = {row.kind for row in found}
    assert kinds == {"root field", "field", "argument", "input member", "word"}
    listed = ledger()
    assert {row.coordinate for row in found if row.kind == "input member"} <= set(listed.coordinates["input member"])
    (row,) = [row for row in found if row.coordinate == "Mutation.createReturn"]
    assert (row.operations, row.effect_types) == (("CreateReturn",), ("credit_note", "exchange_order"))
    assert row.basis == "documented"


def test_five_differences_are_named_each_with_its_remedy_and_what_is_not_sent() -> None:
    found = differences(*FIVE)
    told = {coordinate: (row.found, row.effect_types) for coordinate, row in found.items() if row.stops}
    assert told == {
        "OrderSort.orderDate_DESC": ("number_ASC, number_DESC, orderDate_ASC", ("exchange_order",)),
        "Mutation.cancelDirectToConsumerOrder(id:)": ("input, order", ("exchange_order",)),
        "Mutation.cancelDirectToConsumerOrder(order:)": ("required: OrderInput!", ("exchange_order",)),
        "Mutation.issueCredit": ("nothing like it", ("credit_note by gift_card",)),
        "StockChangeInput.reason": ("required: String!", ("inventory_adjustment",)),
        "PaymentHistoryEntryType.REFUND_FAILED": (
            "words without a meaning: REFUND_REJECTED", ("credit_note", "exchange_order", "credit_note by centra"),
        ),
    }  # fmt: skip
    assert found["OrderSort.orderDate_DESC"].remedy == (
        "Not sent until hr-centra is updated (report this line): exchange orders."
    )
    assert found["Mutation.issueCredit"].remedy == (
        "Fill [gift_card] template with the member that your schema has; if it names no such mutation, set "
        'pays_through.gift-card = "elsewhere" and issue the gift cards by hand. Not sent until then: gift cards.'
    )
    assert found["StockChangeInput.reason"].remedy.startswith("hr-centra does not send it at all.")
    assert found["PaymentHistoryEntryType.REFUND_FAILED"].remedy.startswith(
        "Set centra.words.payment_type.refund_failed to the words of your Centra that mean refund failed"
    )


# ---------------------------------------------------------------- kinds of differences


@pytest.mark.parametrize(
    ("edit", "coordinate", "expected", "found"),
    [
        # a root field, an argument, a field, an input member, a word that is missing or has another name
        (("  rateLimits: [RateLimit!]!", "  limits: [RateLimit!]!"), "Query.rateLimits", "a field",
         "nothing of that name; similar: limits"),
        (("warehouses(where: WarehouseFilter, limit: Int = 20,", "warehouses(where: WarehouseFilter, first: Int = 20,"),
         "Query.warehouses(limit:)", "Int", "first, page, where"),
        (("freeToAllocateQuantity: Int! }\ninput StockFilter", "free: Int! }\ninput StockFilter"),
         "Stock.freeToAllocateQuantity", "a field", "allocatedQuantity, free, physicalQuantity, productSize, warehouse"),
        (("input ReturnRefundInput { sendEmail: Boolean }", "input ReturnRefundInput { notify: Boolean }"),
         "ReturnRefundInput.sendEmail", "a member", "notify"),
        # another type
        (("completeReturn(id: Int!,", "completeReturn(id: String!,"), "Mutation.completeReturn(id:)", "Int!", "String!"),
        (("  comment: String\n  createdAt: DateTimeTz\n", "  comment: Int\n  createdAt: DateTimeTz\n"),
         "ReturnCreateInput.comment", "a text", "Int"),
        (("input StockChangeFilter { id: [Int!]", "input StockChangeFilter { id: [String!]"), "StockChangeFilter.id",
         "a whole number", "String"),
        (("type Stock { warehouse: Warehouse!", "type Stock { warehouse: [Warehouse!]!"), "", "", ""),
        (("totalQuantity: Int!  returnedToStock: Boolean!", "totalQuantity: Int!  returnedToStock: String!"),
         "Return.returnedToStock", "true or false", "String!"),
        # required, and not sent in every call
        (("createShipment(input: ShipmentCreateInput!)", "createShipment(input: ShipmentCreateInput!, why: String!)"), "", "", ""),
        (("deleteReturn(id: Int!)", "deleteReturn(id: Int!, why: String!)"), "Mutation.deleteReturn(why:)", "not required",
         "required: String!"),
        (("  returnCost: MonetaryValueInput\n", "  returnCost: MonetaryValueInput!\n"), "ReturnCreateInput.returnCost",
         "not always sent", "required: MonetaryValueInput!"),
        (("  returnCost: MonetaryValueInput\n", '  returnCost: MonetaryValueInput\n  why: String! = "x"\n'), "", "", ""),
    ],
)  # fmt: skip
def test_what_differs_is_named_with_what_was_expected_and_found(
    edit: tuple[str, str], coordinate: str, expected: str, found: str
) -> None:
    told = {(name, row.expected, row.found) for name, row in differences(edit).items()}
    assert told == ({(coordinate, expected, found)} if coordinate else set())


def test_a_difference_stops_every_effect_type_that_needs_the_operation() -> None:
    row = only(("  isCaptured: Boolean!\n", ""))
    assert (row.coordinate, row.operations, row.stops) == ("Shipment.isCaptured", ("PullShipments",), True)
    assert row.effect_types == ("credit_note", "exchange_order", "inventory_adjustment", "status_update")


def test_what_the_policy_does_not_use_stops_nothing() -> None:
    elsewhere = POLICY.model_copy(update={"pays_through": {"refund": "centra", "gift-card": "elsewhere"}})
    row = only(FIVE[2], policy=elsewhere)
    assert (row.coordinate, row.effect_types) == ("Mutation.issueCredit", ())
    assert row.remedy.endswith("Nothing that the policy sends needs it.")


def test_an_input_type_of_another_name_is_a_difference_of_the_argument() -> None:
    row = only(("ReturnCreateInput", "CreateReturnInput"))
    assert (row.coordinate, row.expected, row.found) == (
        "Mutation.createReturn(input:)", "ReturnCreateInput!", "CreateReturnInput!",
    )  # fmt: skip


def test_a_payload_of_another_name_is_none() -> None:
    edits = [("deleteReturn(id: Int!): ReturnPayload!", "deleteReturn(id: Int!): ReturnDeletePayload!")]
    edits += [
        (
            "type ReturnPayload ",
            "type ReturnDeletePayload { userErrors: [UserError!]! userWarnings: [UserWarning!]! }\ntype ReturnPayload ",
        )
    ]
    assert differences(*edits) == {}


# ---------------------------------------------------------------- words


def test_a_word_whose_meaning_has_another_word_here_stops_nothing() -> None:
    row = only(("ARCHIVED DELETED }", "ARCHIVED CANCELLED }"))
    assert (row.coordinate, row.basis, row.stops) == ("OrderStatus.DELETED", "connector", False)
    assert row.remedy == "Nothing to set: CANCELLED means cancelled as well."


def test_a_word_that_nobody_gave_a_meaning_is_reported_with_the_setting() -> None:
    row = only(("ARCHIVED DELETED }", "ARCHIVED DELETED AWAITING_REVIEW }"))
    assert (row.coordinate, row.stops) == ("OrderStatus.AWAITING_REVIEW", False)
    assert row.remedy.startswith("Say in [centra.words.order_status] what it means")


def test_the_policy_s_words_are_the_remedy_that_it_names() -> None:
    edit = ("{ PENDING COMPLETED }", "{ OPEN DONE }")
    lost = differences(edit)
    assert {name for name, row in lost.items() if row.stops} == {
        "ReturnStatus.COMPLETED"
    }  # nothing is decided by PENDING
    told = CentraWords.model_validate({"return_status": {"pending": ["OPEN"], "completed": ["DONE"]}})
    assert differences(edit, words=told) == {}
    none = CentraWords.model_validate({"return_status": {"pending": [], "completed": ["OPEN", "DONE"]}})
    assert differences(edit, words=none) == {}


def test_words_by_which_nothing_is_decided_stop_nothing() -> None:
    for edit in [("{ IN OUT TRANSFER RETURN SHIPMENT OTHER }", "{ MANUAL }"), (" INVOICE OTHER ", " ")]:
        assert not any(row.stops for row in differences(edit).values())
    assert not any(row.stops for row in differences(("QUERY_COMPLEXITY MUTATION_COUNT", "QUERY_COMPLEXITY")).values())


def test_an_enum_that_is_not_there_cannot_be_seen() -> None:
    found = rows(("enum StockChangeType {", "enum StockChangeKind {"), ("StockChangeType!", "StockChangeKind!"))
    assert [row.coordinate for row in found if row.verdict == "cannot_be_seen"] == ["StockChangeType"]


# ---------------------------------------------------------------- nothing escapes


def test_a_document_that_is_not_valid_for_another_reason_is_reported_as_a_whole() -> None:
    # Two fields of one name that cannot be merged: no coordinate is missing.
    text = centra_operations.load("PullWarehouses").text
    found = list(
        centra_contract.problems(
            centra_contract.schema_of(introspection()), f"{text} fragment Unused on Order {{ id }}", {}
        )
    )
    assert found == ["Fragment 'Unused' is never used."]


@pytest.mark.parametrize(
    "given", [None, [], {}, {"data": None}, {"__schema": {}}, {"data": {"__schema": {"types": 5}}}]
)
def test_what_is_not_an_introspection_is_refused(given: Any) -> None:
    with pytest.raises(NotASchema, match="not the result of a GraphQL introspection"):
        centra_contract.schema_of(given)


def test_what_no_schema_shows_is_listed_as_such() -> None:
    unseen = list(centra_contract.unseen(["behaviour.payment_value_sign"]))
    assert {row.verdict for row in unseen} == {"cannot_be_seen"}
    assert {row.kind for row in unseen} == {"REST key", "REST answer", "behaviour"}
    told = {row.coordinate: row.remedy for row in unseen}
    assert "behaviour.payment_value_sign" not in told
    assert told["behaviour.stock_change_text_length"] == "Set the length. (centra.description_limit)"


# ---------------------------------------------------------------- the map of operations


def test_every_operation_serves_an_effect_type_or_people_or_brings_events() -> None:
    by_policy = [
        *centra_calls.SENDING.values(), *centra_calls.PAYING.values(), *centra_calls.WRITING.values(), centra_calls.RELEASING,
    ]  # fmt: skip
    needed = frozenset().union(*by_policy, centra_calls.FOR_PEOPLE, centra_calls.QUEUE)
    assert needed == set(centra_operations.names()) == set(centra_calls.NEEDED)
