"""How failures reach Dagster: transient ones are tried again with back-off, permanent ones stop at once, both say what to do.

A pull that stays cut short does not fail the run: what it did not show is "not covered" and the rest goes on. A wrong setting
of ours (token, permission, address) does: nothing else would work either, and a person must act.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg

from hr_centra_pipeline.core.errors import ConfigurationError, RunFailed, Unreachable
from hr_centra_pipeline.orchestration.run import Run
from hr_centra_pipeline.sources.centra.centra_errors import CentraError, Misconfigured, Transient, UnknownOutcome

RETRIES = 2  # of one step

# A failed step has reported why, and the next hourly run looks again: only a crash is worth another run. Whatever the instance's
# configuration says, its daemon reads this tag.
NO_RUN_RETRY = {"dagster/retry_on_asset_or_op_failure": "false"}


def is_transient(error: BaseException | None) -> bool:
    """Whether the same may succeed later. An unknown outcome of a reading call is none: nothing was done."""
    return isinstance(error, Transient | UnknownOutcome | Unreachable)


def try_again(context: dg.AssetExecutionContext, run: Run, error: BaseException | None) -> None:
    """Ask Dagster to try the step again when that may help; else go on.

    Raises:
        RetryRequested: with a wait that doubles.
    """
    if error is None or not is_transient(error) or context.retry_number >= RETRIES or not run.may_retry():
        return
    wait = run.policy.policy.centra.retry_wait_seconds * 2**context.retry_number
    context.log.warning(f"{error} Tried again in {wait} seconds.")
    run.warehouse.release()
    raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=wait) from error


def stop_if_misconfigured(context: dg.AssetExecutionContext, error: BaseException | None) -> None:
    """Fail the step for good when one of our settings is wrong; else go on.

    Raises:
        Failure: without op retries; the run is tagged so that nobody runs it again either.
    """
    if isinstance(error, Misconfigured | ConfigurationError):
        raise permanent(context, error) from error


def permanent(context: dg.AssetExecutionContext, error: BaseException) -> dg.Failure:
    """A failure that no retry can fix."""
    context.instance.add_run_tags(context.run.run_id, NO_RUN_RETRY)
    return dg.Failure(description=str(error), metadata=told(error), allow_retries=False)


def told(error: BaseException) -> dict[str, Any]:
    """What is known about a failure, for people who filter: vendor, operation, request id, HTTP status."""
    known: dict[str, Any] = {"class": type(error).__name__}
    if isinstance(error, CentraError):
        known |= {
            "vendor": error.vendor, "operation": error.operation, "request_id": error.request_id or "none",
            "http_status": str(error.http_status or "none"),
        }  # fmt: skip
    return known


def words_of(error: Any) -> str:
    """The words of an error as Dagster kept it: those of its first cause, without the name of its class."""
    while error.cause is not None:
        error = error.cause
    name, _, rest = error.message.strip().partition(": ")
    return rest if name.rpartition(".")[2] == error.cls_name and rest else str(error.message.strip())


@contextmanager
def permanent_unless_transient(context: dg.AssetExecutionContext, run: Run) -> Iterator[None]:
    """Around a step that must complete: our errors become retries, or a failure with the error's own message."""
    try:
        yield
    except (RunFailed, ConfigurationError) as error:
        try_again(context, run, error)
        raise permanent(context, error) from error
