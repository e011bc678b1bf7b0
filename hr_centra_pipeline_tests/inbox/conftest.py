from __future__ import annotations

from collections.abc import Iterator

import pytest

from hr_centra_pipeline_tests.postgres import DATABASE, PASSWORD, USER, Postgres, binaries, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    if binaries() is None:
        pytest.skip("PostgreSQL is not installed")
    with running_postgres() as server:
        yield server


def address_of(server: Postgres) -> str:
    """Of its database, as ``HR_CENTRA_INBOX`` has it."""
    return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{server.port}/{DATABASE}"
