"""A real PostgreSQL of this machine in a temporary folder, on a port of its own; stopped and started again at will."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hr_centra_pipeline_tests.receivers import free_port

USER, DATABASE, PASSWORD = "dagster", "dagster", "pg-geheim"


def binaries() -> Path | None:
    """Where Debian's package puts the server's programs; ``None`` when it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else (Path(on_path).parent if on_path else None)


@dataclass
class Postgres:
    """One server. It refuses to run as root: then it runs as ``postgres``."""

    folder: Path
    port: int

    def environment(self) -> dict[str, str]:
        """What ``dagster.postgres.yaml`` reads."""
        return {
            "DAGSTER_PG_HOST": "127.0.0.1", "DAGSTER_PG_PORT": str(self.port), "DAGSTER_PG_DATABASE": DATABASE,
            "DAGSTER_PG_USER": USER, "DAGSTER_PG_PASSWORD": PASSWORD,
        }  # fmt: skip

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} -c fsync=off"
        self._run("pg_ctl", "-D", self._data, "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-w", "-m", "fast", "stop")

    def restart(self, seconds_down: float = 0) -> None:
        self.stop()
        time.sleep(seconds_down)
        self.start()

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def _run(self, program: str, *arguments: str) -> None:
        place = binaries()
        assert place is not None
        as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*as_user, str(place / program), *arguments]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"

    def make(self) -> None:
        password = self.folder / "password"
        password.write_text(PASSWORD, encoding="utf-8")
        if os.geteuid() == 0:
            for path in (self.folder, password):
                shutil.chown(path, "postgres")
        self._run(
            "initdb", "-D", self._data, "-U", USER, "--auth=scram-sha-256", f"--pwfile={password}", "-E", "UTF8", "--no-sync",
            "--locale=C.UTF-8",
        )  # fmt: skip
        self.start()
        os.environ["PGPASSWORD"] = PASSWORD
        try:
            self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, DATABASE)
        finally:
            del os.environ["PGPASSWORD"]


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A server with an empty database, gone at the end. In a folder of its own: pytest's are closed to other users."""
    folder = Path(tempfile.mkdtemp(prefix="hr-centra-postgres-"))
    folder.chmod(0o755)
    server = Postgres(folder, free_port())
    try:
        server.make()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
