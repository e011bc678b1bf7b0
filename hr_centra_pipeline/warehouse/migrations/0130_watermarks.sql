-- A watermark may be about a part of what its consumer makes (a month), and holds only for what it was made with (layouts, words).
alter table meta.watermarks add column part varchar default '';
alter table meta.watermarks add column made_with varchar;
update meta.watermarks set consumer = 'month_end', part = substr(consumer, 11) where starts_with(consumer, 'month_end ');
delete from meta.watermarks where starts_with(consumer, 'staging.');
