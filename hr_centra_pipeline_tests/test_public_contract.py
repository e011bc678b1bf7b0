"""What other people's scripts rely on: tables with their columns, kinds, commands, variables. Nothing here is renamed."""

from __future__ import annotations

from typing import get_args

import pytest
import typer
from typer.testing import CliRunner

from hr_centra_pipeline.cli.main import app
from hr_centra_pipeline.core.exception_kinds import EXCEPTION_KINDS
from hr_centra_pipeline.core.kinds import CAUSES, CLASSES, CULPRITS
from hr_centra_pipeline.push.states import State
from hr_centra_pipeline.warehouse.database import Connection

_PENDING = """
    effect_key packet_key return_id return_item_id order_number shipment_line_id sku quantity warehouse_id currency amount
    items tax shipping fee pays_through mode sendable_at blocked_by
"""
COLUMNS = {
    "landing.happy_returns_rows": "source_file source_line kind profile row_sha256 source_time received_at",
    "quarantine.rejected_rows": "source_file source_line kind column_name reason raw_text rejected_at",
    "staging.returns": "return_id order_number express_code created_at refund_status dropoff_method source_time",
    "staging.return_items": """
        return_item_id return_id express_code order_number sku refund_type dropoff_method received_at approved_at refunded_at
        disposition disposition_at exchange_sku source_time
    """,
    "matching.matched_items": "return_item_id return_id order_number order_line_id shipment_id shipment_line_id reason",
    "effects.pending_inventory_adjustments": _PENDING,
    "effects.pending_credit_notes": _PENDING,
    "effects.pending_exchange_orders": _PENDING,
    "effects.pending_status_updates": _PENDING,
    "push.ledger": """
        effect_key effect_kind packet_key return_id return_item_id order_number shipment_line_id currency amount state
        centra_id is_foreign planned_at updated_at
    """,
    "push.packets": "packet_key operation members step state centra_id updated_at",
    "push.attempts": "attempt_id packet_key step request_id started_at outcome http_status latency_ms message",
    "reconciliation.exceptions": """
        exception_id kind class cause culprit severity owner_team return_id return_item_id order_number sku currency amount
        opened_at age_hours due_at overdue detail next_step evidence
    """,
    "reconciliation.refund_mismatches": """
        return_id order_number component currency expected_amount happy_returns_amount centra_amount provider_amount
        difference culprit
    """,
    "reconciliation.exception_events": "exception_id event at by proof note",
    "reconciliation.orphaned_returns": "exception_id kind",
    "reconciliation.stock_gaps": "exception_id kind",
    "reconciliation.exchange_gaps": "exception_id kind",
    "reconciliation.stalled_returns": "exception_id kind",
    "reconciliation.unmapped_dispositions": "disposition",
    "staging.return_item_events": "return_item_id event",
    "staging.refunds": "refund_id return_id order_number status currency total_refunded",
    "staging.orders": "order_number",
    "staging.order_lines": "order_line_id order_number",
    "staging.shipment_lines": "shipment_line_id",
    "staging.centra_returns": "centra_return_id",
    "landing.centra_orders": "order_number",
    "landing.centra_returns": "centra_return_id",
    "landing.centra_stock_changes": "stock_change_id",
}
KINDS = """
    return_without_order item_without_shipment_line return_without_credit_note return_without_stock_movement
    exchange_without_order unmapped_disposition disposition_missing stalled_return refund_mismatch_items refund_mismatch_tax
    refund_mismatch_shipping refund_mismatch_fee refund_mismatch_exchange credit_note_without_refund
    refund_without_credit_note double_credit double_restock centra_return_without_return stock_change_without_return
    credited_item_refused exchange_refused status_not_updated rejected_write write_in_doubt guard_breached quarantined_row
    source_not_covered payout_mismatch
"""
COMMANDS = "demo sync plan export sandbox"


@pytest.mark.parametrize("table", COLUMNS)
def test_the_table_has_its_public_columns(prepared: Connection, table: str) -> None:
    schema, name = table.split(".")
    rows = prepared.execute(
        "select column_name from information_schema.columns where table_schema = ? and table_name = ?", [schema, name]
    ).fetchall()
    assert set(COLUMNS[table].split()) <= {column for (column,) in rows}


def test_kinds_classes_causes_culprits_and_states_are_the_public_ones() -> None:
    assert set(KINDS.split()) <= set(EXCEPTION_KINDS)
    assert set(CLASSES) == {"timing", "fix_happy_returns", "fix_centra", "fix_pipeline", "accept"}
    assert set(CAUSES) == {"system_error", "logistics_delay", "data_gap", "policy_gap", "amount_mismatch"}
    assert set(CULPRITS) == {
        "happy_returns", "centra", "provider", "policy", "person", "integration", "pipeline", "logistics", "unknown",
    }  # fmt: skip
    assert set(get_args(State)) == {"planned", "sending", "confirmed", "rejected", "unknown", "withdrawn"}


def test_every_command_is_there_and_says_what_it_does() -> None:
    group = typer.main.get_command(app)
    known = getattr(group, "commands", {})
    assert set(COMMANDS.split()) <= set(known)
    for name in known:
        help_text = CliRunner().invoke(app, [name, "--help"])
        assert help_text.exit_code == 0, name
        assert len(help_text.output.splitlines()) > 3, name
