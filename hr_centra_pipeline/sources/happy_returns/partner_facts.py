"""What nobody documents about the answers of Happy Returns' partner API: data of the event profile, section ``[api]``.

A path is the keys of nested objects, joined by dots; ``""`` is the answer itself. Of several, the first that is there counts.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Paths = Annotated[tuple[str, ...], Field(min_length=1)]


class ApiFacts(BaseModel):
    """The shape of answers and requests. ``order_numbers``: ways to write an order number, tried until one is found.

    ``cursors``: where an answer has the cursor of its next page; an address there is read for its query's parameter.
    ``cursor_parameter``: where the next request has it. ``requests_per_second``: of all calls of one partner together.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests_per_second: Annotated[float, Field(gt=0, le=100)] = 0.5
    order_numbers: Annotated[tuple[Annotated[str, Field(pattern=r"^[^{}]*\{\}[^{}]*$")], ...], Field(min_length=1)] = (
        "{}",
    )
    items: Paths = ("items", "data.items", "return.items")
    cursors: Paths = (
        "cursor", "nextCursor", "next_cursor", "pageInfo.endCursor", "page.endCursor", "page.after", "page.next", "paging.next",
        "paging.cursors.after", "pagination.next", "pagination.nextCursor", "pagination.cursor", "meta.cursor",
        "meta.nextCursor", "meta.next", "links.next", "after", "next",
    )  # fmt: skip
    cursor_parameter: str = "cursor"
    shipments: Paths = ("shipments", "outboundShipments", "outbound_shipments", "items", "data", "")
    shipment_ids: Paths = (
        "shipmentID", "shipmentId", "shipment_id", "happyReturnsShipmentID", "outboundShipmentID", "id", "ID",
    )  # fmt: skip
    contents: Paths = ("items", "contents", "shipment.items", "data.items", "data", "")
    page_size: Annotated[int, Field(ge=1, le=1000)] = 1000
    window_hours: Annotated[int, Field(ge=1, le=744)] = 24
