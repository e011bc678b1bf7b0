from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import hypothesis
import pytest

from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.warehouse import database, migrate
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.policy_tables import write_policy
from hr_centra_pipeline_tests import recorded
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY
from hr_centra_pipeline_tests.staged import prepare_a_copy

# A busy machine is slow: time is no property of what is tested.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")
recorded.listen()
# Tests run side by side on all cores; their tables are small, and a second thread would only wait.
database.CONFIG["threads"] = 1


# Of a test of many cases these run with `make test`, spread over all of them, and the others with `make slow`.
_MOST_CASES = 4
# Directories whose tests are too quick for that to matter, or read a text each.
_ALL_CASES = ("core", "hr_centra_pipeline_tests", "warehouse", "kinds", "effects", "bad_inputs")

# Tests that run a whole sync or a whole reconciliation each. Of these files one test in so many runs with `make test`, beginning
# with the first, and the others with `make slow`: which file has which share follows from what it costs and how rare it is.
_SHARES: Mapping[str, Mapping[int, tuple[str, ...]]] = {
    "push": {
        100: (
            "test_tax_on_top.py", "test_settings_touch.py", "test_emails.py", "test_gift_cards.py", "test_lost_ledger.py",
            "test_two_steps.py", "test_restored.py", "test_belonging.py", "test_what_was_charged.py", "test_dispatch.py",
        ),
        10: ("test_people.py", "test_contract.py", "test_guards.py", "test_unknown_outcomes.py", "test_stock.py"),
        5: ("test_exchanges.py", "test_credits.py", "test_half_done.py", "test_money.py", "test_settings_change.py"),
    },
    "reconciliation": {
        12: ("test_payouts.py", "test_rows_and_currencies.py", "test_corrections.py", "test_tax_on_top.py"),
        7: (
            "test_four_sides.py", "test_exchanges_and_money.py", "test_who_paid.py", "test_who_wrote_it.py", "test_shadow.py",
            "test_silent_cases.py", "test_reasons.py", "test_settings_of_amounts.py", "test_other_kinds.py",
        ),
    },
    "centra": {
        5: (
            "test_compare.py", "test_history.py", "test_named_pulls.py", "test_contract_record.py", "test_pull.py",
            "test_assumptions.py", "test_misbehaving.py",
        ),
    },
    "happy_returns": {
        6: ("test_units_of_feeds.py",),
        4: ("test_ingest.py", "test_odd_rows.py", "test_events.py", "test_odd_files.py"),
    },
    "payouts": {5: ("test_payouts.py",)},
    "publishing": {4: ("test_pack.py", "test_round_trip.py"), 2: ("test_page_data.py",)},
    "matching": {5: ("test_match.py",)},
    "month_end": {100: ("test_exchanges.py",), 5: ("test_month_end.py", "test_rollforward.py", "test_close.py")},
    "oversight": {3: ("test_forget.py",), 2: ("test_doctor.py",)},
    "bad_inputs": {5: ("test_exports.py", "test_centra.py")},
    "warehouse": {2: ("test_backups.py", "test_migrate.py")},
}  # fmt: skip

# About rarer situations still, with whole syncs: they run with `make slow` alone.
_SLOW = (
    ("push", "test_renamed.py"), ("push", "test_bundles.py"), ("push", "test_integrations.py"), ("push", "test_status.py"),
)  # fmt: skip

_LONG = ("test_truth.py", "test_whole_flow.py", "test_first_contact.py", "test_instance.py", "test_backfill.py")


@pytest.hookimpl(tryfirst=True)  # before cases are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Some cases of many; and the longest first: at the end one of them would keep a single core busy."""
    cases: dict[tuple[Path, str], list[pytest.Item]] = {}
    for item in items:
        name = getattr(item, "originalname", item.name)
        if item.name != name and item.path.parent.name not in _ALL_CASES and not item.get_closest_marker("slow"):
            cases.setdefault((item.path, name), []).append(item)
    seen: Counter[Path] = Counter()
    for item in items:
        if (item.path.parent.name, item.path.name) in _SLOW:
            item.add_marker(pytest.mark.slow)
        share = _share(item.path)
        if share > 1 and not item.get_closest_marker("slow"):
            if seen[item.path] % share:
                item.add_marker(pytest.mark.slow)
            seen[item.path] += 1
    for many in cases.values():
        kept = {round(place * (len(many) - 1) / (_MOST_CASES - 1)) for place in range(_MOST_CASES)}
        for place, item in enumerate(many):
            if len(many) > _MOST_CASES and place not in kept:
                item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item.path.name not in _LONG)


def _share(path: Path) -> int:
    """One in how many tests of a file runs with `make test`."""
    shares = _SHARES.get(path.parent.name) or {}
    return next((share for share, files in shares.items() if path.name in files), 1)


@pytest.fixture(autouse=True)
def a_new_database_is_a_copy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of tests begin with an empty database. Tests of the migrations make theirs as the program does."""
    if request.node.path.parent.name != "warehouse":
        monkeypatch.setattr(migrate, "prepare", prepare_a_copy)


@pytest.fixture(autouse=True)
def whatever_is_used_of_centra_is_in_the_ledger(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test: what the sandbox recorded is listed in ``assumptions.toml``. A test that plays another client says so."""
    yield
    found = recorded.not_in_the_ledger()
    if request.node.get_closest_marker("another_client") is None:
        assert not found, f"used of Centra, and not in the ledger of assumptions: {', '.join(found)}"


@pytest.fixture
def prepared(tmp_path: Path) -> Iterator[Connection]:
    """An empty database of this program, with the example policy in live mode, inside a transaction."""
    warehouse = Warehouse(tmp_path / "warehouse.duckdb")
    migrate.prepare(warehouse)
    with warehouse.transaction() as connection:
        write_policy(connection, load_policy(EXAMPLE_POLICY).policy, "live")
        yield connection
