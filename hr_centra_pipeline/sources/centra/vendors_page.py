"""docs/vendors.md, made from the ledger of assumptions: ``python -m hr_centra_pipeline.sources.centra.vendors_page``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby

from hr_centra_pipeline.sources.centra.assumptions import Behaviour, CoordinateKind, Known, Ledger, ledger

_TAGS = {"documented": "documented", "connector": "seen in a live connector", "assumed": "**assumed**"}
_KINDS: Mapping[CoordinateKind, str] = {
    "field": "read", "argument": "given to", "input member": "sent", "word": "words", "REST key": "sent", "REST answer": "answered",
}  # fmt: skip
_HEAD = """# What we rely on at the vendors

Made from `hr_centra_pipeline/sources/centra/assumptions.toml` by `make vendors`; change that file, not this page.

- **documented**: the vendor's own documents say so.
- **seen in a live connector**: a connector that works with live shops relies on it.
- **assumed**: our reading; the last column says what to set, or what will not work, if it is otherwise.

`hr-centra doctor` compares everything below that a schema can show with your own Centra, and looks at old objects for signs
and words. The sync does the same once a day and keeps the result in `operations.contract`: what does not fit is not sent, the
rest is. What is written here was read in public documents, not in a live system.
"""


def page(known: Ledger | None = None) -> str:
    """The page as Markdown."""
    known = known or ledger()
    parts = [_HEAD]
    for vendor, those in groupby(known.behaviours.values(), key=lambda one: one.vendor):
        parts.append("\n".join(_behaviours(vendor, list(those))))
    parts.append("\n".join(_coordinates(known)))
    return "\n".join(parts)


def _behaviours(vendor: str, those: list[Behaviour]) -> Iterator[str]:
    yield f"## How {vendor} behaves\n" if vendor == "Centra" else f"## {vendor}\n"
    if vendor == "Payment providers":
        yield (
            "Settlement files are read by header profiles (`sources/payouts/header_profiles/`; your own in"
            " `$HR_CENTRA_HOME/payout_profiles/`).\n"
        )
    yield "| id | what we rely on | known from | if it is otherwise |"
    yield "|---|---|---|---|"
    for one in those:
        yield f"| `{one.id}` | {_cell(one.relies_on)} | {_source(one.known)} | {_advice(one.known)} |"
    yield ""


def _coordinates(known: Ledger) -> Iterator[str]:
    """One row per group of the ledger, what is assumed first."""
    yield "## Centra's interfaces, name by name\n"
    yield "| names | known from | if it is otherwise |"
    yield "|---|---|---|"
    groups: dict[Known, dict[CoordinateKind, list[str]]] = {}
    for kind, coordinates in known.coordinates.items():
        for coordinate, of in coordinates.items():
            groups.setdefault(of, {}).setdefault(kind, []).append(coordinate)
    for of, kinds in sorted(groups.items(), key=lambda one: list(_TAGS).index(one[0].tag), reverse=True):
        names = "<br>".join(f"{_KINDS[kind]} {_names(those)}" for kind, those in kinds.items())
        yield f"| {names} | {_source(of)} | {_advice(of)} |"


def _names(coordinates: list[str]) -> str:
    """Names by their owner: ``Order`` id, number, status."""
    found = []
    for owner, those in groupby(coordinates, key=_owner):
        names = ", ".join(coordinate.removeprefix(owner).strip(". (:)") for coordinate in those)
        found.append(f"`{owner}` {names}")
    return "; ".join(found)


def _owner(coordinate: str) -> str:
    if coordinate.endswith(":)"):
        return coordinate.partition("(")[0]
    return coordinate.rpartition(" ")[0] if "/" in coordinate else coordinate.partition(".")[0]


def _source(known: Known) -> str:
    return _cell(f"{_TAGS[known.tag]}: {known.source}")


def _advice(known: Known) -> str:
    setting = f" (`{known.setting}`)" if known.setting else ""
    return _cell(known.remedy + setting) if known.remedy or setting else "–"


def _cell(text: str) -> str:
    return text.strip().replace("|", "\\|")


if __name__ == "__main__":
    print(page(), end="")
