"""Processes by a name that no later one gets (machine, number, when it began), for what outlives its writer, as a lock's text."""

from __future__ import annotations

import os
import socket

import psutil


def this() -> str:
    """The name of this process."""
    return named(os.getpid())


def named(pid: int) -> str:
    """The name of a process of this machine: ``host:pid@began``."""
    return f"{socket.gethostname()}:{pid}@{began(pid)}"


def pid_of(process: str) -> int:
    """The number in a name."""
    return int(process.partition(":")[2].partition("@")[0])


def is_here(process: str) -> bool:
    """Whether a process is, or was, one of this machine: only then can we know whether it is gone."""
    return process.partition(":")[0] == socket.gethostname()


def is_gone(process: str) -> bool:
    """Whether a process of this machine has ended; another one that got its number later is not it."""
    return is_here(process) and began(pid_of(process)) != process.rpartition("@")[2]


def began(pid: int) -> str:
    """When a process began, in clock ticks since the machine did; empty when it is gone (or cannot be looked at: ``?``).

    Counted from the start of the machine, it stays the same when the clock is set.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return ""
        seconds = process.create_time() - psutil.boot_time()
    except psutil.NoSuchProcess:
        return ""
    except psutil.AccessDenied:
        return "?"
    return str(round(seconds * os.sysconf("SC_CLK_TCK")))
