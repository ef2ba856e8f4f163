"""The command, timed without starting Python and loading the model; used by `benchmarks.predict`.

python -m benchmarks._predict_ours MODEL SCENE OUT
"""

import sys
import time
from pathlib import Path

from benchmarks._predict_common import report
from pipeline.inference import load_model, predict_scene
from pipeline.inference.options import MapOptions


def main() -> None:
    """Print the seconds from opening the scene to the map in its place, and the pixels put through the network."""
    model, scene, out = (Path(argument) for argument in sys.argv[1:4])
    loaded = load_model(model, "cpu")
    start = time.perf_counter()
    result = predict_scene(loaded, scene, out, MapOptions(overwrite=True))
    report(time.perf_counter() - start, computed=result.computed, network_seconds=result.network_seconds)


if __name__ == "__main__":
    main()
