"""The GraphQL Integration API: what one POST gets back."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLError,
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
from hr_centra_pipeline.sandbox.centra.schema import Wanted, bound_schema, schema_text
from hr_centra_pipeline.sandbox.centra.store import CentraStore
from hr_centra_pipeline.sandbox.centra.used import Footprint, Used, count_variables, footprint
from hr_centra_pipeline.sandbox.centra.writing import mutation


def load_schema() -> GraphQLSchema:
    """The documented schema, bound to the store."""
    return bound_schema(schema_text(), [*BINDINGS, mutation])


@dataclass(frozen=True)
class Grant:
    """What a token may do. ``permissions`` ``None``: everything. ``store_id``: objects of other stores look absent.

    ``integration_name``: whose event queue it sees; ``None``: the shop's usual one.
    """

    permissions: frozenset[str] | None = None
    expires_at: datetime | None = None
    store_id: int | None = None
    integration_name: str | None = None


@dataclass
class Reply:
    """Status, JSON body (decimals and all), headers; ``operations`` and ``unknown_keys`` (of a body) for the request log."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)
    operations: list[str] = field(default_factory=list)
    mutations: list[str] = field(default_factory=list)
    unknown_keys: list[str] = field(default_factory=list)
    has_no_body: bool = False


@dataclass
class Prepared:
    """A request that may be executed: nothing was changed yet."""

    document: Any
    operation: OperationDefinitionNode
    variables: dict[str, Any]
    cost: Cost
    grant: Grant
    footprint: Footprint


@dataclass
class _Read:
    """A document as it was read once; ``footprints`` of its operations."""

    document: DocumentNode | None
    mistakes: list[GraphQLError]
    footprints: dict[str, Footprint] = field(default_factory=dict)


class IntegrationApi:
    """Executes documents on the store, within permissions and quotas. ``schema_path``: see ``schema_text``."""

    def __init__(
        self,
        store: CentraStore,
        quotas: Quotas,
        *,
        used: Used | None = None,
        schema_path: Path | None = None,
        app_version: str = "sandbox",
    ) -> None:
        self.store = store
        self.quotas = quotas
        self.used = used or Used()
        self.tokens: dict[str, Grant] = {}
        self._app_version = app_version
        self._text = schema_text(schema_path)
        self._schema: GraphQLSchema | None = None
        if schema_path is not None:
            self._load(self._wanted())  # a merchant's own may be wrong, and that shows at once

    @property
    def schema(self) -> GraphQLSchema:
        """The schema that is served; it is made when it is first needed."""
        if self._schema is None:
            self._load(self._wanted())
        assert self._schema is not None  # noqa: S101 - made just now
        return self._schema

    def _wanted(self) -> Wanted:
        settings = self.store.settings
        words = tuple(sorted(settings.words.items()))
        return Wanted(settings.gift_card_members, self.store.extra_words(), words, self.used.enum_words_answered.add)

    def _load(self, wanted: Wanted) -> None:
        self._served = wanted
        self._schema = bound_schema(self._text, [*BINDINGS, mutation], wanted)
        self._read = lru_cache(maxsize=256)(self._parsed)  # clients send the same few documents again and again

    def serve(self, text: str, *, app_version: str) -> None:
        """Serve another schema from now on, as after a release of Centra; what it lacks is missing for clients, too."""
        self._text, self._app_version = text, app_version
        self._load(self._wanted())

    def refresh(self) -> None:
        """Serve what the settings say now: unlisted words, members of gift cards."""
        if self.store.settings.unknown_words:
            self.store.show_unlisted_words()
        if self._schema is None or self._wanted() != self._served:
            self._load(self._wanted())

    def new_token(self, grant: Grant | None = None) -> str:
        """Issue a token."""
        token = secrets.token_urlsafe(24)
        self.tokens[token] = grant or Grant()
        return token

    def prepare(self, grant: Grant, body: Mapping[str, Any]) -> Prepared | Reply:
        """Check a request: 400 when it is not a valid query, errors when a permission is missing."""
        schema = self.schema
        read = self._read(str(body.get("query") or ""))
        document = read.document
        if document is None or read.mistakes:
            return Reply(400, {"errors": [_shown(error, "graphql") for error in read.mistakes]})
        operation = get_operation_ast(document, body.get("operationName") or None)
        if operation is None:
            return Reply(400, {"errors": [{"message": "Unknown or ambiguous operationName"}]})
        variables = dict(body.get("variables") or {})
        cost = cost_of(schema, document, operation, variables)
        most = self.quotas.capacity("QUERY_COMPLEXITY")
        if cost.complexity > most:
            return Reply(400, {"errors": [{"message": f"Query complexity {cost.complexity} is above {most}"}]})
        name = operation.name.value if operation.name else ""
        if name not in read.footprints:
            read.footprints[name] = footprint(self.schema, document, operation)
        return Prepared(document, operation, variables, cost, grant, read.footprints[name])

    def _parsed(self, query: str) -> _Read:
        try:
            document = parse(query)
        except GraphQLError as error:
            return _Read(None, [error])
        return _Read(document, validate(self.schema, document))

    def execute(self, ready: Prepared, *, half: bool = False) -> Reply:
        """Execute; business refusals are in ``userErrors`` of their own payload. ``half``: only the first half of its fields."""
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
        self.used.add(ready.footprint.used)
        count_variables(ready.footprint.variables, ready.variables, self.used)
        result = execute_sync(
            self.schema,
            _first_half(ready) if half else ready.document,
            variable_values=ready.variables,
            operation_name=ready.operation.name.value if ready.operation.name else None,
            context_value={
                "store": self.store,
                "quotas": self.quotas,
                "store_id": ready.grant.store_id,
                "integration_name": ready.grant.integration_name or self.store.settings.integration_name,
            },
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
