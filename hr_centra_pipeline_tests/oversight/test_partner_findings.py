"""What doctor says about the partner API, over real HTTP; and the pauses in which it could not be asked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.oversight import partner_findings
from hr_centra_pipeline.oversight.findings import Finding, guarded
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline_tests import rows as row_tests
from hr_centra_pipeline_tests import staged
from hr_centra_pipeline_tests.receivers import free_port
from hr_centra_pipeline_tests.rows import Rows, rows_of
from hr_centra_pipeline_tests.sources.happy_returns.partner import KEY, RETAILER, Given, partner

NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)


def settings_of(home: Path, **given: Any) -> Settings:
    known: dict[str, Any] = {"partner_api_key": SecretStr(KEY), "retailer_id": RETAILER, **given}
    return Settings(home=home, database=home / "warehouse.duckdb", policy_path=home / "policy.toml", **known)


def told(found: Iterator[Finding]) -> list[tuple[str, str]]:
    return [(one.level, one.told) for one in found]


def key_of(settings: Settings) -> list[tuple[str, str]]:
    return told(guarded(partner_findings.SECTION, lambda: partner_findings.key(settings)))


def test_an_accepted_key_is_in_order_and_asked_for_by_one_read(tmp_path: Path) -> None:
    with partner(lambda _: Given(body={"webhooks": []})) as server:
        assert key_of(settings_of(tmp_path, partner_api_url=server.url)) == [("ok", "answers, and accepts the key")]
    assert [(request.method, request.path) for request in server.got] == [("GET", "/webhooks")]


@pytest.mark.parametrize(
    ("given", "level", "text"),
    [
        (Given(401, {}), "error", "the key is refused (HTTP 401)"),
        (Given(404, {}), "error", "there is nothing at this address (HTTP 404)"),
        (Given(200, b"<html>"), "warning", "answers, but oddly: its answer is a page for people (HTML), not JSON"),
    ],
)
def test_what_is_not_in_order_is_named_with_its_fix(tmp_path: Path, given: Given, level: str, text: str) -> None:
    with partner(lambda _: given) as server:
        ((found, line),) = key_of(settings_of(tmp_path, partner_api_url=server.url))
    assert found == level
    assert text in line
    assert KEY not in line


def test_an_api_that_does_not_answer_is_an_error(tmp_path: Path) -> None:
    ((level, line),) = key_of(settings_of(tmp_path, partner_api_url=f"http://127.0.0.1:{free_port()}"))
    assert level == "error"
    assert "no connection" in line


def test_a_missing_retailer_or_a_plain_address_is_a_matter_of_configuration(tmp_path: Path) -> None:
    for given in ({"retailer_id": ""}, {"partner_api_url": "http://partner.example.com"}):
        with pytest.raises(ConfigurationError):
            list(partner_findings.findings(settings_of(tmp_path, **given), NOW))
        assert key_of(settings_of(tmp_path, **given)) == []  # said once


def test_without_a_key_it_is_silent_unless_there_is_a_webhook_to_complement(tmp_path: Path) -> None:
    none = {"partner_api_key": SecretStr("")}
    assert told(partner_findings.findings(settings_of(tmp_path, **none), NOW)) == []
    ((level, line),) = told(
        partner_findings.findings(settings_of(tmp_path, happy_returns_secrets=(SecretStr("s"),), **none), NOW)
    )
    assert level == "note"
    assert "cannot be looked up" in line


@pytest.mark.parametrize(
    ("look", "level", "text"),
    [
        (None, "note", "not asked yet"),
        ({"waiting": 3, "waits_since": NOW - timedelta(hours=4)}, "ok", "asked 40 times on 2026-09-30 11:00 UTC; 3 look-ups wait"),
        ({"waiting": 900, "waits_since": NOW - timedelta(days=3)}, "warning", "900 look-ups wait, the first since 2026-09-27"),
        ({"problem": "its bucket stays full", "is_complete": False}, "warning", "It stopped early: its bucket stays full"),
    ],
)  # fmt: skip
def test_how_many_look_ups_wait_is_said(tmp_path: Path, look: dict[str, Any] | None, level: str, text: str) -> None:
    settings = settings_of(tmp_path)
    warehouse = Warehouse(settings.database)
    staged.prepare_a_copy(warehouse)
    if look is not None:
        given = {
            "looked_at": NOW - timedelta(hours=1), "requests": 40, "look_ups": 30, "nothing_found": 4, "rows_landed": 12,
            "waiting": 0, "waits_since": None, "is_complete": True, "problem": None, "batch": 1, **look,
        }  # fmt: skip
        with warehouse.transaction() as connection:
            connection.execute(
                f"insert into landing.partner_looks ({', '.join(given)}) values ({', '.join('?' * len(given))})",
                list(given.values()),
            )
    first, second = told(partner_findings.findings(settings, NOW))
    assert first == ("ok", f"retailer {RETAILER}; one request every 2 s, only reads")
    assert second[0] == level
    assert text in second[1]


# ---------------------------------------------------------------- pauses


@pytest.fixture
def gaps() -> Iterator[Rows]:
    with rows_of("oversight/coverage_gaps.sql") as these:
        yield these


def look(rows: Rows, hours_ago: float, batch: int, *, is_complete: bool = True) -> None:
    rows.put(
        "landing.partner_looks",
        looked_at=row_tests.NOW - timedelta(hours=hours_ago),
        is_complete=is_complete,
        batch=batch,
    )


def found(rows: Rows) -> list[tuple[Any, ...]]:
    rows.run(sync_every_minutes=60, exports_every_hours=0, accepted_days=[])
    return rows.all("select source, hours, caught_up_at is not null from operations.coverage_gaps order by gap_from")


def test_hours_in_which_the_partner_api_did_not_answer_are_a_gap_until_it_does(gaps: Rows) -> None:
    look(gaps, 5, 1)
    for batch, hours in enumerate((4, 3, 2, 1, 0), start=2):
        look(gaps, hours, batch, is_complete=False)
    assert found(gaps) == [("partner API", 5, False)]
    look(gaps, 0, 9)
    assert found(gaps) == [("partner API", 5, True)]


def test_an_api_that_was_switched_off_is_not_a_gap(gaps: Rows) -> None:
    look(gaps, 30, 1)
    assert found(gaps) == []
