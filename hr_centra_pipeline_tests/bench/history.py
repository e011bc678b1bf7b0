"""Months of returns as they lie in the landing tables after they were all dealt with, made inside DuckDB.

Two units per return, one return per order; each was dropped off, travelled, was graded, refunded, credited and booked. One
unit in a thousand was never graded, and one refund in a thousand differs by a cent, so that there is something to reconcile.
Orders that nothing of came back yet can stand beside them.
"""

from __future__ import annotations

from datetime import UTC, datetime

from hr_centra_pipeline.warehouse.database import Connection

ENDS = datetime(2026, 8, 1, tzinfo=UTC)
"""The last return of the history was started before this."""

_MONTHS = 24
_PRICE = "(20 + h % 200)::decimal(18, 4) + 0.95::decimal(18, 4)"
_SOURCE = """
    'default' as profile, sha256(number::varchar) as row_sha256, 'history.csv' as source_file, number + 2 as source_line,
    $now::timestamptz as landed_at, $batch as batch
"""

# One row per return, with all that the others are made from.
_RETURNS = f"""
create or replace temp table made as
with numbered as (
    select
        i as number, hash(i) % 1000000 as h, 'RT-' || i as return_id, (1000000 + i)::varchar as order_number,
        'HR' || upper(substr(md5(i::varchar), 1, 6)) as express_code,
        $ends::timestamptz - to_seconds((($returns - i) * 86400 * 30.4 * {_MONTHS} / $returns)::bigint) as started_at,
        ['EUR', 'SEK', 'GBP', 'USD'][1 + i % 4] as currency
    from range($returns + $spare_orders) as numbers(i)
)

select
    *, number >= $returns as is_spare,
    {_PRICE} as price, tax_in({_PRICE}, 25, currency) as tax, h % 500 = 7 as is_never_graded, h % 1000 = 13 as is_a_cent_off,
    started_at + interval 1 day as received_at, started_at + interval 26 hour as refunded_at,
    started_at + interval 3 day as hub_at, started_at + interval 4 day as departed_at,
    started_at + interval 6 day as arrived_at, started_at + interval 7 day as graded_at
from numbered
"""
# One row per unit.
_UNITS = """
create or replace temp table made_units as
select
    made.*, place, 'IT-' || made.number || '-' || place as item_id, 'SKU-' || ((made.h + place) % 5000) as sku,
    made.number * 2 + place as unit_number, 10000000 + made.number * 2 + place as line_id,
    effect_key('credit_note', ['IT-' || made.number || '-' || place]) as credit_key,
    effect_key('inventory_adjustment', ['IT-' || made.number || '-' || place, '1']) as stock_key
from made, range(2) as places(place)
"""


def _money(amount: str, currency: str = "currency") -> str:
    return f"json_object('value', ({amount})::decimal(18, 4)::varchar, 'currency', json_object('code', {currency}))"


_LANDED = (
    f"""
    insert into landing.happy_returns_returns by name
    select
        return_id, order_number, express_code, 'modern-retailer' as retailer_id, started_at as created_at,
        'approved' as refund_status, 'return-bar' as dropoff_method, 2 as items_total, 2 as items_received, started_at,
        received_at as dropped_off_at, received_at as last_approved_at, graded_at as source_time, {_SOURCE}
    from made where not is_spare
    """,
    f"""
    insert into landing.happy_returns_items by name
    select
        item_id, item_id as return_item_id, return_id, express_code, order_number, line_id::varchar as order_line_item_id,
        line_id::varchar as base_line_item_id, sku, 'Coat' as product_name, 'refund' as refund_type,
        'return-bar' as dropoff_method, 'app' as received_channel, received_at, received_at as approved_at, refunded_at,
        hub_at as hub_received_at, arrived_at as warehouse_received_at,
        case when not is_never_graded then 'sellable' end as disposition, graded_at as source_time, {_SOURCE}
    from made_units where not is_spare
    """,
    f"""
    insert into landing.happy_returns_refunds by name
    select
        'RF-' || number as refund_id, return_id, order_number, 'refund' as refund_type, refunded_at as issued_at,
        'issued' as status, currency, 2 * (price - tax) + case when is_a_cent_off then 0.01 else 0 end as item_subtotal,
        0 as discount, 2 * tax as tax, 0 as shipping_refund, 0 as processing_fee,
        2 * price + case when is_a_cent_off then 0.01 else 0 end as total_refunded, refunded_at as source_time, {_SOURCE}
    from made where not is_spare
    """,
    f"""
    insert into landing.happy_returns_shipments by name
    select
        'OS-' || (number // 20) as shipment_id, item_id, item_id as return_item_id, express_code, order_number, sku,
        departed_at as departed_at, departed_at as source_time, {_SOURCE}
    from made_units where not is_spare
    """,
    f"""
    insert into landing.centra_orders by name
    select
        order_number, row_sha256 as content_sha256, json_object(
            'id', md5(order_number), 'number', order_number::bigint, 'status', 'SHIPPED', 'isInternal', false,
            'grandTotal', {_money("2 * price")}, 'createdAt', (started_at - interval 20 day)::varchar,
            'totals', json_object('shipping', {_money("0")}, 'handling', {_money("0")}, 'discounts', {_money("0")}),
            'internalComment', case when not is_spare then '[hr-centra ' || effect_key('status_update', [
                return_id, order_number, case when is_never_graded then 'in transit' else 'processed' end
            ]) || ' ' || express_code || ': told]' end,
            'country', json_object('code', 'SE'), 'customer', json_object('id', number),
            'lines', json(lines), 'paymentHistory', json_array(json_object(
                'id', number, 'createdAt', (started_at - interval 20 day)::varchar, 'status', 'SUCCESS',
                'entryType', 'CAPTURE', 'value', {_money("2 * price")}
            ))
        ) as payload,
        started_at - interval 20 day as updated_at, $now::timestamptz as fetched_at, $batch as batch
    from made
    join (
        select number, any_value(sha256(number::varchar)) as row_sha256, to_json(list(json_object(
            '__typename', 'ProductOrderLine', 'id', line_id::varchar, 'quantity', 1, 'cancelledQuantity', 0,
            'returnedQuantity', (not is_spare)::int,
            'productName', 'Coat', 'unitOriginalPrice', {_money("price")}, 'unitPrice', {_money("price")},
            'lineValue', {_money("price")}, 'taxPercent', '25', 'productSize', json_object('SKU', sku)
        ))) as lines
        from made_units group by number
    ) as lines using (number)
    """,
    f"""
    insert into landing.centra_shipments by name
    select
        number as shipment_id, order_number, any_value(sha256(number::varchar)) as content_sha256, json_object(
            'id', number, 'number', order_number || '-1', 'isShipped', true, 'isCaptured', true,
            'createdAt', (any_value(started_at) - interval 18 day)::varchar,
            'shippedAt', (any_value(started_at) - interval 18 day)::varchar,
            'grandTotal', {_money("2 * any_value(price)", "any_value(currency)")},
            'lines', json(to_json(list(json_object(
                'id', unit_number, 'quantity', 1, 'returnedQuantity', (not is_spare)::int, 'unitPrice', {_money("price")},
                'lineValue', {_money("price")},
                'orderLine', json_object('id', line_id::varchar, 'taxPercent', '25')
            ))))
        ) as payload,
        any_value(started_at) - interval 18 day as updated_at, $now::timestamptz as fetched_at, $batch as batch
    from made_units group by number, order_number
    """,
    f"""
    insert into landing.centra_returns by name
    select
        number as centra_return_id, order_number, any_value(sha256(number::varchar)) as content_sha256, json_object(
            'id', number, 'externalId', packet_key(list(credit_key)), 'returnStatus', 'COMPLETED',
            'createdFrom', 'Integration API', 'returnedToStock', false, 'shipment', json_object('id', number),
            'comment', packet_key(list(credit_key)) || ' RMA ' || any_value(express_code) || ' ' || any_value(return_id) || ' '
                || string_agg(credit_key, ' ' order by credit_key),
            'grandTotal', {_money("2 * any_value(price)", "any_value(currency)")},
            'totals', json_object(
                'lineValues', {_money("2 * any_value(price)", "any_value(currency)")},
                'shipping', {_money("0", "any_value(currency)")}, 'handling', {_money("0", "any_value(currency)")},
                'discounts', {_money("0", "any_value(currency)")}, 'returnCost', {_money("0", "any_value(currency)")}
            ),
            'lines', json(to_json(list(json_object(
                'id', unit_number, 'quantity', 1, 'lineValue', {_money("price")},
                'shipmentLine', json_object('id', unit_number),
                'orderLine', json_object('id', line_id::varchar, 'taxPercent', '25'),
                'appliedTaxRules', json_array(json_object('taxIncluded', {_money("tax")}, 'taxAdded', {_money("0")}))
            )))),
            'refundPaymentHistory', json_array(json_object(
                'id', $returns + number, 'createdAt', any_value(refunded_at)::varchar, 'status', 'SUCCESS',
                'entryType', 'REFUND', 'value', {_money("2 * any_value(price)", "any_value(currency)")},
                'return', json_object('id', number)
            ))
        ) as payload,
        false as is_deleted, any_value(refunded_at) as created_at, $now::timestamptz as fetched_at, $batch as batch
    from made_units where not is_spare group by number, order_number
    """,
    """
    insert into landing.centra_stock_changes by name
    select
        unit_number // 12 as stock_change_id, any_value(sha256(unit_number::varchar)) as content_sha256, json_object(
            'id', unit_number // 12, 'comment', packet_key(list(stock_key)) || ' ' || string_agg(stock_key, ' ' order by stock_key),
            'type', 'IN', 'warehouse', json_object('id', 1),
            'lines', json(to_json(list(json_object(
                'id', unit_number, 'deliveredQuantity', 1, 'productSize', json_object('SKU', sku),
                'warehouse', json_object('id', 1)
            ))))
        ) as payload,
        max(graded_at) + interval 1 day as created_at, $now::timestamptz as fetched_at, $batch as batch
    from made_units where not is_never_graded and not is_spare group by unit_number // 12
    """,
)


def land_history(connection: Connection, units: int, now: datetime, *, spare_orders: int = 0) -> None:
    """Fill the landing tables of a prepared, empty database with ``units`` return units over 24 months until ``ENDS``.

    Beside them stand ``spare_orders`` shipped orders with two units each and no return, numbered from ``first_spare(units)``.
    The policy has to map ``sellable`` to warehouse 1, and its cut-over to lie before all of it.
    """
    batch = connection.execute("select nextval('landing.batch_numbers')").fetchone()
    given = {
        "now": now, "batch": batch[0] if batch else 0, "returns": units // 2, "spare_orders": spare_orders, "ends": ENDS,
    }  # fmt: skip
    for text in (_RETURNS, _UNITS, *_LANDED):
        (statement,) = connection.extract_statements(text)
        connection.execute(statement, {name: given[name] for name in statement.named_parameters})
    for name in ("orders", "shipments", "returns", "stock_changes"):
        connection.execute(
            "insert into landing.centra_pulls values (?, ?, ?, 0, 0, true, null, ?, ?, 0)",
            [name, ENDS, now, given["batch"], now],
        )
    connection.execute("drop table made_units")
    connection.execute("drop table made")


def first_spare(units: int) -> int:
    """The number of the first order without a return; order n has the lines 10,000,000 + 2 (n - 1,000,000) and one more."""
    return 1_000_000 + units // 2
