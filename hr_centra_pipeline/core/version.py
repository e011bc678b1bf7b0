"""Which code made a figure: the release, and a fingerprint of the very files (an installed copy may have been changed)."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import metadata
from pathlib import Path

import hr_centra_pipeline


def release() -> str:
    """The version of the installed package, like ``0.1.0``; ``0`` in a folder that was never installed."""
    try:
        return metadata.version("hr-centra-pipeline")
    except metadata.PackageNotFoundError:
        return "0"


@cache
def code_version() -> str:
    """``0.1.0+3f9c2d81a0b4``: the release and the first 12 digits of a hash over every Python, SQL and template file."""
    root = Path(hr_centra_pipeline.__file__).parent
    digest = hashlib.sha256()
    for file in sorted(root.rglob("*")):
        if file.suffix in (".py", ".sql", ".graphql", ".html", ".toml"):
            digest.update(file.relative_to(root).as_posix().encode())
            digest.update(file.read_bytes())
    return f"{release()}+{digest.hexdigest()[:12]}"
