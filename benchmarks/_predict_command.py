"""The peak memory of the command; used by `benchmarks.predict`.

python -m benchmarks._predict_command ARGUMENTS OF pipeline.predict...
"""

import runpy
import time

from benchmarks._predict_common import report


def main() -> None:
    """Run the command in this process, then print its seconds and peak memory."""
    start = time.perf_counter()
    try:
        runpy.run_module("pipeline.predict", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code:
            raise
    report(time.perf_counter() - start)


if __name__ == "__main__":
    main()
