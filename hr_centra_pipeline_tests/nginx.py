"""A real nginx with a shipped configuration, on ports of this machine and with a certificate of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NGINX = shutil.which("nginx") or ("/usr/sbin/nginx" if Path("/usr/sbin/nginx").exists() else None)
OPENSSL = shutil.which("openssl")
needs_nginx = pytest.mark.skipif(
    not NGINX or not OPENSSL, reason="nginx and openssl are not installed (apt-get install nginx-light)"
)
_MAIN = """
{user} daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 64; }}
http {{
    {access_log} client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    include {folder}/{shipped};
}}
"""


def certificate(folder: Path) -> Path:
    """Make ``tls.key`` and ``tls.crt`` of localhost in a folder; answers the certificate."""
    subprocess.run(
        [str(OPENSSL), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(folder / "tls.key"), "-out", str(folder / "tls.crt")],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder / "tls.crt"


def started(folder: Path, shipped: str, replaced: Mapping[str, str], *, logs: bool = False) -> subprocess.Popen[bytes]:
    """Start it with ``deploy/nginx/<shipped>``, in which each text of ``replaced`` is there and is replaced.

    ``logs``: with the access log that the shipped file asks for; otherwise with none by default.
    """
    text = (ROOT / "deploy" / "nginx" / shipped).read_text(encoding="utf-8")
    for there, here in replaced.items():
        assert there in text
        text = text.replace(there, here)
    (folder / shipped).write_text(text, encoding="utf-8")
    main = _MAIN.format(
        folder=folder,
        shipped=shipped,
        user="user root;" if os.geteuid() == 0 else "",
        access_log="" if logs else "access_log off;",
    )
    (folder / "nginx.conf").write_text(main, encoding="utf-8")
    return subprocess.Popen(
        [str(NGINX), "-p", str(folder), "-c", str(folder / "nginx.conf")], stderr=subprocess.DEVNULL
    )
