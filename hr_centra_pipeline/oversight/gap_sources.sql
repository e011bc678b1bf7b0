-- makes: gap_source_text
-- kind:  step
-- grain: one source of data per code, as people read it

-- Codes: exports, export_files, inbox (of webhook deliveries), partner_api, and centra_ with the object.
create or replace temp macro gap_source_text(code) as case
    when code = 'export_files' then 'files of the exports'
    when code = 'partner_api' then 'partner API'
    when code = 'inbox' then 'webhook deliveries'
    when starts_with(code, 'centra_') then 'centra ' || substr(code, 8)
    else code
end;
