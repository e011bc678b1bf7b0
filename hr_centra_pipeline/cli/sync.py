"""``hr-centra sync``: the hourly job once, or the one that follows events, in this process."""

from __future__ import annotations

from hr_centra_pipeline.cli.progress_bar import progress
from hr_centra_pipeline.cli.screen import show_footer, show_result
from hr_centra_pipeline.cli.status_command import collected
from hr_centra_pipeline.cli.table import echo_json
from hr_centra_pipeline.core import clock
from hr_centra_pipeline.core.policy import load_policy
from hr_centra_pipeline.core.settings import Settings


def sync_once(*, events: bool = False, as_json: bool = False) -> None:
    """Run the job and say what came of it."""
    settings = _checked()
    with progress("Sync …"):
        run_sync(events=events)
    if as_json:
        echo_json(collected(settings))
        return
    show_result(settings)
    show_footer(settings)


def run_sync(*, events: bool = False) -> None:
    """The job in this process, behind the lock; ``events``: only what the inbox brought, and what that names.

    Raises:
        ConfigurationError: mistakes are reported before Dagster, which takes seconds, is even loaded.
        RunFailed: a step failed; the message holds the step's own words.
    """
    settings = _checked()
    from hr_centra_pipeline.definitions import defs
    from hr_centra_pipeline.orchestration import once

    if events:
        once.event_sync(defs, settings)
    else:
        once.sync(defs, settings)


def _checked() -> Settings:
    """The settings of a sync.

    Raises:
        ConfigurationError: a variable is missing or wrong, the policy has a mistake, or a live run lacks its guards.
    """
    settings = Settings.from_environment()
    settings.required("exports", "centra_graphql_url", "centra_token", "centra_order_api_url", "centra_order_api_key")
    loaded = load_policy(settings.policy_path)
    if settings.mode == "live":
        from hr_centra_pipeline.push.guards import refuse_unguarded

        refuse_unguarded(settings, loaded.policy)
    clock.now()
    return settings
