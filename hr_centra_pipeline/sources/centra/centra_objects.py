"""What we expect of each object of Centra, field by field; an object that does not fit is refused before it is landed.

Enums are texts: a word that we do not know is landed like any other, and reported as drift (``core/words.py``).

Amounts and rates are exact decimals, kept as text in the landed JSON: a JSON number would be read as a binary one.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

from hr_centra_pipeline.core.money import LIMIT, kept
from hr_centra_pipeline.sources.centra.texts import codes_only, our_marks, our_value, references_in, without_contacts

_FIRST_YEAR, _LAST_YEAR = 1990, 2200  # what is computed with a time has to stay one


def _exact(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, Decimal | int):
        raise ValueError("not an exact number")  # noqa: TRY004 - pydantic collects these
    return value


def _is_text(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("not a text with a time")  # noqa: TRY004 - pydantic collects these
    return value


def _in_utc(value: datetime) -> datetime:
    if not _FIRST_YEAR <= value.year < _LAST_YEAR:
        raise ValueError("not a time of a shop")
    return value.astimezone(UTC)


def _computed(value: object) -> object:
    return kept(value) if isinstance(value, Decimal) and value.is_finite() else value


Exact = Annotated[
    Decimal,
    BeforeValidator(_exact),
    Field(max_digits=18, decimal_places=4, gt=-LIMIT, lt=LIMIT, allow_inf_nan=False),
    # One spelling for 10, 10.0 and 1E+1: the landed row is compared by its hash.
    PlainSerializer(lambda value: f"{value.normalize():f}", return_type=str),
]
Instant = Annotated[AwareDatetime, BeforeValidator(_is_text), AfterValidator(_in_utc)]
Whole = Annotated[int, Field(strict=True, ge=-(2**31), lt=2**31)]  # a GraphQL Int
Count = Annotated[int, Field(strict=True, ge=0, lt=2**31)]
Flag = Annotated[bool, Field(strict=True)]


class _Node(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


# What an object says that it is: wholesale has types of its own, which are left out before. Not landed.
OfConsumer = Annotated[str, Field(alias="__typename", pattern="^DirectToConsumer", exclude=True)]


class Currency(_Node):
    """ISO 4217."""

    code: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


class Money(_Node):
    """``MonetaryValue``."""

    value: Exact
    currency: Currency


class ComputedAmount(_Node):
    """A net value or a tax, in the currency of the object that it belongs to: Centra may answer it unrounded.

    [assumed: behaviour.computed_values_may_be_unrounded]
    """

    value: Annotated[Exact, BeforeValidator(_computed)]


class ComputedMoney(ComputedAmount):
    """The same with its currency."""

    currency: Currency


class ById(_Node):
    """Only who it is."""

    id: Whole


class ByNumber(_Node):
    """An order, by its number."""

    number: Whole


class Country(_Node):
    """ISO 3166."""

    code: str


class ProductSize(_Node):
    """What is sold and counted."""

    sku: Annotated[str | None, Field(alias="SKU")] = None
    ean: Annotated[str | None, Field(alias="EAN")] = None
    upc: Annotated[str | None, Field(alias="UPC")] = None


class BySku(_Node):
    """A size, by its SKU."""

    sku: Annotated[str | None, Field(alias="SKU")] = None


class PaymentEntry(_Node):
    """One entry of a payment history. New words of Centra's are kept as they are."""

    id: Whole
    created_at: Instant
    status: str
    entry_type: str
    value: Money
    external_reference: str | None = None
    # Of the provider's raw answer only the references are kept: it may hold names and addresses.
    provider_references: Annotated[
        list[str],
        Field(validation_alias="paramsJSON", serialization_alias="providerReferences", default_factory=list),
        BeforeValidator(references_in),
    ]
    return_: Annotated[ById | None, Field(alias="return")] = None


class OrderLine(_Node):
    """One line; ``kind`` is Centra's type of it (``ProductOrderLine``, or a bundle's)."""

    kind: Annotated[str, Field(alias="__typename")]
    id: Whole
    quantity: Count
    cancelled_quantity: Count
    returned_quantity: Count
    product_name: str | None = None
    unit_original_price: Money
    unit_original_price_net: ComputedMoney | None = None
    unit_price: Money
    unit_price_net: ComputedMoney | None = None
    line_value: Money
    line_value_net: ComputedMoney | None = None
    tax_percent: Exact
    product_size: ProductSize | None = None


class TaxTotals(_Node):
    """The tax of an order or Return, by what is done with it: in its values, added to them, or deducted (export)."""

    tax_included: ComputedMoney | None = None
    tax_added: ComputedMoney | None = None
    tax_deducted: ComputedMoney | None = None


class OrderTotals(TaxTotals):
    """Costs and vouchers of an order, as they are before tax is added or deducted."""

    shipping: Money
    handling: Money
    discounts: Money


class Order(_Node):
    """One order; its internal comment reduced to our own marks."""

    kind: OfConsumer
    id: str
    number: Whole
    status: str
    is_internal: Flag
    created_at: Instant
    updated_at: Instant
    grand_total: Money
    grand_total_net: ComputedMoney | None = None
    totals: OrderTotals
    internal_comment: Annotated[str | None, AfterValidator(our_marks)] = None
    country: Country | None = None
    market: ById | None = None
    pricelist: ById | None = None
    customer: ById | None = None
    lines: list[OrderLine]
    payment_history: list[PaymentEntry]


class OrderLineOf(_Node):
    """The order line behind a line of a shipment or Return."""

    id: Whole
    tax_percent: Exact


class OrderOf(_Node):
    """The order of a shipment."""

    number: Whole
    totals: TaxTotals = TaxTotals()


class ShipmentLine(_Node):
    """One line of a shipment."""

    id: Whole
    quantity: Count
    returned_quantity: Count
    unit_price: Money
    unit_price_net: ComputedMoney | None = None
    line_value: Money
    order_line: OrderLineOf


class Shipment(_Node):
    """One shipment."""

    kind: OfConsumer
    id: Whole
    number: str
    created_at: Instant
    updated_at: Instant
    shipped_at: Instant | None = None
    is_shipped: Flag
    is_captured: Flag
    is_paid: Flag
    is_good_to_go: Flag
    grand_total: Money
    order: OrderOf
    lines: list[ShipmentLine]


class CostTaxRule(_Node):
    """Tax of a cost by one rule: on top of it, or taken out of it (export)."""

    tax_added: ComputedAmount
    tax_deducted: ComputedAmount


class TaxRule(CostTaxRule):
    """Tax by one rule: in the price as well."""

    tax_included: ComputedAmount


class ReturnLine(_Node):
    """One line of a Return."""

    id: Whole
    quantity: Count
    line_value: Money
    line_value_net: ComputedMoney | None = None
    order_line: OrderLineOf
    shipment_line: ById
    applied_tax_rules: list[TaxRule]


class ReturnTotals(TaxTotals):
    """Parts of what a Return gives back, as they are before tax is added or deducted, each with its own tax."""

    line_values: Money
    shipping: Money
    handling: Money
    discounts: Money
    return_cost: Money
    shipping_tax_rules: list[CostTaxRule] = []
    handling_tax_rules: list[CostTaxRule] = []
    discount_tax_rules: list[TaxRule] = []
    return_cost_tax_rules: list[CostTaxRule] = []


class Return(_Node):
    """One Return; of its comment only keys, codes and ids are kept."""

    kind: OfConsumer
    id: Whole
    external_id: str | None = None
    return_status: str
    created_at: Instant
    created_from: str | None = None
    admin_user: ById | None = None
    comment: Annotated[str | None, AfterValidator(codes_only)] = None
    returned_to_stock: Flag
    return_warehouse: ById | None = None
    grand_total: Money
    grand_total_net: ComputedMoney | None = None
    totals: ReturnTotals
    order: ByNumber
    shipment: ById
    lines: list[ReturnLine]
    refund_payment_history: list[PaymentEntry]


class AttributeType(_Node):
    """What an attribute is called."""

    name: str


class AttributeElement(_Node):
    """One part of an attribute. Other kinds than text have no value."""

    key: str
    value: str | None = None


class Attribute(_Node):
    """One attribute of an order or customer."""

    type_: Annotated[AttributeType, Field(alias="type")]
    elements: list[AttributeElement]


def _our_value(attributes: list[Attribute], type_name: str | None, element: str) -> str | None:
    values = (
        one.value
        for attribute in attributes
        if attribute.type_.name == type_name
        for one in attribute.elements
        if one.key == element
    )
    return next((value for value in map(our_value, values) if value), None)


class StatusMark(_Node):
    """Our texts that an order or customer shows, and nothing else; both empty: nothing, or Centra does not show the object."""

    object_type: Literal["order", "customer"]
    object_id: str
    our_note: str | None = None
    our_value: str | None = None


class MarkedOrder(_Node):
    """An order with its attributes."""

    number: Whole
    attributes: list[Attribute]

    def mark(self, type_name: str | None, element: str) -> StatusMark:
        """What of it is ours, by the name of our attribute."""
        value = _our_value(self.attributes, type_name, element)
        return StatusMark(object_type="order", object_id=str(self.number), our_value=value)


class MarkedCustomer(_Node):
    """A customer with the internal comment, reduced to our own marks, or with attributes."""

    id: Whole
    internal_comment: Annotated[str | None, AfterValidator(our_marks)] = None
    attributes: list[Attribute] = []

    def mark(self, type_name: str | None, element: str) -> StatusMark:
        """What of it is ours, by the name of our attribute."""
        value = _our_value(self.attributes, type_name, element)
        return StatusMark(
            object_type="customer", object_id=str(self.id), our_note=self.internal_comment, our_value=value
        )


class StockChangeLine(_Node):
    """One size of a stock change."""

    id: Whole
    delivered_quantity: Whole
    product_size: BySku | None = None
    warehouse: ById | None = None


class StockChange(_Node):
    """One stock change with all of its lines."""

    id: Whole
    created_at: Instant
    comment: Annotated[str, AfterValidator(without_contacts)]
    type: str
    admin_user: ById | None = None
    warehouse: ById | None = None
    lines: list[StockChangeLine]


class Warehouse(_Node):
    """One warehouse."""

    id: Whole
    name: str
    status: str
    stock_master: str


class FreeStock(_Node):
    """What is free in one warehouse."""

    free_to_allocate_quantity: Whole


class SizeStock(_Node):
    """One size with its free stock."""

    id: Whole
    sku: Annotated[str, Field(alias="SKU")]
    stock: list[FreeStock]
