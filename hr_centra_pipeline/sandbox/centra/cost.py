"""What a GraphQL document costs and needs, before it is executed: complexity, mutations, permissions.

Complexity (our own formula, Centra's is not documented): every field costs 1; what is below a list is multiplied by
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
    GraphQLOutputType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    value_from_ast_untyped,
)

# Not documented, assumption: behaviour.complexity_formula
_UNPAGED = 5
_MUTATION = 50
# Objects whose reading needs a permission of their own; others come with what shows them.
_READ = {
    "Order": "Order", "DirectToConsumerOrder": "Order", "Shipment": "Shipment",
    "DirectToConsumerShipment": "Shipment", "Return": "Return", "DirectToConsumerReturn": "Return",
    "StockChange": "StockChange", "Warehouse": "Warehouse", "ProductSize": "ProductSize", "ProductVariant":
    "ProductVariant", "Customer": "Customer", "PaymentHistoryEntry": "PaymentHistory", "IdConversionEntry":
    "IdConversion", "Event": "Event", "EventListener": "Event", "Market": "Market", "Pricelist": "Pricelist",
    "PaymentMethod": "PaymentMethod", "AdminUser": "AdminUser", "Store": "Store", "Attribute": "Attribute",
}  # fmt: skip
# Fields that need more than the object that they show. The guides' samples name Purchaser for the buyer of an order.
# Not documented, assumption: behaviour.permission_names
_FIELDS = {
    ("Return", "comment"): "Return.comment:read",
    ("Order", "internalComment"): "Order.internalComment:read",
    ("Order", "shippingAddress"): "Order.shippingAddress:read",
    ("Order", "customer"): "Purchaser:read",
    ("Order", "attributes"): "Order.attributes:read",
    ("Customer", "internalComment"): "Customer.internalComment:read",
    ("Customer", "attributes"): "Customer.attributes:read",
    ("ProductSize", "stock"): "ProductSize.stock:read",
    ("Warehouse", "stock"): "Warehouse.stock:read",
}
# Not documented, assumption: behaviour.refunds_ask_for_a_payment_permission
_WRITES: dict[str, tuple[str, ...]] = {
    "createReturn": ("Return:write",), "completeReturn": ("Return:write",), "uncompleteReturn": ("Return:write",),
    "deleteReturn": ("Return:write",), "refundReturn": ("Return:write", "Payment.refund:write"),
    "issueCredit": ("Order:write", "Payment.refund:write"), "changeStock": ("StockChange:write",),
    "confirmOrder": ("Order:write",), "updateDirectToConsumerOrder": ("Order:write",),
    "cancelDirectToConsumerOrder": ("Order:write",), "updateShipment": ("Shipment:write",),
    "createShipment": ("Shipment:write",), "updateCustomer": ("Customer:write",), "assignAttributes": ("Attribute:write",),
    "setIdConversions": ("IdConversion:write",), "setEventListeners": ("Event:write",),
    "unsetEventListeners": ("Event:write",), "confirmEvents": ("Event:write",),
}  # fmt: skip
# What a member of a mutation's input asks for in addition, when it is true.
_ASKED = {("cancelDirectToConsumerOrder", "cancelAuthorization"): "Payment.cancel:write"}


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
            _permit(parent, node, definition.type, here, cost, variables)
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


def _permit(
    parent: Any, node: FieldNode, type_: GraphQLOutputType, path: list[str], cost: Cost, variables: dict[str, Any]
) -> None:
    name = node.name.value
    needed: list[str] = []
    if getattr(parent, "name", "") == "Mutation":
        needed += _WRITES.get(name, ())
        inputs = [value_from_ast_untyped(argument.value, variables) for argument in node.arguments]
        needed += [
            permission
            for (mutation, member), permission in _ASKED.items()
            if mutation == name and any(isinstance(one, dict) and one.get(member) for one in inputs)
        ]
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
