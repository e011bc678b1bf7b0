"""A backfill's reading of Centra: by creation and number, in slices, each once, others let in between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest

from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.sources.centra import history
from hr_centra_pipeline.sources.centra.centra_errors import Misconfigured, Transient
from hr_centra_pipeline.sources.centra.history import HistoryReport
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline_tests.sources.centra.conftest import NOW, Rows, Shop, add_item

DAY = timedelta(days=1)
START, END = NOW - 40 * DAY, NOW - 10 * DAY


class Slices:
    """The lock as the tests see it: how often it was taken, and what happened in between."""

    def __init__(self) -> None:
        self.taken = 0
        self.is_held = False

    @contextmanager
    def __call__(self) -> Iterator[None]:
        assert not self.is_held
        self.taken, self.is_held = self.taken + 1, True
        try:
            yield
        finally:
            self.is_held = False

    def pause(self, _: float) -> None:
        assert not self.is_held


def read(
    shop: Shop, warehouse: Warehouse, policy: Policy, name: str = "orders",
    start: datetime = START, end: datetime = END, *, slices: Slices | None = None, again: bool = False,
) -> HistoryReport:  # fmt: skip
    taken = slices or Slices()
    return history.read(
        name, shop.client, warehouse, policy, NOW, start, end, slice_=taken, again=again, sleep=taken.pause
    )


@pytest.fixture
def old_orders(shop: Shop) -> list[int]:
    """Orders of two months; ten of them lie in the range."""
    return [shop.add_order(at=NOW - (60 - 3 * number) * DAY) for number in range(20)]


def test_orders_of_the_range_are_landed_with_their_shipments_and_no_others(
    shop: Shop, old_orders: list[int], warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    report = read(shop, warehouse, policy)
    wanted = {str(number) for at, number in enumerate(old_orders) if START <= NOW - (60 - 3 * at) * DAY <= END}
    assert {number for (number,) in rows("select order_number from landing.centra_orders")} == wanted
    assert {number for (number,) in rows("select order_number from landing.centra_shipments")} == wanted
    assert report.rows_landed == 2 * len(wanted)


def test_the_lock_is_taken_again_for_every_slice_and_given_back_in_between(
    shop: Shop, old_orders: list[int], warehouse: Warehouse, policy: Policy
) -> None:
    slices = Slices()
    report = read(shop, warehouse, policy, slices=slices)
    assert slices.taken == report.slices + 1 > 4  # one look at what is known


def test_what_was_read_is_left_out_and_said_to_be_known(
    shop: Shop, old_orders: list[int], warehouse: Warehouse, policy: Policy
) -> None:
    read(shop, warehouse, policy, start=START, end=START + 5 * DAY)
    read(shop, warehouse, policy, start=START + 8 * DAY, end=START + 10 * DAY)
    report = read(shop, warehouse, policy)
    assert report.known == 7 * DAY
    asked = len(shop.asked())
    report = read(shop, warehouse, policy)
    assert (report.slices, report.known, len(shop.asked())) == (0, END - START, asked)
    assert read(shop, warehouse, policy, again=True).rows_landed == 0
    assert len(shop.asked()) > asked


def test_a_cut_keeps_what_was_read_and_the_next_one_goes_on_from_there(
    shop: Shop, old_orders: list[int], warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    shop.fault(kind="error_before", target="PullOrders", times=4, after=3)
    with pytest.raises(Transient, match=r"Centra PullOrders: it answered 500, 4 times in a row.* request"):
        read(shop, warehouse, policy)
    ((problem,),) = rows("select problem from landing.centra_history where not is_complete")
    assert "it answered 500" in problem
    read(shop, warehouse, policy)
    windows = rows("select window_from, window_to from landing.centra_history where is_complete order by 1")
    assert [earlier[1] for earlier in windows[:-1]] == [later[0] for later in windows[1:]]
    assert (windows[0][0], windows[-1][1]) == (START, END)
    assert len(rows("select order_number from landing.centra_orders")) == 10


def test_a_missing_permission_is_our_own_mistake_and_says_which(
    shop: Shop, warehouse: Warehouse, policy: Policy
) -> None:
    shop.client = shop.client_with("Warehouse:read")
    with pytest.raises(Misconfigured, match=r"Missing permission .*Give the token this permission in Centra"):
        read(shop, warehouse, policy, "returns")


def test_returns_and_stock_changes_of_the_range_are_landed(
    shop: Shop, warehouse: Warehouse, policy: Policy, rows: Rows
) -> None:
    number = shop.add_order(at=START - DAY)
    shipment, lines = shop.shipment_of(number)
    for at in (START - DAY / 2, START + DAY, END + DAY):
        shop.store.person_create_return(
            shipment, {lines[1]: 1}, at=at, comment="", stock="none"
        ) if at != END + DAY else None
    read(shop, warehouse, policy, "returns")
    assert len(rows("select * from landing.centra_returns")) == 1
    read(shop, warehouse, policy, "stock_changes", start=START - 2 * DAY)
    assert len(rows("select * from landing.centra_stock_changes")) >= 1


def test_named_orders_are_asked_for_by_number_until_none_is_left(
    shop: Shop, old_orders: list[int], warehouse: Warehouse, policy: Policy, rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(history, "_NUMBERS_AT_ONCE", 3)
    for number in [*old_orders[:7], 999_999]:
        add_item(warehouse, str(number))
    slices = Slices()
    report = history.read_named_orders(shop.client, warehouse, policy, NOW, slice_=slices, sleep=slices.pause)
    assert report.slices == 3
    assert {number for (number,) in rows("select order_number from landing.centra_orders")} == {
        str(number) for number in old_orders[:7]
    }
    assert rows("select order_number from landing.centra_absent_orders") == [("999999",)]


def test_slices_grow_while_centra_is_quick_and_shrink_when_it_is_slow() -> None:
    assert history._fitting(timedelta(hours=6), 0.5) == timedelta(hours=12)
    assert history._fitting(timedelta(hours=6), 20) == timedelta(hours=3)
    assert history._fitting(timedelta(days=6), 0.1) == timedelta(days=7)
    assert history._fitting(timedelta(minutes=16), 900) == timedelta(minutes=15)
