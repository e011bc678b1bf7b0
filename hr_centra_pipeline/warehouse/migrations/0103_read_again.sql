-- What the layouts said when a settlement file was read, whole and but for the words of their line types: where they say something
-- else now, the file is read again.
alter table landing.payout_files add column layouts_sha256 varchar;
alter table landing.payout_files add column reading_sha256 varchar;
-- The batch in which a line's file was landed first: however often the file is read again, it tells what it told then.
alter table landing.payout_lines add column first_batch bigint;
update landing.payout_lines set first_batch = batch;
