"""Schemas for tests of the contract: the documented one, and ones that a merchant's Centra may have."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

from graphql import GraphQLSchema, build_schema, introspection_from_schema

DOCUMENTED = resources.files("hr_centra_pipeline.sandbox.centra").joinpath("schema.graphql").read_text("utf-8")
# Five differences, each as an edit of the text.
FIVE = (
    # a missing sort
    ("orderDate_ASC orderDate_DESC }", "orderDate_ASC }"),
    # another argument of the cancelling
    ("cancelDirectToConsumerOrder(id: String!,", "cancelDirectToConsumerOrder(order: OrderInput!,"),
    # no issueCredit
    ("  issueCredit(input: CreditIssueInput!): CreditIssuePayload!", ""),
    # a new input member that is required
    ("  description: String!\n", "  description: String!\n  reason: String!\n"),
    # an enum without a word that we read
    (" REFUND_FAILED ", " REFUND_REJECTED "),
)


def edited(*edits: tuple[str, str]) -> str:
    """The documented schema with other texts in some places; each place must be there."""
    text = DOCUMENTED
    for old, new in edits:
        assert old in text, f"the documented schema does not hold {old!r}"
        text = text.replace(old, new)
    return text


def schema(*edits: tuple[str, str]) -> GraphQLSchema:
    """The same, as a schema."""
    return build_schema(edited(*edits), assume_valid=True)


def introspection(*edits: tuple[str, str]) -> dict[str, Any]:
    """The same, as a Centra answers an introspection."""
    return {"data": introspection_from_schema(schema(*edits), descriptions=False)}


def write_introspection(path: Path, *edits: tuple[str, str]) -> Path:
    """The same, in a file."""
    path.write_text(json.dumps(introspection(*edits)), encoding="utf-8")
    return path
