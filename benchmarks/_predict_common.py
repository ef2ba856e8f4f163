"""What the contenders of `benchmarks.predict` share; imports nothing but Python, since their environments differ."""

import json
from pathlib import Path


def peak_mb() -> float:
    """Return the peak resident memory of this process, in MB."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


def report(seconds: float, **more: float) -> None:
    """Print a line of JSON for `benchmarks.predict`: seconds, peak memory in MB, and what else is given."""
    print(json.dumps({"seconds": seconds, "peak_mb": peak_mb(), **more}))
