"""GeoDeep's map of a scene, in an environment of its own, since it is AGPL; used by `benchmarks.export`.

python -m benchmarks._export_geodeep MODEL.onnx SCENE OUT.npy
"""

import sys

import numpy as np
from geodeep import segment  # type: ignore[import-not-found,unused-ignore]


def main() -> None:
    """Write the indices of the network's outputs, (height, width), after GeoDeep's median filter of 5 px."""
    np.save(sys.argv[3], segment(sys.argv[2], sys.argv[1], output_type="raw").astype(np.uint8))


if __name__ == "__main__":
    main()
