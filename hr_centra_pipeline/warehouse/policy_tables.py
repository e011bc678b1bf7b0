"""The policy as small tables, so that SQL can be read aloud beside it. Rewritten at the start of every run."""

from __future__ import annotations

from hr_centra_pipeline.core.kinds import EXCEPTION_KINDS
from hr_centra_pipeline.core.policy import Mode, Policy, more_careful
from hr_centra_pipeline.core.settings import RunMode
from hr_centra_pipeline.warehouse.database import Connection

_DDL = """
create schema if not exists policy;
-- One row: the plain settings.
create or replace table policy.parameters (
    cutover timestamptz, restock_hold_hours integer, amount_wait_hours integer, on_difference varchar,
    shipping_rule varchar, shipping_source varchar, fee_basis varchar, fee_source varchar, exchange_trigger varchar,
    first_exchange_number bigint, last_exchange_number bigint, status_target varchar, unapproved_days integer,
    description_limit integer, comment_limit integer,
    settling_minutes integer, returns_window_days integer, exports_are_daily boolean
);
-- One row per disposition word that the policy maps.
create or replace table policy.dispositions (
    disposition varchar, stock varchar, warehouse_id bigint, hold_hours integer
);
create or replace table policy.refused_dispositions (disposition varchar);
create or replace table policy.triggers (dropoff_method varchar, trigger varchar);
create or replace table policy.pays_through (refund_type varchar, pays_through varchar);
create or replace table policy.fees (dropoff_method varchar, currency varchar, amount decimal(18, 4));
create or replace table policy.tolerance (currency varchar, absolute decimal(18, 4), percent decimal(18, 4));
-- One row per effect type: the more careful of the policy's mode and the run's.
create or replace table policy.modes (effect_type varchar, mode varchar);
create or replace table policy.customer_return_patterns (pattern varchar);
create or replace table policy.exception_kinds (
    kind varchar, owner_team varchar, window_hours integer, precedence integer
);
"""


def write_policy(connection: Connection, policy: Policy, run_mode: RunMode) -> None:
    """Replace schema ``policy`` by this policy, with ``run_mode`` as the upper bound of every mode."""
    connection.execute(_DDL)
    fee, shipping = policy.components.fee, policy.components.shipping
    parameters = (
        policy.cutover,
        policy.restock.hold_hours,
        policy.components.amount_wait_hours,
        policy.components.on_difference,
        shipping.rule,
        shipping.source,
        fee.basis,
        fee.source,
        policy.triggers.exchange,
        policy.exchange_orders.first_number,
        policy.exchange_orders.last_number,
        policy.status.status_target,
        policy.lateness.unapproved_days,
        policy.centra.description_limit,
        policy.centra.comment_limit,
        policy.settling_minutes,
        policy.centra.returns_window_days,
        policy.coverage.exports == "daily",
    )
    modes: dict[str, Mode] = policy.modes.model_dump()
    rules = {kind: policy.exception_rule(kind) for kind in EXCEPTION_KINDS}
    rows: dict[str, list[tuple[object, ...]]] = {
        "parameters": [parameters],
        "dispositions": [
            (word, grade.stock, grade.warehouse_id, grade.hold_hours) for word, grade in policy.dispositions.items()
        ],
        "refused_dispositions": [(word,) for word in policy.restock.refused_dispositions],
        "triggers": list(policy.triggers.by_method.items()),
        "pays_through": list(policy.pays_through.items()),
        "fees": [
            (method, currency, amount)
            for method, amounts in fee.amounts.items()
            for currency, amount in amounts.items()
        ],
        "tolerance": [(currency, allowed.absolute, allowed.percent) for currency, allowed in policy.tolerance.items()],
        "modes": [(effect_type, more_careful(mode, run_mode)) for effect_type, mode in modes.items()],
        "customer_return_patterns": [(pattern,) for pattern in policy.centra.customer_return_patterns],
        "exception_kinds": [
            (kind, rules[kind].owner_team, rules[kind].window_hours, usual.precedence)
            for kind, usual in EXCEPTION_KINDS.items()
        ],
    }
    for name, values in rows.items():
        if values:
            marks = ", ".join("?" * len(values[0]))
            connection.executemany(f"insert into policy.{name} values ({marks})", values)  # noqa: S608 - our own names
