"""The contract with a Centra, as ``doctor`` reports it: differences first, then what is as assumed, and what cannot be seen."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.core.policy import Policy
from hr_centra_pipeline.oversight.findings import Finding
from hr_centra_pipeline.sources.centra import centra_contract, contract_record
from hr_centra_pipeline.sources.centra.centra_contract import NotASchema, Row, Verdict
from hr_centra_pipeline.sources.centra.client import CentraClient
from hr_centra_pipeline.sources.centra.contract_record import Looked

SECTION = "Contract with Centra"


def of_file(path: Path, policy: Policy) -> Looked:
    """The contract with a schema that ``--write-schema`` or another tool has saved.

    Raises:
        ConfigurationError: the file cannot be read, or is not the result of an introspection.
    """
    try:
        return contract_record.look_at_file(json.loads(path.read_text(encoding="utf-8")), policy)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"--schema {path}: {error}") from error


def save_schema(client: CentraClient, path: Path) -> int:
    """Write what this Centra answers to an introspection, as JSON; answers how many types it has.

    Raises:
        CentraError: it refuses, or does not answer.
        ConfigurationError: the file cannot be written, or the answer is not a schema.
    """
    answer = centra_contract.asked(client)
    try:
        types = centra_contract.schema_of(answer).type_map
        path.write_text(json.dumps({"data": answer}, indent=1, default=str) + "\n", encoding="utf-8")
    except (OSError, NotASchema) as error:
        raise ConfigurationError(f"--write-schema {path}: {error}") from error
    return len(types)


def findings(looked: Looked, *, is_live: bool) -> Iterator[Finding]:
    """Each difference with its remedy, then what is as assumed and what cannot be seen, with counts.

    What only stops sending is not an error while nothing is sent.
    """
    for row in _sorted(looked.rows):
        if row.verdict == "differs":
            hinders = row.stops and bool(row.effect_types) and (is_live or _is_read(row))
            yield Finding(
                SECTION,
                "error" if hinders else "warning",
                f"{row.kind} {row.coordinate}: {_found(row)}",
                row.remedy,
                row=row,
            )
        elif row.kind == "schema":
            yield Finding(SECTION, "warning", f"the schema cannot be read: {row.found}", row.remedy, row=row)
    for row in looked.rows:
        if row.verdict == "as_assumed":
            yield Finding(SECTION, "ok", f"{row.coordinate}: {row.found}", row=row)
        elif row.verdict == "cannot_be_seen" and row.kind != "schema":
            yield Finding(SECTION, "note", f"{row.coordinate}: {row.expected}", row.remedy, row=row)
    if assumed := _counted(looked.rows, "as_assumed"):
        yield Finding(SECTION, "ok", f"as assumed: {assumed}")
    if hidden := _counted(looked.rows, "cannot_be_seen"):
        yield Finding(SECTION, "note", f"cannot be determined: {hidden}; see docs/vendors.md for what to set")


def _counted(rows: Sequence[Row], verdict: Verdict) -> str:
    counts = Counter(row.kind for row in rows if row.verdict == verdict and row.kind != "schema")
    return ", ".join(f"{count} {kind if count == 1 else f'{kind}s'}" for kind, count in counts.most_common())


def _sorted(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (not row.stops, not row.effect_types))


def _is_read(row: Row) -> bool:
    return any(name.startswith("Pull") for name in row.operations)


def _found(row: Row) -> str:
    used = f", for {', '.join(row.operations)}" if row.operations else ""
    return f"expected {row.expected}, found {row.found}{used}"
