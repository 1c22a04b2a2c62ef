"""A YOLO12 of random weights that finds what it finds. A process of its own: see trainer.yolo.

Arguments: the .pt to write, and a .npy of a square picture; on stdout what the bare network says
of that, as JSON: scores of the classes and corners of each place, before overlaps are taken out.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import torch

SIDE = 64
NAMES = {0: "cat", 1: "dog", 2: "sofa"}


def make() -> Any:
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(0)
    network = DetectionModel("yolo12n.yaml", nc=len(NAMES), verbose=False)
    network.names = NAMES
    for norm in (each for each in network.modules() if isinstance(each, torch.nn.BatchNorm2d)):
        norm.momentum = 1.0
    with torch.no_grad():  # or what goes in would vanish on the way
        network.train()(torch.rand(8, 3, SIDE, SIDE))
    for head in network.model[-1].cv3:  # the classes' scores: spread, round a half
        torch.nn.init.normal_(head[-1].weight, std=0.5)
        torch.nn.init.zeros_(head[-1].bias)
    for head in network.model[-1].cv2:  # distances to the four sides: short ones are likely
        head[-1].bias.data = -torch.arange(16.0).repeat(4) / 2
    return network.eval()


def main() -> None:
    network = make()
    torch.save({"model": network, "train_args": {"imgsz": SIDE}}, sys.argv[1])
    picture = torch.from_numpy(np.load(sys.argv[2])).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        said = network(picture)[0][0].T  # (places, 4 + classes): middle, size, scores
    middle, size, scores = said[:, :2], said[:, 2:4], said[:, 4:]
    corners = torch.cat([middle - size / 2, middle + size / 2], 1)
    print(json.dumps({"scores": scores.tolist(), "corners": corners.tolist()}))  # noqa: T201


if __name__ == "__main__":
    main()
