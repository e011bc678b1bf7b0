-- makes: payers_seen
-- kind:  step
-- grain: one row per refund type and stretch of time in which plans were made with one payer
-- loop:  push.settings_seen: who paid for a refund is what the plans of its time were made with

-- A stretch is from after the last plan with the settings before (the first one: from ever) to the first plan with those after it
-- (the last one: for good). Between two plans nobody knows when the settings were changed: both count there.
create or replace temp table payers_seen as
with
plan_payers as (
    select
        string_split(payers, chr(30)) as payers,
        coalesce(lag(seen_to) over plans, '-infinity'::timestamptz) as after,
        coalesce(lead(seen_from) over plans, 'infinity'::timestamptz) as until
    from push.settings_seen
    window plans as (order by batch, seen_to)
)

select policy_types.refund_type, ways.pays_through, plan_payers.after, plan_payers.until
from plan_payers
cross join (select unnest(['refund', 'gift-card']) as refund_type) as policy_types
cross join (select unnest(['centra', 'gift_card', 'elsewhere']) as pays_through) as ways
where list_contains(
        plan_payers.payers, { 'refund_type': policy_types.refund_type, 'pays_through': ways.pays_through }::varchar
    );
