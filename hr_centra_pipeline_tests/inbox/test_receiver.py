from __future__ import annotations

import json
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hr_centra_pipeline.inbox.inbox_store import Inbox, StoreFailed
from hr_centra_pipeline.inbox.receiver import Bounds
from hr_centra_pipeline_tests.inbox.receiving import (
    ADDRESS,
    CENTRA_ADDRESS,
    Answer,
    centra_signed,
    post,
    raw,
    read_answer,
    receiving,
    request,
    sha256,
    signed,
    until,
)

BODY = json.dumps(
    {"event": "return_status_updated", "typeID": "started", "items": [{"email": "anna@example.com"}]}
).encode()
BOUNDS = Bounds(body_bytes=1 << 20, body_seconds=0.5, head_seconds=0.5, unverified_per_second=1_000)


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    opened = Inbox.open(str(tmp_path / "inbox.sqlite"))
    yield opened
    opened.close()


@pytest.fixture
def port(inbox: Inbox) -> Iterator[int]:
    with receiving(inbox, BOUNDS) as at:
        yield at


def kept(inbox: Inbox) -> list[bytes]:
    return [
        one.body for vendor in ("happy_returns", "centra") for one in inbox.take(vendor, most=99, most_bytes=1 << 30)
    ]


def apart(inbox: Inbox) -> list[tuple[str, int]]:
    return [(one.verdict, one.bytes) for one in inbox.deliveries(state="apart")]


def refused(inbox: Inbox, bound: str) -> int:
    return sum(day.refused.get(bound, 0) for day in inbox.counts())


def test_a_delivery_is_answered_200_with_the_id_that_its_body_is_kept_by(inbox: Inbox, port: int) -> None:
    answer = post(port, ADDRESS, BODY, {**signed(BODY), "Cookie": "a=b", "Authorization": "Bearer x", "X-Hr-Apikey": "k",
                                        "X-Request-Id": "42"})  # fmt: skip
    assert answer.status == 200
    found = inbox.find(answer.text)
    assert found is not None
    assert (found.body, found.vendor, found.shop, found.verdict) == (BODY, "happy_returns", "main", "verified")
    assert found.body_sha256 == sha256(BODY)
    assert abs((datetime.now(UTC) - found.received_at).total_seconds()) < 10
    assert set(found.headers) == {"content-type", "content-length", "x-hr-signature", "x-request-id"}


def test_both_secrets_are_accepted_while_one_replaces_the_other(inbox: Inbox, port: int) -> None:
    answer = post(port, ADDRESS, BODY, signed(BODY, "old-secret"))
    found = inbox.find(answer.text)
    assert found is not None
    assert found.verdict == "verified_old_secret"


def test_centras_form_is_kept_as_it_is_on_the_wire(inbox: Inbox, port: int) -> None:
    body = b"payload=%7B%22events%22%3A%5B%5D%7D"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert post(port, CENTRA_ADDRESS, body, {**centra_signed(body), **form}).status == 200
    assert kept(inbox) == [body]


def chunked(*chunks: bytes, is_over: bool = True) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in chunks) + (b"0\r\n\r\n" if is_over else b"")


NOISE = bytes(range(256)) * 4_096  # 1 MB
DEEP = b"[" * 100_000 + b"]" * 100_000
BAD_UTF8 = b'{"event": "\xff\xfe\xc0"}'

# What is sent, and what becomes of it: its status, and where it is afterwards.
KEPT = {
    "noise that is signed": (NOISE[: 1 << 20], {}),
    "JSON nested 100,000 deep": (DEEP, {}),
    "text that is not UTF-8": (BAD_UTF8, {}),
    "an empty body": (b"", {}),
    "a body that says it is an image": (BODY, {"Content-Type": "image/png"}),
    "a body of no type": (BODY, {"Content-Type": ""}),
    "an unknown event": (b'{"event": "return_teleported"}', {}),
    "a number too large for any integer": (b'{"items": ' + b"9" * 10_000 + b"}", {}),
    "a body that says it is packed": (BODY, {"Content-Encoding": "gzip"}),
    "headers in Latin-1": (BODY, {"X-Name": "M\xfcller"}),
    "a null byte": (b"\x00", {}),
}


@pytest.mark.parametrize("case", KEPT)
def test_whatever_verifies_is_kept_to_the_byte(inbox: Inbox, port: int, case: str) -> None:
    body, headers = KEPT[case]
    answer = post(port, ADDRESS, body, {**signed(body), **headers})
    assert answer.status == 200
    assert kept(inbox) == [body]


HOUR = 3_600
UNVERIFIED = {
    "noise": (ADDRESS, NOISE[: 1 << 20], {}, "no_signature"),
    "no signature": (ADDRESS, BODY, {}, "no_signature"),
    "an empty signature": (ADDRESS, BODY, {"X-Hr-Signature": ""}, "no_signature"),
    "a signature that is not hexadecimal": (ADDRESS, BODY, {"X-Hr-Signature": "yes"}, "malformed_signature"),
    "a signature in Latin-1": (ADDRESS, BODY, {"X-Hr-Signature": "\xfc" * 64}, "malformed_signature"),
    "a very long signature": (ADDRESS, BODY, {"X-Hr-Signature": "ab" * 5_000}, "malformed_signature"),
    "the signature of another body": (ADDRESS, BODY, signed(b"another"), "wrong_signature"),
    "a signature with another secret": (ADDRESS, BODY, signed(BODY, "guessed"), "wrong_signature"),
    "half a signature": (ADDRESS, BODY, {"X-Hr-Signature": signed(BODY)["X-Hr-Signature"][:32]}, "wrong_signature"),
    "two signatures, one right": (ADDRESS, BODY, {**signed(BODY), "x-hr-signature": "00"}, "malformed_signature"),
    "one byte changed": (ADDRESS, BODY[:-1] + b" ", signed(BODY), "wrong_signature"),
    "Happy Returns' signature at Centra's address": (CENTRA_ADDRESS, BODY, signed(BODY), "no_signature"),
    "Centra's, by a clock that is an hour slow": (CENTRA_ADDRESS, BODY, centra_signed(BODY, time.time() - HOUR), "stale"),
    "Centra's, by a clock that is an hour fast": (CENTRA_ADDRESS, BODY, centra_signed(BODY, time.time() + HOUR), "stale"),
    "Centra's without a time": (CENTRA_ADDRESS, BODY, {"X-Centra-Signature": "v1=" + "0" * 64}, "malformed_signature"),
    "Centra's with two times": (
        CENTRA_ADDRESS, BODY, {"X-Centra-Signature": "t=1," + centra_signed(BODY)["X-Centra-Signature"]}, "malformed_signature",
    ),
    "Centra's with a time that is not a number": (
        CENTRA_ADDRESS, BODY, {"X-Centra-Signature": "t=now,v1=" + "0" * 64}, "malformed_signature",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", UNVERIFIED)
def test_whatever_does_not_verify_is_kept_apart_by_its_reason_and_answered_401(
    inbox: Inbox, port: int, case: str
) -> None:
    address, body, headers, reason = UNVERIFIED[case]
    assert post(port, address, body, headers) == replace(post(port, address, body, headers), status=401, text=reason)
    assert kept(inbox) == []
    assert apart(inbox) == [(reason, len(body))] * 2
    (day,) = inbox.counts()
    assert day.unverified == {reason: 2}


def test_a_delivery_that_is_sent_again_is_kept_again_for_landing_to_recognise(inbox: Inbox, port: int) -> None:
    """Happy Returns' signature has no time: its replay verifies. Its bytes, and so its hash, are the first one's."""
    assert [post(port, ADDRESS, BODY, signed(BODY)).status for _ in range(2)] == [200, 200]
    first, second = inbox.take("happy_returns", most=9, most_bytes=1 << 20)
    assert first.body_sha256 == second.body_sha256


REFUSED = {
    "a body that is too large": (request(ADDRESS, b"x" * ((1 << 20) + 1)), 413, "body_bytes"),
    "a length that is too large": (request(ADDRESS, b"", {"Content-Length": str(1 << 40)}), 413, "body_bytes"),
    "chunks without end": (
        request(ADDRESS, b"", {"Transfer-Encoding": "chunked"}).replace(b"Content-Length: 0\r\n", b"")
        + chunked(*[b"x" * 65_536] * 17, is_over=False), 413, "body_bytes",
    ),
    "a body that never comes": (request(ADDRESS, b"", {"Content-Length": "100"}), 408, "body_seconds"),
    "a body that stops half way": (request(ADDRESS, b"half", {"Content-Length": "100"}), 408, "body_seconds"),
    "huge headers": (request(ADDRESS, BODY, {"X-Large": "x" * 40_000}), 431, "head_bytes"),
    "a head without end": (b"POST /happy-returns/main HTTP/1.1\r\nX: " + b"x" * 100_000, 431, "head_bytes"),
    "a head that never comes": (b"POST /happy", 408, "head_seconds"),
    "thousands of headers": (request(ADDRESS, BODY, {f"X-{one}": "12345678" for one in range(4_000)}), 431, "head_bytes"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_exceeds_a_bound_is_refused_and_counted_by_its_name(inbox: Inbox, port: int, case: str) -> None:
    data, status, bound = REFUSED[case]
    answer = raw(port, data)
    assert answer.status == status
    assert "connection: close" in answer.head
    post(port, ADDRESS, BODY, signed(BODY))  # counts are written with the next delivery
    until(lambda: refused(inbox, bound) == 1)
    assert kept(inbox) == [BODY]


ODD = {
    "a wrong method": (request(ADDRESS, method="GET"), 405),
    "DELETE": (request(ADDRESS, method="DELETE"), 405),
    "an unknown vendor": (request("/narvar/main", BODY, signed(BODY)), 404),
    "an unknown shop": (request("/happy-returns/other", BODY, signed(BODY)), 404),
    "a shop that is not given": (request("/happy-returns", BODY, signed(BODY)), 404),
    "a path that climbs": (request("/happy-returns/../centra/main", BODY), 404),
    "a path that is encoded": (request("/happy-returns/main%00", BODY), 404),
    "the root": (request("/", method="GET"), 404),
    "a very long path": (request("/" + "x" * 20_000, BODY), 404),
    "another protocol": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 10, 400),
    "a length that is not a number": (request(ADDRESS, b"", {"Content-Length": "many"}), 400),
    "a length and chunks": (request(ADDRESS, BODY, {"Transfer-Encoding": "chunked"}), 400),
    "chunks of no size": (
        request(ADDRESS, b"", {"Transfer-Encoding": "chunked"}).replace(b"Content-Length: 0\r\n", b"") + b"zz\r\n", 400,
    ),
    "nothing at all": (b"", 0),
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_an_odd_request_is_answered_or_dropped_and_the_next_is_received(inbox: Inbox, port: int, case: str) -> None:
    data, status = ODD[case]
    answer = raw(port, data, seconds=5)
    assert answer.status == status
    if status == 405:
        assert "allow: post" in answer.head
    assert post(port, ADDRESS, BODY, signed(BODY)).status == 200
    assert kept(inbox) == [BODY]


def test_a_body_that_trickles_in_has_no_more_time_than_any_other(inbox: Inbox, port: int) -> None:
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request(ADDRESS, b"", {"Content-Length": "1000"}))
        connection.settimeout(0.05)
        got = b""
        while not got and time.monotonic() - began < 5:
            connection.sendall(b"x")
            with suppress(TimeoutError):
                got = connection.recv(65536)
    assert read_answer(got).status == 408
    assert time.monotonic() - began < 3


def test_a_sender_that_waits_to_be_asked_for_its_body_is_asked(inbox: Inbox, port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(
            request(ADDRESS, b"", {**signed(BODY), "Content-Length": str(len(BODY)), "Expect": "100-continue"})
        )
        assert connection.recv(65536).startswith(b"HTTP/1.1 100")
        connection.sendall(BODY)
        assert read_answer(connection.recv(65536)).status == 200
    assert kept(inbox) == [BODY]


def test_a_sender_that_goes_away_half_way_leaves_nothing_but_a_number(inbox: Inbox, port: int) -> None:
    raw(port, request(ADDRESS, b"half", {"Content-Length": "100"}), ends=True, seconds=2)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request(ADDRESS, b"half", {"Content-Length": "100"}))
    post(port, ADDRESS, BODY, signed(BODY))
    until(lambda: refused(inbox, "cut_off") + refused(inbox, "body_seconds") >= 1)
    assert kept(inbox) == [BODY]


def test_several_requests_on_one_connection_are_each_answered(inbox: Inbox, port: int) -> None:
    bodies = [b"%d" % number for number in range(20)]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"".join(request(ADDRESS, body, signed(body)) for body in bodies))
        got = b""
        while got.count(b"HTTP/1.1 200") < 20:
            part = connection.recv(65536)
            assert part, got
            got += part
    assert kept(inbox) == bodies


def test_many_at_once_are_kept_in_few_transactions_and_each_is_answered_by_its_own_id(inbox: Inbox, port: int) -> None:
    answers: list[tuple[bytes, Answer]] = []

    def send(part: int) -> None:
        for number in range(10):
            body = b"%d/%d" % (part, number)
            answers.append((body, post(port, ADDRESS, body, signed(body))))

    threads = [threading.Thread(target=send, args=(part,)) for part in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 160
    for body, answer in answers:
        found = inbox.find(answer.text)
        assert found is not None
        assert found.body == body
    assert inbox.waiting().count == 160


def test_a_vendor_without_a_secret_is_refused_for_the_time_being(inbox: Inbox) -> None:
    with receiving(inbox, BOUNDS, vendors=("centra",)) as port:
        answer = post(port, ADDRESS, BODY, signed(BODY))
        assert (answer.status, "retry-after: 5" in answer.head) == (503, True)
        assert post(port, CENTRA_ADDRESS, BODY, centra_signed(BODY)).status == 200
    assert refused(inbox, "no_secret") == 1


def test_too_many_a_second_are_refused_by_503_and_unverified_ones_do_not_count_among_them(inbox: Inbox) -> None:
    with receiving(inbox, replace(BOUNDS, per_second=3, unverified_per_second=2)) as port:
        wrong = [post(port, ADDRESS, BODY).status for _ in range(6)]
        right = [post(port, ADDRESS, BODY, signed(BODY)) for _ in range(6)]
    assert wrong == [401] * 6
    assert len(apart(inbox)) < 6
    assert [one.status for one in right[:3]] == [200] * 3
    assert {one.status for one in right} == {200, 503}
    assert all("retry-after: 5" in one.head for one in right if one.status == 503)
    assert len(kept(inbox)) == sum(one.status == 200 for one in right)
    assert refused(inbox, "per_second") == sum(one.status == 503 for one in right)


def test_connections_beyond_the_most_are_answered_503_and_counted(inbox: Inbox) -> None:
    with (
        receiving(inbox, replace(BOUNDS, connections=1, head_seconds=10)) as port,
        socket.create_connection(("127.0.0.1", port)) as first,
    ):
        first.sendall(request(ADDRESS, BODY, signed(BODY)))
        assert read_answer(first.recv(65536)).status == 200
        answer = raw(port, b"")
        assert (answer.status, "retry-after: 5" in answer.head) == (503, True)
    until(lambda: refused(inbox, "connections") == 1)


def test_of_a_head_that_is_too_large_the_vendor_is_known_as_far_as_its_address_came(inbox: Inbox) -> None:
    with receiving(inbox, BOUNDS) as port:
        raw(port, b"POST /centra/main HTTP/1.1\r\nX: " + b"x" * 100_000)
        raw(port, b"POST /")
    assert {(one.vendor, *one.refused) for one in inbox.counts()} == {
        ("centra", "head_bytes"),
        ("unknown", "head_seconds"),
    }


def test_too_many_at_once_are_refused_by_503(inbox: Inbox) -> None:
    with (
        receiving(inbox, replace(BOUNDS, requests=1, body_seconds=5)) as port,
        socket.create_connection(("127.0.0.1", port)) as slow,
    ):
        slow.sendall(request(ADDRESS, b"", {**signed(BODY), "Content-Length": str(len(BODY))}))
        until(lambda: post(port, ADDRESS, BODY, signed(BODY)).status == 503)
        slow.sendall(BODY)
        assert read_answer(slow.recv(65536)).status == 200


def test_a_store_that_cannot_be_written_is_answered_503_until_it_can(
    inbox: Inbox, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> list[str]:
        raise StoreFailed("the disk is full")

    assert raw(port, request("/health", method="GET")).status == 200
    with monkeypatch.context() as patched:
        patched.setattr(Inbox, "keep_all", full)
        patched.setattr(Inbox, "probe", full)
        answer = post(port, ADDRESS, BODY, signed(BODY))
        assert (answer.status, "retry-after: 5" in answer.head) == (503, True)
        time.sleep(1.1)
        health = raw(port, request("/health", method="GET"))
        assert (health.status, json.loads(health.text)["store"]) == (503, "not writable")
    assert post(port, ADDRESS, BODY, signed(BODY)).status == 200
    assert kept(inbox) == [BODY]
    time.sleep(1.1)
    health = raw(port, request("/health", method="GET"))
    report = json.loads(health.text)
    assert (health.status, report["store"], report["waiting"]) == (200, "writable", 1)
    assert report["last_received_at"] == report["oldest_waiting_at"]


def test_while_another_has_the_store_deliveries_wait_and_are_kept_then(inbox: Inbox, port: int, tmp_path: Path) -> None:
    inbox.probe()
    other = sqlite3.connect(tmp_path / "inbox.sqlite", isolation_level=None)
    other.execute("begin immediate")
    done: list[Answer] = []
    thread = threading.Thread(target=lambda: done.append(post(port, ADDRESS, BODY, signed(BODY))))
    thread.start()
    time.sleep(0.3)
    assert done == []
    other.execute("commit")
    thread.join()
    assert done[0].status == 200


def test_what_is_queued_when_the_receiver_stops_is_kept(inbox: Inbox, tmp_path: Path) -> None:
    inbox.probe()
    other = sqlite3.connect(tmp_path / "inbox.sqlite", isolation_level=None, check_same_thread=False)
    other.execute("begin immediate")
    done: list[Answer] = []
    with receiving(inbox, BOUNDS) as port:
        thread = threading.Thread(target=lambda: done.append(post(port, ADDRESS, BODY, signed(BODY))))
        thread.start()
        time.sleep(0.3)
        threading.Timer(0.5, lambda: other.execute("commit")).start()
    thread.join()
    other.close()
    assert done[0].status == 200
    assert kept(inbox) == [BODY]
