"""Exports on a real SFTP server (OpenSSH), on loopback; left out where there is none."""

from __future__ import annotations

import getpass
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.sources.happy_returns.export_intake import ingest
from hr_centra_pipeline_tests.sources.happy_returns.conftest import COMPLETE, NOW, Harness

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
SFTP = next((path for path in ("/usr/lib/openssh/sftp-server", "/usr/libexec/sftp-server") if Path(path).exists()), "")
pytestmark = pytest.mark.skipif(
    not (Path(SSHD).exists() and SFTP), reason="no OpenSSH server here (Debian: openssh-server)"
)


@dataclass(frozen=True)
class Server:
    home: Path
    port: int
    known_line: str

    def address(self, folder: Path) -> str:
        return f"sftp://{getpass.getuser()}@127.0.0.1:{self.port}{folder}"

    def make_known(self, line: str | None = None) -> None:
        (self.home / ".ssh" / "known_hosts").write_text((line or self.known_line) + "\n", encoding="utf-8")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """An SSH server that takes the key of a new home and knows nothing but SFTP."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    for key in (home / ".ssh" / "id_ed25519", tmp_path / "host_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    shutil.copy(home / ".ssh" / "id_ed25519.pub", tmp_path / "authorized_keys")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = tmp_path / "sshd_config"
    config.write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {tmp_path}/host_key\nAuthorizedKeysFile {tmp_path}/authorized_keys\n"
        f"PasswordAuthentication no\nStrictModes no\nUsePAM no\nPidFile none\nSubsystem sftp {SFTP}\n",
        encoding="utf-8",
    )
    with suppress(OSError):  # Debian's needs it when root starts it
        Path("/run/sshd").mkdir(exist_ok=True)
    process = subprocess.Popen([SSHD, "-D", "-e", "-f", config], stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        words = (tmp_path / "host_key.pub").read_text("utf-8").split()
        monkeypatch.setenv("HOME", str(home))
        yield Server(home, port, f"[127.0.0.1]:{port} {words[0]} {words[1]}")
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(100):
        assert process.poll() is None, "sshd does not start"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return


def test_exports_are_landed_from_an_sftp_server_and_the_same_file_only_once(harness: Harness, server: Server) -> None:
    server.make_known()
    for kind, row in COMPLETE.items():
        harness.csv(kind, row)
    first = ingest(harness.warehouse, server.address(harness.folder), harness.profiles, NOW)
    assert (first.files, first.rows_landed, first.refused_files) == (4, 4, 0)
    assert ingest(harness.warehouse, server.address(harness.folder), harness.profiles, NOW).files == 0


def test_a_server_that_is_not_known_gets_nothing_and_the_message_says_how_to_know_it(
    harness: Harness, server: Server
) -> None:
    with pytest.raises(RunFailed, match=r"is not known: its key is SHA256:.*ssh-keyscan -p \d+ 127\.0\.0\.1"):
        ingest(harness.warehouse, server.address(harness.folder), harness.profiles, NOW)


def test_a_server_with_another_key_than_the_known_one_is_refused(
    harness: Harness, server: Server, tmp_path: Path
) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    other = (tmp_path / "other.pub").read_text("utf-8").split()
    server.make_known(f"[127.0.0.1]:{server.port} {other[0]} {other[1]}")
    with pytest.raises(RunFailed, match="shows another key"):
        ingest(harness.warehouse, server.address(harness.folder), harness.profiles, NOW)
