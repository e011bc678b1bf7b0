"""The GraphQL Integration API: what one POST gets back."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from importlib import resources
from typing import Any

from ariadne import convert_camel_case_to_snake, make_executable_schema
from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    SelectionSetNode,
    execute_sync,
    get_operation_ast,
    parse,
    validate,
)

from hr_centra_pipeline.sandbox.centra.cost import Cost, cost_of
from hr_centra_pipeline.sandbox.centra.quota import Quotas
from hr_centra_pipeline.sandbox.centra.reading import BINDINGS
from hr_centra_pipeline.sandbox.centra.store import CentraStore
from hr_centra_pipeline.sandbox.centra.writing import mutation


def _only_shown_fields(name: str, schema: GraphQLSchema, path: tuple[str, ...]) -> str:
    is_shown = len(path) == 2 and isinstance(schema.type_map[path[0]], GraphQLObjectType)
    return convert_camel_case_to_snake(name) if is_shown else name


def load_schema() -> GraphQLSchema:
    """The documented schema, bound to the store."""
    text = resources.files("hr_centra_pipeline.sandbox.centra").joinpath("schema.graphql").read_text("utf-8")
    return make_executable_schema(text, *BINDINGS, mutation, convert_names_case=_only_shown_fields)


@dataclass(frozen=True)
class Grant:
    """What a token may do. ``permissions`` ``None``: everything. ``store_id``: objects of other stores look absent."""

    permissions: frozenset[str] | None = None
    expires_at: datetime | None = None
    store_id: int | None = None


@dataclass
class Reply:
    """Status, JSON body (decimals and all), headers; ``operations`` for the request log."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    operations: list[str] = field(default_factory=list)
    mutations: list[str] = field(default_factory=list)


@dataclass
class Prepared:
    """A request that may be executed: nothing was changed yet."""

    document: Any
    operation: OperationDefinitionNode
    variables: dict[str, Any]
    cost: Cost
    grant: Grant


class IntegrationApi:
    """Executes documents on the store, within permissions and quotas."""

    def __init__(self, store: CentraStore, quotas: Quotas, *, app_version: str = "sandbox") -> None:
        self.schema = load_schema()
        self.store = store
        self.quotas = quotas
        self.tokens: dict[str, Grant] = {}
        self._app_version = app_version
        self._read = lru_cache(maxsize=256)(self._parsed)  # clients send the same few documents again and again

    def new_token(self, grant: Grant | None = None) -> str:
        """Issue a token."""
        token = secrets.token_urlsafe(24)
        self.tokens[token] = grant or Grant()
        return token

    def prepare(self, grant: Grant, body: Mapping[str, Any]) -> Prepared | Reply:
        """Check a request: 400 when it is no valid query, errors when a permission is missing."""
        document, mistakes = self._read(str(body.get("query") or ""))
        if document is None or mistakes:
            return Reply(400, {"errors": [_shown(error, "graphql") for error in mistakes]})
        operation = get_operation_ast(document, body.get("operationName") or None)
        if operation is None:
            return Reply(400, {"errors": [{"message": "Unknown or ambiguous operationName"}]})
        variables = dict(body.get("variables") or {})
        cost = cost_of(self.schema, document, operation, variables)
        most = self.quotas.capacity("QUERY_COMPLEXITY")
        if cost.complexity > most:
            return Reply(400, {"errors": [{"message": f"Query complexity {cost.complexity} is above {most}"}]})
        return Prepared(document, operation, variables, cost, grant)

    def _parsed(self, query: str) -> tuple[DocumentNode | None, list[GraphQLError]]:
        try:
            document = parse(query)
        except GraphQLError as error:
            return None, [error]
        return document, validate(self.schema, document)

    def execute(self, ready: Prepared, *, half: bool = False) -> Reply:
        """Execute; business refusals stand in ``userErrors`` of their own payload. ``half``: only the first half of its fields."""
        names = ready.operation.name.value.split("_") if ready.operation.name else []
        reply = Reply(200, {}, operations=names, mutations=ready.cost.mutations)
        extensions = {
            "complexity": ready.cost.complexity,
            "permissionsUsed": sorted(ready.cost.permissions),
            "appVersion": self._app_version,
            "deprecatedFieldsUsed": [],
        }
        missing = self._missing(ready)
        if missing:
            return Reply(200, {"errors": missing, "extensions": extensions}, operations=names)
        result = execute_sync(
            self.schema,
            _first_half(ready) if half else ready.document,
            variable_values=ready.variables,
            operation_name=ready.operation.name.value if ready.operation.name else None,
            context_value={"store": self.store, "quotas": self.quotas, "store_id": ready.grant.store_id},
        )
        if result.errors:
            reply.body["errors"] = [_shown(error, "graphql") for error in result.errors]
        reply.body["data"] = result.data
        reply.body["extensions"] = extensions
        return reply

    def _missing(self, ready: Prepared) -> list[dict[str, Any]]:
        if ready.grant.permissions is None:
            return []
        return [
            {
                "message": f"Missing permission {permission}",
                "path": path,
                "extensions": {"category": "authorization"},
            }
            for permission, path in ready.cost.permissions.items()
            if permission not in ready.grant.permissions
        ]


def _first_half(ready: Prepared) -> DocumentNode:
    selections = ready.operation.selection_set.selections
    operation = copy(ready.operation)
    operation.selection_set = SelectionSetNode(selections=selections[: max(1, len(selections) // 2)])
    others = tuple(node for node in ready.document.definitions if node is not ready.operation)
    return DocumentNode(definitions=(operation, *others))


def _shown(error: GraphQLError, category: str) -> dict[str, Any]:
    shown = dict(error.formatted)
    shown["extensions"] = {"category": category, **(error.extensions or {})}
    return shown
