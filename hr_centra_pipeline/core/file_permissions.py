"""Whatever we write is for its owner only: orders, amounts and, in a few places, people's data are in it.

The one place for it is the umask of the process, so that DuckDB's log, Dagster's records and temporary files are meant, too. A
default ACL on a folder still lets others in, which is how a web server reads the exports.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

_OTHERS = 0o077


def keep() -> None:
    """From now on, files and folders that this process makes are for their owner only, however it was started."""
    before = os.umask(_OTHERS)
    if before & ~_OTHERS:
        os.umask(before | _OTHERS)


def tighten(folder: Path, *, but: Collection[Path] = ()) -> None:
    """Take away from others what an earlier program, or a copy, left open to them: one of our folders and all that is in it.

    Where somebody was let in by an ACL, the group's bits are that ACL's and stay.
    """
    with suppress(OSError):  # gone meanwhile
        for path in folder.iterdir():
            if path in but or path.is_symlink():
                continue
            if path.is_dir():
                tighten(path, but=but)
            else:
                close_to_others(path)
    close_to_others(folder)


def close_to_others(path: Path) -> None:
    """One file or folder. What is gone, another user's or on a disk that cannot be written is left as it is."""
    with suppress(OSError):
        mode = path.stat().st_mode & 0o777
        too_much = 0o007 if _has_acl(path) else _OTHERS
        if mode & too_much:
            path.chmod(mode & ~too_much)


def _has_acl(path: Path) -> bool:
    try:
        return "system.posix_acl_access" in os.listxattr(path)
    except (OSError, AttributeError):
        return False
