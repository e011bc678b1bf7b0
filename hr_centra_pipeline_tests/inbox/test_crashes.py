"""What was answered 2xx is in the store, whatever happened to the process, the disk or the database."""

from __future__ import annotations

import itertools
import os
import resource
import secrets
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from hr_centra_pipeline.inbox.inbox_store import Inbox
from hr_centra_pipeline_tests.inbox.conftest import address_of
from hr_centra_pipeline_tests.inbox.receiving import ADDRESS, Served, post, raw, request, served, sha256, signed
from hr_centra_pipeline_tests.postgres import PASSWORD, Postgres


class Senders:
    """Threads that send bodies of their own until they are stopped, and note what was answered 200, by hash."""

    def __init__(self, one: Served, threads: int = 8) -> None:
        self._run = secrets.token_hex(4)
        self.kept: set[str] = set()
        self.refused = 0
        self.sent: set[str] = set()
        self._one = one
        self._is_over = False
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(threads)]

    def _send(self, part: int) -> None:
        for number in itertools.count():
            if self._is_over:
                return
            body = b'{"event": "return_status_updated", "n": "%s/%d/%d"}' % (self._run.encode(), part, number)
            with self._lock:
                self.sent.add(sha256(body))
            try:
                status = post(self._one.port, ADDRESS, body, signed(body)).status
            except OSError:
                status = 0
            with self._lock:
                if status == 200:
                    self.kept.add(sha256(body))
                else:
                    self.refused += 1
            if status == 0:
                time.sleep(0.05)

    def __enter__(self) -> Senders:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        for thread in self._threads:
            thread.join(30)

    def until_refused(self) -> None:
        before, end = self.refused, time.monotonic() + 60
        while self.refused == before:
            assert time.monotonic() < end
            time.sleep(0.01)

    def until_kept(self, more: int) -> None:
        wanted = len(self.kept) + more
        end = time.monotonic() + 60
        while len(self.kept) < wanted:
            assert time.monotonic() < end, f"{len(self.kept)} of {wanted} kept, {self.refused} refused"
            time.sleep(0.01)


def stored(address: str) -> set[str]:
    """The hashes of the bodies as they are in the store, computed again."""
    inbox = Inbox.open(address)
    found = inbox.take("happy_returns", most=1_000_000, most_bytes=1 << 40)
    assert all(sha256(one.body) == one.body_sha256 for one in found)
    inbox.close()
    return {one.body_sha256 for one in found}


def test_nothing_that_was_answered_200_is_lost_when_the_receiver_is_killed(tmp_path: Path) -> None:
    with served(tmp_path / "home", "--quiet") as one, Senders(one) as senders:
        for _ in range(2):
            senders.until_kept(200)
            one.kill()
            one.start_again()
        senders.until_kept(100)
    found = stored(str(tmp_path / "home" / "inbox.sqlite"))
    assert senders.kept <= found <= senders.sent
    assert len(senders.kept) >= 500


def test_a_receiver_that_is_stopped_answers_all_that_it_has_begun(tmp_path: Path) -> None:
    with served(tmp_path / "home", "--quiet") as one, Senders(one) as senders:
        senders.until_kept(100)
        one.stop()
        one.listener.close()  # otherwise senders would wait in its queue for the next receiver
        assert one.process.returncode in (0, -15)  # uvicorn ends by the signal that it was sent
    found = stored(str(tmp_path / "home" / "inbox.sqlite"))
    assert senders.kept == found  # nothing was kept without its sender being told


def test_while_the_disk_is_full_deliveries_are_answered_503_and_it_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with served(tmp_path / "home", "--quiet") as one, Senders(one) as senders:
        senders.until_kept(20)
        one.limit_files(300_000)
        senders.until_refused()
        assert one.process.poll() is None
        one.limit_files(resource.RLIM_INFINITY)
        senders.until_kept(100)
    assert senders.kept <= stored(str(tmp_path / "home" / "inbox.sqlite")) <= senders.sent
    assert "503" in one.log.read_text("utf-8")


def test_nothing_is_lost_when_the_database_server_restarts_and_the_receiver_goes_on(
    tmp_path: Path, postgres: Postgres
) -> None:
    address = address_of(postgres)
    with served(tmp_path / "home", "--quiet", HR_CENTRA_INBOX=address) as one, Senders(one) as senders:
        senders.until_kept(100)
        postgres.restart(seconds_down=0.5)
        senders.until_kept(100)
    assert senders.kept <= stored(address) <= senders.sent
    assert PASSWORD not in one.log.read_text("utf-8")


def test_two_receivers_keep_deliveries_in_one_database(tmp_path: Path, postgres: Postgres) -> None:
    address = address_of(postgres)
    with (
        served(tmp_path / "one", "--quiet", HR_CENTRA_INBOX=address) as one,
        served(tmp_path / "two", "--quiet", HR_CENTRA_INBOX=address) as two,
    ):
        before = len(stored(address))
        with Senders(one, 4) as senders, Senders(two, 4) as others:
            senders.until_kept(100)
            others.until_kept(100)
    assert senders.kept | others.kept <= stored(address)
    assert len(stored(address)) - before == len(senders.kept) + len(others.kept)


@pytest.mark.slow
def test_a_database_server_that_hangs_is_answered_503_and_the_receiver_goes_on_when_it_answers_again(
    tmp_path: Path, postgres: Postgres
) -> None:
    with served(tmp_path / "home", "--quiet", HR_CENTRA_INBOX=address_of(postgres)) as one:
        assert post(one.port, ADDRESS, b"1", signed(b"1")).status == 200
        main = int((postgres.folder / "data" / "postmaster.pid").read_text("utf-8").splitlines()[0])
        processes = [main, *(child.pid for child in psutil.Process(main).children())]
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            assert raw(one.port, request(ADDRESS, b"2", signed(b"2")), seconds=60).status == 503
            assert raw(one.port, request("/health", method="GET"), seconds=60).status == 503
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)
        assert post(one.port, ADDRESS, b"3", signed(b"3")).status == 200
