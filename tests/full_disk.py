"""Map a scene with a full disk, and again with space: `python -m tests.full_disk FOLDER SCENE MODEL` as root of a mount
namespace, where small disks can be mounted. Prints the exit codes; the outputs are in FOLDER/kept/."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pipeline.inference.scene_map
import pipeline.predict
from tests.maps import MEMORY


def mount(options: str, disk: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], check=True)


def predict(folder: Path) -> None:
    try:
        pipeline.predict.main()
    except SystemExit as end:
        print(end.code, file=sys.stderr)
    print("names:", *sorted(path.name for path in (folder / "out").iterdir()), file=sys.stderr, flush=True)


def main() -> None:
    folder, scene, model = map(Path, sys.argv[1:])
    os.environ["PIPELINE_CACHE"] = str(folder / "cache")
    pipeline.inference.scene_map.require_disk = lambda *_: None  # type: ignore[assignment]  # it fills after the check
    out = str(folder / "out/map.tif")
    sys.argv = ["predict", str(scene), "-o", out, "--model", str(model), "--memory", MEMORY, "--probabilities"]
    for name, size in (("cache", "1500k"), ("out", "700k"), ("out", "1300k")):
        (folder / "out").mkdir(parents=True)
        (folder / "cache").mkdir(exist_ok=True)
        mount(f"size={size}", folder / name)
        predict(folder)
        mount("remount,size=50m", folder / name)
        predict(folder)
        shutil.copytree(folder / "out", folder / f"kept/{name}-{size}")
        subprocess.run(["umount", folder / name], check=True)
        shutil.rmtree(folder / "out")


if __name__ == "__main__":
    main()
