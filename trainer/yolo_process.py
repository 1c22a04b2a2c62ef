"""The process that reads a .pt of ultralytics and runs it: pictures in, boxes out.

A .pt is a pickle: reading one can run code. So it is read here, in a process that has no key, no
workspace and a folder of its own, and only what the parent has checked. Nothing else imports
ultralytics, which is AGPL-3.0 and changes the process that imports it: threads of torch and OpenCV,
OMP_NUM_THREADS, how numpy prints.

On stdin, for each batch: a line of JSON, {"threshold": 0.3, "shapes": [[H, W], ...]}, and the RGB
pixels of all pictures. On stdout, for each: a line with a list for each picture of
[class, score, x0, y0, x1, y1]. The first line says {"ready": true}, before anything was asked.
"""

from __future__ import annotations

import json
import math
import os
import resource
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

FOLDER: Final = "petdata-yolo-"  # start of the name of the one that goes with the process
# ULTRALYTICS_SAFE_LOAD: of a pickle only the classes that such a network consists of.
ENVIRONMENT: Final = {
    "YOLO_OFFLINE": "true",
    "YOLO_AUTOINSTALL": "false",
    "YOLO_VERBOSE": "false",
    "ULTRALYTICS_SAFE_LOAD": "true",
}
# Python's own names of events. What a library does in C goes past this.
_REFUSED: Final = (
    *("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"),
    *("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork"),
)


def main() -> None:
    """Arguments: the .pt; auto, cpu or cuda; the number of threads, for the CPU."""
    weights, device, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    parent = os.getppid()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print
    network = _load(weights, device, threads)
    with suppress(EOFError, BrokenPipeError):
        _say(answers, {"ready": True})
        while line := sys.stdin.buffer.readline():
            asked = json.loads(line)
            pictures = [_read_picture(sys.stdin.buffer, *shape) for shape in asked["shapes"]]
            _say(answers, _detect(network, pictures, asked["threshold"]))
    _clear_up(parent)


def _clear_up(parent: int) -> None:
    """A parent that was killed has not removed the folder. Its pipes close before it is gone."""
    for _ in range(100):
        if os.getppid() != parent:
            break
        time.sleep(0.05)
    if os.getppid() != parent and Path.cwd().name.startswith(FOLDER):
        shutil.rmtree(Path.cwd(), ignore_errors=True)


def _load(weights: str, device: str, threads: int) -> Any:
    import torch

    sys.addaudithook(_refuse)
    from ultralytics import YOLO, settings

    settings.update({"sync": False})
    network = YOLO(weights, task="detect")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    network.overrides["device"] = device
    _detect(network, [np.zeros((64, 64, 3), np.uint8)], 0.5)
    torch.set_num_threads(threads)  # the first picture has set it to something else
    return network


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _REFUSED:
        raise PermissionError(f"{event} {arguments[:2]}: a detector works on its own")


def _read_picture(stream: BinaryIO, height: int, width: int) -> np.ndarray[Any, Any]:
    pixels = stream.read(height * width * 3)
    if len(pixels) < height * width * 3:
        raise EOFError
    rgb = np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
    return np.ascontiguousarray(rgb[..., ::-1])  # as ultralytics has them


def _detect(network: Any, pictures: list[np.ndarray[Any, Any]], threshold: float) -> list[Any]:
    # Not rect: the padding of a picture would depend on the others of its batch.
    found = network.predict(
        pictures, conf=threshold, rect=False, batch=len(pictures), save=False, verbose=False
    )
    return [
        [
            [str(each.names[int(label)]), score, *corners]
            for *corners, score, label in each.boxes.data.float().cpu().tolist()
            if math.isfinite(score) and all(map(math.isfinite, corners))
        ]
        for each in found
    ]


def _say(stream: BinaryIO, what: Any) -> None:
    stream.write(json.dumps(what).encode() + b"\n")
    stream.flush()


if __name__ == "__main__":
    main()
