"""The GraphQL operations that we use, read from ``operations/*.graphql``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    NameNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
    Visitor,
    parse,
    print_ast,
    visit,
)

_FOLDER = resources.files("hr_centra_pipeline.sources.centra").joinpath("operations")


@dataclass(frozen=True)
class Operation:
    """One operation. ``fields``: the keys of its answer; of them ``mutations`` count against the quota, each once."""

    name: str
    text: str
    fields: tuple[str, ...]
    mutations: tuple[str, ...]

    @property
    def is_mutation(self) -> bool:
        """It changes something in Centra: never sent again by itself once its outcome is in doubt."""
        return bool(self.mutations)


@cache
def load(name: str) -> Operation:
    """One operation by name.

    Raises:
        KeyError: there is no such file, or its operation has another name.
    """
    file = _FOLDER.joinpath(f"{name}.graphql")
    if not file.is_file():
        raise KeyError(f"no operation {name}: known are {', '.join(names())}")
    text = file.read_text(encoding="utf-8")
    definitions = [node for node in parse(text).definitions if isinstance(node, OperationDefinitionNode)]
    if len(definitions) != 1 or definitions[0].name is None or definitions[0].name.value != name:
        raise KeyError(f"{name}.graphql must hold one operation of that name")
    found = definitions[0]
    fields = tuple(
        (node.alias or node.name).value for node in found.selection_set.selections if isinstance(node, FieldNode)
    )
    return Operation(name, text, fields, fields if found.operation is OperationType.MUTATION else ())


@cache
def together(names_in_order: tuple[str, ...]) -> Operation:
    """Several operations of one kind as one document: fields and variables of the third one end in ``_2``.

    Its name is made of theirs, each once.

    Raises:
        ValueError: queries and mutations do not go together.
    """
    parts = [load(name) for name in names_in_order]
    if len({part.is_mutation for part in parts}) != 1:
        raise ValueError("queries and mutations do not go together in one document")
    definitions = [_at_place(part, place) for place, part in enumerate(parts)]
    name = "_".join(dict.fromkeys(names_in_order))
    whole = OperationDefinitionNode(
        operation=definitions[0].operation,
        name=NameNode(value=name),
        variable_definitions=tuple(one for node in definitions for one in node.variable_definitions),
        directives=(),
        selection_set=SelectionSetNode(
            selections=tuple(field for node in definitions for field in node.selection_set.selections)
        ),
    )
    fields = tuple(at_place(field, place) for place, part in enumerate(parts) for field in part.fields)
    return Operation(name, print_ast(DocumentNode(definitions=(whole,))), fields, fields if parts[0].mutations else ())


def at_place(name: str, place: int) -> str:
    """How a field or variable is called in a document of several operations."""
    return f"{name}_{place}"


def _at_place(operation: Operation, place: int) -> OperationDefinitionNode:
    """The definition of an operation, renamed for its place in a document."""

    class Renaming(Visitor):
        def enter_variable(self, node: VariableNode, *_: Any) -> VariableNode:
            return VariableNode(name=NameNode(value=at_place(node.name.value, place)))

    definition = visit(parse(operation.text, no_location=True), Renaming()).definitions[0]
    selections: Sequence[Any] = definition.selection_set.selections
    for field in selections:
        field.alias = NameNode(value=at_place((field.alias or field.name).value, place))
    found: OperationDefinitionNode = definition
    return found


@cache
def names() -> tuple[str, ...]:
    """Every operation that we have, sorted."""
    files = (entry.name for entry in _FOLDER.iterdir())
    return tuple(sorted(name.removesuffix(".graphql") for name in files if name.endswith(".graphql")))
