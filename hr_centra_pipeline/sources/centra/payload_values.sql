-- makes: amount, currency_of, items_of, keys_in, words_in, tax_mode_of, has_taxed_lines, paid_of, added_to,
--        tax_by_rules, added_by_rules, sum_of, sum_of_counted
-- kind:  step
-- grain: one value of a landed payload per macro

-- How a value is read out of Centra's JSON. Amounts are text there and go straight to decimal(18, 4).

create or replace temp macro amount(money) as cast(money ->> '$.value' as decimal(18, 4));
create or replace temp macro currency_of(money) as money ->> '$.currency.code';
create or replace temp macro keys_in(marks) as list_distinct(regexp_extract_all(marks, '\bHR[A-Z2-7]{13}\b'));
-- express codes and ids alike: every word except our keys
create or replace temp macro words_in(marks) as coalesce(
    list_distinct(
        list_filter(
            string_split_regex(marks, '[\s,;#]+'),
            lambda word: word <> '' and not regexp_full_match(word, '(HR|PK)[A-Z2-7]{13}')
        )
    ),
    []
);
create or replace temp macro items_of(list) as from_json(coalesce(list, '[]'), '["json"]');
-- What Centra does with the tax of an order or Return: it is in its values, is added to them, or there is none (export: what
-- the values contain is deducted). Unknown where it was landed before we read it. A voucher over all of it leaves no tax: then
-- the lines tell (has_taxed_lines), and whether their values with tax make the total (sums_with_tax).
create or replace temp macro amount_at(object, path) as cast(
    json_extract_string(object, '$.' || path || '.value') as decimal(18, 4)
);
create or replace temp macro tax_mode_of(totals, has_taxed_lines, sums_with_tax) as case
    when amount_at(totals, 'taxAdded') is null then null
    when amount_at(totals, 'taxAdded') <> 0 then 'added'
    when amount_at(totals, 'taxDeducted') <> 0 then 'none'
    when amount_at(totals, 'taxIncluded') <> 0 then 'included'
    when has_taxed_lines then case when sums_with_tax then 'included' else 'added' end
    else 'none'
end;
create or replace temp macro has_taxed_lines(lines, gross, net) as len(list_filter(
    items_of(lines), lambda line: amount_at(line, net) is not null and amount_at(line, gross) <> amount_at(line, net)
)) > 0;
create or replace temp macro sum_of(lines, field) as
coalesce(list_sum(list_transform(items_of(lines), lambda line: amount_at(line, field))), 0)::decimal(38, 4);

-- What a customer pays for a value, of which Centra shows both readings; and how much of that it adds to the value that it keeps
-- (negative: deducts from it).
create or replace temp macro paid_of(gross, net, mode) as case
    when mode = 'none' then coalesce(net, gross) else gross
end;
create or replace temp macro added_to(gross, net, mode) as
case mode when 'added' then gross - coalesce(net, gross) when 'none' then coalesce(net, gross) - gross else 0 end;
-- The tax by all rules of one cost. It is given back, or taken off, together with its cost: Centra's signs are not needed.
create or replace temp macro tax_by_rules(rules, field) as
coalesce(abs(list_sum(list_transform(items_of(rules), lambda rule: amount_at(rule, field)))), 0)::decimal(18, 4);
create or replace temp macro added_by_rules(rules) as tax_by_rules(rules, 'taxAdded')
- tax_by_rules(rules, 'taxDeducted');

-- Lines whose values make the order: a part's are in its bundle's.
create or replace temp macro counted(lines) as list_filter(
    items_of(lines), lambda line: (line ->> '__typename') is distinct from 'BundleItemOrderLine'
);
create or replace temp macro sum_of_counted(lines, field) as
coalesce(list_sum(list_transform(counted(lines), lambda line: amount_at(line, field))), 0)::decimal(38, 4);
