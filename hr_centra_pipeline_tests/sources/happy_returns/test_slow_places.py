"""Remote places whose bytes drip in, or never come, or never end."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem

from hr_centra_pipeline.core.errors import Unreachable
from hr_centra_pipeline.sources.intake import bounds
from hr_centra_pipeline.sources.payouts.settlement_intake import ingest_payouts
from hr_centra_pipeline.sources.payouts.settlement_profiles import load_payout_profiles
from hr_centra_pipeline_tests.sources.happy_returns.conftest import ITEM, NOW, Harness


class Client:
    """The line to the server; a hung read ends when it is hung up."""

    def __init__(self) -> None:
        self.is_hung_up = threading.Event()

    def close(self) -> None:
        self.is_hung_up.set()


class Dripping(io.RawIOBase):
    """Bytes that come one by one, with a pause after each, and never end."""

    def __init__(self, line: threading.Event) -> None:
        self._line = line

    def read(self, size: int = -1) -> bytes:
        del size
        if self._line.wait(0.02):
            raise EOFError("Socket is closed")
        return b"x"


class DripFileSystem(LocalFileSystem):  # type: ignore[misc]
    """A local folder that is reached like a server: ``drip-*`` files drip, ``endless-*`` files flood."""

    protocol = "drip"
    connections: ClassVar[list[DripFileSystem]] = []
    lists = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.client = Client()
        self.connections.append(self)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(LocalFileSystem._strip_protocol(str(path).removeprefix("drip://")))

    def ls(self, path: str, detail: bool = False, **options: Any) -> Any:
        if not self.lists:
            self.client.is_hung_up.wait(30)
            raise EOFError
        return super().ls(path, detail, **options)

    def open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if self.client.is_hung_up.is_set():
            raise EOFError("Socket is closed")
        if Path(path).name.startswith("drip-"):
            return Dripping(self.client.is_hung_up)
        if Path(path).name.startswith("endless-"):
            return Path("/dev/zero").open("rb")
        return super().open(path, mode, **options)


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[DripFileSystem]]:
    fsspec.register_implementation("drip", DripFileSystem, clobber=True)
    monkeypatch.setattr(bounds, "MOST_SECONDS_OF_A_FILE", 0.4)
    monkeypatch.setattr(bounds, "MOST_SECONDS_OF_A_LISTING", 5)
    monkeypatch.setattr(DripFileSystem, "connections", [])
    yield DripFileSystem.connections
    for one in DripFileSystem.connections:
        one.client.close()


def test_a_file_that_drips_is_given_up_by_name_and_the_next_one_is_read_over_another_line(
    harness: Harness, connections: list[DripFileSystem]
) -> None:
    harness.csv("items", ITEM, name="drip-items-2026-09-01.csv")
    harness.csv("items", ITEM, name="items-2026-09-02.csv")

    report = harness.ingest(url=f"drip://{harness.folder}")

    assert report.rows_landed == 1
    assert harness.rows("select source_file, reason from quarantine.rejected_rows") == [
        ("drip-items-2026-09-01.csv", "cannot be read: it was not read within 0.4 s")
    ]
    first, second = connections
    assert first.client.is_hung_up.is_set()
    assert first is not second
    # It is asked for again, and once the server is well its row is there.
    (harness.folder / "drip-items-2026-09-01.csv").rename(harness.folder / "items-2026-09-01.csv")
    harness.csv("items", ITEM | {"item_id": "IT-2"}, name="items-2026-09-01.csv")
    assert harness.ingest(url=f"drip://{harness.folder}").rows_landed == 1


def test_a_place_that_hangs_at_each_file_is_waited_for_less_and_less(
    harness: Harness, connections: list[DripFileSystem]
) -> None:
    for day in range(1, 4):
        harness.csv("items", ITEM, name=f"drip-items-2026-09-0{day}.csv")
    harness.ingest(url=f"drip://{harness.folder}")
    assert [reason.rpartition(" within ")[2] for _, _, reason, _ in harness.rejected()] == ["0.1 s", "0.2 s", "0.4 s"]


def test_a_place_that_is_never_listed_is_unreachable(
    harness: Harness, connections: list[DripFileSystem], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DripFileSystem, "lists", False)
    monkeypatch.setattr(bounds, "MOST_SECONDS_OF_A_LISTING", 0.2)
    with pytest.raises(Unreachable, match=r"cannot be read: it was not listed within 0\.2 s"):
        harness.ingest(url=f"drip://{harness.folder}")
    assert harness.rows("select files_listed, problem like '%not listed within%' from landing.exports_looks") == [
        (None, True)
    ]
    assert connections[0].client.is_hung_up.is_set()


def test_a_remote_file_without_an_end_is_refused_by_its_size(
    harness: Harness, connections: list[DripFileSystem], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MOST_BYTES_OF_A_FILE", 3_000_000)
    monkeypatch.setattr(bounds, "MOST_SECONDS_OF_A_FILE", 30)
    harness.csv("items", ITEM, name="endless-items.csv")
    harness.ingest(url=f"drip://{harness.folder}")
    assert harness.rows("select reason from quarantine.rejected_rows") == [
        ("cannot be read: it is larger than 3,000,000 bytes",)
    ]


def test_a_settlement_file_that_drips_is_given_up_as_well(harness: Harness, connections: list[DripFileSystem]) -> None:
    harness.put("drip-settlement.csv", b"")
    harness.put("settlement.csv", b"a,b\n1,2\n")
    ingest_payouts(
        harness.warehouse, f"drip://{harness.folder}", load_payout_profiles(harness.folder / "payout_profiles"), NOW
    )
    said = dict(harness.rows("select source_file, problem from landing.payout_files"))
    assert "within" not in said["settlement.csv"]  # it was read: its header is not known
    assert harness.rows("select reason from quarantine.rejected_rows where source_file = 'drip-settlement.csv'") == [
        ("cannot be read: it was not read within 0.4 s",)
    ]
