"""Faults on demand, off by default: each hits the next matching requests, a stated number of times."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

FaultKind = Literal[
    "delay",  # answers after `seconds`
    "rate_limited",  # 429 with Retry-After, nothing done
    "error_before",  # `status` (default 500), nothing done
    "error_after",  # `status` (default 500; 499 too), the effect was applied
    "dropped_after",  # the effect was applied, then the connection is cut
    "dropped_before",  # the connection is cut, nothing done
    "error_half_way",  # of several mutations in a document the first half is applied, then `status`
    "dropped_half_way",  # the same, then the connection is cut
    "person_before",  # somebody acts (`act`, `given`) right before the request is executed
    "person_after",  # somebody acts right after it
    "truncated",  # a page ends in the middle of its JSON
    "wrong_content_type",  # an HTML page at status 200, the effect was applied
    "empty_body",  # status 200 and nothing else
    "no_content_with_body",  # status 204, and a body all the same
    "unknown_enum",  # the partner API: words and keys that no document lists
]


@dataclass
class Fault:
    """``target``: operation name, mutation field, Order API or partner API call that it hits; empty: every request.

    ``given``: an act's arguments; those that are missing are taken from the request that it meets.
    """

    kind: FaultKind
    target: str = ""
    times: int = 1
    after: int = 0  # let so many matching requests pass first
    seconds: float = 0.0
    status: int = 500
    act: str = ""
    given: dict[str, Any] = field(default_factory=dict)


class Faults:
    """The faults that are armed."""

    def __init__(self) -> None:
        self._armed: list[Fault] = []
        self._lock = threading.Lock()

    def arm(self, given: Mapping[str, Any]) -> Fault:
        """Arm a fault.

        Raises:
            ValueError: an unknown kind or field.
        """
        if given.get("kind") not in get_args(FaultKind):
            raise ValueError(f"kind must be one of {', '.join(get_args(FaultKind))}")
        try:
            fault = Fault(**given)
        except TypeError as error:
            raise ValueError(str(error)) from None
        with self._lock:
            self._armed.append(fault)
        return fault

    def clear(self) -> None:
        """Disarm all."""
        with self._lock:
            self._armed.clear()

    def armed(self) -> list[dict[str, Any]]:
        """What is armed."""
        with self._lock:
            return [asdict(fault) for fault in self._armed]

    def next_for(self, names: list[str]) -> Fault | None:
        """The fault that hits a request with these names, used up by one."""
        with self._lock:
            for fault in self._armed:
                if fault.target and fault.target not in names:
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                fault.times -= 1
                if fault.times <= 0:
                    self._armed.remove(fault)
                return fault
        return None
