"""Files that hold data are for their owner only, whatever the umask; what was left open is closed."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

from hr_centra_pipeline.core import file_permissions

_WRITES = """
import os, sys
os.umask(0o022)
from pathlib import Path
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.warehouse import backups, migrate
from hr_centra_pipeline.warehouse.database import Warehouse
settings = Settings.from_environment({"HR_CENTRA_HOME": sys.argv[1]})
migrate.prepare(Warehouse(settings.database))
backups.take(settings.database)
(settings.published / "open").mkdir(parents=True)
(settings.published / "open" / "items.parquet").write_bytes(b"x")
"""


def test_under_a_loose_umask_the_database_its_log_its_backup_and_what_is_published_are_for_their_owner_only(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    subprocess.run([sys.executable, "-c", _WRITES, str(home)], check=True)
    found = {path.relative_to(home).as_posix(): stat.S_IMODE(path.stat().st_mode) for path in home.rglob("*")}
    assert {"warehouse.duckdb", "warehouse.duckdb.wal", "published/open/items.parquet"} <= set(found)
    assert any(name.startswith("backups/") for name in found)
    assert {name: oct(mode) for name, mode in found.items() if mode & 0o077} == {}


def test_what_an_earlier_program_left_open_is_closed_and_what_is_not_ours_is_left(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "exports", tmp_path / "sandbox"
    for folder in (ours, theirs):
        folder.mkdir(mode=0o755)
        (folder / "items.csv").write_text("x", encoding="utf-8")
        (folder / "items.csv").chmod(0o644)
        folder.chmod(0o755)
    file_permissions.tighten(tmp_path, but={theirs})
    modes = {
        path.relative_to(tmp_path).as_posix(): oct(stat.S_IMODE(path.stat().st_mode)) for path in tmp_path.rglob("*")
    }
    assert modes == {
        "exports": "0o700", "exports/items.csv": "0o600", "sandbox": "0o755", "sandbox/items.csv": "0o644",
    }  # fmt: skip
    before = os.umask(0o022)
    try:
        file_permissions.keep()
        assert os.umask(0o022) == 0o077
    finally:
        os.umask(before)
