-- makes: due_units
-- kind:  step
-- grain: one row per unit whose credit is due, with its part of the voucher
-- loop:  push.ledger: a credit that is under way keeps the share of the voucher it was sent with

-- One row per due unit with its part of the voucher. What is under way, or paid on a Return that is there, keeps the share that
-- it was sent with.
create or replace temp table due_units as
with
ranked_units as (
    select
        due.*, left_over.voucher_left, left_over.pieces_left,
        row_number() over open_units as place,
        count(*) over (partition by due.order_number, due.has_its_share) as open_units,
        sum(due.voucher_share) over (open_units rows between unbounded preceding and 1 preceding) as shares_before
    from (
        select
            due.*,
            coalesce(ledger.state in ('sending', 'unknown'), false) or due.origin_return_id is not null as has_its_share
        from credit_units as due
        left join push.ledger on ledger.effect_key = due.effect_key
    ) as due
    left join vouchers_left as left_over using (order_number)
    window open_units as (partition by due.order_number, due.has_its_share order by due.credit_due_at, due.effect_key)
),

units_with_voucher as (
    select
        * exclude (voucher_share),
        case
            when voucher_left is null or has_its_share then voucher_share
            else voucher_part(
                    unit_price - unit_tax_added,
                    voucher_share,
                    voucher_left,
                    shares_before,
                    place = open_units and open_units >= pieces_left
                )
        end::decimal(18, 4) as voucher_share
    from ranked_units
),

-- What Centra adds to the voucher is tax that is taken off.
units_with_tax as (
    select *, added_to_part(unit_tax_added, voucher_share, unit_price - unit_tax_added, currency) as voucher_tax_added
    from units_with_voucher
)

select
    * exclude (has_its_share, voucher_left, pieces_left, place, open_units, shares_before),
    unit_tax - voucher_tax_of(tax_mode, voucher_share, voucher_tax_added, tax_percent, currency) as tax,
    unit_price - voucher_share - voucher_tax_added as amount,
    unit_tax_added - voucher_tax_added as tax_added
from units_with_tax;
