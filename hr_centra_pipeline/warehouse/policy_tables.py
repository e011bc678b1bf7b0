"""The policy as small tables, so that SQL can be read aloud beside it. Rewritten at the start of every run."""

from __future__ import annotations

import json

from hr_centra_pipeline.core.codes import GUARDS, REASONS
from hr_centra_pipeline.core.exception_kinds import EXCEPTION_KINDS
from hr_centra_pipeline.core.kinds import EFFECTS
from hr_centra_pipeline.core.policy import Mode, Policy, more_careful
from hr_centra_pipeline.core.settings import RunMode
from hr_centra_pipeline.warehouse.database import Connection

DDL = """
create schema if not exists policy;
-- One row: the settings that have a single value.
create or replace table policy.parameters (
    cutover timestamptz, restock_hold_hours integer, amount_wait_hours integer, on_difference varchar,
    shipping_rule varchar, shipping_source varchar, fee_basis varchar, fee_source varchar, exchange_trigger varchar,
    first_exchange_number bigint, last_exchange_number bigint, exchange_release varchar,
    unapproved_days integer, lateness_least_units bigint, lateness_least_weeks integer, lateness_weeks integer,
    lateness_factor decimal(18, 4), shadow_days integer, shadow_least_decisions integer, shadow_most_alone_percent decimal(18, 4),
    description_limit integer, comment_limit integer,
    settling_minutes double, returns_window_days integer, in_flight_note boolean, exports_are_daily boolean,
    accepted_days date[], gift_card_template varchar,
    tax_percent decimal(18, 4), reported_costs varchar, return_cost_is_taxed boolean,
    bundle_some_parts varchar, return_names_parts boolean,
    late_minutes integer, missed_alarm_percent decimal(18, 4)
);
-- One row per disposition word that the policy maps.
create or replace table policy.dispositions (
    disposition varchar, stock varchar, warehouse_id bigint, hold_hours integer
);
-- One row per disposition word that means that Happy Returns refused the unit.
create or replace table policy.refused_dispositions (disposition varchar);
-- One row per way of handing in: what makes a credit due.
create or replace table policy.triggers (dropoff_method varchar, trigger varchar);
-- One row per way of handing in: what makes a replacement due, where it is not the usual.
create or replace table policy.exchange_triggers (dropoff_method varchar, trigger varchar);
-- One row per refund type: who pays it.
create or replace table policy.pays_through (refund_type varchar, pays_through varchar);
-- One row per way of handing in and currency: the fee of a return.
create or replace table policy.fees (dropoff_method varchar, currency varchar, amount decimal(18, 4));
-- Fees of delivery zones, one row per country: they take the place of the others there.
create or replace table policy.zone_fees (dropoff_method varchar, currency varchar, country varchar, amount decimal(18, 4));
create or replace macro policy.zone_fee(method, of_currency, number) as (
    select fees.amount from policy.zone_fees as fees
    join staging.orders as orders using (country)
    where fees.dropoff_method = method and fees.currency = of_currency and orders.order_number = number
);
-- Happy Returns refused the unit: by its grade, by taking its approval back, or because its return failed.
create or replace macro policy.is_refused(grade, approval_withdrawn_at, return_status, approved_at) as
    coalesce(grade in (select disposition from policy.refused_dispositions), false)
    or approval_withdrawn_at is not null
    or coalesce(return_status = 'failed' and approved_at is null, false);
-- One row per currency: how far two sides may be apart.
create or replace table policy.tolerance (currency varchar, absolute decimal(18, 4), percent decimal(18, 4));
-- One row per currency: how far a tax may be off an estimate of it.
create or replace table policy.tax_limits (currency varchar, absolute decimal(18, 4));
-- How far a tax of that size may be off an estimate of it, on an order whose tax Centra adds to the price.
create or replace macro policy.tax_allowed(tax, of_currency) as greatest(
    coalesce(
        (select limits.absolute from policy.tax_limits as limits where limits.currency = of_currency),
        10 * smallest_amount(of_currency)
    ),
    share_of(abs(tax), (select tax_percent from policy.parameters), 100::decimal(18, 4), of_currency)
)::decimal(18, 4);
-- The same, and nothing where the tax is in the price.
create or replace macro policy.tax_slack(tax_mode, tax, of_currency) as
    case when coalesce(tax_mode, 'included') = 'included' then 0 else policy.tax_allowed(tax, of_currency) end::decimal(18, 4);
-- One row per effect type: the more careful of the policy's mode and the run's, and the policy's own.
create or replace table policy.modes (effect_type varchar, mode varchar, policy_mode varchar);
-- One row per effect kind: the type whose mode and guards it has, and what else core/kinds.py says of it.
create or replace table policy.effect_types (
    effect_kind varchar, effect_type varchar, missing varchar, awaited varchar
);
-- One row per kind of effect that writes a return's state where the policy wants it.
create or replace table policy.status_targets (effect_kind varchar);
-- One row per currency: above this amount an effect waits for a person.
create or replace table policy.approval_limits (currency varchar, amount decimal(18, 4));
-- One row per pattern of a stock change's comment that means a return of a customer.
create or replace table policy.customer_return_patterns (pattern varchar);
-- One row per word of an enum of Centra's whose meaning the policy defines.
create or replace table policy.centra_words (enum varchar, word varchar, meaning varchar);
-- One row per type and status of a payment entry, both with a meaning: what the entry did to the order's money, and its part in
-- a payment in two steps.
create or replace table policy.payment_words (
    entry_type varchar, status varchar, money varchar, instrument varchar, is_refund boolean, step varchar, says varchar,
    takes_back boolean
);
create or replace macro policy.meaning_of(of_enum, of_word) as (
    select words.meaning from policy.centra_words as words where words.enum = of_enum and words.word = of_word
);
-- One row per kind of exception: whose it is, its window, its precedence, and what else its head says (core/exception_kinds.py).
create or replace table policy.exception_kinds (
    kind varchar, owner_team varchar, window_hours integer, precedence integer, severity varchar, family varchar,
    awaits varchar, component varchar, asks varchar, outranked varchar, measure varchar
);
-- One row per reason of core/codes.py. place: of several the lowest is shown. class to next_step: null, those of the kind.
create or replace table policy.reasons (
    code varchar, place integer, sentence varchar, class varchar, cause varchar, culprit varchar, next_step varchar,
    needs_approval boolean, by_settings boolean
);
-- A reason before it is put into words: its code and figures; a join with policy.reasons gives the sentence.
create or replace macro policy.reason
    (of_code) as {'code': of_code, 'figures': []::varchar[]},
    (of_code, figure) as {'code': of_code, 'figures': [figure]::varchar[]},
    (of_code, figure, second) as {'code': of_code, 'figures': [figure, second]::varchar[]},
    (of_code, figure, second, third) as {'code': of_code, 'figures': [figure, second, third]::varchar[]};
create or replace macro policy.in_words(sentence, figures) as replace(replace(replace(
    sentence, '{0}', coalesce(figures[1], '-')), '{1}', coalesce(figures[2], '-')), '{2}', coalesce(figures[3], '-'));
-- One row per guard that can stop an effect type: who deviates when it does.
create or replace table policy.guards (guard_code varchar, cause varchar, culprit varchar);
"""
# What of a return an effect is about (core/kinds.py).
_SUBJECTS = " ".join(f"when '{kind.name}' then '{kind.subject}'" for kind in EFFECTS)
DDL += f"create or replace macro policy.subject_of(effect_kind) as case effect_kind {_SUBJECTS} end;\n"


def write_policy(connection: Connection, policy: Policy, run_mode: RunMode) -> None:
    """Replace schema ``policy`` by this policy, with ``run_mode`` as the upper bound of every mode."""
    connection.execute(DDL)
    fee, shipping = policy.components.fee, policy.components.shipping
    template = policy.gift_card.template
    parameters: dict[str, object] = {
        "cutover": policy.cutover,
        "restock_hold_hours": policy.restock.hold_hours,
        "amount_wait_hours": policy.components.amount_wait_hours,
        "on_difference": policy.components.on_difference,
        "shipping_rule": shipping.rule,
        "shipping_source": shipping.source,
        "fee_basis": fee.basis,
        "fee_source": fee.source,
        "exchange_trigger": policy.triggers.exchange,
        "first_exchange_number": policy.exchange_orders.first_number,
        "last_exchange_number": policy.exchange_orders.last_number,
        "exchange_release": policy.exchange.release,
        "unapproved_days": policy.lateness.unapproved_days,
        "lateness_least_units": policy.lateness.least_units if policy.lateness.learn else 2**60,
        "lateness_least_weeks": policy.lateness.least_weeks,
        "lateness_weeks": policy.lateness.history_weeks,
        "lateness_factor": policy.lateness.factor,
        "shadow_days": policy.shadow.days,
        "shadow_least_decisions": policy.shadow.least_decisions,
        "shadow_most_alone_percent": policy.shadow.most_alone_percent,
        "description_limit": policy.centra.description_limit,
        "comment_limit": policy.centra.comment_limit,
        "settling_minutes": policy.settling_minutes,
        "returns_window_days": policy.centra.returns_window_days,
        "in_flight_note": policy.status.in_flight_note,
        "exports_are_daily": policy.coverage.exports_every_hours > 0,
        "accepted_days": policy.coverage.accepted_days,
        "gift_card_template": None if template is None else json.dumps(template, sort_keys=True),
        "tax_percent": policy.tax.percent,
        "reported_costs": policy.tax.reported_costs,
        "return_cost_is_taxed": policy.tax.return_cost_is_taxed,
        "bundle_some_parts": policy.bundles.some_parts,
        "return_names_parts": policy.bundles.return_names_parts,
        "late_minutes": policy.events.late_minutes,
        "missed_alarm_percent": policy.events.missed_alarm_percent,
    }
    modes: dict[str, Mode] = policy.modes.model_dump()
    rules = {kind: policy.exception_rule(kind) for kind in EXCEPTION_KINDS}
    # By table, with the columns that a row names.
    rows: dict[str, list[tuple[object, ...]]] = {
        f"parameters ({', '.join(parameters)})": [tuple(parameters.values())],
        "dispositions (disposition, stock, warehouse_id, hold_hours)": [
            (word, grade.stock, grade.warehouse_id, grade.hold_hours) for word, grade in policy.dispositions.items()
        ],
        "refused_dispositions (disposition)": [(word,) for word in policy.restock.refused_dispositions],
        "triggers (dropoff_method, trigger)": list(policy.triggers.by_method.items()),
        "exchange_triggers (dropoff_method, trigger)": list(policy.triggers.exchange_by_method.items()),
        "pays_through (refund_type, pays_through)": list(policy.pays_through.items()),
        "fees (dropoff_method, currency, amount)": [
            (method, currency, amount)
            for method, amounts in fee.amounts.items()
            for currency, amount in amounts.items()
        ],
        "zone_fees (dropoff_method, currency, country, amount)": [
            (method, currency, country, amount)
            for zone, methods in fee.zone_amounts.items()
            for method, amounts in methods.items()
            for currency, amount in amounts.items()
            for country in fee.zones[zone]
        ],
        "tolerance (currency, absolute, percent)": [
            (currency, allowed.absolute, allowed.percent) for currency, allowed in policy.tolerance.items()
        ],
        "tax_limits (currency, absolute)": list(policy.tax.absolute.items()),
        "modes (effect_type, mode, policy_mode)": [
            (effect_type, more_careful(mode, run_mode), mode) for effect_type, mode in modes.items()
        ],
        "effect_types (effect_kind, effect_type, missing, awaited)": [
            (kind.name, kind.effect_type, kind.missing, kind.awaited) for kind in EFFECTS
        ],
        "status_targets (effect_kind)": [(kind,) for kind in policy.status.effect_kinds],
        "approval_limits (currency, amount)": list(policy.approval_above.items()),
        "customer_return_patterns (pattern)": [(pattern,) for pattern in policy.centra.customer_return_patterns],
        "centra_words (enum, word, meaning)": list(policy.centra.words.rows()),
        "payment_words (entry_type, status, money, instrument, is_refund, step, says, takes_back)": list(
            policy.centra.words.payments()
        ),
        "exception_kinds (kind, owner_team, window_hours, precedence, severity, family, awaits, component, asks, outranked,"
        " measure)": [
            (
                kind, rules[kind].owner_team, rules[kind].window_hours, usual.precedence, usual.severity, usual.family,
                usual.awaits, usual.component, usual.asks, usual.outranked, usual.measure,
            )
            for kind, usual in EXCEPTION_KINDS.items()
        ],
        "reasons (code, place, sentence, class, cause, culprit, next_step, needs_approval, by_settings)": [
            (
                one.code, place, one.sentence, one.cls, one.cause, one.culprit, one.next_step, one.needs_approval,
                one.by_settings,
            )
            for place, one in enumerate(REASONS.values())
        ],
        "guards (guard_code, cause, culprit)": [(code, rule.cause, rule.culprit) for code, rule in GUARDS.items()],
    }  # fmt: skip
    for table, values in rows.items():
        if values:
            # One statement per table: one per row is planned that many times.
            marks = ", ".join([f"({', '.join('?' * len(values[0]))})"] * len(values))
            given = [value for row in values for value in row]
            connection.execute(f"insert into policy.{table} values {marks}", given)  # noqa: S608 - our own names


def is_written(connection: Connection) -> bool:
    """Whether a run has begun on this database: each writes its policy first, and whatever plans reads it."""
    found = connection.execute(
        "select 1 from information_schema.tables where table_schema = 'policy' and table_name = 'parameters'"
    ).fetchone()
    return found is not None
