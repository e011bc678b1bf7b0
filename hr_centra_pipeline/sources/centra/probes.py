"""What a token may do, found out without doing it: each of our queries run for nothing, each mutation skipped by a directive.

GraphQL itself guarantees that a field with ``@skip(if: true)`` is not executed; the ids in it (0) would be refused besides.
Whether Centra checks the permission of a skipped mutation is not documented: "not refused" proves nothing for those.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import DirectiveNode, FieldNode, OperationDefinitionNode, parse, print_ast
from graphql.language import ArgumentNode, BooleanValueNode, NameNode

from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.sources.centra import centra_calls, centra_operations
from hr_centra_pipeline.sources.centra.centra_calls import plain, widest
from hr_centra_pipeline.sources.centra.centra_errors import CentraError, Misconfigured
from hr_centra_pipeline.sources.centra.client import CentraClient

# What our token need not be allowed: one query each.
TOO_MUCH: Mapping[str, str] = {
    "Event:read": "query Probe { events(limit: 1) { id } }",
    "IdConversion:read": "query Probe { idConversions(limit: 1) { externalId } }",
    "Customer:write": (
        "mutation Probe { updateCustomer(customer: {id: 0}, input: {}) @skip(if: true) "
        "{ userErrors { message } } }"
    ),
    "Attribute:write": (
        "mutation Probe { assignAttributes(input: {objectType: Order, objectId: 0}) @skip(if: true) "
        "{ userErrors { message } } }"
    ),
    "IdConversion:write": (
        "mutation Probe { setIdConversions(input: []) @skip(if: true) { userErrors { message } } }"
    ),
    "Event:write": (
        "mutation Probe { unsetEventListeners(input: []) @skip(if: true) { userErrors { message } } }"
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Probed:
    """One question. ``problem``: why it was refused, in Centra's words; ``missing``: the permission that it names."""

    name: str
    problem: str | None = None
    missing: str | None = None
    is_write: bool = False
    is_access: bool = False


def operations_answer(client: CentraClient, policy: Policy) -> Iterator[Probed]:
    """Each operation that the policy uses: is it valid in this Centra, and may our token execute it?"""
    used = centra_calls.used(policy)
    variables = widest(policy)
    for name in centra_operations.names():
        if name not in used:
            continue
        operation = centra_operations.load(name)
        text = skipped(operation.text) if operation.is_mutation else operation.text
        yield _asked(client, name, text, plain(variables[name]), is_write=operation.is_mutation)


def beyond_need(client: CentraClient, policy: Policy) -> Iterator[Probed]:
    """Permissions that the policy does not need and that the token seems to have."""
    needed = centra_calls.least(centra_calls.used(policy))
    for permission, text in TOO_MUCH.items():
        if permission in needed:
            continue
        probed = _asked(client, permission, text, {}, operation="Probe", is_write="mutation" in text)
        if probed.problem is None:
            yield probed


def skipped(text: str) -> str:
    """A mutation's document in which nothing is executed: every root field is skipped."""
    document = parse(text)
    skip = DirectiveNode(
        name=NameNode(value="skip"),
        arguments=(ArgumentNode(name=NameNode(value="if"), value=BooleanValueNode(value=True)),),
    )
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            for node in definition.selection_set.selections:
                assert isinstance(node, FieldNode)  # noqa: S101 - our own documents
                node.directives = (*node.directives, skip)
    return print_ast(document)


def _asked(
    client: CentraClient, name: str, text: str, variables: Mapping[str, Any], *, is_write: bool, operation: str = ""
) -> Probed:
    try:
        client.ask(operation or name, text, variables)
    except CentraError as error:
        found = re.search(r"\b[A-Z]\w+(?:\.\w+)?:(?:read|write)\b", str(error))
        is_access = isinstance(error, Misconfigured)
        return Probed(name, str(error), found[0] if found else None, is_write, is_access)
    return Probed(name, is_write=is_write)
