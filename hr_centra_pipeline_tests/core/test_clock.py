from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hr_centra_pipeline.core.clock import now
from hr_centra_pipeline.core.errors import ConfigurationError


def test_without_the_variable_it_is_the_real_clock() -> None:
    before = datetime.now(UTC)
    assert before <= now({}) <= datetime.now(UTC)


def test_an_offset_is_honoured() -> None:
    assert now({"HR_CENTRA_NOW": "2026-09-30T14:00:00+02:00"}) == datetime(2026, 9, 30, 12, tzinfo=UTC)


def test_a_clock_file_is_read_again_each_time(tmp_path: Path) -> None:
    file = tmp_path / "clock"
    environment = {"HR_CENTRA_NOW": f"@{file}"}
    file.write_text("2026-09-30T12:00:00Z\n")
    first = now(environment)
    file.write_text("2026-09-30T13:00:00Z\n")
    assert now(environment) - first == timedelta(hours=1)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("yesterday", "not an ISO 8601 time"),
        ("2026-09-30T12:00:00", "has no UTC offset"),
        ("2999-01-01T00:00:00Z", "is in the future"),
        ("@/no/such/file", "cannot read the clock file"),
    ],
)
def test_a_wrong_clock_is_refused_with_its_name(text: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        now({"HR_CENTRA_NOW": text})
    assert "HR_CENTRA_NOW" in str(caught.value)
