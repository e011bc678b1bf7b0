"""Where the definitions are: a code location of their own, or merged into another deployment under names of its choice."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any, Literal

import dagster as dg

from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.orchestration import partitions


@dataclass(frozen=True)
class Embedding:
    """Names and environment of one set of definitions. ``given``: variables that replace those of the environment."""

    key_prefix: tuple[str, ...] = ()
    name_prefix: str = ""
    """Before the names of steps, jobs, schedules and sensors, and of groups."""
    resource_key: str = "hr_centra"
    given: Mapping[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """The variables as they are now; what was given replaces them."""
        return {**os.environ, **{name: told(value) for name, value in self.given.items()}}

    def settings(self) -> Settings:
        """The settings as they are now, outside a run.

        Raises:
            ConfigurationError: one of them is wrong; the message names it.
        """
        return Settings.from_environment(self.environment())

    @cached_property
    def first_day(self) -> date:
        """The first day that the UI offers."""
        return partitions.first_day(self.settings())

    def partitions(self, by: Literal["day", "month"]) -> dg.PartitionsDefinition[Any]:
        """The days, or months, that a run of a partitioned step is about."""
        return partitions.days_from(self.first_day) if by == "day" else partitions.months_from(self.first_day)

    def name(self, plain: str) -> str:
        """The name here of a step, job, schedule, sensor or group."""
        return f"{self.name_prefix}{plain}"

    def key(self, plain: dg.AssetKey) -> dg.AssetKey:
        """The key here of one of our assets."""
        return dg.AssetKey([*self.key_prefix, *plain.path])

    def plain(self, key: dg.AssetKey) -> dg.AssetKey | None:
        """One of our keys without the prefix; ``None``: it is not one of ours."""
        length = len(self.key_prefix)
        if tuple(key.path[:length]) != self.key_prefix or len(key.path) == length:
            return None
        return dg.AssetKey(key.path[length:])

    def spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        """An asset as it is here: key, dependencies and group."""
        deps = [
            dg.AssetDep(self.key(dep.asset_key), partition_mapping=dep.partition_mapping)
            for dep in spec.deps
        ]  # fmt: skip
        return spec.replace_attributes(
            key=self.key(spec.key), deps=deps, group_name=self.name(spec.group_name or "default")
        )

    def check_spec(self, spec: dg.AssetCheckSpec) -> dg.AssetCheckSpec:
        """A check as it is here."""
        return dg.AssetCheckSpec(
            spec.name, asset=self.key(spec.asset_key), description=spec.description, blocking=spec.blocking,
            metadata=spec.metadata,
        )  # fmt: skip


def told(value: str) -> str:
    """The value of an ``EnvVar``; any other text as it is."""
    return (value.get_value() or "") if isinstance(value, dg.EnvVar) else value
