"""A database knows which Centra it is about, and refuses another; the same one at another address shows what was made there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.push import coverage
from hr_centra_pipeline.push.approvals import Signature
from hr_centra_pipeline.sources.centra import belonging
from hr_centra_pipeline_tests.harness import Harness, harness


@pytest.mark.slow
def test_a_home_that_worked_on_staging_is_refused_on_production_until_someone_says_it_is_the_same(
    at_harness: Harness, tmp_path: Path
) -> None:
    at_harness.comes_back(at_harness.sell(("DRESS-S", 1, "100.00")))
    at_harness.settle()
    with harness(tmp_path / "production") as production:
        production.sell(("DRESS-S", 1, "100.00"))  # a copy: the same order is there
        moved = replace(at_harness, note={**production.note, "exports": at_harness.note["exports"]})
        with pytest.raises(
            ConfigurationError, match=r"is about http://127\.0\.0\.1.*home of its own.*hr-centra rebind"
        ):
            moved.push()
        assert production.mutations() == []
        with moved.warehouse.transaction() as connection:
            signature = Signature("Ada", "Centra has moved", moved.clock.now())
            belonging.rebind(
                connection, moved.settings, by=signature.by, recorded_by=signature.recorded_by, why=signature.why
            )
            assert set(coverage.uncovered(connection)) >= {"credit", "exchange", "stock"}
        moved.push()
        assert production.mutations() == []
        moved.plan()
        # What was read of the other one is no proof: all is read again, back to the cut-over.
        again = "select bool_and(window_from <= ?) from landing.centra_pulls where object = 'stock_changes'"
        since = " and batch > (select max(batch) from meta.turns)"
        assert moved.rows(again + since, moved.policy.cutover) == [(True,)]
        with moved.warehouse.transaction() as connection:
            assert coverage.uncovered(connection) == {}


def test_the_same_centra_at_another_address_is_known_by_what_was_made_there(at_harness: Harness) -> None:
    at_harness.comes_back(at_harness.sell(("DRESS-S", 1, "100.00")))
    at_harness.settle()
    elsewhere = at_harness.note["graphql_url"].replace("127.0.0.1", "localhost")
    moved = replace(at_harness, note={**at_harness.note, "graphql_url": elsewhere})
    moved.push()
    assert moved.rows("select count(distinct value) from meta.belongs_to where name = 'centra'") == [(2,)]
    # It is bound to that one now: there is nothing to say.
    with moved.warehouse.transaction() as connection:
        with pytest.raises(ConfigurationError, match=r"is bound to http://localhost.* already"):
            belonging.rebind(connection, moved.settings, by="Ada", recorded_by="ada", why="x")
        assert coverage.uncovered(connection) == {}


def test_a_token_that_does_not_show_what_was_made_is_of_another_store(at_harness: Harness) -> None:
    at_harness.comes_back(at_harness.sell(("DRESS-S", 1, "100.00")))
    at_harness.settle()
    with at_harness.warehouse.transaction() as connection:
        connection.execute("update meta.belongs_to set value = 'other' where name = 'store'")
        connection.execute("update push.packets set centra_id = '999999' where operation = 'credit'")
    with pytest.raises(ConfigurationError, match="another store of it"):
        at_harness.push()


@pytest.mark.parametrize(
    "url", ["https://Shop.example/graphql/", "https://shop.example/graphql?x=1", "https://u:p@shop.example/graphql"]
)
def test_one_address_in_several_spellings_is_one(url: str) -> None:
    assert belonging.address(url) == "https://shop.example/graphql"
