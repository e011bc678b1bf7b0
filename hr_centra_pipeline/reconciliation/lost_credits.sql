-- makes: lost_credits
-- kind:  step
-- grain: one row per unit whose confirmed Return somebody has deleted or uncompleted, with whether its money went

-- One row per unit whose confirmed Return somebody has deleted: with the money gone, or without.
create or replace temp table lost_credits as
with
-- By the packet that made it; by the keys that it carried when the packet is lost.
keys as (
    select centra_return_id, unnest(members) as effect_key from gone_returns
    union
    select centra_return_id, unnest(effect_keys) as effect_key from staging.centra_returns
    semi join matching.orders_in_play using (order_number)
    where deleted_at is not null
),

-- One row per key that no Return shows any more.
lost_keys as (
    select
        keys.*,
        exists(
            select 1 from staging.payment_entries as entries
            where entries.centra_return_id = keys.centra_return_id and is_given_back(entries.money)
        ) as is_paid
    from keys
    anti join (
        select unnest(effect_keys) as effect_key from staging.centra_returns
        semi join matching.orders_in_play using (order_number)
        where deleted_at is null
    ) as made_again using (effect_key)
)

select
    is_paid,
    case ledger.effect_kind when 'exchange_order' then 'exchange' else 'credit' end as subject,
    'fix_centra' as class, 'data_gap' as cause, 'person' as culprit,
    ledger.return_id,
    ledger.return_item_id,
    ledger.order_number,
    units.sku,
    coalesce(ledger.currency, units.currency) as currency,
    coalesce(ledger.amount, units.unit_price) as amount,
    -- Deleted before a pull has shown it once: some time after we made it.
    coalesce(returns.deleted_at, (
        select min(done_at) from gone_returns where gone_returns.centra_return_id = lost_keys.centra_return_id
    ), $now) as fact_at,
    'Our Return '
    || lost_keys.centra_return_id
    || ' is gone in Centra: someone deleted it'
    || case when is_paid then ', although its money was paid'
        else '; it is not made again by itself'
    end as detail,
    'Ask who deleted it and why. To have it made again: `hr-centra adopt` the return.' as next_step,
    json_merge_patch(
        units.evidence, json_object('centra_return_id', lost_keys.centra_return_id, 'effect_key', ledger.effect_key)
    ) as evidence
from lost_keys
join push.ledger using (effect_key)
join known_units as units on units.return_item_id = ledger.return_item_id
left join staging.centra_returns as returns on returns.centra_return_id = lost_keys.centra_return_id
where ledger.state = 'confirmed';

-- One row per unit whose confirmed Return somebody has uncompleted: it is no longer a credit note, and could be changed, paid once
-- more or (unpaid) deleted. It is not completed again by itself.
insert into lost_credits by name
select
    payments.centra_return_id is not null as is_paid,
    case ledger.effect_kind when 'exchange_order' then 'exchange' else 'credit' end as subject,
    'fix_centra' as class, 'data_gap' as cause, 'person' as culprit,
    ledger.return_id,
    ledger.return_item_id,
    ledger.order_number,
    units.sku,
    coalesce(ledger.currency, units.currency) as currency,
    coalesce(ledger.amount, units.unit_price) as amount,
    returns.fetched_at as fact_at,
    'Our Return '
    || returns.centra_return_id
    || case
        when is_another then ' was made in the place of one that is gone, and is not completed'
        else ' is not completed any more: someone uncompleted it in Centra'
    end
    || case when payments.centra_return_id is not null then '; its money was paid nevertheless' else '' end as detail,
    case
        when is_another then 'To have it finished: `hr-centra adopt` the return.'
        else 'Ask who uncompleted it and why, and complete it again in Centra.'
    end as next_step,
    json_merge_patch(
        units.evidence, json_object('centra_return_id', returns.centra_return_id, 'effect_key', ledger.effect_key)
    ) as evidence
from (
    select *, unnest(effect_keys) as effect_key from staging.centra_returns
    semi join matching.orders_in_play using (order_number)
    where deleted_at is null and is_completed = false
) as returns
join push.ledger using (effect_key)
join known_units as units on units.return_item_id = ledger.return_item_id
left join (
    select distinct centra_return_id from staging.payment_entries
    where centra_return_id is not null and is_given_back(money)
) as payments on payments.centra_return_id = returns.centra_return_id
-- A database that was restored knows of the one before, under the same key.
left join (
    select packet_key, made_return_id as other_return_id
    from packet_returns
    where made_return_id is not null
) as others on others.packet_key = returns.packet_key
cross join lateral (select coalesce(other_return_id <> returns.centra_return_id, false) as is_another) as replaced
where gives_value(ledger.effect_kind) and ledger.state = 'confirmed'
    -- Seen before we had completed it: that is what the next pull shows.
    and (is_another or returns.fetched_at > coalesce(ledger.confirmed_at, ledger.updated_at));
