"""The site over real HTTP, for browsers and the bench."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.pages.app import application
from hr_centra_pipeline.pages.login import opened_login


@contextmanager
def served(home: Path) -> Iterator[tuple[str, str]]:
    """Its address on a free port of this machine, and the link to log in with."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings = Settings.from_environment({"HR_CENTRA_HOME": str(home), "HR_CENTRA_PAGES_URL": address})
        links: list[str] = []
        login = opened_login(settings, told=links.append)
        server = uvicorn.Server(
            uvicorn.Config(application(settings, login, address), log_level="error", access_log=False)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        login.new_link(address)
        try:
            yield address, links[-1]
        finally:
            server.should_exit = True
            thread.join(timeout=10)
