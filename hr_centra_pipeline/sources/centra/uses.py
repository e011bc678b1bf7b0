"""What one of our GraphQL documents, sent with our variables, uses of a schema: one :class:`Use` per coordinate.

Coordinates are written as GraphQL writes them: ``Order.status``, ``Mutation.createReturn(input:)``, ``OrderFilter.number``,
``OrderSort.number_ASC``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from graphql import (
    ArgumentNode,
    DocumentNode,
    EnumValueNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    InlineFragmentNode,
    ListValueNode,
    NullValueNode,
    ObjectFieldNode,
    ObjectValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    get_named_type,
    is_list_type,
    is_non_null_type,
    is_required_argument,
    is_required_input_field,
    parse,
    print_ast,
    type_from_ast,
    value_from_ast_untyped,
)
from graphql.pyutils import suggestion_list
from graphql.validation.rules.variables_in_allowed_position import allowed_variable_usage

from hr_centra_pipeline.sources.centra.centra_calls import Sometimes, Variables

Kind = Literal["root field", "field", "argument", "input member", "word", "type"]
Problem = Literal["missing", "another type", "required", "required_at_times"]

_FEW = 8
_AT_TIMES: tuple[str, Problem] = ("not always sent", "required_at_times")
_NEVER: tuple[str, Problem] = ("not required", "required")
_WORDS_OF = {dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a whole number"}


@dataclass(frozen=True)
class Use:
    """One use of one coordinate. ``expected``: what we need there; ``found``: what the schema has there, or in its place.

    ``problem``: why it does not fit. ``enum``: the name of the enum whose words a field answers.
    """

    kind: Kind
    coordinate: str
    expected: str
    found: str
    problem: Problem | None = None
    enum: str | None = None


def uses(schema: GraphQLSchema, text: str, variables: Variables) -> list[Use]:
    """Every use of a schema by one document, each once, in the document's order.

    Below what the schema does not have nothing is looked at.
    """
    document = parse(text, no_location=True)
    found = [use for walk in _walks(schema, document, variables) for use in walk.document()]
    return list(dict.fromkeys(found))


def _walks(schema: GraphQLSchema, document: DocumentNode, variables: Variables) -> Iterator[_Walk]:
    fragments = {one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)}
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            yield _Walk(schema, definition, fragments, variables)


class _Walk:
    """One operation on its way through a schema."""

    def __init__(
        self,
        schema: GraphQLSchema,
        operation: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: Variables,
    ) -> None:
        self._schema, self._operation, self._fragments, self._variables = schema, operation, fragments, variables
        self._definitions = {one.variable.name.value: one for one in operation.variable_definitions}

    def document(self) -> Iterator[Use]:
        is_mutation = self._operation.operation is OperationType.MUTATION
        root = self._schema.mutation_type if is_mutation else self._schema.query_type
        if root is None:
            yield Use("type", "Mutation" if is_mutation else "Query", "a root type", "nothing", "missing")
            return
        yield from self._selections(root, self._operation.selection_set, "root field")

    # ---------------------------------------------------------------- what is read

    def _selections(self, parent: Any, selections: SelectionSetNode, kind: Kind = "field") -> Iterator[Use]:
        for node in selections.selections:
            if isinstance(node, FieldNode):
                if not node.name.value.startswith("__"):
                    yield from self._field(parent, node, kind)
                continue
            fragment = self._fragments[node.name.value] if isinstance(node, FragmentSpreadNode) else node
            assert isinstance(fragment, FragmentDefinitionNode | InlineFragmentNode)  # noqa: S101 - there are no others
            name = fragment.type_condition.name.value if fragment.type_condition else parent.name
            of = self._schema.get_type(name)
            if of is None:
                yield Use("type", name, "a type", "nothing", "missing")
            else:
                yield from self._selections(of, fragment.selection_set, kind)

    def _field(self, parent: Any, node: FieldNode, kind: Kind) -> Iterator[Use]:
        coordinate = f"{parent.name}.{node.name.value}"
        known: Mapping[str, Any] = parent.fields if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType) else {}
        definition = known.get(node.name.value)
        if definition is None:
            yield Use(kind, coordinate, "a field", _instead(known, node.name.value), "missing")
            return
        named = get_named_type(definition.type)
        has_fields = isinstance(named, GraphQLObjectType | GraphQLInterfaceType) or hasattr(named, "types")
        enum = named.name if isinstance(named, GraphQLEnumType) else None
        problem: Problem | None = None if has_fields == (node.selection_set is not None) else "another type"
        expected = "an object" if node.selection_set else "a value"
        yield Use(kind, coordinate, expected, str(definition.type), problem, enum)
        yield from self._arguments(coordinate, definition.args, node)
        if node.selection_set and has_fields:
            yield from self._selections(named, node.selection_set)

    # ---------------------------------------------------------------- what is sent

    def _arguments(self, coordinate: str, known: Mapping[str, GraphQLArgument], node: FieldNode) -> Iterator[Use]:
        for given in node.arguments:
            name = given.name.value
            at = f"{coordinate}({name}:)"
            definition = known.get(name)
            if definition is None:
                yield Use("argument", at, self._shown(given), _instead(known, name), "missing")
            else:
                yield from self._given("argument", at, definition, given)
        sent = {given.name.value for given in node.arguments}
        for name, definition in known.items():
            if name not in sent and is_required_argument(definition):
                at = f"{coordinate}({name}:)"
                yield Use("argument", at, "not required", f"required: {definition.type}", "required")

    def _given(
        self,
        kind: Kind,
        at: str,
        definition: GraphQLArgument | GraphQLInputField,
        given: ArgumentNode | ObjectFieldNode,
    ) -> Iterator[Use]:
        """An argument or member that is there: does what we give fit, and all that is in it?"""
        problem = self._problem(given.value, definition)
        yield Use(kind, at, self._shown(given), str(definition.type), problem)
        # A variable of another simple type is said once; of an input type of another name the members are looked at.
        if problem is None or not isinstance(get_named_type(definition.type), GraphQLScalarType):
            yield from self._value(at, definition.type, given.value)

    def _shown(self, given: ArgumentNode | ObjectFieldNode) -> str:
        """What we give to an argument or member: a variable's type, else the literal."""
        if isinstance(given.value, VariableNode):
            return print_ast(self._definitions[given.value.name.value].type)
        return print_ast(given.value)

    def _problem(self, node: ValueNode, definition: GraphQLArgument | GraphQLInputField) -> Problem | None:
        """Why a variable may not be used where it is; a literal is judged value by value."""
        if not isinstance(node, VariableNode):
            return None
        variable: VariableDefinitionNode = self._definitions[node.name.value]
        type_ = type_from_ast(self._schema, variable.type)
        is_allowed = type_ is not None and allowed_variable_usage(
            self._schema, type_, variable.default_value, definition.type, definition.default_value
        )
        return None if is_allowed else "another type"

    def _value(self, at: str, type_: Any, node: ValueNode) -> Iterator[Use]:
        """One literal, or the variable in its place."""
        if isinstance(node, VariableNode):
            name = node.name.value
            if name in self._variables:
                yield from self._sent(at, type_, self._variables[name])
            return
        inner = type_.of_type if is_non_null_type(type_) else type_
        if isinstance(node, NullValueNode):
            return
        if is_list_type(inner):
            for item in node.values if isinstance(node, ListValueNode) else [node]:
                yield from self._value(at, inner.of_type, item)
        elif isinstance(inner, GraphQLInputObjectType) and isinstance(node, ObjectValueNode):
            for given in node.fields:
                yield from self._member(inner, given)
            yield from _required(inner, {given.name.value for given in node.fields}, set())
        elif isinstance(inner, GraphQLEnumType) and isinstance(node, EnumValueNode):
            yield _word(inner, node.value)
        else:
            yield from _leaf(at, inner, value_from_ast_untyped(node), is_enum=isinstance(node, EnumValueNode))

    def _member(self, owner: GraphQLInputObjectType, given: ObjectFieldNode) -> Iterator[Use]:
        at = f"{owner.name}.{given.name.value}"
        definition = owner.fields.get(given.name.value)
        if definition is None:
            yield Use("input member", at, "a member", _instead(owner.fields, given.name.value), "missing")
        else:
            yield from self._given("input member", at, definition, given)

    def _sent(self, at: str, type_: Any, value: Any) -> Iterator[Use]:
        """What a variable is filled with."""
        inner = type_.of_type if is_non_null_type(type_) else type_
        value = value.value if isinstance(value, Sometimes) else value
        if value is None:
            return
        if is_list_type(inner):
            for item in value if isinstance(value, list) else [value]:
                yield from self._sent(at, inner.of_type, item)
        elif isinstance(inner, GraphQLInputObjectType) and isinstance(value, Mapping):
            for name, given in value.items():
                member = f"{inner.name}.{name}"
                definition = inner.fields.get(name)
                if definition is None:
                    yield Use("input member", member, "a member", _instead(inner.fields, name), "missing")
                else:
                    yield Use("input member", member, "a member", str(definition.type))
                    yield from self._sent(member, definition.type, given)
            sometimes = {name for name, given in value.items() if isinstance(given, Sometimes)}
            yield from _required(inner, set(value) - sometimes, sometimes)
        elif isinstance(inner, GraphQLEnumType) and isinstance(value, str):
            yield _word(inner, value)
        else:
            yield from _leaf(at, inner, value)


def _required(owner: GraphQLInputObjectType, always: set[str], sometimes: set[str]) -> Iterator[Use]:
    """Members that this schema requires and that not each of our calls sends."""
    for name, definition in owner.fields.items():
        if name not in always and is_required_input_field(definition):
            expected, problem = _AT_TIMES if name in sometimes else _NEVER
            yield Use("input member", f"{owner.name}.{name}", expected, f"required: {definition.type}", problem)


def _word(enum: GraphQLEnumType, word: str) -> Use:
    problem: Problem | None = None if word in enum.values else "missing"
    return Use("word", f"{enum.name}.{word}", "a word", _instead(enum.values, word), problem)


def _leaf(at: str, type_: Any, value: Any, *, is_enum: bool = False) -> Iterator[Use]:
    """A plain value where the schema has something else; nothing when it fits."""
    fits = isinstance(type_, GraphQLScalarType) and not is_enum
    if fits:
        try:
            type_.parse_value(value)
        except GraphQLError:
            fits = False
    if not fits:
        yield Use("type", at, _WORDS_OF.get(type(value), "a value"), str(type_), "another type")


def _instead(known: Mapping[str, Any], name: str) -> str:
    """What there is in place of a name: what is like it, else everything, if that is short enough for a table."""
    names = sorted(known)
    if len(names) <= _FEW:
        return ", ".join(names) or "nothing"
    similar = suggestion_list(name, names)[:_FEW]
    return f"nothing of that name; similar: {', '.join(similar)}" if similar else "nothing like it"
