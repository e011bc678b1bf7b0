from __future__ import annotations

import hmac
from datetime import timedelta

import pytest

from hr_centra_pipeline_tests.sandbox.happy_returns.conftest import MINUTE, NOW, Place

DOCUMENTED = {
    "happyReturnsReturnID", "purchasedAt", "email", "orderNumber", "externalRMAID", "orderID", "orderLineItemID", "sku",
    "upc", "productVariantID", "labelBarcode", "productName",
}  # fmt: skip


def test_a_return_is_reported_once_it_starts_with_its_method_beside(place: Place) -> None:
    place.subscribe()
    order = place.order(units=2)
    story = place.story(order)
    story.start()
    place.live(minutes=3)
    (arrived,) = place.inbox.got
    assert (arrived.path, arrived.headers["Content-Type"]) == ("/happy-returns/main", "application/json")
    assert arrived.json["event"] == "return_status_updated"
    assert arrived.json["typeID"] == "started"
    assert arrived.json["retailerID"] == "demo-shop"
    assert arrived.json["otherEvents"] == [{"event": "return_dropoff_method_created", "typeID": "return-bar"}]
    assert [item["happyReturnsItemID"] for item in arrived.json["items"]] == [piece.item_id for piece in story.pieces]
    assert {item["orderNumber"] for item in arrived.json["items"]} == {str(order.number)}


def test_what_happens_within_a_minute_is_one_webhook_the_latest_status_first_and_newest_before_older(
    place: Place,
) -> None:
    place.subscribe()
    story = place.story(place.order())
    story.start()
    story.receive(NOW + MINUTE + timedelta(seconds=50), story.pieces, approved=True)
    place.live(minutes=4)
    assert place.inbox.events() == ["approved < dropped-off < return-bar < started"]


def test_the_minute_begins_with_the_first_event_and_the_webhook_shows_units_as_they_are_when_it_ends(
    place: Place,
) -> None:
    place.subscribe()
    story = place.story(place.order())
    story.start()
    story.receive(NOW + 2 * MINUTE, story.pieces, approved=True)
    place.live(seconds=119)
    assert place.inbox.got == []
    place.live(seconds=1)
    assert place.inbox.events() == ["started < return-bar"]
    assert "approvedAt" not in place.inbox.got[0].json["items"][0]
    place.live(seconds=60)
    assert place.inbox.events()[1:] == ["approved < dropped-off"]
    assert "approvedAt" in place.inbox.got[1].json["items"][0]


def test_a_return_of_two_orders_is_two_webhooks_with_the_units_of_each(place: Place) -> None:
    place.subscribe()
    one, other = place.order(units=2), place.order()
    place.story(one, other).start()
    place.live(minutes=3)
    shown = {arrived.json["items"][0]["orderNumber"]: len(arrived.json["items"]) for arrived in place.inbox.got}
    assert shown == {str(one.number): 2, str(other.number): 1}
    assert len({arrived.json["items"][0]["happyReturnsReturnID"] for arrived in place.inbox.got}) == 1


def test_units_of_one_line_have_ids_with_their_place_and_their_number(place: Place) -> None:
    place.subscribe()
    size = place.workshop.shop.sizes[0]
    order = place.workshop.shop.sell(NOW - timedelta(days=9), [(size, 2)], customer=0)
    place.story(order).start()
    place.live(minutes=3)
    ids = [item["orderLineItemID"] for item in place.inbox.got[0].json["items"]]
    assert ids == [f"{order.units[0].line_id}-{at}-2" for at in range(2)]


def test_a_mail_return_is_dropped_off_and_later_approved_and_has_its_tracking(place: Place) -> None:
    place.subscribe()
    story = place.story(place.order(), method="mail")
    story.start()
    story.returns(
        NOW + timedelta(hours=2), story.pieces, refund_status="dropped-off", dropped_off_at="2026-09-30T14:00:00Z"
    )
    story.receive(NOW + timedelta(hours=5), story.pieces, approved=True)
    place.live(hours=6)
    assert place.inbox.events() == ["started < mail", "dropped-off", "approved"]
    unit = place.inbox.got[0].json["items"][0]
    assert (unit["dropoffMethod"], unit["carrier"]) == ("mail", "ups")
    assert unit["trackingNumber"]
    assert unit["labelURL"].startswith("https://")


def test_a_returnless_return_is_approved_and_never_dropped_off(place: Place) -> None:
    place.subscribe(topics=["return.asn", "return.label.update", "outbound_shipment.asn"])
    story = place.story(place.order(), method="returnless")
    story.start()
    story.receive(NOW + timedelta(hours=1), story.pieces, approved=True)
    place.live(hours=30)
    assert place.inbox.events() == ["started < returnless", "approved"]
    assert len(place.inbox.got) == 2


def test_an_unused_return_expires(place: Place) -> None:
    place.subscribe()
    story = place.story(place.order())
    story.start()
    story.expire(NOW + timedelta(hours=5))
    place.live(hours=6)
    assert place.inbox.events() == ["started < return-bar", "expired"]
    assert place.inbox.got[1].json["items"][0]["expiredAt"]


@pytest.mark.parametrize(("units", "reported"), [("all", 2), ("changed", 1)])
def test_of_a_partial_drop_off_all_units_are_shown_or_those_that_changed(
    place: Place, units: str, reported: int
) -> None:
    place.subscribe(units=units)
    story = place.story(place.order(units=2))
    story.start()
    story.receive(NOW + timedelta(hours=2), story.pieces[:1], approved=True)
    story.returns(NOW + timedelta(hours=4), story.pieces, refund_status="partly-approved")
    place.live(hours=5)
    assert place.inbox.events() == ["started < return-bar", "approved < dropped-off", "approved"]
    shown = place.inbox.got[1].json["items"]
    assert ["approvedAt" in item for item in shown] == [True, False][:reported]


def test_a_shopper_who_thinks_again_is_a_method_event_of_its_own_or_beside_the_start(place: Place) -> None:
    place.subscribe(method_changes=1.0)
    for number in range(8):
        place.story(place.order(), after=MINUTE * (1 + number)).start()
    place.live(hours=1)
    events = place.inbox.events()
    together = [one for one in events if one == "started < return-bar < mail"]
    alone = [one for one in events if one == "return-bar"]
    assert len(together) + len(alone) == 8
    assert together
    assert alone
    bodies = [arrived.json for arrived in place.inbox.got]
    methods = {
        events[at]: body["items"][0]["dropoffMethod"] for at, body in enumerate(bodies) if events[at] not in together
    }
    assert methods == {"started < mail": "mail", "return-bar": "return-bar"}
    assert {body["event"] for body in bodies if body["typeID"] == "return-bar"} == {"return_dropoff_method_created"}


def test_a_bag_is_reported_before_or_after_its_return(place: Place) -> None:
    place.subscribe(topics=["return.asn", "return.label.update"])
    for number in range(6):
        story = place.story(place.order(), after=MINUTE * 10 * (1 + number))
        story.start()
        story.receive(story.created_at, story.pieces, approved=True)
    place.live(hours=2)
    bodies = [arrived.json for arrived in place.inbox.got]
    labels = [body for body in bodies if body["event"] == "return_label_update"]
    assert set(labels[0]) == {
        "event", "typeID", "retailerID", "webhookType", "labelID", "happyReturnsReturnID", "happyReturnsExpressCode",
    }  # fmt: skip
    assert {(label["typeID"], label["webhookType"]) for label in labels} == {("", "return.label.update")}
    place_of = {body["items"][0]["happyReturnsReturnID"]: at for at, body in enumerate(bodies) if "items" in body}
    is_first = {bodies.index(label) < place_of[label["happyReturnsReturnID"]] for label in labels}
    assert is_first == {True, False}


def test_an_outbound_shipment_is_reported_in_both_forms_once_the_carrier_has_it(place: Place) -> None:
    place.subscribe(topics=["outbound_shipment.asn", "outbound_shipment.asn.v2"])
    story = place.story(place.order(units=2))
    story.start()
    story.receive(NOW + timedelta(hours=1), story.pieces, approved=True)
    story.travel(NOW + timedelta(hours=1), story.pieces, NOW + timedelta(days=5))
    place.live(days=2.5)
    assert place.inbox.got == []
    place.live(days=2)
    first, second = (arrived.json for arrived in place.inbox.got)
    assert [unit["happyReturnsItemID"] for unit in first] == [piece.item_id for piece in story.pieces]
    assert not {"happyReturnsReturnID", "price", "currency"} & set(first[0])
    assert {"startedDate", "approvedDate", "departureDate", "shippingBoxBarcode", "poNumber"} <= set(first[0])
    assert first[0]["approvedDate"]
    assert second["shipmentID"] == "OUT-20261003"
    assert {unit["happyReturnsReturnID"] for unit in second["items"]} == {story.return_id}
    assert all(len(unit["returnBagBarcodes"]) == 1 for unit in second["items"])


def test_a_shop_whose_webhooks_have_the_documented_fields_alone(place: Place) -> None:
    place.subscribe(fields="documented", blanks="null")
    place.story(place.order()).start()
    place.live(minutes=3)
    body = place.inbox.got[0].json
    assert set(body["items"][0]) == DOCUMENTED
    assert body["items"][0]["externalRMAID"] is None


@pytest.mark.parametrize(("way", "shown"), [("empty", [""]), ("null", [None]), ("absent", [])])
def test_a_value_that_the_platform_did_not_pass_is_blank_null_or_absent(
    place: Place, way: str, shown: list[str]
) -> None:
    place.subscribe(blanks=way, omits=["sku"])
    place.story(place.order()).start()
    place.live(minutes=3)
    unit = place.inbox.got[0].json["items"][0]
    assert [unit[name] for name in ("productVariantID",) if name in unit] == shown
    assert "sku" not in unit


def test_times_end_as_the_shop_has_them(place: Place) -> None:
    place.subscribe(times="Date")
    place.story(place.order()).start()
    place.live(minutes=3)
    unit = place.inbox.got[0].json["items"][0]
    assert "startedDate" in unit
    assert "startedAt" not in unit


def test_now_and_then_something_comes_that_no_document_lists_and_what_is_known_stays_true(place: Place) -> None:
    place.subscribe(surprises=1.0)
    for number in range(6):
        place.story(place.order(), after=MINUTE * (1 + number)).start()
    place.live(minutes=12)
    bodies = [arrived.json for arrived in place.inbox.got]
    assert {body["typeID"] for body in bodies} == {"started"}
    unknown = {"return_photo_added/front", "return_status_updated/under-review"}
    odd = [
        "schemaRevision" in body or any(f"{one['event']}/{one['typeID']}" in unknown for one in body["otherEvents"])
        for body in bodies
    ]
    assert odd == [True] * 6


@pytest.mark.parametrize(("algorithm", "prefix"), [("sha256", ""), ("sha256", "sha256="), ("sha512", "v1=")])
def test_the_raw_bytes_are_signed_with_the_secret_and_a_rotated_one_counts_at_once(
    place: Place, algorithm: str, prefix: str
) -> None:
    place.subscribe(signature_algorithm=algorithm, signature_prefix=prefix)
    place.story(place.order()).start()
    place.story(place.order(), after=MINUTE * 10).start()
    place.live(minutes=5)
    place.subscribe(secret="another")
    place.live(minutes=10)
    for arrived, secret in zip(place.inbox.got, (b"s3", b"another"), strict=True):
        assert arrived.headers["X-Hr-Signature"] == prefix + hmac.new(secret, arrived.body, algorithm).hexdigest()


def test_the_files_and_the_webhooks_agree_in_the_end(place: Place) -> None:
    place.subscribe()
    story = place.story(place.order(units=2))
    story.start()
    story.receive(NOW + timedelta(hours=2), story.pieces, approved=True)
    place.live(hours=4)
    units = {unit["happyReturnsItemID"]: unit for unit in place.inbox.got[-1].json["items"]}
    lines = [
        line
        for file in sorted((place.shop.home / "exports").glob("items-2*"))
        for line in file.read_text().splitlines()
    ]
    for unit in units.values():
        (last,) = [line for line in lines if unit["happyReturnsItemID"] in line][-1:]
        assert unit["approvedAt"] in last
        assert unit["happyReturnsExpressCode"] in last


def test_nothing_is_noticed_for_nobody(place: Place) -> None:
    place.story(place.order()).start()
    place.live(hours=1)
    records = place.shop._records
    assert not records.has_table("subscriptions")
    assert not records.has_table("held_events")
    place.subscribe()
    place.live(hours=1)
    assert place.inbox.got == []
