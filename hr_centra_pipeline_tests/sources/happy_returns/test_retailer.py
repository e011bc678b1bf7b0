"""A database is about one retailer: returns of another are rejected by name, and the rest of their file is read."""

from __future__ import annotations

import pytest

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.sources.centra import belonging
from hr_centra_pipeline_tests.sources.happy_returns.conftest import RETURN, Harness


def test_returns_of_another_retailer_are_rejected_until_someone_accepts_it(harness: Harness) -> None:
    harness.csv("returns", {**RETURN, "retailer_id": "north"})
    harness.ingest()
    harness.csv(
        "returns",
        {**RETURN, "return_id": "RT-2", "retailer_id": "south"},
        {**RETURN, "return_id": "RT-3", "retailer_id": "north"},
        {**RETURN, "return_id": "RT-4"},
    )
    harness.ingest()
    assert harness.rows("select return_id from landing.happy_returns_returns order by 1") == [
        ("RT-1",),
        ("RT-3",),
        ("RT-4",),
    ]
    ((column, reason),) = harness.rows("select column_name, reason from quarantine.rejected_rows")
    assert (column, reason.split(":")[0]) == ("retailer_id", "is of another retailer than this database (north)")
    assert "hr-centra rebind --retailer south" in reason
    with harness.warehouse.transaction() as connection:
        signed = {"by": "Anna", "recorded_by": "anna", "why": "both are ours"}
        with pytest.raises(
            ConfigurationError, match=r"NEWSHOP: no export has named it\. Accepted: north; rejected so far: south"
        ):
            belonging.accept_retailer(connection, "NEWSHOP", **signed)
        belonging.accept_retailer(connection, "south", **signed)
        with pytest.raises(ConfigurationError, match="accepted already"):
            belonging.accept_retailer(connection, "south", **signed)
    harness.csv("returns", {**RETURN, "return_id": "RT-5", "retailer_id": "south"})
    harness.ingest()
    assert harness.rows("select count(*) from landing.happy_returns_returns") == [(4,)]
