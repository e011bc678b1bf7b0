-- makes: closings, proofs
-- kind:  step
-- grain: one row per exception that was open and is not found any more: what proves that it is over (null: nothing does)

-- An exception closes only by what proves it: another kind is more specific about the same subject of the same unit, or what the
-- file of its own kind says closes it.

-- One row per exception whose kind says that it is over; what a kind says of another one's is not heard.
create or replace temp table proofs as
select null::varchar as exception_id, null::struct(code varchar, sentence varchar) as proof, null::varchar as kind
where false
-- and the closing of every kind
;

create or replace temp table closings as
with
-- The kind that is open for the same subject of the same unit now; the counterpart when it opens just now.
successors as (
    select
        unseen.exception_id, other.kind,
        case
            when not coalesce(before.is_open, false)
                and row_number() over (partition by other.exception_id order by unseen.exception_id) = 1
                then other.exception_id
        end as counterpart
    from unseen
    join open_now as other on other.return_item_id = unseen.return_item_id and other.subject = unseen.subject
    left join past_exceptions as before on before.exception_id = other.exception_id
    qualify row_number() over (partition by unseen.exception_id order by other.kind, other.exception_id) = 1
)

select
    unseen.exception_id,
    unseen.kind,
    successors.counterpart,
    case when successors.kind is not null then 'became' else proofs.proof.code end as code,
    coalesce('became ' || successors.kind, proofs.proof.sentence) as proof
from unseen
left join successors using (exception_id)
left join proofs on proofs.exception_id = unseen.exception_id and proofs.kind = unseen.kind;
