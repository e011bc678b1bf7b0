-- changes: findings
-- kind:  exception
-- grain: one row per external Return with units that Happy Returns does not know
-- exception:    centra_return_without_return
-- subject:      return
-- owner:        customer_service
-- window_hours: 72
-- precedence:   136
-- severity:     warning
-- family:       orphaned_returns
-- counterpart:  return_at_happy_returns
-- measure:      over_credits_found
-- opens:        A person or another integration made a Return in Centra for units that Happy Returns does not
--               know.
-- closes:       Happy Returns reports its units, or the Return is gone.

-- One row per external Return in Centra with lines that are not units of Happy Returns.
insert into findings by name
with
-- One row per Return and line that is adopted.
adopted_pieces as (
    select foreign_centra_return_id as centra_return_id, shipment_line_id, count(*) as units
    from matching.matched_items where foreign_centra_return_id is not null
    group by foreign_centra_return_id, shipment_line_id
),

-- One row per line of an external Return.
external_return_lines as (
    select
        returns.centra_return_id,
        lines.quantity,
        least(coalesce(adopted_pieces.units, 0), lines.quantity) as adopted_units,
        lines.line_value
    from staging.centra_returns as returns
    join staging.centra_return_lines as lines using (centra_return_id)
    left join adopted_pieces
        on adopted_pieces.centra_return_id = returns.centra_return_id
            and adopted_pieces.shipment_line_id = lines.shipment_line_id
    -- A Return that the ledger knows is ours, even when somebody has emptied its comment.
    anti join push.ledger
        on ledger.centra_id = returns.centra_return_id::varchar
            and gives_value(ledger.effect_kind) and not ledger.is_foreign
    where returns.deleted_at is null and returns.packet_key is null and len(coalesce(returns.effect_keys, [])) = 0
        and returns.centra_return_id::varchar not in (
            select centra_id from push.ties where what = 'return' and return_item_id is null
        )
),

-- One row per Return with pieces that are nobody's.
unknown_pieces as (
    -- Paid twice for one unit is a kind of its own.
    select
        centra_return_id, sum(quantity - adopted_units) as units, sum(adopted_units) as adopted_units,
        sum(line_value) as value, list({ value: line_value, part: quantity - adopted_units, whole: quantity }) as parts
    from external_return_lines
    anti join doubled_returns using (centra_return_id)
    group by centra_return_id
    having sum(quantity) > sum(adopted_units)
)

select
    'centra_return_without_return' as kind,
    'return' as subject,
    'Return ' || returns.centra_return_id as identity,
    'fix_centra' as class,
    'data_gap' as cause,
    returns.made_by as culprit,
    returns.order_number,
    returns.currency,
    case when unknown_pieces.adopted_units = 0 then returns.grand_total
        else list_sum(list_transform(
                unknown_pieces.parts,
                lambda p: share_of(p.value, p.part::decimal(18, 4), p.whole::decimal(18, 4), returns.currency)
            ))
    end as amount,
    returns.created_at as fact_at,
    'Return '
    || returns.centra_return_id
    || ' in Centra, made by '
    || maker_text(returns.made_by)
    || ', credits '
    || units_text(unknown_pieces.units)
    || ' of order '
    || returns.order_number
    || ' that Happy Returns does not know' as detail,
    ask_maker(returns.made_by)
    || ': did the goods come back without Happy Returns, or was it made twice? Then delete it, or `hr-centra tie '
    || returns.centra_return_id || ' --return` to its units, or to none.'
        as next_step,
    json_object(
        'centra_return_id', returns.centra_return_id, 'made_at', returns.created_from, 'status', returns.status
    ) as evidence
from unknown_pieces
join staging.centra_returns as returns using (centra_return_id);

-- closing
insert into proofs by name
select
    unseen.exception_id,
    case
        when returns.deleted_at is not null then proven_by('deleted', 'the Return was deleted in Centra')
        when ties.centra_id is not null then proven_by('tied', 'a person has tied it to no return')
        when returns.centra_return_id is not null
            then proven_by('adopted', 'the Return belongs to units of Happy Returns now')
    end as proof
from unseen
left join staging.centra_returns as returns on 'Return ' || returns.centra_return_id = unseen.identity
left join (
    select distinct centra_id from push.ties where what = 'return' and return_item_id is null
) as ties on 'Return ' || ties.centra_id = unseen.identity
where unseen.kind = 'centra_return_without_return';
