"""SFTP servers are trusted by their key, as ssh itself does: fsspec alone would accept any server that answers."""

from __future__ import annotations

from pathlib import Path

import paramiko

_SYSTEM = Path("/etc/ssh/ssh_known_hosts")


class KnownHostsOnly(paramiko.MissingHostKeyPolicy):
    """Accepts a server whose key is in the known hosts of this account or machine."""

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Pass, or refuse the connection.

        Raises:
            SSHException: the key is not known, or another one is; the message says what to do.
        """
        own = Path.home() / ".ssh" / "known_hosts"
        for file in (own, _SYSTEM):
            known = paramiko.HostKeys()
            if file.is_file():
                known.load(str(file))
            entry = known.lookup(hostname)
            if entry is None or key.get_name() not in entry:
                continue
            if known.check(hostname, key):
                return
            raise paramiko.SSHException(
                f"{hostname} shows another key ({key.fingerprint}) than {file} has: the connection may be intercepted. "
                "If the server's key was changed on purpose, correct that line."
            )
        host, _, port = hostname.strip("[").partition("]:")
        raise paramiko.SSHException(
            f"{hostname} is not known: its key is {key.fingerprint}. Compare it with what the server's owner says, then: "
            f"ssh-keyscan -p {port or 22} {host} >> {own}"
        )
