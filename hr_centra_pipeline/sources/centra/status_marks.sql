-- makes: staging.status_marks
-- kind:  table
-- grain: one row per order or customer on which a return's state is written

merge into staging.status_marks as known
using (
    -- one row per order or customer that was read: as landed last
    select
        mark,
        object_type,
        object_id,
        payload ->> 'ourNote' as our_note,
        payload ->> 'ourValue' as our_value,
        coalesce(keys_in(payload ->> 'ourNote'), []) as note_keys,
        coalesce(keys_in(payload ->> 'ourValue'), []) as value_keys,
        fetched_at
    from landing.centra_status_marks
    where batch > $watermark
    qualify row_number() over (partition by mark order by batch desc) = 1
) as new
    on known.mark = new.mark
when matched then
    update set
        our_note = new.our_note, our_value = new.our_value, note_keys = new.note_keys, value_keys = new.value_keys,
        fetched_at = new.fetched_at
when not matched then
    insert (mark, object_type, object_id, our_note, our_value, note_keys, value_keys, fetched_at)
    values (
        new.mark,
        new.object_type,
        new.object_id,
        new.our_note,
        new.our_value,
        new.note_keys,
        new.value_keys,
        new.fetched_at
    );
