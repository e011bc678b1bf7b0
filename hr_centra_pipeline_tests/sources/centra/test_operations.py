from __future__ import annotations

import pytest
from graphql import get_operation_ast, parse, validate

from hr_centra_pipeline.sandbox.centra.api import load_schema
from hr_centra_pipeline.sandbox.centra.cost import cost_of
from hr_centra_pipeline.sources.centra import centra_calls, centra_operations

# What the sending half asks for by name.
USED_BY_PUSH = {
    "LookAtOrder", "CreateReturn", "RefundReturn", "IssueCredit", "CompleteReturn", "DeleteReturn",
    "LookAtStockChanges", "ChangeStock", "LookAtReplacementStock", "ReadRecipient", "ReadInternalComment",
    "UpdateDirectToConsumerOrder", "CancelOrder", "LookAtReplacementOrder", "LookAtShipment", "UpdateShipment",
    "UncompleteReturn",
}  # fmt: skip


def test_every_operation_that_the_push_names_is_there() -> None:
    assert set(centra_operations.names()) >= USED_BY_PUSH


@pytest.mark.parametrize("name", centra_operations.names())
def test_each_operation_is_valid_in_the_documented_schema(name: str) -> None:
    assert validate(load_schema(), parse(centra_operations.load(name).text)) == []


@pytest.mark.parametrize("name", centra_operations.names())
def test_the_least_permissions_are_exactly_those_that_centra_asks_for(name: str) -> None:
    document = parse(centra_operations.load(name).text)
    operation = get_operation_ast(document)
    assert operation is not None
    cost = cost_of(load_schema(), document, operation, {"first": 200, "lines": 50, "limit": 200})
    assert centra_calls.NEEDED[name] == set(cost.permissions)
    assert list(centra_operations.load(name).mutations) == cost.mutations
    # The smallest bucket that was ever documented holds 150,000 points in 10 seconds.
    assert cost.complexity < 100_000


def test_only_where_a_replacement_goes_is_read_with_personal_data() -> None:
    asking = {
        name for name in centra_operations.names() if "Address" in centra_operations.load(name).text.split("{", 1)[1]
    }
    assert asking == {"ReadRecipient", "LookAtReplacementOrder"}


def test_an_operation_that_does_not_exist_is_named_in_the_error() -> None:
    with pytest.raises(KeyError, match="no operation DeleteEverything"):
        centra_operations.load("DeleteEverything")


def test_a_token_that_only_pulls_needs_no_right_to_write() -> None:
    pulling = [name for name in centra_operations.names() if name.startswith("Pull")]
    assert not [needed for needed in centra_calls.least(pulling) if needed.endswith(":write")]
    assert "Return:write" in centra_calls.least()
