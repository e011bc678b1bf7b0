"""``hr-centra profile FILE``: a header profile drafted from an export, with what its rows would become."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich import box

from hr_centra_pipeline.cli.table import DataConsole, DataTable, echo, echo_json
from hr_centra_pipeline.core import file_permissions
from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.sources.happy_returns.export_kinds import KINDS
from hr_centra_pipeline.sources.happy_returns.profile_draft import Draft, TriedRow, drafted, tried

_ROWS_SHOWN = 25


def draft_profile(files: Sequence[Path], name: str, *, is_written: bool, as_json: bool = False) -> None:
    """Show the draft and the first rows; write it to the home's ``profiles`` if asked.

    Raises:
        ConfigurationError: a file is not one of rows, the name is none, or such a profile exists already.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}", name):
        raise ConfigurationError(f"--name {name!r}: use letters, digits, - and _ only; it is the name of a file.")
    if as_json and is_written:
        raise ConfigurationError("--json shows the draft: give it without --write.")
    draft = drafted(files, name)
    rows = tried(files, draft)
    if as_json:
        echo_json(_plain(draft, rows))
        return
    _show(draft)
    _show_rows(rows)
    if draft.questions:
        echo(f"\n{len(draft.questions)} questions are left in the draft:")
        for place, question in draft.questions:
            echo(f"  {'.'.join(place)}: {question}")
    target = Settings.from_environment().home / "profiles" / f"{name}.toml"
    if not is_written:
        echo(f"\nNothing was written. Next: the same command with --write, which makes {target}")
        return
    file_permissions.keep()
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        raise ConfigurationError(f"{target} exists already. Give another --name, or move it away.") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(draft.as_toml())
    then = "answer its questions, then: hr-centra doctor" if draft.questions else "hr-centra doctor"
    echo(f"\nWritten: {target}\nNext: {then}")


def _plain(draft: Draft, rows: list[TriedRow] | str) -> dict[str, Any]:
    return {
        "name": draft.name, "kind": draft.kind,
        "columns": {column: {"header": header, "found_by": how} for column, (header, how) in draft.columns.items()},
        "words": draft.words, "unmapped": draft.unmapped,
        "questions": [{"place": ".".join(place), "question": question} for place, question in draft.questions],
        "rows": None if isinstance(rows, str) else [asdict(row) for row in rows],
    }  # fmt: skip


def _show(draft: Draft) -> None:
    table = DataTable(
        title=f"A file of {draft.kind}, {len(draft.headers)} columns", title_justify="left", title_style="bold",
        box=box.SIMPLE_HEAD, pad_edge=False,
    )  # fmt: skip
    for column in ("our column", "header", "found by"):
        table.add_column(column, overflow="fold")
    required = KINDS[draft.kind].required
    for column, (header, how) in draft.columns.items():
        table.add_row(column + (" *" if column in required else ""), header, how)
    console = DataConsole()
    console.print(table)
    for column, words in draft.words.items():
        shown = ", ".join(f"{theirs} → {ours or '?'}" for theirs, ours in words.items())
        echo(f"words of {column}: {shown}")
    if draft.unmapped:
        echo(f"not mapped: {', '.join(draft.unmapped)}")


def _show_rows(found: list[TriedRow] | str) -> None:
    if isinstance(found, str):
        echo("\nThe first rows can be tried once the questions are answered.")
        return
    bad = [row for row in found if row.reason]
    echo(f"\nThe first {len(found)} rows: {len(found) - len(bad)} would land, {len(bad)} would be quarantined.")
    shown = [*bad[:_ROWS_SHOWN], *(row for row in found if not row.reason)][:_ROWS_SHOWN]
    for row in sorted(shown, key=found.index):
        echo(f"  {row.file} line {row.line}: {'quarantined: ' + row.reason if row.reason else 'lands'}")
    if len(found) > len(shown):
        echo(
            f"  … and {len(found) - len(shown)} more, of which {len(bad) - sum(bool(row.reason) for row in shown)} quarantined"
        )
