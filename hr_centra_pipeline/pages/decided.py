"""What was decided, as the worklist and the page of an exception show it: at once, before the pipeline has carried it out."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request

from hr_centra_pipeline.pages.site import site_of
from hr_centra_pipeline.pages.worklist import Assigned


def waiting(request: Request) -> int:
    """How many decisions the pipeline has not carried out yet."""
    return site_of(request).store.waiting_count()


def assigned(request: Request) -> Assigned:
    """Who has which exception, by the last decision about it that was not refused."""
    return Assigned(site_of(request).store.assigned())


def people(request: Request) -> Sequence[str]:
    """Those whom people.toml lists, to choose from."""
    listed = site_of(request).login.people.now()
    return sorted(listed.people) if listed else []
