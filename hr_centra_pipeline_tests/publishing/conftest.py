from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.publishing.pack import Pack, write_pack
from hr_centra_pipeline_tests.month_end.ledger_fixture import LedgerFixture, open_ledger, utc

MONTH = "2026-03"
ODD = ("=1+1", "+49 170", "-5", "@SUM(A1)", "\tTab", "\rReturn", '=HYPERLINK("http://example.invalid")')
"""Texts that a spreadsheet would take for formulas."""


@dataclass
class Shop:
    """A ledger fixture and a home beside it."""

    ledger: LedgerFixture
    settings: Settings

    def export(self, month: str = MONTH, now: str = "2026-04-05", as_of: datetime | None = None) -> Pack:
        return write_pack(self.ledger.connection, self.settings, month, utc(now), "policy", as_of=as_of)

    def rows(self, query: str) -> list[dict[str, Any]]:
        return self.ledger.rows(query)


def finding(number: int, **more: Any) -> dict[str, Any]:
    """A mismatch of two weeks ago in March."""
    return {
        "kind": "refund_mismatch_items", "subject": "items", "identity": f"case {number}", "class": "fix_happy_returns",
        "cause": "amount_mismatch", "culprit": "happy_returns", "return_id": f"RT-{number}", "order_number": f"{1000 + number}",
        "currency": "EUR", "amount": Decimal("12.50"), "fact_at": utc("2026-03-10"), "detail": f"Case {number} differs",
        "next_step": "Compare", "evidence": "{}", **more,
    }  # fmt: skip


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A March with returns in three currencies, differences, open items with odd texts, and a unit under way."""
    with open_ledger(tmp_path) as ledger:
        ledger.pulled("2026-04-03")
        ledger.connection.execute(
            "insert into staging.returns by name select 'RT-' || n as return_id, (1000 + n)::varchar as order_number,"
            " ?::timestamptz as created_at, 'approved' as refund_status, ? as source_time, 'f' as source_file, 1 as source_line,"
            " 'files' as feeds,"
            " 1 as landed_batch from range(20) as r(n)", [utc("2026-03-01"), utc("2026-03-01")],
        )  # fmt: skip
        for number, (currency, amount) in enumerate(
            (("EUR", "100.10"), ("JPY", "12000"), ("KWD", "9.125"), ("EUR", "19.99"))
        ):
            order = f"{1000 + number}"
            ledger.three_sides(amount, "2026-03-10", return_id=f"RT-{number}", order=order, currency=currency)
            ledger.three_sides(
                "1", "2026-03-10", return_id=f"RT-{number}", order=order, currency=currency, component="tax"
            )
        ledger.fact("happy_returns", "5.05", "2026-03-12", return_id="RT-9", order="1009")
        ledger.match(return_id="RT-9", order="1009", expected="0", happy_returns="5.05", centra="0")
        ledger.findings(
            [
                finding(1), finding(2, amount=Decimal("7.25"), currency="JPY"), finding(3, currency=None, amount=None),
                *(finding(10 + number, detail=text, next_step=text) for number, text in enumerate(ODD)),
            ],
            utc("2026-03-20"),
        )  # fmt: skip
        ledger.learn("2026-04-03")
        home = tmp_path / "home"
        home.mkdir()
        yield Shop(ledger, Settings.from_environment({"HR_CENTRA_HOME": str(home)}))
