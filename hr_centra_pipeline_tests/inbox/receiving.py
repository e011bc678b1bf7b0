"""A receiver that runs: in this process, or as the command that people start; and a client that sends what it is given to send."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from hr_centra_pipeline.inbox.inbox_server import server
from hr_centra_pipeline.inbox.inbox_store import Inbox
from hr_centra_pipeline.inbox.receiver import Bounds, Receiver
from hr_centra_pipeline.inbox.signatures import CentraVerifier, HappyReturnsVerifier, Signature, Verifier

SECRET = "happy-returns-test-secret"
CENTRA_SECRET = "centra-test-secret"
ADDRESS = "/happy-returns/main"
CENTRA_ADDRESS = "/centra/main"


def signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
    """Happy Returns' header."""
    return {"X-Hr-Signature": hmac.digest(secret.encode(), body, "sha256").hex()}


def centra_signed(body: bytes, at: float | None = None, secret: str = CENTRA_SECRET) -> dict[str, str]:
    """Centra's header."""
    t = str(int(time.time() if at is None else at))
    return {"X-Centra-Signature": f"t={t},v1={hmac.digest(secret.encode(), t.encode() + b'.' + body, 'sha256').hex()}"}


@dataclass(frozen=True)
class Answer:
    """What a server answered; ``status`` 0: it closed the connection without an answer."""

    status: int
    text: str = ""
    head: str = ""


def raw(port: int, data: bytes, *, seconds: float = 10, ends: bool = False) -> Answer:
    """Send bytes as they are, on a connection of their own, and read until the server has answered or closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        got = b""
        try:
            connection.sendall(data)
            if ends:
                connection.shutdown(socket.SHUT_WR)
            while b"\r\n\r\n" not in got or len(got.split(b"\r\n\r\n", 1)[1]) < _length(got):
                part = connection.recv(65536)
                if not part:
                    break
                got += part
        except (ConnectionError, TimeoutError):
            pass
    return read_answer(got)


def read_answer(got: bytes) -> Answer:
    head, _, body = got.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1."):
        return Answer(0)
    return Answer(int(head.split()[1]), body.decode().strip(), head.decode("latin-1").lower())


def _length(got: bytes) -> int:
    for line in got.split(b"\r\n\r\n", 1)[0].lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


def request(address: str, body: bytes = b"", headers: dict[str, str] | None = None, *, method: str = "POST") -> bytes:
    """A whole request in HTTP/1.1."""
    lines = {"Host": "inbox", "Content-Length": str(len(body)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {address} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body


def post(port: int, address: str, body: bytes, headers: dict[str, str] | None = None) -> Answer:
    """One delivery."""
    return raw(port, request(address, body, {"Content-Type": "application/json", **(headers or {})}))


@contextmanager
def receiving(
    inbox: Inbox, bounds: Bounds | None = None, vendors: tuple[str, ...] = ("happy_returns", "centra")
) -> Iterator[int]:
    """A receiver in a thread; answers its port."""
    bounds = bounds or Bounds()
    verifiers: dict[str, Verifier] = {
        "happy_returns": HappyReturnsVerifier((SecretStr(SECRET), SecretStr("old-secret")), Signature()),
        "centra": CentraVerifier((SecretStr(CENTRA_SECRET),)),
    }
    known = {vendor: verifier for vendor, verifier in verifiers.items() if vendor in vendors}
    one = server(Receiver(inbox, known, bounds=bounds), bounds)
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    thread = threading.Thread(target=lambda: asyncio.run(one.serve(sockets=[listener])), daemon=True)
    thread.start()
    try:
        until(lambda: one.started)
        yield listener.getsockname()[1]
    finally:
        one.should_exit = True
        thread.join(30)
        listener.close()


def until(is_so: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for something that happens elsewhere."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


@dataclass
class Served:
    """``hr-centra inbox serve`` as a process of its own."""

    environment: dict[str, str]
    options: tuple[str, ...]
    listener: socket.socket
    process: subprocess.Popen[str]
    log: Path

    def kill(self) -> None:
        """As the kernel does when memory runs out: no goodbye."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def limit_files(self, most: int) -> None:
        """Files of the process cannot grow beyond so many bytes: for SQLite, the disk is full."""
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))

    def stop(self) -> None:
        """As systemd does."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def start_again(self) -> None:
        """On the socket that it had."""
        self.process = _started(self.environment, self.options, self.listener, self.log)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.listener.getsockname()[1])


@contextmanager
def served(home: Path, *options: str, **variables: str) -> Iterator[Served]:
    """The command, with a log file beside its home. Its socket is passed to it, and outlives it, as systemd's does."""
    environment = {
        **os.environ, "HR_CENTRA_HOME": str(home), "HAPPY_RETURNS_WEBHOOK_SECRET": SECRET, "CENTRA_WEBHOOK_SECRET": CENTRA_SECRET,
        **variables,
    }  # fmt: skip
    log = home.with_name(f"{home.name}.log")
    with socket.create_server(("127.0.0.1", 0), backlog=2_048) as listener:
        process = _started(environment, options, listener, log)
        one = Served(environment, options, listener, process, log)
        try:
            yield one
        finally:
            if one.process.poll() is None:
                one.kill()


def _started(
    environment: dict[str, str], options: tuple[str, ...], listener: socket.socket, log: Path
) -> subprocess.Popen[str]:
    command = [str(Path(sys.executable).with_name("hr-centra")), "inbox", "serve", *options]
    passed = listener.fileno()
    shell = f'exec 3<&{passed} && LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
    with log.open("a") as errors:
        process = subprocess.Popen(
            ["bash", "-c", shell, "bash", *command],
            env=environment, stdout=subprocess.PIPE, stderr=errors, text=True, pass_fds=(passed,),
        )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("Inbox: http://127.0.0.1:"), (line, log.read_text("utf-8"))
    return process


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
