"""The largest resident set of a process, told by the process itself.

Not ru_maxrss: on Linux a child's begins at the resident set of the process that started it, so in
a test run of 1 GB every child has had 1 GB.
"""

from __future__ import annotations

from pathlib import Path


def peak_mebibytes() -> int:
    """VmHWM of this process: since it began its program, or since clear_refs."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024
