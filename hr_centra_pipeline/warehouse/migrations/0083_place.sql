-- Which database this is, and what it is about. opened: counts up each time that a program prepares it; beside the file lies a mark
-- with the last count, by which a database is known that was put back from an earlier time, copied, or replaced by another.
create table meta.place (database_id varchar not null, opened bigint not null);

-- One row per time that Centra may hold what this database does not know: whatever proves an effect has to be read completely
-- after that batch before anything is sent. reason: lost, put_back, copied, restored, rebound.
create table meta.turns (
    reason varchar not null, batch bigint not null, turned_at timestamptz not null, "by" varchar, recorded_by varchar, why varchar
);

-- Which Centra and which retailer this database is about; the latest row of a name holds. name: centra, order_api, retailer.
create table meta.belongs_to (
    name varchar not null, value varchar not null, since timestamptz not null, "by" varchar, recorded_by varchar, why varchar
);
