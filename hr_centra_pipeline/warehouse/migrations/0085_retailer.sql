-- The retailer that this database is about, where it has landed returns already: the first one.
insert into meta.belongs_to
select 'retailer', retailer_id, landed_at, null, null, null from landing.happy_returns_returns
where retailer_id is not null order by batch, source_line limit 1;
