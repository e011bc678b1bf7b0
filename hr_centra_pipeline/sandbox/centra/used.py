"""What clients have used: schema coordinates of GraphQL requests, keys of the Order API. For a ledger to be compared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    ArgumentNode,
    DocumentNode,
    EnumValueNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    ObjectFieldNode,
    OperationDefinitionNode,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    get_named_type,
    type_from_ast,
    visit,
)


@dataclass
class Used:
    """Since the start. ``fields``: ``Type.field``; ``arguments``: ``Type.field(arg:)``; ``inputs``: ``Input.member``;
    ``enum_words`` sent and answered: ``Enum.WORD``; ``rest_keys`` and those unknown to Centra: ``POST /order address.zipcode``.
    """

    fields: set[str] = field(default_factory=set)
    arguments: set[str] = field(default_factory=set)
    inputs: set[str] = field(default_factory=set)
    enum_words: set[str] = field(default_factory=set)
    enum_words_answered: set[str] = field(default_factory=set)
    rest_keys: set[str] = field(default_factory=set)
    unknown_keys: set[str] = field(default_factory=set)

    def add(self, other: Used) -> None:
        """Count what a request uses."""
        self.fields |= other.fields
        self.arguments |= other.arguments
        self.inputs |= other.inputs
        self.enum_words |= other.enum_words

    def shown(self) -> dict[str, list[str]]:
        """Everything but the unknown keys, sorted; ``rest_keys`` holds those that were sent, known to Centra or not."""
        names = ("fields", "arguments", "inputs", "enum_words", "enum_words_answered", "rest_keys")
        return {name: sorted(set(getattr(self, name))) for name in names}


@dataclass(frozen=True)
class Footprint:
    """What one operation of a document uses, whatever its variables hold; and the types of those."""

    used: Used
    variables: Mapping[str, Any]


def footprint(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> Footprint:
    """Read once per document: clients send the same few again and again."""
    used = Used()
    fragments = [node for node in document.definitions if isinstance(node, FragmentDefinitionNode)]
    types = TypeInfo(schema)
    visit(DocumentNode(definitions=(operation, *fragments)), TypeInfoVisitor(types, _Reader(types, used)))
    variables = {
        node.variable.name.value: type_from_ast(schema, node.type) for node in operation.variable_definitions or ()
    }
    return Footprint(used, variables)


def count_variables(types: Mapping[str, Any], values: Mapping[str, Any], used: Used) -> None:
    """Count the input members and enum words that arrive in variables."""
    for name, type_ in types.items():
        if name in values:
            _count(type_, values[name], used)


def _count(type_: Any, value: Any, used: Used) -> None:
    if isinstance(type_, GraphQLNonNull):
        _count(type_.of_type, value, used)
    elif isinstance(type_, GraphQLList):
        for one in value if isinstance(value, list) else [value]:
            _count(type_.of_type, one, used)
    elif isinstance(type_, GraphQLEnumType) and value is not None:
        used.enum_words.add(f"{type_.name}.{value}")
    elif isinstance(type_, GraphQLInputObjectType) and isinstance(value, Mapping):
        for name, one in value.items():
            if name in type_.fields:
                used.inputs.add(f"{type_.name}.{name}")
                _count(type_.fields[name].type, one, used)


class _Reader(Visitor):
    def __init__(self, types: TypeInfo, used: Used) -> None:
        super().__init__()
        self.types = types
        self.used = used

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        """A field that is asked for; introspection aside."""
        if (parent := self._parent) and not node.name.value.startswith("__"):
            self.used.fields.add(f"{parent}.{node.name.value}")

    def enter_argument(self, node: ArgumentNode, _key: Any, _parent: Any, _path: Any, ancestors: Any) -> None:
        """An argument of a field; those of directives aside."""
        of = next((one for one in reversed(ancestors) if isinstance(one, FieldNode)), None)
        parent = self._parent
        if of and parent and self.types.get_directive() is None and not of.name.value.startswith("__"):
            self.used.arguments.add(f"{parent}.{of.name.value}({node.name.value}:)")

    def enter_object_field(self, node: ObjectFieldNode, *_: Any) -> None:
        """A member of an input that is written in the document."""
        owner = self.types.get_parent_input_type()
        if owner is not None:
            self.used.inputs.add(f"{get_named_type(owner).name}.{node.name.value}")

    def enter_enum_value(self, node: EnumValueNode, *_: Any) -> None:
        """An enum word that is written in the document."""
        owner = self.types.get_input_type()
        if owner is not None:
            self.used.enum_words.add(f"{get_named_type(owner).name}.{node.value}")

    @property
    def _parent(self) -> str | None:
        parent = self.types.get_parent_type()
        return parent.name if parent is not None and not parent.name.startswith("__") else None


def leaves(given: Any, path: str = "") -> Iterable[str]:
    """Dotted paths of the values in a JSON body; places in lists don't count."""
    if isinstance(given, Mapping) and given:
        for name, value in given.items():
            yield from leaves(value, f"{path}.{name}" if path else str(name))
    elif isinstance(given, list) and given:
        for value in given:
            yield from leaves(value, path)
    elif path:
        yield path
