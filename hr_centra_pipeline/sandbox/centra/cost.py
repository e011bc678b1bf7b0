"""What a GraphQL document costs and needs, before it is executed: complexity, mutations, permissions.

Complexity (our own formula, Centra's is not documented): every field costs 1; what stands below a list is multiplied by
its ``limit``, ``first`` or ``last``, below a list without such an argument by 5; a mutation costs 50 more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
    get_named_type,
)

_UNPAGED = 5
_MUTATION = 50
# Objects whose reading needs a permission of their own; others come with what shows them.
_READ = {
    "Order": "Order", "DirectToConsumerOrder": "Order", "Shipment": "Shipment",
    "DirectToConsumerShipment": "Shipment", "Return": "Return", "DirectToConsumerReturn": "Return",
    "StockChange": "StockChange", "Warehouse": "Warehouse", "ProductSize": "ProductSize", "ProductVariant":
    "ProductVariant", "Customer": "Customer", "PaymentHistoryEntry": "PaymentHistory", "IdConversionEntry":
    "IdConversion", "Event": "Event", "EventListener": "Event",
}  # fmt: skip
_FIELDS = {
    ("Return", "comment"): "Return.comment:read",
    ("Order", "internalComment"): "Order.internalComment:read",
    ("Order", "shippingAddress"): "Order.shippingAddress:read",
    ("ProductSize", "stock"): "ProductSize.stock:read",
    ("Warehouse", "stock"): "Warehouse.stock:read",
}
_WRITES = {
    "createReturn": "Return", "completeReturn": "Return", "uncompleteReturn": "Return", "deleteReturn": "Return",
    "refundReturn": "Return", "issueCredit": "Order", "changeStock": "StockChange", "confirmOrder": "Order",
    "updateDirectToConsumerOrder": "Order", "cancelDirectToConsumerOrder": "Order", "updateCustomer": "Customer",
    "assignAttributes": "Attribute", "setIdConversions": "IdConversion", "setEventListeners": "Event",
    "unsetEventListeners": "Event", "confirmEvents": "Event",
}  # fmt: skip


@dataclass
class Cost:
    """``permissions``: each with the path of the field that needs it. ``mutations``: field names in order."""

    complexity: int = 0
    mutations: list[str] = field(default_factory=list)
    permissions: dict[str, list[str]] = field(default_factory=dict)


def cost_of(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, variables: dict[str, Any]
) -> Cost:
    """The cost of one operation of a valid document."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    cost = Cost()
    is_mutation = operation.operation is OperationType.MUTATION
    root = schema.mutation_type if is_mutation else schema.query_type
    cost.complexity = _walk(schema, fragments, operation.selection_set, root, [], variables, cost, is_mutation)
    return cost


def _walk(
    schema: GraphQLSchema,
    fragments: dict[str, FragmentDefinitionNode],
    selections: SelectionSetNode,
    parent: Any,
    path: list[str],
    variables: dict[str, Any],
    cost: Cost,
    at_mutation_root: bool,
) -> int:
    total = 0
    for node in selections.selections:
        if isinstance(node, FragmentSpreadNode):
            fragment = fragments[node.name.value]
            of = schema.get_type(fragment.type_condition.name.value)
            total += _walk(schema, fragments, fragment.selection_set, of, path, variables, cost, at_mutation_root)
        elif isinstance(node, InlineFragmentNode):
            of = schema.get_type(node.type_condition.name.value) if node.type_condition else parent
            total += _walk(schema, fragments, node.selection_set, of, path, variables, cost, at_mutation_root)
        elif isinstance(node, FieldNode) and not node.name.value.startswith("__"):
            name = node.name.value
            here = [*path, node.alias.value if node.alias else name]
            definition = getattr(parent, "fields", {})[name]
            _permit(parent, name, definition.type, here, cost)
            if at_mutation_root:
                cost.mutations.append(name)
                total += _MUTATION
            total += 1
            if node.selection_set:
                below = _walk(
                    schema, fragments, node.selection_set, get_named_type(definition.type), here, variables, cost, False
                )
                total += below * _size(node, definition.type, variables)
    return total


def _permit(parent: Any, name: str, type_: GraphQLOutputType, path: list[str], cost: Cost) -> None:
    needed = []
    if isinstance(parent, GraphQLObjectType) and name in _WRITES and parent.name == "Mutation":
        needed.append(f"{_WRITES[name]}:write")
    owner = _READ.get(getattr(parent, "name", ""))
    if owner and (owner, name) in _FIELDS:
        needed.append(_FIELDS[owner, name])
    shown = _READ.get(getattr(get_named_type(type_), "name", ""))
    if shown:
        needed.append(f"{shown}:read")
    for permission in needed:
        cost.permissions.setdefault(permission, path)


def _size(node: FieldNode, type_: GraphQLOutputType, variables: dict[str, Any]) -> int:
    for argument in node.arguments:
        if argument.name.value in ("limit", "first", "last"):
            value = argument.value
            if isinstance(value, IntValueNode):
                return max(1, int(value.value))
            if isinstance(value, VariableNode):
                return max(1, int(variables.get(value.name.value) or 20))
    if getattr(get_named_type(type_), "name", "").endswith("Edge"):
        return 1  # counted at the connection already
    if "[" in str(type_):
        return 20 if "limit" in str(node.arguments) else _UNPAGED
    return 1
