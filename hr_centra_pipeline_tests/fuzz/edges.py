"""Finds the edges of this package, runs them in processes of their own and adds up what they say."""

from __future__ import annotations

import importlib
import pkgutil
import resource
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from hr_centra_pipeline_tests import fuzz
from hr_centra_pipeline_tests.fuzz import ESCAPE

_AT_ONCE = 1000  # inputs of one edge, in one process
_MOST_SECONDS = 0.25  # an input, on average over those: the slowest edges land in a database
_MOST_MEGABYTES = 1500  # of a process

Found = Mapping[str, Counter[str]]


def shares() -> dict[str, float]:
    """The edges of the package, each with its part of all inputs (``SHARE``, 1 unless the module says otherwise)."""
    names = [info.name for info in pkgutil.iter_modules(fuzz.__path__) if not info.name.startswith(("__", "test_"))]
    modules = [importlib.import_module(f"{fuzz.__name__}.{name}") for name in names]
    edges = {module.__name__.rpartition(".")[2]: module for module in modules if hasattr(module, "run")}
    whole = sum(getattr(module, "SHARE", 1.0) for module in edges.values())
    return {name: getattr(module, "SHARE", 1.0) / whole for name, module in edges.items()}


def run_all(count: int, seed: int, *, processes: int = 2, only: Sequence[str] = ()) -> dict[str, Counter[str]]:
    """``count`` inputs over all edges (or ``only`` these), outcomes by edge."""
    parts = {name: part for name, part in shares().items() if not only or name in only}
    whole = sum(parts.values())
    work = [
        (name, some, seed + 7919 * place)
        for name, part in parts.items()
        for place, some in enumerate(_pieces(round(count * part / whole)))
    ]
    found: dict[str, Counter[str]] = {name: Counter() for name in parts}
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for (name, _, _), outcomes in zip(work, pool.map(one, work), strict=True):
            found[name] += outcomes
    return found


def one(work: tuple[str, int, int]) -> Counter[str]:
    """One piece of one edge, within its bounds of time and memory."""
    name, count, seed = work
    started = time.process_time()
    outcomes: Counter[str] = Counter()
    outcomes += importlib.import_module(f"{fuzz.__name__}.{name}").run(count, seed)
    if outcomes.total() != count:
        outcomes[f"{ESCAPE}: {outcomes.total()} outcomes of {count} inputs, seed {seed}"] += 1
    if time.process_time() - started > 20 + count * _MOST_SECONDS:
        outcomes[f"{ESCAPE}: more than {_MOST_SECONDS} s an input, seed {seed}"] += 1
    if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > _MOST_MEGABYTES * 1024:
        outcomes[f"{ESCAPE}: more than {_MOST_MEGABYTES} MB, seed {seed}"] += 1
    return outcomes


def escapes(found: Found) -> list[str]:
    """What escaped, with its edge."""
    return [
        f"{name}: {outcome}" for name, outcomes in found.items() for outcome in outcomes if outcome.startswith(ESCAPE)
    ]


def _pieces(count: int) -> Iterator[int]:
    while count > 0:
        yield min(count, _AT_ONCE)
        count -= _AT_ONCE
