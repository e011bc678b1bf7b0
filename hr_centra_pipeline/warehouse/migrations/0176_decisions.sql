-- Decisions of people, of whichever origin: which of them were carried out in this database, so that none is carried out twice.
create table operations.decisions_done (
    decision_id varchar not null, decision_sha256 varchar not null, kind varchar not null, decided_by varchar not null,
    user_id varchar not null, login varchar not null, decided_at timestamptz not null, done_at timestamptz not null,
    run_id varchar not null
);

-- Supporting documents, by the hash of their bytes; the bytes are in the home, under decision_files/.
create table operations.documents (
    document_id varchar not null, sha256 varchar not null, file_name varchar not null, media_type varchar not null,
    bytes bigint not null, title varchar, month varchar, exception_id varchar, added_by varchar not null,
    user_id varchar not null, added_at timestamptz not null
);

-- Who takes care of an exception: a user id, or team:finance; of the event 'handed_over' (null: nobody).
alter table reconciliation.exception_events add column assigned_to varchar;

drop view if exists reconciliation.closes; -- a view knows the columns that its table had: it is made again

-- Who was logged in (null: the command line), and who recorded it.
alter table month_end.closes add column user_id varchar;
alter table month_end.closes add column recorded_by varchar;
alter table push.adoptions add column recorded_by varchar;
