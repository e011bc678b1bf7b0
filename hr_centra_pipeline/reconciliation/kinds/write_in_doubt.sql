-- changes: findings
-- kind:  exception
-- grain: one row per effect whose outcome is not known
-- exception:    write_in_doubt
-- subject:      credit, stock, exchange, status
-- owner:        data
-- window_hours: 1
-- precedence:   60
-- severity:     error
-- family:       none
-- opens:        A call to Centra left and no answer came, and the look-ups since then have not settled
--               whether it was executed.
-- closes:       it is found in Centra, or proven absent and planned again.

-- One row per effect whose outcome is not known; fees and shipping only when no unit travels with them.
insert into findings by name
with
doubtful_effects as (
    select
        ledger.*, packets.operation, packets.step, packets.trouble, packets.message,
        coalesce(packets.created_at, ledger.updated_at) as since, packets.payload ->> 'order_number' as of_order,
        packets.payload ->> 'rows_issued' as rows_issued,
        coalesce((packets.payload ->> 'payments_allowed')::bigint, 0) as payments_allowed
    from push.ledger
    left join push.packets using (packet_key)
    where ledger.state in ('sending', 'unknown') and packets.trouble is distinct from 'differs' -- a kind of its own
),

reported_doubts as (
    select * from doubtful_effects where return_item_id is not null
    union all
    select * from doubtful_effects as alone where alone.return_item_id is null and not exists (
            select 1
            from doubtful_effects as units
            where units.return_item_id is not null and units.packet_key = alone.packet_key
        )
)

select
    'write_in_doubt' as kind,
    policy.subject_of(effect_kind) as subject,
    case when reported_doubts.return_item_id is null then effect_key end as identity,
    case when trouble is null then 'timing' else 'fix_centra' end as class,
    case when trouble in ('gone', 'canceled', 'number_taken') then 'data_gap' else 'system_error' end as cause,
    case
        when trouble in ('gone', 'canceled', 'number_taken') then 'person'
        when trouble = 'unpaid' then 'provider'
        else 'centra'
    end as culprit,
    reported_doubts.return_id,
    reported_doubts.return_item_id,
    coalesce(reported_doubts.order_number, reported_doubts.of_order) as order_number,
    units.sku,
    case when policy.subject_of(effect_kind) <> 'status' then coalesce(reported_doubts.currency, units.currency) end as currency,
    case
        when policy.subject_of(effect_kind) = 'status' then null
        when is_worth_its_unit(effect_kind) then units.unit_price
        else reported_doubts.amount
    end as amount,
    reported_doubts.since as fact_at,
    'The outcome of the '
    || effect_text(effect_kind)
    || ' in Centra is not known, at '
    || coalesce(step, 'an unknown step')
    || ': '
    || coalesce(message, reason, 'no answer') as detail,
    case
        when trouble = 'unpaid' and rows_issued is not null and payments_allowed = 0
            then
                'Ask Happy Returns, or who paid these refunds at that time, whether the shopper was paid. Only if nobody paid: '
                || '`hr-centra approve` the packet for one call.'
        else case trouble
                when 'gone'
                    then 'Someone deleted our Return in Centra: find out why. To create it again: `hr-centra adopt` '
                        || 'the return.'
                when 'canceled'
                    then 'The replacement no longer exists in Centra: find out why. To order it again: '
                        || '`hr-centra adopt` the return.'
                when 'number_taken'
                    then 'Look at the order with that number: if it is the replacement, `hr-centra tie` it '
                        || 'to the unit; otherwise clear the number from our reserved range.'
                when 'unpaid'
                    then 'Look at the payment provider. Not paid: refund the Return in Centra by hand, or '
                        || '`hr-centra approve` the packet for one more call.'
                when 'refused' then 'Do in Centra what it refused, or fix what it names and `hr-centra approve` the packet.'
                when 'not_ours' then 'Look at what carries our key in Centra, and delete what is wrong there.'
                else 'Nothing: every sync looks it up, and sends it again only when it is proven absent.'
            end
    end as next_step,
    json_merge_patch(coalesce(units.evidence, '{}'), json_object(
        'effect_key',
        effect_key,
        'packet_key',
        packet_key,
        'step',
        step,
        'trouble',
        trouble,
        'centra_id',
        reported_doubts.centra_id
    )) as evidence
from reported_doubts
left join known_units as units using (return_item_id);

-- closing
insert into proofs by name
select
    exception_id,
    coalesce(
        effect_proof,
        answer_proof,
        case
            when effect_state = 'planned'
                then proven_by('absent', 'looked up and proven absent: it is planned again')
        end,
        refusal_proof
    ) as proof
from unseen
where kind = 'write_in_doubt';
