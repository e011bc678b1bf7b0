"""From changes of Happy Returns' rows to its webhooks: events of a return are held for a minute and sent as one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from random import Random
from typing import Any

from hr_centra_pipeline.sandbox.happy_returns import payloads
from hr_centra_pipeline.sandbox.happy_returns.payloads import METHOD, STATUS
from hr_centra_pipeline.sandbox.happy_returns.records import Records
from hr_centra_pipeline.sandbox.happy_returns.vendor_settings import HappyReturnsSettings
from hr_centra_pipeline.sandbox.webhooks.outbox import Outbox, text_of

Row = dict[str, Any]

_SCHEMA = """
create table if not exists held_events (
    id integer primary key autoincrement, subject text, order_number text, event text, type_id text, at text,
    closes_at text, is_noticed integer default 1
);
create table if not exists shown_methods (return_id text primary key, method text);
"""
# Of events of one moment the later one in a return's life is the newer one.
_RANKS = {"started": 0, METHOD: 1, "dropped-off": 2, "partly-approved": 3, "approved": 4, "expired": 5}
_OTHER_METHODS = {"return-bar": "mail", "mail": "return-bar", "in-store": "return-bar", "mail-shopper-provided": "mail"}
_CARRIER_HAS_IT = timedelta(days=1, hours=2)  # after the beginning of the day on which the first unit leaves


class Notices:
    """Notices what changes, and puts deliveries into the outbox, in one transaction with the changes themselves."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._outbox = Outbox(records.connection)
        records.connection.executescript(_SCHEMA)
        records.find_units_by_return()
        self._settings = self._outbox.settings(HappyReturnsSettings())

    @classmethod
    def wanted(cls, records: Records) -> Notices | None:
        """Notices for a home with a subscriber; nothing is noticed for nobody. Not within a transaction."""
        if not records.has_table("subscriptions") or not records.rows("select 1 as x from subscriptions limit 1"):
            return None
        return cls(records)

    # ---------------------------------------------------------------- what changes

    def noticed(self, kind: str, before: Row, after: Row, at: datetime) -> None:
        """A row has changed."""
        match kind:
            case "returns":
                self._return_changed(before, after, at)
            case "items":
                self._item_changed(before, after, at)
            case "shipments" if not before:
                # Not documented, assumption: behaviour.outbound_notices
                begins = at.replace(hour=0, minute=0, second=0, microsecond=0)
                self._hold(f"shipment {after['shipment_id']}", "", "shipped", "", at, begins + _CARRIER_HAS_IT)

    def _return_changed(self, before: Row, after: Row, at: datetime) -> None:
        status, method = after.get("refund_status"), after.get("return_method")
        if status and (status != before.get("refund_status") or _news(before, after, "last_approved_at")):
            self._event(after, STATUS, str(status), at)
        if _news(before, after, "dropped_off_at") and status != "dropped-off" and method != "returnless":
            self._event(after, STATUS, "dropped-off", at)
        if not before and method:
            self._method_chosen(after, str(method), at)
        elif method and method != before.get("return_method"):
            self._event(after, METHOD, str(method), at)

    def _method_chosen(self, row: Row, method: str, at: datetime) -> None:
        """Some shoppers choose another method first, and think again within the hour."""
        chance = Random(f"{self._settings.seed} method {row['return_id']}")
        other = _OTHER_METHODS.get(method)
        if other is None or chance.random() >= self._settings.method_changes:
            self._event(row, METHOD, method, at)
            return
        self._records.rows(
            "insert or ignore into shown_methods (return_id, method) values (?, ?)", [row["return_id"], other]
        )
        self._event(row, METHOD, other, at)
        later = at + timedelta(seconds=chance.choice((20, 45, 300, 1_800)))
        self._records.rows(
            "insert into held_events (subject, order_number, event, type_id, at, closes_at, is_noticed)"
            " values (?, ?, ?, ?, ?, ?, 0)",
            [row["return_id"], row["order_number"], METHOD, method, text_of(later), text_of(later)],
        )

    def _item_changed(self, before: Row, after: Row, at: datetime) -> None:
        if _news(before, after, "approved_at"):
            self._event(after, STATUS, "approved", at)
        if _news(before, after, "bag_barcode"):
            self._label(after, at)

    def _label(self, item: Row, at: datetime) -> None:
        if "return.label.update" not in self._settings.topics:
            return
        body = payloads.label_event(item["return_id"], str(item.get("express_code")), item["bag_barcode"])
        # Not documented, assumption: behaviour.bag_may_come_first
        due_at = at + timedelta(seconds=Random(f"bag {item['bag_barcode']}").choice((5, 30, 90, 600)))
        self._put(
            "return.label.update", f"bag {item['bag_barcode']}", {"return_id": item["return_id"]}, body, at, due_at
        )

    # ---------------------------------------------------------------- holding

    def _event(self, row: Row, event: str, type_id: str, at: datetime) -> None:
        return_id, number = row.get("return_id"), row.get("order_number")
        if not return_id or not number:
            return
        known = self._records.rows(
            "select 1 as x from held_events where subject = ? and order_number = ? and event = ? and type_id = ?"
            " and at = ? and is_noticed",
            [return_id, number, event, type_id, text_of(at)],
        )
        if not known:
            self._hold(return_id, number, event, type_id, at, at + timedelta(seconds=self._settings.holds_seconds))

    def _hold(self, subject: str, number: str, event: str, type_id: str, at: datetime, closes_at: datetime) -> None:
        """Keep an event until the window closes that the first one of its subject has opened."""
        opened = self._records.rows(
            "select min(closes_at) as closes_at from held_events where subject = ? and is_noticed", [subject]
        )[0]["closes_at"]
        self._records.rows(
            "insert into held_events (subject, order_number, event, type_id, at, closes_at) values (?, ?, ?, ?, ?, ?)",
            [subject, number, event, type_id, text_of(at), opened or text_of(closes_at)],
        )

    def pass_until(self, moment: datetime) -> None:
        """Shoppers think again, and windows close, up to a moment, in the order of time."""
        while True:
            found = self._records.rows(
                "select id, subject, order_number, event, type_id, at, closes_at, is_noticed from held_events"
                " where closes_at <= ? order by closes_at, is_noticed, id limit 1",
                [text_of(moment)],
            )
            if not found:
                return
            one = found[0]
            closes_at = datetime.fromisoformat(one["closes_at"])
            if not one["is_noticed"]:
                self._records.rows("delete from held_events where id = ?", [one["id"]])
                self._records.rows("delete from shown_methods where return_id = ?", [one["subject"]])
                self._event(
                    {"return_id": one["subject"], "order_number": one["order_number"]}, one["event"], one["type_id"],
                    datetime.fromisoformat(one["at"]),
                )  # fmt: skip
                continue
            held = self._records.rows(
                "select * from held_events where subject = ? and is_noticed order by id", [one["subject"]]
            )
            self._records.rows("delete from held_events where subject = ? and is_noticed", [one["subject"]])
            if one["event"] == "shipped":
                self._send_shipment(one["subject"].removeprefix("shipment "), closes_at)
            else:
                self._send_return(one["subject"], held, closes_at)

    # ---------------------------------------------------------------- sending

    def _send_return(self, return_id: str, held: list[Row], at: datetime) -> None:
        if "return.asn" not in self._settings.topics:
            return
        method = self._records.rows("select method from shown_methods where return_id = ?", [return_id])
        units, returns = self._records.units_of(return_id)
        opened = min(row["at"] for row in held)
        for number in dict.fromkeys(row["order_number"] for row in held):
            mine = [row for row in held if row["order_number"] == number]
            newest = sorted(mine, key=lambda row: (row["at"], _rank(row), row["id"]), reverse=True)
            events = [(row["event"], self._word(row)) for row in newest]
            of = payloads.looked_up(returns, number)
            items = [item for item in units if item.get("order_number") == number]
            if self._settings.units == "changed":
                items = [item for item in items if item["updated"] >= opened] or items
            shown = [payloads.unit(item, of, self._settings, method[0]["method"] if method else None) for item in items]
            chance = Random(f"{self._settings.seed} event {return_id} {number} {text_of(at)}")
            body = payloads.return_event(events, shown, self._settings, chance)
            if chance.random() < self._settings.surprises:
                body = payloads.surprised(body, chance)
            about = {
                "return_id": return_id, "order_number": number, "event": body["event"], "type_id": body["typeID"],
                "other_events": [type_id for _, type_id in events if type_id != body["typeID"]],
                "items": [item["item_id"] for item in items if item.get("item_id")],
            }  # fmt: skip
            self._put("return.asn", return_id, about, body, at, at)

    def _word(self, row: Mapping[str, Any]) -> str:
        type_id = str(row["type_id"])
        return self._settings.words.get(type_id, type_id) if row["event"] == STATUS else type_id

    def _send_shipment(self, shipment_id: str, at: datetime) -> None:
        rows = self._records.shipment(shipment_id)
        units, forms = [], []
        for row in rows:
            item, of = self._records.item_of(row)
            units.append(payloads.outbound_unit(row, item, of))
            forms.append(payloads.second_form(row, item, of))
        about = {"shipment_id": shipment_id, "items": [row["item_id"] for row in rows]}
        head = payloads.shipment_head(shipment_id, rows)
        for topic, body in (
            ("outbound_shipment.asn", units),
            ("outbound_shipment.asn.v2", payloads.outbound_shipment(head, forms)),
        ):
            if topic in self._settings.topics:
                self._put(topic, f"{topic} {shipment_id}", about, body, at, at)

    def _put(self, topic: str, subject: str, about: Row, body: Any, made_at: datetime, due_at: datetime) -> None:
        self._outbox.put(topic, subject, about, payloads.written(body), made_at, due_at, self._settings)


def _rank(row: Mapping[str, Any]) -> int:
    return _RANKS[METHOD] if row["event"] == METHOD else _RANKS.get(row["type_id"], 3)


def _news(before: Row, after: Row, column: str) -> bool:
    return bool(after.get(column)) and after.get(column) != before.get(column)
