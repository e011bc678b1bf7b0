"""Can what an operation answers be read into our models? Asked of a schema, field by field."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Union, get_args, get_origin

from graphql import (
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_list_type,
    is_non_null_type,
)
from pydantic import BaseModel

from hr_centra_pipeline.sources.centra.centra_objects import Order, Return, Shipment, SizeStock, StockChange, Warehouse
from hr_centra_pipeline.sources.centra.uses import Use

READ_AS: Mapping[str, tuple[str, type[BaseModel]]] = {
    "PullOrders": ("orderConnection.edges.node", Order),
    "PullShipments": ("shipmentConnection.edges.node", Shipment),
    "PullReturns": ("returnConnection.edges.node", Return),
    "PullStockChanges": ("stockChangeConnection.edges.node", StockChange),
    "PullWarehouses": ("warehouses", Warehouse),
    "PullReplacementStock": ("productSizes", SizeStock),
}
"""Where the objects of an operation are in its answer, and the model that reads them."""

# GraphQL's own scalars that our values cannot be read from; one of Centra's own may be anything.
_UNFIT: Mapping[type, frozenset[str]] = {
    int: frozenset({"String", "ID", "Float", "Boolean"}),
    Decimal: frozenset({"Boolean", "ID"}),
    str: frozenset({"Int", "Float", "Boolean"}),
    bool: frozenset({"Int", "Float", "String", "ID"}),
    datetime: frozenset({"Int", "Float", "Boolean"}),
}
_NAMES: Mapping[type, str] = {
    int: "a whole number", Decimal: "an amount", str: "a text", bool: "true or false", datetime: "a time",
}  # fmt: skip


def unreadable(schema: GraphQLSchema, operation: str) -> Iterator[Use]:
    """Fields that our model of an operation's objects could not read from this schema."""
    if operation not in READ_AS or schema.query_type is None:
        return
    path, model = READ_AS[operation]
    type_: Any = schema.query_type
    for name in path.split("."):
        field = getattr(type_, "fields", {}).get(name)
        if field is None:
            return  # reported as missing already
        type_ = get_named_type(field.type)
    yield from _of_model(schema, type_, model)


def _of_model(schema: GraphQLSchema, type_: Any, model: type[BaseModel]) -> Iterator[Use]:
    for name, info in model.model_fields.items():
        known = _field(schema, type_, key_of(model, name))
        if known is None:
            continue
        owner, field = known
        is_list, inner = _read(info.annotation)
        found = field.type.of_type if is_non_null_type(field.type) else field.type
        coordinate, named = f"{owner}.{key_of(model, name)}", get_named_type(field.type)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            if is_list != is_list_type(found):
                yield Use("field", coordinate, "a list" if is_list else "one object", str(field.type), "another type")
            yield from _of_model(schema, named, inner)
        elif not is_list and (is_list_type(found) or named.name in _UNFIT.get(inner, frozenset())):
            yield Use("field", coordinate, _NAMES.get(inner, "a value"), str(field.type), "another type")


def key_of(model: type[BaseModel], name: str) -> str:
    """How a field of a model is called in Centra's answer."""
    info = model.model_fields[name]
    alias = info.validation_alias or info.alias or name
    return str(alias)


def _field(schema: GraphQLSchema, type_: Any, name: str) -> tuple[str, Any] | None:
    """A field of a type, or of the consumer's kind of it, which has more."""
    owners = [type_]
    if isinstance(type_, GraphQLInterfaceType):
        owners += schema.get_possible_types(type_)
    for owner in owners:
        if isinstance(owner, GraphQLObjectType | GraphQLInterfaceType) and name in owner.fields:
            return owner.name, owner.fields[name]
    return None


def _read(annotation: Any) -> tuple[bool, Any]:
    """Whether a field reads a list, and the plain type of what it reads."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _read(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return _read(next(one for one in get_args(annotation) if one is not type(None)))
    if origin is list:
        return True, _read(get_args(annotation)[0])[1]
    return False, annotation
