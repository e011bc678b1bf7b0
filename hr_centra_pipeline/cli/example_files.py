"""``hr-centra examples``: the files that are copied and filled in, wherever this is installed, the wheel alone included."""

from __future__ import annotations

from pathlib import Path

from hr_centra_pipeline.cli.table import echo
from hr_centra_pipeline.core.errors import ConfigurationError

FOLDERS = ("data", "deploy", "docs")
_PATTERNS = {"data": ("*.example.toml", "profiles/*.toml"), "deploy": ("**/*",), "docs": ("**/*",)}


def root() -> Path:
    """The folder that has ``data``, ``deploy`` and ``docs``: the package itself in a wheel, else the checkout."""
    package = Path(__file__).parents[1]
    return next(place for place in (package, package.parent) if (place / "data" / "policy.example.toml").is_file())


def example(name: str) -> Path:
    """One file by its path, such as ``data/policy.example.toml``."""
    return root() / name


def names() -> list[str]:
    """Every file, as a path below ``root``, in order."""
    return sorted(
        {
            path.relative_to(root()).as_posix()
            for folder, patterns in _PATTERNS.items()
            for pattern in patterns
            for path in (root() / folder).glob(pattern)
            if path.is_file() and "__pycache__" not in path.parts
        }
    )


def show_examples(to: Path | None) -> None:
    """List the files, or copy them into a folder; a file that is there and differs is left as it is, and named.

    Raises:
        ConfigurationError: the folder cannot be written.
    """
    if to is None:
        for name in names():
            echo(str(example(name)))
        echo("To copy them: hr-centra examples --to FOLDER", err=True)
        return
    copied = 0
    for name in names():
        content, target = example(name).read_bytes(), to / name
        try:
            if target.exists():
                if target.read_bytes() != content:
                    echo(f"{target}: is there already with other content, and is left as it is.", err=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        except OSError as error:
            raise ConfigurationError(
                f"--to {to}: {error.filename or target} cannot be written ({error.strerror})."
            ) from None
        copied += 1
    echo(f"{copied} files copied to {to}: {', '.join(FOLDERS)}")
