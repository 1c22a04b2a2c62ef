"""Trains a small YOLO12 on drawn pets. A process of its own: see trainer.yolo.

Arguments: a folder with train/ and val/, each with images/ and labels/; the .pt to write.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

SIDE = 128  # pixels of a picture
EPOCHS = 12
NAMES = ("cat", "dog")

# YOLO12 in small: area attention from stride 16 on, boxes found at strides 8, 16 and 32.
NETWORK = {
    "nc": len(NAMES),
    "backbone": [
        [-1, 1, "Conv", [16, 3, 2]],
        [-1, 1, "Conv", [32, 3, 2]],
        [-1, 1, "C3k2", [48, False, 0.25]],
        [-1, 1, "Conv", [64, 3, 2]],
        [-1, 1, "C3k2", [64, False, 0.25]],
        [-1, 1, "Conv", [96, 3, 2]],
        [-1, 1, "A2C2f", [128, True, 4]],
        [-1, 1, "Conv", [128, 3, 2]],
        [-1, 1, "A2C2f", [128, True, 1]],
    ],
    "head": [
        [-1, 1, "nn.Upsample", [None, 2, "nearest"]],
        [[-1, 6], 1, "Concat", [1]],
        [-1, 1, "A2C2f", [64, False, -1]],
        [-1, 1, "nn.Upsample", [None, 2, "nearest"]],
        [[-1, 4], 1, "Concat", [1]],
        [-1, 1, "A2C2f", [64, False, -1]],
        [-1, 1, "Conv", [64, 3, 2]],
        [[-1, 11], 1, "Concat", [1]],
        [-1, 1, "A2C2f", [64, False, -1]],
        [-1, 1, "Conv", [64, 3, 2]],
        [[-1, 8], 1, "Concat", [1]],
        [-1, 1, "C3k2", [128, True]],
        [[14, 17, 20], 1, "Detect", [len(NAMES)]],
    ],
}


def main() -> None:
    folder, target = Path(sys.argv[1]), Path(sys.argv[2])
    os.chdir(folder)
    from ultralytics import YOLO, settings

    settings.update({"sync": False})
    # JSON is YAML. The name says which family this is.
    Path("yolo12.yaml").write_text(json.dumps(NETWORK))
    Path("pets.yaml").write_text(
        json.dumps(
            {"path": str(folder), "train": "train", "val": "val", "names": dict(enumerate(NAMES))}
        )
    )
    network = YOLO("yolo12.yaml", task="detect")
    network.train(
        data="pets.yaml",
        epochs=EPOCHS,
        imgsz=SIDE,
        batch=32,
        optimizer="AdamW",
        lr0=0.004,
        warmup_epochs=1,
        mosaic=0.0,
        cache=True,
        device="cpu",
        workers=0,
        seed=0,
        val=False,
        plots=False,
        amp=False,
        pretrained=False,
        project=str(folder),
        name="run",
    )
    shutil.copyfile(folder / "run" / "weights" / "last.pt", target)


if __name__ == "__main__":
    main()
