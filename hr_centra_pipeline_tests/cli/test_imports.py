"""What a plain command loads: nobody waits for what the command does not use."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    "ariadne", "dagster", "fsspec", "matplotlib", "numpy", "openpyxl", "pandas", "pandera", "paramiko", "pyarrow", "starlette",
    "uvicorn", "xlsxwriter",
}  # fmt: skip


@pytest.mark.parametrize(
    "module", ["main", "approve", "explain", "plan_command", "exceptions"],
)  # fmt: skip
def test_a_plain_command_loads_nothing_heavy(module: str) -> None:
    module = {"approve": "decisions"}.get(module, module)
    code = f"import sys, hr_centra_pipeline.cli.main, hr_centra_pipeline.cli.{module}; print(*sorted(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY & set(found.stdout.split()) == set()


def test_help_does_not_even_load_what_asks_a_vendor() -> None:
    code = "import sys, hr_centra_pipeline.cli.main; print(*sorted(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"requests", "graphql", "pydantic"} & set(found.stdout.split()) == set()
