-- makes: credit_carriers
-- kind:  step
-- grain: one row per return on an order of which a unit is credited: the shipment whose credit carries its costs

-- One row per return, order and shipment on which a unit's credit is pending: the earliest shipment of each pair.
create or replace temp table credit_carriers as
select
    return_id, order_number, shipment_id, currency, pays_through, any_value(express_code) as express_code,
    min(trigger_at) as trigger_at, min(sendable_at) as sendable_at, any_value(tax_mode) as tax_mode,
    sum(kept)::decimal(18, 4) as kept,
    sum(amount)::decimal(18, 4) as most,
    sum(fee_rate_tax)::decimal(18, 4) as fee_rate_tax,
    any_value(dropoff_method) as dropoff_method,
    bool_and(is_returnless) as is_returnless,
    bool_and(blocked_code is not null) as is_blocked,
    -- The first in the order of precedence.
    arg_min(blocked_by, (blocked_place, blocked_by)) as blocked_by,
    arg_min(blocked_code, (blocked_place, blocked_by)) as blocked_code,
    list_distinct(flatten(list(approval_codes))) as approval_codes
from unit_credits
where refund_type = 'refund'
    and shipment_id is not null
    and pays_through <> 'gift_card'
    and origin_return_id is null
group by return_id, order_number, shipment_id, currency, pays_through
qualify row_number() over (partition by return_id, order_number order by is_blocked, shipment_id) = 1;
