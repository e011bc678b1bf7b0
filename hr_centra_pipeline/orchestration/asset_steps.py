"""The steps of the pipeline, each of which waits for its run's turn: what they make, and how they become Dagster's."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import dagster as dg

from hr_centra_pipeline.orchestration.embedding import Embedding
from hr_centra_pipeline.orchestration.run import HrCentra
from hr_centra_pipeline.warehouse import models

_ROOT = Path(__file__).parents[1]

Compute = Callable[[Any, Any], Iterator[Any]]


@dataclass(frozen=True)
class Step:
    """One step. ``compute`` gets Dagster's context and the ``Run``, and answers results whose keys have no prefix."""

    name: str
    compute: Compute
    description: str
    specs: Sequence[dg.AssetSpec] = ()
    check_specs: Sequence[dg.AssetCheckSpec] = ()
    by: Literal["day", "month"] | None = None
    reads_history: bool = False
    """A backfill of past days, behind its own lock; every other step has the sync's."""

    @property
    def keys(self) -> list[dg.AssetKey]:
        """What it makes."""
        return [spec.key for spec in self.specs]

    def defined(self, embedding: Embedding) -> dg.AssetsDefinition:
        """The step as Dagster's assets, or as checks where it makes none."""

        def compute(context: Any) -> Iterator[Any]:
            resource: HrCentra = getattr(context.resources, embedding.resource_key)
            run = resource.run_for(context, reads_history=self.reads_history)
            run.placed = embedding.key
            for result in self.compute(context, run):
                yield _placed(result, embedding)

        compute.__doc__ = self.description
        specs = [_with_code(embedding.spec(one), one, self.compute) for one in self.specs]
        needs = {embedding.resource_key}
        partitions_def = embedding.partitions(self.by) if self.by else None
        check_specs = [embedding.check_spec(one) for one in self.check_specs]
        if not self.specs:
            return dg.multi_asset_check(
                name=embedding.name(self.name), specs=check_specs, can_subset=True,
                required_resource_keys=needs, description=self.description,
            )(_for_checks(compute))  # fmt: skip
        return dg.multi_asset(
            name=embedding.name(self.name), specs=specs, check_specs=check_specs,
            partitions_def=partitions_def, required_resource_keys=needs, description=self.description,
            # A range of partitions is one run: its tables are made once.
            backfill_policy=dg.BackfillPolicy.single_run() if partitions_def is not None else None,
        )(_for_assets(compute))  # fmt: skip


def step(
    name: str,
    *,
    specs: Iterable[dg.AssetSpec] = (),
    check_specs: Iterable[dg.AssetCheckSpec] = (),
    by: Literal["day", "month"] | None = None,
    reads_history: bool = False,
) -> Callable[[Compute], Step]:
    """Make a step of a function; its docstring describes it."""

    def made(compute: Compute) -> Step:
        return Step(name, compute, compute.__doc__ or "", tuple(specs), tuple(check_specs), by, reads_history)

    return made


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _sql_of(table: str) -> list[str]:
    """The SQL files that make a table themselves, temporary tables on the way included; not those of the tables that it reads."""
    found: set[str] = set()
    seen: set[str] = set()
    left = [table]
    while left:
        name = left.pop()
        if name in seen or (name != table and models.is_table(name)):
            continue
        seen.add(name)
        for flow in models.flows(name):
            found.add(flow.file)
            left += flow.reads
    return sorted(found & models.models().keys())


def _with_code(placed: dg.AssetSpec, plain: dg.AssetSpec, compute: Compute) -> dg.AssetSpec:
    """An asset with links to the SQL and the Python that make it, and a code version that changes with their text."""
    python = Path(compute.__code__.co_filename)
    sql = [(file, models.models()[file].sha256) for file in _sql_of(".".join(plain.key.path))]
    version = hashlib.sha256(json.dumps([_text(python), *sql]).encode()).hexdigest()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # links only: nothing relies on them
        references: list[dg.LocalFileCodeReference] = [
            dg.LocalFileCodeReference(
                file_path=str(python), line_number=compute.__code__.co_firstlineno, label="the step"
            ),
            *(dg.LocalFileCodeReference(file_path=str(_ROOT / file), line_number=1, label=file) for file, _ in sql),
        ]
        code = {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=references)}
    return placed.replace_attributes(code_version=version[:12], metadata={**placed.metadata, **code})


def _for_assets(compute: Callable[[Any], Iterator[Any]]) -> Any:
    # Dagster looks at the name and the type of the parameter.
    def made(context: dg.AssetExecutionContext) -> Iterator[Any]:
        yield from compute(context)

    made.__annotations__ = {"context": dg.AssetExecutionContext}
    return made


def _for_checks(compute: Callable[[Any], Iterator[Any]]) -> Any:
    def made(context: dg.AssetCheckExecutionContext) -> Iterator[Any]:
        yield from compute(context)

    made.__annotations__ = {"context": dg.AssetCheckExecutionContext}
    return made


def _placed(result: Any, embedding: Embedding) -> Any:
    """A result, or a check's, with the keys that its assets have here."""
    key = result.asset_key
    placed = embedding.key(key) if key is not None else None
    if isinstance(result, dg.AssetCheckResult):
        return result._replace(asset_key=placed)
    checks = [_placed(one, embedding) for one in result.check_results or ()]
    return result._replace(asset_key=placed, check_results=checks)
