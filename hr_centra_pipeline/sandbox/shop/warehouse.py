"""What the shop's warehouse does with replacements: it packs them hours after they were ordered, ships them a day later,
and forgets some.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from hr_centra_pipeline.sandbox.centra.orders import CANCELLED
from hr_centra_pipeline.sandbox.centra.store import CentraRefusal, CentraStore

_ONE_IN = 6  # of so many replacements one is never packed, and one is packed and never leaves


def is_forgotten(order_number: int) -> bool:
    """Whether a replacement never leaves the warehouse."""
    return order_number % _ONE_IN in (0, 3)


def ship_replacements(store: CentraStore, until: datetime) -> None:
    """Pack and ship what is due by then, each at its time."""
    for order in store.rows(
        """
        select orders.number, orders.created_at, count(shipments.id) as shipments from orders
        left join shipments on shipments.order_number = orders.number
        where origin_type = 'return' and status <> ? group by orders.number
        having count(shipments.shipped_at) = 0 order by orders.number
        """,
        [CANCELLED],
    ):
        number, ordered_at = order["number"], datetime.fromisoformat(order["created_at"])
        packed_at = ordered_at + timedelta(hours=4 + number % 5)
        shipped_at = packed_at + timedelta(hours=16 + number % 7)
        try:
            if packed_at <= until and not order["shipments"] and number % _ONE_IN != 0:
                store.create_shipment(number, at=packed_at)
            if shipped_at <= until and not is_forgotten(number):
                store.ship(number, at=shipped_at, captured=False)
        except CentraRefusal:
            continue  # somebody shipped or changed it meanwhile
