"""A request and its answer are one payment, whatever the request goes on to show: staged and read live by the same rule."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.core.words import CentraWords, Money
from hr_centra_pipeline.push import payments
from hr_centra_pipeline.warehouse.database import Connection, Warehouse
from hr_centra_pipeline.warehouse.policy_tables import write_policy
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY
from hr_centra_pipeline_tests.sources.centra import payloads
from hr_centra_pipeline_tests.staged import pair_payments, put, template

Shown = tuple[str, str, int, int | None]  # entry type, status, amount, Return


def live(shown: Sequence[Shown]) -> list[payments.Entry]:
    nodes = [
        payloads.payment(place, entry_type, str(amount), status=status, of=of)
        for place, (entry_type, status, amount, of) in enumerate(shown, 1)
    ]
    return payments.read(nodes, CentraWords())


def sums(shown: Sequence[Shown]) -> dict[str, Decimal]:
    """What entries did to the money of their order, by what they did."""
    entries = live(shown)
    return {did: amount for did in MONEY if (amount := payments.total(entries, did))}


MONEY: tuple[Money, ...] = ("captured", "capture_pending", "refunded", "refund_pending", "refund_failed")
CAPTURED: Shown = ("CAPTURE", "SUCCESS", 200, None)
ASKED: Shown = ("REFUND_REQUEST", "PENDING", 100, 7)
PAID: Shown = ("REFUND", "SUCCESS", 100, 7)
REFUSED: Shown = ("REFUND_FAILED", "FAILED", 100, 7)


@pytest.mark.parametrize("shows", ["PENDING", "SUCCESS", "FAILED"])
def test_a_refund_that_was_asked_for_and_paid_counts_once_whatever_the_request_shows(shows: str) -> None:
    asked = ("REFUND_REQUEST", shows, 100, 7)
    assert sums([CAPTURED, asked, PAID]) == {"captured": 200, "refunded": 100}


@pytest.mark.parametrize("shows", ["PENDING", "SUCCESS", "FAILED"])
def test_a_refund_that_was_asked_for_and_refused_gives_nothing_whatever_the_request_shows(shows: str) -> None:
    assert sums([CAPTURED, ("REFUND_REQUEST", shows, 100, 7), REFUSED]) == {"captured": 200, "refund_failed": 100}


def test_a_request_that_no_entry_answers_is_what_it_shows() -> None:
    for shows, did in (("PENDING", "refund_pending"), ("SUCCESS", "refunded"), ("FAILED", "refund_failed")):
        assert sums([("REFUND_REQUEST", shows, 100, 7)]) == {did: 100}
    # Money that no entry shows as captured is not there to be given back.
    assert sums([("CAPTURE_REQUEST", "SUCCESS", 100, None)]) == {"capture_pending": 100}
    assert sums([("CAPTURE_REQUEST", "FAILED", 100, None)]) == {}


def test_of_two_shipments_the_one_whose_capture_is_not_confirmed_is_pending_beside_the_other() -> None:
    one = [("CAPTURE_REQUEST", "SUCCESS", 60, None), ("CAPTURE", "SUCCESS", 60, None)]
    assert sums([*one, ("CAPTURE_REQUEST", "PENDING", 40, None)]) == {"captured": 60, "capture_pending": 40}
    assert sums([*one, ("CAPTURE_REQUEST", "PENDING", 60, None)]) == {"captured": 60, "capture_pending": 60}


def test_a_capture_that_failed_is_waited_for_no_longer_though_its_request_stays_pending() -> None:
    assert sums([("CAPTURE_REQUEST", "PENDING", 40, None), ("CAPTURE_FAILED", "FAILED", 40, None)]) == {}


def test_a_request_on_another_return_or_of_another_amount_is_not_answered() -> None:
    for asked in (("REFUND_REQUEST", "PENDING", 100, 8), ("REFUND_REQUEST", "PENDING", 99, 7)):
        assert sums([asked, PAID]) == {"refunded": 100, "refund_pending": asked[2]}
    assert sums([ASKED, ("REFUND_GIFT_CARD", "SUCCESS", 100, 7)]) == {"refunded": 100, "refund_pending": 100}


def test_what_was_paid_before_anybody_asked_answers_nothing() -> None:
    assert sums([PAID, ASKED]) == {"refunded": 100, "refund_pending": 100}


def test_asked_again_after_a_refusal_the_payment_answers_the_second_request() -> None:
    failed = ("REFUND_REQUEST", "FAILED", 100, 7)
    assert sums([failed, ASKED, PAID]) == {"refund_failed": 100, "refunded": 100}
    assert sums([ASKED, REFUSED, ASKED]) == {"refund_failed": 100, "refund_pending": 100}
    assert sums([ASKED, REFUSED, failed]) == {"refund_failed": 200}
    assert sums([ASKED, REFUSED, ASKED, PAID]) == {"refund_failed": 100, "refunded": 100}


def test_a_failure_that_is_reported_after_the_refund_takes_it_back() -> None:
    assert sums([PAID, REFUSED]) == {"refund_failed": 100}
    assert sums([ASKED, PAID, REFUSED]) == {"refund_failed": 100}
    assert sums([PAID, PAID, REFUSED]) == {"refunded": 100, "refund_failed": 100}
    assert sums([PAID, REFUSED, PAID]) == {"refunded": 100, "refund_failed": 100}
    # Before it, of another amount or Return, or a second refund that was not possible: it stays given.
    for failure in (
        ("REFUND_FAILED", "FAILED", 99, 7),
        ("REFUND_FAILED", "FAILED", 100, 8),
        ("REFUND", "FAILED", 100, 7),
    ):
        assert sums([PAID, failure]) == {"refunded": 100, "refund_failed": failure[2]}
    assert sums([REFUSED, PAID]) == {"refunded": 100, "refund_failed": 100}


# ---------------------------------------------------------------- SQL and Python


@pytest.fixture(scope="module")
def open_entries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """A connection whose ``staging.payment_entries`` may be filled."""
    path: Path = tmp_path_factory.mktemp("payments") / "warehouse.duckdb"
    shutil.copy(template(), path)
    with Warehouse(path).transaction() as connection:
        write_policy(connection, load_policy(EXAMPLE_POLICY).policy, "live")
        yield connection


ENTRY_TYPES = [word for listed in CentraWords().payment_type.by_meaning().values() for word in listed]
STEPS = ["CAPTURE_REQUEST", "CAPTURE", "CAPTURE_FAILED", "REFUND_REQUEST", "REFUND", "REFUND_FAILED"]
ENTRIES = st.lists(
    st.tuples(
        st.sampled_from([*STEPS * 3, *ENTRY_TYPES, "A_WORD_OF_NO_DOCUMENT"]),
        st.sampled_from(["SUCCESS", "PENDING", "FAILED"]),
        st.sampled_from([100, 100, 40]),
        st.sampled_from([7, 7, 8, None]),
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shown=ENTRIES)
@example(shown=[CAPTURED, ASKED, PAID])
@example(shown=[PAID, REFUSED, ASKED, PAID, REFUSED, REFUSED])
@example(shown=[("REFUND_REQUEST", "FAILED", 100, 7), ASKED, PAID, REFUSED])
def test_what_is_staged_and_what_is_read_live_say_the_same_of_every_entry(
    open_entries: Connection, shown: list[Shown]
) -> None:
    open_entries.execute("delete from staging.payment_entries")
    for place, (entry_type, status, amount, of) in enumerate(shown, 1):
        known = CentraWords().payment(entry_type, status)
        put(
            open_entries, "staging.payment_entries", entry_id=place, order_number="1001", centra_return_id=of,
            entry_type=entry_type, status=status, amount=amount, instrument=known and known.instrument,
        )  # fmt: skip
    pair_payments(open_entries)
    staged = open_entries.execute(
        "select entry_id, money, request_id from staging.payment_entries order by entry_id"
    ).fetchall()
    entries = live(shown)
    assert staged == [(entry.entry_id, entry.did and entry.did.money, entry.request_id) for entry in entries]
    of_request = [entry.request_id for entry in entries if entry.request_id is not None]
    assert len(of_request) == len(set(of_request))
    for entry in entries:
        if entry.request_id is not None:
            request = entries[entry.request_id - 1]
            assert (request.return_id, request.value) == (entry.return_id, entry.value)
            assert request.did is not None
            assert request.did.money.endswith("_answered")
