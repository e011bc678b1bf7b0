-- The last file that tells of a payout holds: what it told is replaced as a whole.
create or replace temp table changed_payouts as
select provider, payout_id, max(batch) as batch
from landing.payout_lines
semi join (select distinct provider, payout_id from landing.payout_lines where batch > $since) as told using (provider, payout_id)
group by all;

delete from staging.payout_lines where exists (
    from changed_payouts as changed
    where changed.provider = payout_lines.provider and changed.payout_id = payout_lines.payout_id
);
insert into staging.payout_lines by name
select
    concat_ws(' ', provider, payout_id, source_line) as payout_line_id,
    lines.* exclude (landed_at, batch)
from landing.payout_lines as lines
semi join changed_payouts using (provider, payout_id, batch);

delete from meta.watermarks where consumer = $consumer;
insert into meta.watermarks
select $consumer, coalesce(max(batch), $since), $now from landing.payout_lines;
