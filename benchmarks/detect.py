"""Photos a second of `petdata detect` beside the bare model call on pictures that are decoded.

    python benchmarks/detect.py [--photos 48] [--rounds 3] [--quick]

The bare call is transformers' own three lines, or ultralytics' predict in a process that has the
pictures in memory; both get the same batches of 8. petdata reads photos from a release, checks
their hashes, decodes them and stores rows. Weights are random: nothing is found, and speed does
not depend on it. YOLO12 is left out where the crop extra is not installed. The order of the two
changes from round to round; the median of the rounds' ratios is told, of wall and of CPU time,
the latter with that of child processes.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from generated_releases import some_jpegs, write_release
from PIL import Image

from petdata.workspace import Workspace
from trainer.detect import detect_photos
from trainer.detectors import Detector, TransformersDetector
from trainer.unseen_photos import unseen_photos
from trainer.yolo import YoloDetector

BATCH = 8
BAR = 0.85


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--photos", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="16 photos, one round")
    parser.add_argument("--bare-yolo", nargs=2, metavar=("WEIGHTS", "PICTURES"))
    options = parser.parse_args()
    if options.bare_yolo:
        serve_bare_yolo(*map(Path, options.bare_yolo))
        return
    photos, rounds = (16, 1) if options.quick else (options.photos, options.rounds)
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), some_jpegs()[:photos])
        report = {"RT-DETRv2 r18": bench.transformers(rounds)}
        if importlib.util.find_spec("ultralytics"):
            report["YOLO12n"] = bench.yolo(rounds)
    for model, found in report.items():
        rates = "  ".join(f"{each} {rate:6.2f} photos/s" for each, rate in found["rates"].items())
        print(f"{model:14} {rates}  {found['ratio']:.2f} of it (bar {BAR}), CPU {found['cpu']:.2f}")
    threads = torch.get_num_threads()
    ratios = {model: found["ratio"] for model, found in report.items()}
    print(json.dumps({"benchmark": "detect", "ratios": ratios, "threads": threads, **report}))


class Bench:
    def __init__(self, root: Path, jpegs: list[bytes]) -> None:
        self.root = root
        self.workspace = Workspace(root=root)
        write_release(root / "release", jpegs, files=1)
        self.pictures = [np.array(Image.open(io.BytesIO(jpeg)).convert("RGB")) for jpeg in jpegs]

    def transformers(self, rounds: int) -> dict[str, Any]:
        folder = self.root / "rtdetrv2-r18"
        save_rtdetr(folder)
        processor = transformers.AutoImageProcessor.from_pretrained(folder)
        network = transformers.AutoModelForObjectDetection.from_pretrained(folder).eval()

        def bare() -> float:
            began = time.monotonic()
            for pictures in batches(self.pictures):
                with torch.inference_mode():
                    found = network(**processor(images=pictures, return_tensors="pt"))
                sizes = [picture.shape[:2] for picture in pictures]
                processor.post_process_object_detection(found, threshold=0.3, target_sizes=sizes)
            return time.monotonic() - began

        return self.compare(TransformersDetector(str(folder), "cpu"), bare, rounds)

    def yolo(self, rounds: int) -> dict[str, Any]:
        weights, pictures = self.root / "yolo12n.pt", self.root / "pictures.npz"
        np.savez(pictures, *self.pictures)
        with bare_yolo(weights, pictures) as bare:
            trusted = hashlib.sha256(weights.read_bytes()).hexdigest()
            with YoloDetector(weights, "cpu", trusted) as detector:
                return self.compare(detector, bare, rounds)

    def compare(self, detector: Detector, bare: Callable[[], float], rounds: int) -> dict[str, Any]:
        def ours() -> float:
            with tempfile.TemporaryDirectory(dir=self.root) as name:
                folder = Path(name) / "boxes"
                photos = unseen_photos(str(self.root / "release"), folder, self.workspace)
                began = time.monotonic()
                detect_photos(photos, folder, detector, batch_size=BATCH)
                return time.monotonic() - began

        detector.detect(self.pictures[:1], 0.3)  # the first call is slower
        seconds: dict[str, list[float]] = {"petdata": [], "bare call": []}
        cpu: dict[str, list[float]] = {"petdata": [], "bare call": []}
        for number in range(rounds):
            both = [("bare call", bare), ("petdata", ours)]
            for name, call in both if number % 2 else reversed(both):
                spent = cpu_s()
                seconds[name].append(call())
                cpu[name].append(cpu_s() - spent)
        return {
            "ratio": ratio(seconds),
            "cpu": ratio(cpu),
            "rates": {
                name: round(len(self.pictures) / statistics.median(each), 3)
                for name, each in seconds.items()
            },
        }


def ratio(spent: dict[str, list[float]]) -> float:
    pairs = zip(spent["bare call"], spent["petdata"], strict=True)
    return round(statistics.median(theirs / mine for theirs, mine in pairs), 3)


def cpu_s() -> float:
    """CPU seconds of this process and of its children that are alive."""
    ticks = os.sysconf("SC_CLK_TCK")
    found = time.process_time()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid():
            found += (int(fields[11]) + int(fields[12])) / ticks
    return found


def batches(pictures: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(pictures), BATCH):
        yield pictures[start : start + BATCH]


def save_rtdetr(folder: Path) -> None:
    """The shape of PekingU/rtdetr_v2_r18vd, random."""
    backbone = transformers.RTDetrResNetConfig(
        hidden_sizes=[64, 128, 256, 512],
        depths=[2, 2, 2, 2],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )
    config = transformers.RTDetrV2Config(
        backbone_config=backbone,
        encoder_in_channels=[128, 256, 512],
        hidden_expansion=0.5,
        decoder_layers=3,
    )
    transformers.RTDetrV2ForObjectDetection(config).save_pretrained(folder)
    transformers.RTDetrImageProcessor().save_pretrained(folder)


@contextmanager
def bare_yolo(weights: Path, pictures: Path) -> Iterator[Callable[[], float]]:
    """Writes the weights, and then times a pass over the pictures whenever it is called."""
    off = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}
    process = subprocess.Popen(
        [sys.executable, __file__, "--bare-yolo", str(weights), str(pictures)],
        env=os.environ | off | {"YOLO_CONFIG_DIR": str(weights.parent)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    answers = (line for line in process.stdout if line.startswith("took "))

    def bare() -> float:
        process.stdin.write(f"{torch.get_num_threads()}\n")
        process.stdin.flush()
        return float(next(answers).split()[1])

    next(answers)
    try:
        yield bare
    finally:
        process.stdin.close()
        process.wait()


def serve_bare_yolo(weights: Path, pictures: Path) -> None:
    from ultralytics import YOLO

    YOLO("yolo12n.yaml").save(weights)
    network = YOLO(weights)
    with np.load(pictures) as file:
        decoded = [np.ascontiguousarray(file[name][..., ::-1]) for name in file.files]
    asked = {"conf": 0.3, "rect": False, "verbose": False, "device": "cpu"}
    network.predict(decoded[:1], **asked)
    print("took 0", flush=True)
    for line in sys.stdin:
        torch.set_num_threads(int(line))
        began = time.monotonic()
        for some in batches(decoded):
            network.predict(some, batch=len(some), **asked)
        print(f"took {time.monotonic() - began}", flush=True)


if __name__ == "__main__":
    main()
