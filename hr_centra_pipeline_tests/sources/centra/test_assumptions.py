"""The ledger of assumptions: whatever we use is in it, and nothing else is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    parse,
)
from graphql.language import FieldNode, InlineFragmentNode
from pydantic import BaseModel

from hr_centra_pipeline.core.words import GRAPHQL_ENUMS, CentraWords
from hr_centra_pipeline.sandbox.centra import order_api_server
from hr_centra_pipeline.sources.centra import centra_operations, old_objects, probes
from hr_centra_pipeline.sources.centra.assumptions import CoordinateKind, Unreadable, ledger, read, unlisted
from hr_centra_pipeline.sources.centra.centra_calls import WIDEST
from hr_centra_pipeline.sources.centra.readable import READ_AS, key_of
from hr_centra_pipeline.sources.centra.uses import Kind, uses
from hr_centra_pipeline_tests.sources.centra.schemas import schema

LISTED_AS: Mapping[Kind, CoordinateKind] = {
    "root field": "field", "field": "field", "argument": "argument", "input member": "input member", "word": "word",
}  # fmt: skip
DOCUMENTS: dict[str, tuple[str, Mapping[str, Any]]] = {
    **{name: (centra_operations.load(name).text, WIDEST[name]) for name in centra_operations.names()},
    **{f"probe of {name}": (text, {}) for name, text in probes.TOO_MUCH.items()},
    **old_objects.QUESTIONS,
}


def used(text: str, variables: Mapping[str, Any], of: GraphQLSchema | None = None) -> set[tuple[CoordinateKind, str]]:
    """Coordinates that a document uses."""
    return {(LISTED_AS[use.kind], use.coordinate) for use in uses(of or schema(), text, variables)}


def all_used() -> set[tuple[CoordinateKind, str]]:
    return {coordinate for text, variables in DOCUMENTS.values() for coordinate in used(text, variables)}


# ---------------------------------------------------------------- what we use is listed, and documented


@pytest.mark.parametrize("name", DOCUMENTS)
def test_whatever_an_operation_uses_is_in_the_ledger(name: str) -> None:
    known = ledger()
    assert [
        coordinate for kind, coordinate in sorted(used(*DOCUMENTS[name])) if known.of(kind, coordinate) is None
    ] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_whatever_an_operation_uses_is_in_the_documented_schema(name: str) -> None:
    assert [use for use in uses(schema(), *DOCUMENTS[name]) if use.problem] == []


def test_the_ledger_lists_no_coordinate_that_nothing_uses() -> None:
    known, in_use = ledger(), all_used()
    graphql: list[CoordinateKind] = ["field", "argument", "input member"]
    listed = {(kind, name) for kind in graphql for name in known.coordinates[kind] if not name.endswith(".*")}
    assert sorted(listed - in_use) == []


def test_the_words_of_the_ledger_are_those_that_we_send_and_those_that_the_policy_reads() -> None:
    sent = {coordinate for kind, coordinate in all_used() if kind == "word"}
    words, known = CentraWords(), ledger()
    read_words = {f"{GRAPHQL_ENUMS[enum]}.{word}" for enum, word, _ in words.rows() if enum in GRAPHQL_ENUMS}
    fixed = {name for name in known.coordinates["word"] if name.startswith("RateLimit")}
    assert sorted(set(known.coordinates["word"]) - sent - read_words - fixed) == []
    # The policy reads more spellings of one meaning than any document has.
    assert {word for word in read_words if known.of("word", word) is None} == {
        "OrderStatus.CANCELLED", "OrderStatus.CANCELED",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["field", "argument", "input member", "word"])
def test_every_coordinate_of_the_ledger_exists_in_the_documented_schema(kind: CoordinateKind) -> None:
    documented = {*_coordinates_of(schema(), kind), *(f"{name}.*" for name in schema().type_map)}
    assert [coordinate for coordinate in ledger().coordinates[kind] if coordinate not in documented] == []


def _coordinates_of(of: GraphQLSchema, kind: CoordinateKind) -> Iterator[str]:
    for name, type_ in of.type_map.items():
        match kind, type_:
            case "field", GraphQLObjectType() | GraphQLInterfaceType():
                yield from (f"{name}.{field}" for field in type_.fields)
            case "argument", GraphQLObjectType() | GraphQLInterfaceType():
                yield from (f"{name}.{field}({one}:)" for field, of_it in type_.fields.items() for one in of_it.args)
            case "input member", GraphQLInputObjectType():
                yield from (f"{name}.{member}" for member in type_.fields)
            case "word", GraphQLEnumType():
                yield from (f"{name}.{word}" for word in type_.values)


def test_an_interface_of_the_ledger_is_implemented_as_it_says() -> None:
    for object_type, interface in ledger().implementations.items():
        found = schema().type_map[object_type]
        assert isinstance(found, GraphQLObjectType)
        assert interface in [one.name for one in found.interfaces]


# ---------------------------------------------------------------- models


@pytest.mark.parametrize("name", READ_AS)
def test_every_field_of_a_model_is_selected_by_its_operation(name: str) -> None:
    path, model = READ_AS[name]
    (definition,) = parse(centra_operations.load(name).text).definitions
    selected: Any = definition
    for part in path.split("."):
        selected = _selected(selected)[part]
    assert list(_not_selected(model, selected, model.__name__)) == []


def _selected(node: Any) -> dict[str, Any]:
    """The fields below a node, those of fragments included."""
    found: dict[str, Any] = {}
    for one in node.selection_set.selections if node.selection_set else ():
        if isinstance(one, FieldNode):
            found[(one.alias or one.name).value] = one
        elif isinstance(one, InlineFragmentNode):
            found |= _selected(one)
    return found


def _not_selected(model: type[BaseModel], node: Any, place: str) -> Iterator[str]:
    selected = _selected(node)
    for name, info in model.model_fields.items():
        key = key_of(model, name)
        if key not in selected:
            yield f"{place}.{name}"
        for inner in _models_in(info.annotation):
            yield from _not_selected(inner, selected[key], f"{place}.{name}")


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models_in(inner)


# ---------------------------------------------------------------- what a sandbox recorded


def test_what_was_recorded_and_is_not_listed_is_named() -> None:
    recorded = {
        "fields": ["Order.status", "DirectToConsumerOrder.number", "DirectToConsumerOrder.customer", "Order.colour"],
        "arguments": ["Query.orders(where:)", "Query.orders(page:)"],
        "inputs": ["OrderFilter.number", "OrderFilter.search"],
        "enum_words": ["OrderSort.number_ASC", "OrderSort.createdAt_DESC"],
        "enum_words_answered": ["OrderStatus.DELETED", "OrderStatus.GONE"],
        "rest_keys": ["POST /order deliveryAddress.zipcode", "POST /order deliveryAddress.zipCode"],
    }
    assert unlisted(recorded) == [
        "Order.colour", "OrderFilter.search", "OrderSort.createdAt_DESC", "OrderStatus.GONE",
        "POST /order deliveryAddress.zipCode", "Query.orders(page:)",
    ]  # fmt: skip


def test_a_record_of_another_kind_is_not_passed_over() -> None:
    with pytest.raises(Unreadable, match="directives is not a kind of coordinate"):
        unlisted({"directives": []})


# ---------------------------------------------------------------- mutations: the guards find what changes


@pytest.mark.parametrize(
    ("edit", "name", "coordinate"),
    [
        (("  shippedAt: DateTimeTz\n", "  sentAt: DateTimeTz\n"), "PullShipments", "Shipment.shippedAt"),
        (("taxIncluded: MonetaryValue! }\ntype AppliedTaxRule ", "included: MonetaryValue! }\ntype AppliedTaxRule "),
         "PullReturns", "AppliedTaxRuleValue.taxIncluded"),
        (("enum OrderSort { number_ASC ", "enum OrderSort { NUMBER_ASC "), "PullOrders", "OrderSort.number_ASC"),
        (("startsWith: String", "beginsWith: String"), "", ""),  # nothing of ours uses it
        (("  externalId: String\n}\ninput ReturnLine", "  externalID: String\n}\ninput ReturnLine"), "CreateReturn",
         "ReturnCreateInput.externalId"),
    ],
)  # fmt: skip
def test_what_is_renamed_in_the_documented_schema_is_reported_by_its_operation(
    edit: tuple[str, str], name: str, coordinate: str
) -> None:
    changed = schema(edit)
    found = {
        (operation, use.coordinate)
        for operation, document in DOCUMENTS.items()
        for use in uses(changed, *document)
        if use.problem
    }
    assert ((name, coordinate) in found) if name else not found


@pytest.mark.parametrize(
    "coordinate", ["Order.status", "OrderFilter.number", "OrderSort.number_ASC", "Query.orders(limit:)"]
)
def test_what_is_taken_out_of_the_ledger_is_missed(coordinate: str) -> None:
    whole = ledger()
    without = replace(
        whole,
        coordinates={
            kind: {name: known for name, known in of.items() if name != coordinate}
            for kind, of in whole.coordinates.items()
        },
    )
    missed = {name for kind, name in all_used() if without.of(kind, name) is None}
    assert missed == {coordinate}


# ---------------------------------------------------------------- the file itself


def test_behaviours_have_a_vendor_a_sentence_and_a_source() -> None:
    behaviours = ledger().behaviours.values()
    assert {one.vendor for one in behaviours} == {"Centra", "Happy Returns", "Payment providers"}
    assert [one.id for one in behaviours if not one.known.source or not one.relies_on.endswith(".")] == []


_GROUP = '[[schema]]\ntag = "documented"\nsource = "x"\n'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[[schemas]]\ntag = "documented"\n', r"\[\[schemas\]\] is not a part of the ledger"),
        ('[[schema]]\ntag = "known"\nsource = "x"\n', "tag 'known' is none of documented, connector, assumed"),
        ('[[schema]]\ntag = "documented"\n', "the source is missing"),
        ('[[schema]]\ntag = "assumed"\nsource = "x"\n', "what is assumed needs a remedy"),
        (f'{_GROUP}colour = "red"\n', "unknown key colour"),
        (f'{_GROUP}fields = ["Order id"]\n', "'Order id' does not read like"),
        (f'{_GROUP}fields = ["Order: id", "Order: id"]\n', "Order.id is listed twice"),
        ('[[behaviour]]\nid = "It pays"\ntag = "documented"\nsource = "x"\n', "not in snake_case"),
        (
            '[[behaviour]]\nid = "pays"\ntag = "documented"\nsource = "x"\nvendor = "Centra"\n',
            "relies_on as a sentence",
        ),
    ],
)
def test_a_mistake_in_the_ledger_names_its_place(text: str, problem: str) -> None:
    with pytest.raises(Unreadable, match=problem):
        read(text)


def test_a_field_is_known_by_the_interface_of_its_type() -> None:
    known = read(f'{_GROUP}fields = ["Order: id"]\nimplementations = ["Order: DirectToConsumerOrder"]\n')
    assert known.of("field", "DirectToConsumerOrder.id") is not None
    assert known.of("field", "WholesaleOrder.id") is None


def test_enums_that_the_policy_gives_a_meaning_exist() -> None:
    for name in GRAPHQL_ENUMS.values():
        assert isinstance(get_named_type(schema().type_map[name]), GraphQLEnumType)


# ---------------------------------------------------------------- undocumented rules of the sandbox

# What is assumed of Centra without a rule in the sandbox.
NOT_PLAYED = {
    "skipped_mutation_is_not_executed",  # GraphQL's own
    "returns_change_without_trace",  # the schema has no such filter
    "credit_is_a_return",  # how we read it
    "stock_change_lines_are_final",  # nothing of the sandbox changes them
}


def marked() -> set[str]:
    """Behaviours that the sandbox's sources name where a rule is not documented."""
    package = Path(str(resources.files("hr_centra_pipeline.sandbox")))
    return {
        name
        for file in sorted(package.rglob("*.py"))
        for name in re.findall(r"assumption: behaviour\.(\w+)", file.read_text(encoding="utf-8"))
    }


def test_every_assumption_that_the_sandbox_names_is_in_the_ledger() -> None:
    assert marked() <= set(ledger().behaviours)


def test_every_assumption_about_centra_is_a_rule_of_the_sandbox_or_is_not_played() -> None:
    assumed = {one.id for one in ledger().behaviours.values() if one.vendor == "Centra" and one.known.tag == "assumed"}
    assert assumed - marked() == NOT_PLAYED


def test_the_order_api_of_the_sandbox_takes_the_documented_keys_of_the_ledger_and_no_assumed_one() -> None:
    for coordinate, known in ledger().coordinates["REST key"].items():
        call, _, path = coordinate.rpartition(" ")
        given: Any = "x"
        for part in reversed(path.split(".")):
            given = {part: given}
        assert order_api_server.unknown_keys(call, given) == ([path] if known.tag == "assumed" else []), coordinate
