"""The schema that is served: the documented one or a merchant's own, with exact numbers and the words that were asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from ariadne import convert_camel_case_to_snake, make_executable_schema
from graphql import (
    DocumentNode,
    EnumTypeDefinitionNode,
    EnumValueDefinitionNode,
    GraphQLEnumType,
    GraphQLObjectType,
    GraphQLSchema,
    InputObjectTypeDefinitionNode,
    NamedTypeNode,
    NameNode,
    Visitor,
    build_client_schema,
    parse,
    print_ast,
    print_schema,
    visit,
)

GIFT_CARD_INPUT = "GiftCardCreateInput"
PLACEHOLDER = "_unknown"
_EXACT = "Decimal"


@dataclass(frozen=True)
class Wanted:
    """What the served schema has beside its text.

    ``gift_card``: members of the one-of input of gift cards, as SDL (``sendToEmail: String``). ``extra``: enum words that it
    lists in addition. ``words``: ``Enum.WORD`` that the sandbox keeps -> the word that clients see instead.
    """

    gift_card: tuple[str, ...] = ()
    extra: frozenset[tuple[str, str]] = frozenset()
    words: tuple[tuple[str, str], ...] = ()
    answered: Callable[[str], None] = field(default=lambda _: None, compare=False)


def schema_text(path: Path | None = None) -> str:
    """The documented schema, or the one in a file: SDL, or the JSON answer of an introspection query.

    Raises:
        ValueError: the JSON holds no introspection; the message names the file.
    """
    if path is None:
        return resources.files("hr_centra_pipeline.sandbox.centra").joinpath("schema.graphql").read_text("utf-8")
    text = path.read_text("utf-8")
    if not text.lstrip().startswith("{"):
        return text
    found: Any = json.loads(text)
    found = found.get("data", found) if isinstance(found, dict) else {}
    if "__schema" not in found:
        raise ValueError(f"{path}: neither SDL nor the answer of an introspection query (no __schema in it)")
    return print_schema(build_client_schema(found))


def bound_schema(text: str, bindings: Collection[Any], wanted: Wanted | None = None) -> GraphQLSchema:
    """A schema whose fields are bound to the store as far as it has them."""
    wanted = wanted or Wanted()
    document: DocumentNode = visit(parse(text), _Altered(wanted))
    text = f"scalar {_EXACT}\n{print_ast(document)}"
    schema = make_executable_schema(text, *bindings, convert_names_case=_only_shown_fields)
    for enum in schema.type_map.values():
        if isinstance(enum, GraphQLEnumType) and not enum.name.startswith("__"):
            _speak(enum, dict(wanted.words), wanted.answered)
    # Clients see Float, as Centra has it; what is behind it is exact.
    exact: Any = schema.type_map.pop(_EXACT)
    exact.name = "Float"
    schema.type_map["Float"] = exact
    return schema


def _only_shown_fields(name: str, schema: GraphQLSchema, path: tuple[str, ...]) -> str:
    is_shown = len(path) == 2 and isinstance(schema.type_map[path[0]], GraphQLObjectType)
    return convert_camel_case_to_snake(name) if is_shown else name


class _Altered(Visitor):
    """Float becomes exact; gift cards get their members, enums their additional words."""

    def __init__(self, wanted: Wanted) -> None:
        super().__init__()
        self.wanted = wanted

    def enter_named_type(self, node: NamedTypeNode, *_: Any) -> NamedTypeNode | None:
        """No binary floats."""
        return NamedTypeNode(name=NameNode(value=_EXACT)) if node.name.value == "Float" else None

    def leave_enum_type_definition(self, node: EnumTypeDefinitionNode, *_: Any) -> EnumTypeDefinitionNode | None:
        """Words that no document lists."""
        known = {value.name.value for value in node.values}
        more = sorted(word for enum, word in self.wanted.extra if enum == node.name.value and word not in known)
        if not more:
            return None
        values = tuple(EnumValueDefinitionNode(name=NameNode(value=word), directives=()) for word in more)
        return EnumTypeDefinitionNode(name=node.name, directives=node.directives, values=(*node.values, *values))

    def leave_input_object_type_definition(self, node: InputObjectTypeDefinitionNode, *_: Any) -> Any:
        """Ways to address a gift card."""
        if node.name.value != GIFT_CARD_INPUT or not self.wanted.gift_card:
            return None
        made: Any = parse(f"input {GIFT_CARD_INPUT} {{ {' '.join(self.wanted.gift_card)} }}").definitions[0]
        return made


def _speak(enum: GraphQLEnumType, words: Mapping[str, str], answered: Callable[[str], None]) -> None:
    """Clients see other words than the sandbox keeps, where that was asked for; what was answered is counted.

    A word that the schema does not list is answered all the same: the store has it, whatever the schema says.
    """
    prefix = f"{enum.name}."
    shown = {kept.removeprefix(prefix): word for kept, word in words.items() if kept.startswith(prefix)}
    kept = {word: name for name, word in shown.items()}

    def serialize(value: Any) -> str:
        word = shown.get(str(value), str(value))
        answered(prefix + word)
        return word

    # The class's own: ariadne replaces those of the instance by ones that graphql-core calls with more than they take.
    def read(*value: Any) -> Any:
        given = GraphQLEnumType.parse_value(enum, *value)
        return kept.get(given, given)

    def read_literal(*node: Any) -> Any:
        given = GraphQLEnumType.parse_literal(enum, *node)
        return kept.get(given, given)

    for name, function in (("serialize", serialize), ("parse_value", read), ("parse_literal", read_literal)):
        setattr(enum, name, function)
