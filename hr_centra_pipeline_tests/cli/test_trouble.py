"""What a machine does to us is reported in one line with its place and the remedy, and children end with us."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from hr_centra_pipeline.cli import main, trouble_commands
from hr_centra_pipeline.core.errors import ConfigurationError, NotOpened
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.orchestration.instance import prepare_dagster_home
from hr_centra_pipeline_tests.shops import EXAMPLE_POLICY


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "/home/published/x.parquet"),
            ("/home/published/x.parquet", "is full"),
        ),
        (PermissionError(errno.EACCES, "Permission denied", "/home/sync.lock"), ("/home/sync.lock", "HR_CENTRA_HOME")),
        (OSError(errno.EROFS, "Read-only file system", "/home/x"), ("/home/x", "HR_CENTRA_HOME")),
        (
            duckdb.IOException("IO Error: Could not write file: No space left on device"),
            ("warehouse.duckdb", "is full"),
        ),
        (duckdb.IOException("IO Error: Cannot open file: Permission denied"), ("warehouse.duckdb", "HR_CENTRA_HOME")),
        (duckdb.InternalException("Failure while replaying WAL file"), ("warehouse.duckdb.wal", "hr-centra restore")),
        (
            duckdb.TransactionException("TransactionContext Error: Failed to commit: No space left on device"),
            ("warehouse.duckdb", "is full"),
        ),
        (
            duckdb.IOException("IO Error: Corrupt database file: computed checksum 1 does not match stored checksum 2"),
            ("warehouse.duckdb", "hr-centra restore"),
        ),
        (sqlite3.DatabaseError("file is not a database"), ("dagster", "move the folder aside")),
    ],
)
def test_trouble_of_the_machine_is_one_line_with_its_place_and_the_remedy(
    error: Exception, words: tuple[str, ...]
) -> None:
    line = trouble_commands.told(error)
    assert line is not None
    assert "\n" not in line
    assert all(word in line for word in words), line


def test_the_root_of_a_chain_is_reported_and_our_own_mistake_is_not() -> None:
    failed = RuntimeError("step failed")
    failed.__cause__ = OSError(errno.ENOSPC, "No space left on device", "/x")
    assert "/x: the disk is full" in (trouble_commands.told(failed) or "")
    assert trouble_commands.told(KeyError("what")) is None


@pytest.mark.parametrize(
    "error",
    [
        duckdb.ConversionException("Conversion Error: Could not convert string 'withdrawal' to INT64"),
        duckdb.CatalogException("Catalog Error: Table with name wallet does not exist!"),
        duckdb.BinderException("Binder Error: Referenced column is read only"),
        duckdb.ConstraintException("Constraint Error: Duplicate key violates primary key constraint"),
        duckdb.ParserException("Parser Error: syntax error"),
        duckdb.TransactionException("TransactionContext Error: cannot start a transaction within a transaction"),
    ],
)
def test_our_own_mistake_in_the_database_keeps_its_traceback(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise error

    assert trouble_commands.told(error) is None
    monkeypatch.setattr(main, "app", fail)
    with pytest.raises(type(error)):
        main.main()


def test_a_payment_type_that_a_file_error_names_is_no_damaged_database() -> None:
    line = trouble_commands.told(duckdb.IOException('IO Error: Could not open file "withdrawal.csv"'))
    assert line is not None
    assert "restore" not in line


def run_main(monkeypatch: pytest.MonkeyPatch, error: Exception) -> int:
    def fail() -> None:
        raise error

    monkeypatch.setattr(main, "app", fail)
    with pytest.raises(SystemExit) as ended:
        main.main()
    return int(str(ended.value.code))


def test_a_full_disk_ends_a_command_with_one_line_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_main(monkeypatch, OSError(errno.ENOSPC, "No space left on device", "/x")) == 1
    assert (
        capsys.readouterr().err
        == "/x: the disk is full. Free some space, then run this again; what was committed is kept.\n"
    )


def test_a_file_that_is_not_a_database_is_reported_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = NotOpened("/x")
    failed.__cause__ = duckdb.IOException("IO Error: it is not a valid DuckDB database file!")
    assert run_main(monkeypatch, failed) == 1
    assert "hr-centra restore" in capsys.readouterr().err


def test_a_home_with_a_percent_sign_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    settings = Settings.from_environment({"HR_CENTRA_HOME": str(tmp_path / "my%20shop")})
    with pytest.raises(ConfigurationError, match=r"my%20shop.*percent sign.*Set DAGSTER_HOME"):
        prepare_dagster_home(settings)


def test_a_wrong_cron_line_is_reported_with_what_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    from hr_centra_pipeline.orchestration import jobs
    from hr_centra_pipeline.orchestration.embedding import Embedding

    monkeypatch.setenv("HR_CENTRA_SYNC_CRON", "every hour")
    with pytest.raises(ConfigurationError, match="HR_CENTRA_SYNC_CRON='every hour': write a cron line of five fields"):
        jobs._cron(Embedding())


def test_a_policy_that_begins_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    marked = tmp_path / "policy.toml"
    marked.write_bytes(b"\xef\xbb\xbf" + EXAMPLE_POLICY.read_bytes())
    assert load_policy(marked).policy == load_policy(EXAMPLE_POLICY).policy


PARENT = """
import signal, sys
from hr_centra_pipeline.cli.child_processes import running
from hr_centra_pipeline.cli.dev import ended_by_signals

signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it

child = "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); " \\
    "print(p.pid, flush=True); time.sleep(600)"
with ended_by_signals(), running([sys.executable, "-c", child]) as process:
    print(process.pid, flush=True)
    process.wait()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_what_ends_dev_ends_its_children_and_theirs(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(parent.stdout.readline()) for _ in range(2)]
        parent.send_signal(number)
        parent.wait(timeout=60)
    deadline = time.monotonic() + 30
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < deadline, "a child is left running"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
