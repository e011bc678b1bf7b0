from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hr_centra_pipeline.core.keys import effect_key, packet_key
from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.sources.centra import centra_landing, centra_objects
from hr_centra_pipeline.sources.centra.centra_staging import refresh
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline.warehouse.declare import Table
from hr_centra_pipeline.warehouse.policy_tables import write_policy
from hr_centra_pipeline.warehouse.tables import centra as declared
from hr_centra_pipeline_tests.sources.centra import payloads
from hr_centra_pipeline_tests.sources.centra.conftest import NOW, Rows

KEY = effect_key("credit_note", "unit-1")
OTHER_KEY = effect_key("credit_note", "unit-2")
PACKET = packet_key([KEY])
TABLES = [value for value in vars(declared).values() if isinstance(value, Table)]


@pytest.fixture
def land(warehouse: Warehouse, policy: Policy) -> Callable[..., int]:
    """Lands raw objects as a pull would; answers how many rows that made."""
    ways = {
        "order": (centra_landing.ORDERS, centra_objects.Order, centra_landing.order_row),
        "shipment": (centra_landing.SHIPMENTS, centra_objects.Shipment, centra_landing.shipment_row),
        "return": (centra_landing.RETURNS, centra_objects.Return, centra_landing.return_row),
        "stock_change": (centra_landing.STOCK_CHANGES, centra_objects.StockChange, centra_landing.stock_change_row),
        "warehouse": (centra_landing.WAREHOUSES, centra_objects.Warehouse, centra_landing.warehouse_row),
    }

    context = {"reference_paths": policy.centra.reference_paths}

    def land(kind: str, *nodes: payloads.Node, at: datetime = NOW) -> int:
        target, model, row = ways[kind]
        with warehouse.transaction() as connection:
            fitting = [row(model.model_validate(node, context=context)) for node in nodes]  # type: ignore[attr-defined, operator]
            return centra_landing.land(connection, target, fitting, at)

    return land


Land = Callable[..., int]


def test_an_order_is_staged_with_its_exact_amounts_and_without_people_s_words(
    warehouse: Warehouse, land: Land, rows: Rows
) -> None:
    note = f"[hr-centra {KEY} HRABC123: received 2026-09-20]"
    comment = f"Call Ms Doe, jane@doe.example\n{note}\n{PACKET}\n{OTHER_KEY}"
    land(
        "order",
        payloads.order(
            1001,
            internalComment=comment,
            grandTotal=payloads.money("1234567890.1234"),
            paymentHistory=[
                payloads.payment(1, "AUTH", "100"),
                payloads.payment(2, "CAPTURE", "60.10"),
                payloads.payment(3, "CAPTURE_GIFT_CARD", "39.90"),
                payloads.payment(4, "CAPTURE", "7", status="FAILED"),
                payloads.payment(5, "REFUND", "-20", of=9),
            ],
        ),
    )
    refresh(warehouse, NOW)
    (staged,) = rows(
        "select order_number, grand_total, shipping, captured, our_note, effect_keys, origin_return_key, customer_id,"
        " country, created_at from staging.orders"
    )
    keys = sorted(staged[5])
    assert staged[:5] == ("1001", Decimal("1234567890.1234"), Decimal(5), Decimal(100), note)
    assert (keys, staged[6]) == (sorted([KEY, OTHER_KEY]), PACKET)
    assert staged[7:9] == (7, "DE")
    assert staged[9].astimezone(UTC) == datetime(2026, 9, 1, 8, tzinfo=UTC)
    assert rows(
        "select entry_id, amount, centra_return_id from staging.payment_entries where entry_type = 'REFUND'"
    ) == [(5, Decimal(20), 9)]
    (kept,) = rows("select payload::varchar from landing.centra_orders")[0]
    assert "Doe" not in kept
    assert "jane" not in kept


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(amounts=st.lists(st.decimals("-9999999999.9999", "9999999999.9999", places=4), min_size=1, max_size=20))
def test_no_amount_changes_by_a_digit_between_centra_and_staging(
    warehouse: Warehouse, land: Land, rows: Rows, amounts: list[Decimal]
) -> None:
    numbers = range(2000, 2000 + len(amounts))
    land(
        "order", *(payloads.order(n, grandTotal=payloads.money(str(a))) for n, a in zip(numbers, amounts, strict=True))
    )
    refresh(warehouse, NOW)
    staged = rows("select grand_total from staging.orders where order_number >= '2000' order by order_number")
    assert [total for (total,) in staged][: len(amounts)] == amounts


def test_a_line_that_is_no_ordinary_product_is_recognised(warehouse: Warehouse, land: Land, rows: Rows) -> None:
    bundle = payloads.order_line(2, "50", __typename="BundleOrderLine", productSize=None)
    land("order", payloads.order(1001, lines=[payloads.order_line(1, "50"), bundle]))
    refresh(warehouse, NOW)
    assert rows("select order_line_id, is_product, sku from staging.order_lines order by 1") == [
        ("1", True, "SKU1"),
        ("2", False, None),
    ]


def test_a_shipment_line_carries_the_tax_in_one_unit(warehouse: Warehouse, land: Land, rows: Rows) -> None:
    yen = payloads.shipment(60, 1002)
    yen["lines"][0] |= {"unitPrice": payloads.money("1000", "JPY"), "lineValue": payloads.money("1000", "JPY")}
    yen["lines"][0]["orderLine"] = {"id": 10020, "taxPercent": Decimal("8.875")}
    land("shipment", payloads.shipment(50, 1001), yen)
    refresh(warehouse, NOW)
    assert rows("select shipment_line_id, unit_price, unit_tax, currency from staging.shipment_lines order by 1") == [
        (500, Decimal(95), Decimal(19), "EUR"),
        (600, Decimal(1000), Decimal(82), "JPY"),  # 81.515…: yen have no decimals
    ]


def test_the_tax_of_a_return_is_that_of_its_lines_less_that_in_its_voucher(
    warehouse: Warehouse, land: Land, rows: Rows
) -> None:
    land(
        "return",
        payloads.a_return(
            9,
            1001,
            grandTotal=payloads.money("93.95"),
            totals={
                "lineValues": payloads.money("100"),
                "shipping": payloads.money("4"),
                "discounts": payloads.money("10.05"),
            },
            lines=[payloads.return_line(1, "60", "12"), payloads.return_line(2, "40", "8")],
        ),
    )
    refresh(warehouse, NOW)
    ((tax, discounts),) = rows("select tax, discounts from staging.centra_returns")
    assert (tax, discounts) == (Decimal("17.99"), Decimal("10.05"))  # 20 - 2.01
    assert rows("select line_tax from staging.centra_return_lines order by 1 desc") == [(Decimal(12),), (Decimal(8),)]


def test_a_voucher_over_two_tax_rates_is_shared_by_line_value(warehouse: Warehouse, land: Land, rows: Rows) -> None:
    land(
        "return",
        payloads.a_return(
            9,
            1001,
            totals={"lineValues": payloads.money("200"), "discounts": payloads.money("20")},
            lines=[payloads.return_line(1, "100", "20", "25"), payloads.return_line(2, "100", "0", "0")],
        ),
    )
    refresh(warehouse, NOW)
    assert rows("select tax from staging.centra_returns") == [(Decimal(18),)]  # 20 - tax in 10 at 25 %


def test_the_marks_in_a_return_s_comment_are_read_back(warehouse: Warehouse, land: Land, rows: Rows) -> None:
    ours = f"{PACKET} RMA HRVPBGPR ret-77 {KEY} {OTHER_KEY}"
    theirs = "Jane Doe (jane1@doe.example, +46 70 123 45 67) sent RET-12 back, see HRGDRQPX"
    land("return", payloads.a_return(9, 1001, comment=ours), payloads.a_return(10, 1002, comment=theirs))
    refresh(warehouse, NOW)
    found = rows(
        "select packet_key, list_sort(effect_keys), list_sort(express_codes) from staging.centra_returns order by centra_return_id"
    )
    assert found == [(PACKET, sorted([KEY, OTHER_KEY]), ["HRVPBGPR", "ret-77"]), (None, [], ["HRGDRQPX", "RET-12"])]
    kept = rows("select string_agg(payload::varchar) from landing.centra_returns")[0][0]
    assert not [word for word in ("Jane", "jane1", "doe", "123") if word in kept]


def test_a_deleted_return_keeps_what_it_was_and_when_it_was_missed(
    warehouse: Warehouse, land: Land, rows: Rows
) -> None:
    land("return", payloads.a_return(9, 1001, grandTotal=payloads.money("40")))
    refresh(warehouse, NOW)
    later = NOW + timedelta(hours=3)
    with warehouse.transaction() as connection:
        assert centra_landing.land_deleted(connection, [9], later) == 1
    refresh(warehouse, later)
    assert rows("select grand_total, deleted_at from staging.centra_returns") == [(Decimal(40), later)]
    # It comes back: somebody restored it. The same content as before its deletion is news.
    assert land("return", payloads.a_return(9, 1001, grandTotal=payloads.money("40")), at=later) == 1
    refresh(warehouse, later)
    assert rows("select deleted_at from staging.centra_returns") == [(None,)]


def test_what_did_not_change_is_neither_landed_nor_staged_again(warehouse: Warehouse, land: Land, rows: Rows) -> None:
    assert land("order", payloads.order(1001), payloads.order(1002)) == 2
    assert refresh(warehouse, NOW).rows_new == 2
    assert land("order", payloads.order(1001), payloads.order(1002, status="ARCHIVED")) == 1
    assert refresh(warehouse, NOW).rows_new == 1
    assert refresh(warehouse, NOW).rows_new == 0
    assert rows("select order_number, status from staging.orders order by 1") == [
        ("1001", "SHIPPED"),
        ("1002", "ARCHIVED"),
    ]
    # 10 and 10.00 are the same amount.
    assert land("order", payloads.order(1001, grandTotal=payloads.money("100.00"))) == 0


def test_an_object_that_goes_back_to_an_earlier_state_is_landed_a_third_time(
    warehouse: Warehouse, land: Land, rows: Rows
) -> None:
    states = ["PENDING", "COMPLETED", "PENDING"]
    assert [land("return", payloads.a_return(9, 1001, returnStatus=state)) for state in states] == [1, 1, 1]
    refresh(warehouse, NOW)
    assert rows("select status from staging.centra_returns") == [("PENDING",)]


def test_a_line_that_vanished_from_its_order_vanishes_from_staging(
    warehouse: Warehouse, land: Land, rows: Rows
) -> None:
    land("order", payloads.order(1001, lines=[payloads.order_line(1, "50"), payloads.order_line(2, "50")]))
    refresh(warehouse, NOW)
    land("order", payloads.order(1001, lines=[payloads.order_line(2, "50")]))
    refresh(warehouse, NOW)
    assert rows("select order_line_id from staging.order_lines") == [("2",)]


def test_a_refund_that_fails_later_is_seen_on_its_return(warehouse: Warehouse, land: Land, rows: Rows) -> None:
    requested = payloads.payment(5, "REFUND_REQUEST", "20", status="PENDING", of=9)
    land("order", payloads.order(1001, paymentHistory=[requested]))
    land("return", payloads.a_return(9, 1001, refundPaymentHistory=[requested]))
    refresh(warehouse, NOW)
    failed = [
        payloads.payment(5, "REFUND_REQUEST", "20", status="FAILED", of=9),
        payloads.payment(6, "REFUND_FAILED", "20", of=9),
    ]
    land("return", payloads.a_return(9, 1001, refundPaymentHistory=failed))
    refresh(warehouse, NOW)
    assert rows("select entry_id, entry_type, status, centra_return_id from staging.payment_entries order by 1") == [
        (5, "REFUND_REQUEST", "FAILED", 9),
        (6, "REFUND_FAILED", "SUCCESS", 9),
    ]


def test_stock_movements_are_signed_and_known_by_their_text(warehouse: Warehouse, land: Land, rows: Rows) -> None:
    land(
        "stock_change",
        payloads.stock_change(1, f"PKAAAAAAAAAAAAA {KEY}", (11, "A", 2)),
        payloads.stock_change(2, "Customer return, RMA 7", (21, "A", 1), adminUser={"id": 3}),
        payloads.stock_change(3, "Delivery 4711", (31, "B", 50)),
        payloads.stock_change(4, "Write-off", (41, "B", -4), type="A_WORD_OF_NO_DOCUMENT"),
        payloads.stock_change(5, "Moved", (51, "B", -4), (52, "B", 4), type="TRANSFER"),
    )
    refresh(warehouse, NOW)
    assert rows(
        "select stock_change_line_id, effect_keys, is_customer_return, by_person, sku, quantity"
        " from staging.stock_changes order by 1"
    ) == [
        (11, [KEY], False, False, "A", 2),
        (21, [], True, True, "A", 1),
        (31, [], False, False, "B", 50),
        (41, [], False, False, "B", -4),
        (51, [], False, False, "B", -4),
        (52, [], False, False, "B", 4),
    ]


def test_other_patterns_in_the_policy_are_applied_to_old_stock_changes_too(
    warehouse: Warehouse, land: Land, rows: Rows, policy: Policy
) -> None:
    land("stock_change", payloads.stock_change(3, "Retoure 4711", (31, "B", 1)))
    refresh(warehouse, NOW)
    assert rows("select is_customer_return from staging.stock_changes") == [(False,)]
    limits = policy.centra.model_copy(update={"customer_return_patterns": ["(?i)retoure"]})
    with warehouse.transaction() as connection:
        write_policy(connection, policy.model_copy(update={"centra": limits}), "live")
    assert refresh(warehouse, NOW).rebuilt
    assert rows("select is_customer_return from staging.stock_changes") == [(True,)]


def test_warehouses_are_staged_and_follow_their_changes(warehouse: Warehouse, land: Land, rows: Rows) -> None:
    main = {"id": 1, "name": "Main", "status": "ACTIVE", "stockMaster": "CENTRA"}
    land("warehouse", main)
    refresh(warehouse, NOW)
    land("warehouse", {**main, "status": "INACTIVE"})
    refresh(warehouse, NOW)
    assert rows("select warehouse_id, name, status, is_active, stock_master from staging.warehouses") == [
        (1, "Main", "INACTIVE", False, "CENTRA")
    ]


def test_a_word_without_a_meaning_is_landed_and_decides_nothing_until_the_policy_gives_it_one(
    warehouse: Warehouse, land: Land, rows: Rows, policy: Policy
) -> None:
    odd = payloads.order(
        1001,
        status="MISLAID",
        paymentHistory=[payloads.payment(1, "CAPTURE", "100"), payloads.payment(2, "CLAWBACK", "-30")],
    )
    land("order", odd, payloads.order(1002, status="DELETED"))
    land("return", payloads.a_return(9, 1001, returnStatus="HALF_DONE"))
    land("stock_change", payloads.stock_change(3, "Moved", (31, "B", 1), type="TELEPORT"))
    land("warehouse", {"id": 1, "name": "Main", "status": "ASLEEP", "stockMaster": "NOBODY"})
    refresh(warehouse, NOW)
    assert rows("select order_number, is_cancelled, captured, has_unknown_payment from staging.orders order by 1") == [
        ("1001", None, Decimal(100), True),
        ("1002", True, Decimal(0), False),
    ]
    assert rows("select is_completed from staging.centra_returns") == [(None,)]
    assert rows("select is_active from staging.warehouses") == [(False,)]
    assert rows("select quantity from staging.stock_changes") == [(1,)]
    assert rows("select money, instrument, is_refund, amount from staging.payment_entries where entry_id = 2") == [
        (None, None, None, Decimal(30))
    ]
    words = policy.centra.words
    learned = words.model_copy(
        update={
            "order_status": words.order_status.model_copy(update={"cancelled": ["MISLAID"]}),
            "payment_type": words.payment_type.model_copy(update={"refunded": ["REFUND", "CLAWBACK"]}),
        }
    )
    centra = policy.centra.model_copy(update={"words": learned})
    with warehouse.transaction() as connection:
        write_policy(connection, policy.model_copy(update={"centra": centra}), "live")
    assert refresh(warehouse, NOW).rebuilt
    assert rows("select order_number, is_cancelled, has_unknown_payment from staging.orders order by 1") == [
        ("1001", True, False),
        ("1002", None, False),
    ]
    assert rows("select money from staging.payment_entries where entry_id = 2") == [("refunded",)]


def test_a_capture_that_the_provider_has_not_confirmed_is_pending_until_its_capture_comes(
    warehouse: Warehouse, land: Land, rows: Rows
) -> None:
    asked = payloads.payment(1, "CAPTURE_REQUEST", "100", status="PENDING")
    land("order", payloads.order(1001, paymentHistory=[asked]))
    refresh(warehouse, NOW)
    assert rows("select captured, capture_pending from staging.orders") == [(Decimal(0), Decimal(100))]
    land("order", payloads.order(1001, paymentHistory=[asked, payloads.payment(2, "CAPTURE", "100")]))
    refresh(warehouse, NOW)
    assert rows("select captured, capture_pending from staging.orders") == [(Decimal(100), Decimal(0))]


def test_a_cancellation_with_a_negative_value_is_no_refund(warehouse: Warehouse, land: Land, rows: Rows) -> None:
    entries = [payloads.payment(1, "AUTH", "100"), payloads.payment(2, "CANCEL", "-5")]
    land("order", payloads.order(1001, status="DELETED", paymentHistory=entries))
    refresh(warehouse, NOW)
    assert rows("select captured, capture_pending, is_cancelled from staging.orders") == [
        (Decimal(0), Decimal(0), True)
    ]
    assert rows("select money, is_refund, amount from staging.payment_entries where entry_id = 2") == [
        ("neutral", False, Decimal(5))
    ]


def test_of_the_provider_s_answer_only_its_references_are_kept(
    warehouse: Warehouse, land: Land, rows: Rows, policy: Policy
) -> None:
    answer = '{"pspReference": "MOD-7", "shopperName": "Jane Doe", "MerchantReference": "1001"}'
    refund = {**payloads.payment(5, "REFUND", "-20", of=9), "paramsJSON": answer, "externalReference": "AUTH-1"}
    land("return", payloads.a_return(9, 1001, refundPaymentHistory=[refund]))
    refresh(warehouse, NOW)
    assert rows("select external_reference, provider_references from staging.payment_entries") == [
        ("AUTH-1", ["MOD-7", "1001"])
    ]
    assert "Doe" not in rows("select payload::varchar from landing.centra_returns")[0][0]


@settings(max_examples=300, deadline=None)
@given(
    answer=st.text()
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=200),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["pspReference", "PaymentTransactions", "0"]), inner)
        ),
    ).map(json.dumps)
)
def test_whatever_a_provider_answers_its_payment_is_landed(answer: str) -> None:
    paths = Policy.model_fields["centra"].get_default().reference_paths
    entry = {**payloads.payment(5, "REFUND", "20"), "paramsJSON": answer}
    kept = centra_objects.PaymentEntry.model_validate(entry, context={"reference_paths": paths}).provider_references
    assert all(isinstance(reference, str) and 0 < len(reference) <= 100 for reference in kept)
    "".join(kept).encode()  # no half of a character is left


def test_what_is_staged_keeps_every_declaration(warehouse: Warehouse, land: Land) -> None:
    land(
        "order", payloads.order(1001, country=None, customer=None, paymentHistory=[payloads.payment(2, "CAPTURE", "1")])
    )
    land("shipment", payloads.shipment(50, 1001))
    land("return", payloads.a_return(9, 1001, lines=[payloads.return_line(1, "60", "12")]))
    land("stock_change", payloads.stock_change(1, "Delivery", (11, "A", 2)))
    land("warehouse", {"id": 1, "name": "Main", "status": "ACTIVE", "stockMaster": "CENTRA"})
    refresh(warehouse, NOW)
    with warehouse.transaction() as connection:
        for table in TABLES:
            for column, reason, broken in table.predicates():
                found = connection.execute(f"select * from {table.name} where {broken}").fetchall()
                assert found == [], (table.name, column, reason)
            key = ", ".join(table.key)
            repeated = f"select {key} from {table.name} group by all having count(*) > 1"
            assert connection.execute(repeated).fetchall() == []
