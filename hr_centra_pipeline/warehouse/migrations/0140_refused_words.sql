-- The word that is on no list, or the retailer that is not accepted: what is counted, and decided by, beside the reason for people.
alter table quarantine.rejected_rows add column word varchar;
-- Objects that a pull could not read.
alter table landing.centra_pulls add column rows_refused bigint default 0;
-- What an earlier version kept in words alone: once, here.
update quarantine.rejected_rows set word = case
    when starts_with(reason, 'is none of ') then regexp_extract(reason, 'is none of .*?: (.*)$', 1)
    when column_name = 'retailer_id' and starts_with(reason, 'is of another retailer') then split_part(reason, ' --retailer ', 2)
end;
update landing.centra_pulls set rows_refused = 1 where contains(problem, 'does not expect');
-- The word for a packet whose members are planned again.
update push.packets set state = 'disbanded' where state = 'dissolved';
