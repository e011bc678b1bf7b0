"""Environment variables of earlier versions, which say what has replaced them."""

from __future__ import annotations

from collections.abc import Mapping

_NO_DOWNLOADS = (
    "the download page is part of the pages now. Unset it, set HR_CENTRA_PAGES_URL, and see docs/operations.md, "
    '"Behind a login".'
)
RETIRED: Mapping[str, str] = {"HR_CENTRA_DOWNLOADS_URL": _NO_DOWNLOADS, "HR_CENTRA_DOWNLOADS_TOKEN": _NO_DOWNLOADS}
"""Variables of earlier versions, with what to do about one that is still set."""
