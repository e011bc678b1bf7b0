"""The states and steps as they are drawn in docs/architecture.md: made from the tables that the journal checks.

``python -m hr_centra_pipeline.push.operations.diagram`` writes them there.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hr_centra_pipeline.push.operations.registry import OPERATIONS
from hr_centra_pipeline.push.states import ALLOWED, PACKETS, REOPENED, StepTable

PAGE = Path(__file__).parents[3] / "docs" / "architecture.md"
BEGIN = "<!-- states and steps: made by `python -m hr_centra_pipeline.push.operations.diagram` -->"
END = "<!-- end of states and steps -->"


def section() -> str:
    """What is between the two marks of the page."""
    tables = {operation.traits.steps.operation: operation.traits.steps for operation in OPERATIONS.values()}
    drawn = [table for table in tables.values() if len(table.rules) > 1]
    single = [table for table in tables.values() if len(table.rules) == 1]
    parts = [
        "An effect (`push.ledger`); back from *confirmed* only when it is gone in Centra (`REOPENED`):",
        _chart(
            [
                ("[*]" if before is None else before, after)
                for table in (ALLOWED, REOPENED)
                for before, some in table.items()
                for after in sorted(some)
            ]
        ),
        "A packet (`push.packets`); *new* is planned but not recorded yet:",
        _chart([("[*]", "new"), *((before, after) for before, some in PACKETS.items() for after in sorted(some))]),
        *(part for table in drawn for part in (_title(table), _chart(_moves(table)))),
        "One step each: " + ", ".join(f"{table.operation} (`{table.first}`)" for table in single) + ".",
    ]
    return "\n\n".join(parts)


def _title(table: StepTable) -> str:
    pays = [step for step, rule in table.rules.items() if rule.pays]
    back = [step for step, rule in table.rules.items() if rule.takes_back]
    words = [f"The steps of {table.operation}; each may be retried once."]
    if pays:
        words.append(f"Paying: {_listed(pays)}.")
    if back:
        words.append(f"Taking back (not checked against today's plan): {_listed(back)}.")
    if table.resumes:
        words.append(f"On an existing Return, a packet starts at {_listed(sorted(table.resumes))}.")
    return " ".join(words)


def _moves(table: StepTable) -> list[tuple[str, str]]:
    moves: list[tuple[str, str]] = [("[*]", step) for step in [table.first, *sorted(table.resumes)]]
    for before, rule in table.rules.items():
        moves += [(before, "[*]" if after == "done" else after) for after in sorted(rule.then)]
    return moves


def _listed(steps: Iterable[str]) -> str:
    return ", ".join(f"`{step}`" for step in steps)


def _chart(moves: Iterable[tuple[str, str]]) -> str:
    lines = [f"    {before} --> {after}" for before, after in dict.fromkeys(moves)]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"])


def on_page(text: str) -> str:
    """The page with the section as it is now.

    Raises:
        ValueError: the page has no such marks.
    """
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{PAGE.name} lacks the marks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{section()}\n\n{END}{after}"


def write() -> None:
    """Write it to the page."""
    PAGE.write_text(on_page(PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    write()
