"""Resolvers bound to what a schema has: a schema of a merchant's own may lack types and fields, and they are gone for clients."""

from __future__ import annotations

from ariadne import InterfaceType, ObjectType, ScalarType, UnionType
from graphql import GraphQLInterfaceType, GraphQLObjectType, GraphQLSchema


class Fields(ObjectType):
    """Resolvers of an object's fields."""

    def bind_to_schema(self, schema: GraphQLSchema) -> None:
        """Bind those fields that the schema has."""
        found = schema.type_map.get(self.name)
        if isinstance(found, GraphQLObjectType):
            for name, resolver in self._resolvers.items():
                if name in found.fields:
                    found.fields[name].resolve = resolver


class Shape(InterfaceType):
    """Resolvers of an interface's fields: those of each type that implements it, and has none of its own."""

    def bind_to_schema(self, schema: GraphQLSchema) -> None:
        """Bind those fields that the schema has."""
        found = schema.type_map.get(self.name)
        if not isinstance(found, GraphQLInterfaceType):
            return
        found.resolve_type = self._resolve_type
        shapes: list[GraphQLInterfaceType | GraphQLObjectType] = [found, *schema.get_implementations(found).objects]
        for shape in shapes:
            for name, resolver in self._resolvers.items():
                if name in shape.fields and shape.fields[name].resolve is None:
                    shape.fields[name].resolve = resolver


class OneOfSeveral(UnionType):
    """A union that the schema may lack."""

    def bind_to_schema(self, schema: GraphQLSchema) -> None:
        """Bind it where it is."""
        if self.name in schema.type_map:
            super().bind_to_schema(schema)


class Value(ScalarType):
    """A scalar that the schema may lack."""

    def bind_to_schema(self, schema: GraphQLSchema) -> None:
        """Bind it where it is."""
        if self.name in schema.type_map:
            super().bind_to_schema(schema)
