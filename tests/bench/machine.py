"""What the kernel says: the CPU and memory of a subject's processes, and which machine this is."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import sqlite3
from collections.abc import Generator
from pathlib import Path
from typing import Final

_TICK: Final = os.sysconf("SC_CLK_TCK")


def family(*roots: int) -> list[int]:
    """Return these processes and all that descend from them."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = list(roots)
    for pid in found:
        found += children.get(pid, [])
    return found


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on; empty for a process that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return []


def cpu_seconds(pids: list[int]) -> float:
    """Return the processor time these processes, and children of theirs that have ended, have used."""
    return sum(sum(map(int, fields[11:15])) for pid in pids if (fields := _stat(pid))) / _TICK


def memory(pids: list[int]) -> int:
    """Return the bytes of memory that are these processes' own (proportional set size)."""
    total = 0
    for pid in pids:
        try:
            found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
        except OSError:
            continue
        total += int(found[1]) * 1024 if found else 0
    return total


@contextlib.contextmanager
def held(pids: list[int], share: float) -> Generator[None]:
    """Hold processes to a share of one core, by a cgroup of either version; raise OSError where that can't be done."""
    old, new = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")
    group = (old if old.is_dir() else new) / f"bench-{pids[0]}"
    home = group.parent / "cgroup.procs"
    group.mkdir()
    try:
        if old.is_dir():
            (group / "cpu.cfs_quota_us").write_text(str(int(share * 100_000)))
        else:
            (group / "cpu.max").write_text(f"{int(share * 100_000)} 100000")
        for pid in pids:
            (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        for pid in (group / "cgroup.procs").read_text().split():
            home.write_text(pid)
        group.rmdir()


def description() -> str:
    """Name the machine, and how busy it is with other things."""
    names = re.findall(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    load = ", ".join(f"{average:.1f}" for average in os.getloadavg())
    return (
        f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, load at the start {load}"
    )
