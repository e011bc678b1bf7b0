"""A backup is whole and of one moment; a restore gives the old database or the new one, never a mixture, however it ends."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest
import typer

from hr_centra_pipeline.cli.backup import restore_backup
from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.warehouse import backups, lock, log, migrate, place, swap
from hr_centra_pipeline.warehouse.database import Warehouse
from hr_centra_pipeline_tests.staged import template


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database with some rows in its log."""
    home = tmp_path / "home"
    home.mkdir()
    path = Path(shutil.copy(template(), home / "warehouse.duckdb"))
    migrate.prepare(Warehouse(path))
    with Warehouse(path).transaction() as connection:
        connection.execute("delete from meta.turns")  # it is a copy of the template
    add(path, "first")
    return path


def add(path: Path, name: str) -> None:
    with Warehouse(path).transaction() as connection:
        connection.execute(
            "insert into push.adoptions (return_id, adopted_by, why, adopted_at) values (?, 'Anna', 'asked for', now())",
            [name],
        )


def rows(path: Path) -> list[str]:
    with Warehouse(path).transaction() as connection:
        return [name for (name,) in connection.execute("select return_id from push.adoptions order by 1").fetchall()]


def content(copy: Path) -> list[str]:
    with duckdb.connect(copy, read_only=True) as connection:
        return [name for (name,) in connection.execute("select return_id from push.adoptions order by 1").fetchall()]


def restore(path: Path, backup: Path) -> Path | None:
    stage = backups.examine(path, backup)
    return backups.put_into_place(path, stage, by="Anna", recorded_by="anna", why="a test")


def test_a_backup_holds_what_is_in_the_log_is_alone_and_leaves_the_database_as_it_is(database: Path) -> None:
    assert log.size(database) > 0
    made = backups.take(database)
    assert content(made.path) == ["first"]
    assert not log.path_of(made.path).exists()
    assert made.path.stat().st_mode & 0o077 == 0
    assert made.rows > 0
    assert rows(database) == ["first"]
    assert [file.name for file in made.path.parent.iterdir()] == [made.path.name]


def test_a_backup_that_is_made_while_another_process_works_waits_for_its_pause_and_is_of_one_moment(
    database: Path,
) -> None:
    script = f"""
        import time
        from pathlib import Path
        from hr_centra_pipeline.warehouse.database import Warehouse
        warehouse = Warehouse(Path({str(database)!r}))
        with warehouse.kept_open():
            for pair in range(10_000):
                with warehouse.transaction() as connection:
                    for half in ("a", "b"):
                        connection.execute(
                            "insert into push.adoptions (return_id, adopted_by, why, adopted_at) values (?, 'x', 'x', now())",
                            [f"{{pair:05}}{{half}}"],
                        )
                print(pair, flush=True)
                warehouse.yield_to_others()
                time.sleep(0.01)
    """
    working = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE)
    try:
        assert working.stdout is not None
        working.stdout.readline()
        made = [content(backups.take(database, database.parent / f"copy-{number}.duckdb").path) for number in range(2)]
        assert working.poll() is None
    finally:
        working.kill()
        working.communicate()
    for found in made:
        assert len(found) > 1
        assert len(found) % 2 == 1  # "first", and pairs
    assert set(made[0]) <= set(made[1]) <= set(rows(database))


def test_a_restore_puts_the_backup_there_keeps_the_rest_and_asks_for_proof(database: Path) -> None:
    backup = backups.take(database).path
    add(database, "second")
    aside = restore(database, backup)
    assert rows(database) == ["first"]
    assert aside is not None
    assert log.path_of(aside).exists()
    assert content(aside) == ["first", "second"]
    migrate.prepare(Warehouse(database))
    with Warehouse(database).transaction() as connection:
        assert connection.execute('select reason, "by", why from meta.turns').fetchall() == [
            ("restored", "Anna", "a test")
        ]
    migrate.prepare(Warehouse(database))
    with Warehouse(database).transaction() as connection:
        assert connection.execute("select count(*) from meta.turns").fetchall() == [(1,)]


def test_a_restore_keeps_the_old_database_with_its_log_when_the_backups_are_on_another_mount(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = backups.take(database).path
    add(database, "second")
    rename, link = Path.rename, os.link

    def another_mount(origin: Path, target: Path) -> None:
        if Path(origin).parent != Path(target).parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")

    def rename_here(origin: Path, target: Path) -> Path:
        another_mount(origin, target)
        return rename(origin, target)

    def link_here(origin: Path, target: Path) -> None:
        another_mount(origin, target)
        link(origin, target)

    monkeypatch.setattr(Path, "rename", rename_here)
    monkeypatch.setattr(os, "link", link_here)
    aside = restore(database, backup)
    assert rows(database) == ["first"]
    assert aside is not None
    assert content(aside) == ["first", "second"]
    assert sorted(one.name for one in aside.parent.iterdir()) == sorted(
        [backup.name, aside.name, log.path_of(aside).name]
    )


def arrived(database: Path) -> list[str]:
    migrate.prepare(Warehouse(database))
    with Warehouse(database).transaction() as connection:
        return [reason for (reason,) in connection.execute("select reason from meta.turns order by batch").fetchall()]


def test_a_new_owner_and_a_wrong_clock_are_no_copy_and_a_copy_with_its_times_is_one(
    database: Path, tmp_path: Path
) -> None:
    assert arrived(database) == []
    mark = place.mark_path(database)
    mark.chmod(0o640)  # as `chown -R` does: the times of change are new
    os.utime(mark, (1.0, 1.0))
    assert arrived(database) == []
    home = tmp_path / "copied"
    shutil.copytree(database.parent, home, copy_function=shutil.copy2)
    assert arrived(home / database.name) == ["copied"]
    assert arrived(database) == []


def test_a_mark_of_an_earlier_version_is_the_mark_of_this_database(database: Path) -> None:
    assert arrived(database) == []
    mark = place.mark_path(database)
    told = json.loads(mark.read_text("utf-8"))
    del told["file_id"]
    mark.write_text(json.dumps(told | {"written_at": 1.0}), "utf-8")
    assert arrived(database) == []


@pytest.mark.parametrize("answer", [False, None], ids=["no", "interrupted"])
def test_while_a_restore_asks_no_lock_of_a_sync_is_held_and_what_it_staged_goes(
    database: Path, monkeypatch: pytest.MonkeyPatch, answer: bool | None
) -> None:
    made = backups.take(database).path
    monkeypatch.setenv("HR_CENTRA_HOME", str(database.parent))
    settings = Settings.from_environment()

    def asked(question: str, *, default: bool) -> bool:
        for path in (settings.lock_path, settings.backfill_lock_path, settings.push_lock_path):
            with lock.held(path, "a sync"):
                pass
        if answer is None:
            raise typer.Abort
        return answer

    monkeypatch.setattr(typer, "confirm", asked)
    with pytest.raises((ConfigurationError, typer.Abort)):
        restore_backup(made, "Anna", "a test", is_sure=False)
    assert not list(database.parent.glob(".*.restoring*"))
    assert rows(database) == ["first"]


def test_a_file_put_back_beside_a_newer_log_is_refused_and_restoring_it_is_the_remedy(
    database: Path, tmp_path: Path
) -> None:
    Warehouse(database).fold_log_in()
    old = Path(shutil.copy(database, tmp_path / "old.duckdb"))
    add(database, "second")
    Warehouse(database).fold_log_in()
    add(database, "third")
    newer_log = log.path_of(database).read_bytes()
    shutil.copy(old, database)
    for _ in range(2):
        with pytest.raises(
            RunFailed, match=r"warehouse\.duckdb\.wal was written to a later state.*hr-centra restore BACKUP"
        ):
            rows(database)
    with pytest.raises(RunFailed, match="later state"):
        backups.take(database)
    assert log.path_of(database).read_bytes() == newer_log
    restore(database, database)
    assert rows(database) == ["first"]


def test_a_log_without_its_database_is_kept_aside_and_is_not_mixed_into_a_new_one(database: Path) -> None:
    found = log.path_of(database).read_bytes()
    database.unlink()
    migrate.prepare(Warehouse(database))
    assert rows(database) == []
    (kept,) = database.parent.glob("warehouse.duckdb.wal.alone-*")
    assert kept.read_bytes() == found


def test_a_recreated_database_owes_nothing_to_what_was_noted_of_the_lost_one(database: Path) -> None:
    for name in ("second", "third"):
        add(database, name)
        Warehouse(database).fold_log_in()
    assert rows(database) == ["first", "second", "third"]
    database.unlink()
    log.path_of(database).unlink(missing_ok=True)
    fresh = Warehouse(database)
    with fresh.kept_open():
        migrate.prepare(fresh)
        with fresh.transaction() as connection:
            connection.execute(
                "insert into push.adoptions (return_id, adopted_by, why, adopted_at) values ('alone', 'Anna', 'asked for', now())"
            )
    assert log.size(database) > 0
    assert rows(database) == ["alone"]


def truncated(path: Path) -> None:
    with path.open("rb+") as file:
        file.truncate(path.stat().st_size // 2)


def of_another_program(path: Path) -> None:
    path.unlink()
    with duckdb.connect(path) as connection:
        connection.execute("create table something (x int)")


def no_database(path: Path) -> None:
    path.write_text("return_id,order_number\n", encoding="utf-8")


def with_a_flipped_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for at in range(3 * 4096 + 1000, len(data), 256 * 1024):  # one in each block: some are free, and nobody reads those
        data[at] ^= 0xFF
    path.write_bytes(data)


def newer(path: Path) -> None:
    with duckdb.connect(path) as connection:
        connection.execute("insert into meta.schema_versions values (9999, now())")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (truncated, "cannot be read|not a valid|damaged"),
        (of_another_program, "is not a database or backup of hr-centra, but of another program. Nothing was changed"),
        (no_database, r"backup.duckdb is not a database or backup of hr-centra \(not a DuckDB database\)\. Nothing"),
        (with_a_flipped_byte, "damaged, or not a database of hr-centra"),
        (newer, "was made by a newer hr-centra"),
    ],
)
def test_a_backup_that_is_not_whole_or_not_ours_changes_nothing(
    database: Path, tmp_path: Path, damage: Callable[[Path], None], words: str
) -> None:
    backup = backups.take(database, tmp_path / "backup.duckdb").path
    damage(backup)
    before = sorted(file.name for file in database.parent.iterdir())
    with pytest.raises(RunFailed, match=words):
        restore(database, backup)
    assert sorted(file.name for file in database.parent.iterdir()) == before
    assert rows(database) == ["first"]


def test_without_room_neither_backup_nor_restore_leaves_anything(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = backups.take(database, tmp_path / "backup.duckdb").path
    before = sorted(file.name for file in database.parent.iterdir())
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    with pytest.raises(RunFailed, match="no room"):
        backups.take(database, database.parent / "more.duckdb")
    with pytest.raises(RunFailed, match="no room"):
        restore(database, backup)
    monkeypatch.undo()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(swap, "copy", full)
    with pytest.raises(RunFailed, match="No space left on device"):
        backups.take(database, database.parent / "more.duckdb")
    with pytest.raises(RunFailed, match="No space left on device"):
        restore(database, backup)
    assert sorted(file.name for file in database.parent.iterdir()) == before


def test_a_backup_never_replaces_a_file_and_the_database_is_no_backup_of_itself(database: Path) -> None:
    with pytest.raises(ConfigurationError, match="exists already"):
        backups.take(database, database)
    with pytest.raises(ConfigurationError, match="the database itself"):
        restore(database, database)


# ---------------------------------------------------------------- real kills

_DYING = """
import os, signal, sys
from pathlib import Path
from hr_centra_pipeline.warehouse import backups
left = int(sys.argv[1])

def dying(real):
    def call(*given, **named):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given, **named)
    return call

for name in ("rename", "replace", "unlink", "mkdir"):
    setattr(Path, name, dying(getattr(Path, name)))
for name in ("pread", "fsync", "link", "utime"):
    setattr(os, name, dying(getattr(os, name)))
database, backup = Path(sys.argv[2]), Path(sys.argv[3])
if sys.argv[4] == "backup":
    backups.take(database, backup)
else:
    stage = backups.examine(database, backup)
    backups.put_into_place(database, stage, by="Anna", recorded_by="anna", why="a test")
"""


def dies(after: int, database: Path, backup: Path, what: str) -> bool:
    """Whether a process of its own was killed right before its n-th call that touches files."""
    done = subprocess.run(
        [sys.executable, "-c", _DYING, str(after), str(database), str(backup), what], check=False, capture_output=True
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    return done.returncode != 0


@pytest.mark.parametrize("step", [1, pytest.param(0, marks=pytest.mark.slow)])
def test_killed_at_any_step_of_a_restore_the_database_is_the_old_one_or_the_new_one(database: Path, step: int) -> None:
    backup = backups.take(database, database.parent / "backup.duckdb").path
    add(database, "second")
    home = database.parent
    kept = home.with_name("kept")
    shutil.copytree(home, kept)
    seen = set()
    after = 0
    # A few of the moments, spread over all of them; each one in the long run.
    while dies(after, database, backup, "restore"):
        is_decided = swap.ready(database).exists()
        found = rows(database)
        assert found in (["first"], ["first", "second"])
        if is_decided:
            assert found == ["first"]
            mark, _ = place.read_mark(database)
            assert mark is not None
            assert mark.restored
        seen.add(tuple(found))
        shutil.rmtree(home)
        shutil.copytree(kept, home)
        after += 1 + 2 * step
    assert rows(database) == ["first"]
    assert seen == {("first",), ("first", "second")}


@pytest.mark.parametrize("step", [1, pytest.param(0, marks=pytest.mark.slow)])
def test_killed_at_any_step_of_a_backup_there_is_a_whole_one_or_none(database: Path, step: int) -> None:
    backup = database.parent / "copy.duckdb"
    after = 0
    while dies(after, database, backup, "backup"):
        if backup.exists():
            assert content(backup) == ["first"]
            backup.unlink()
        assert rows(database) == ["first"]
        after += 1 + 2 * step
    assert content(backup) == ["first"]
    assert not backup.with_name(f".{backup.name}.part").exists()
