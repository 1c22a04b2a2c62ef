"""Detectors: decoded photos in, boxes out. Those of transformers are Apache-2.0."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Final, Protocol

import torch

from petdata.errors import PetdataError
from trainer.decoding import Pixels
from trainer.detect_choice import Box, tidy_boxes
from trainer.hub_models import load_processor, load_whole, model_folder
from trainer.weights_hash import weights_hash
from trainer.yolo import YoloDetector, is_yolo, weights_file

DETECTORS: Final = {
    "rtdetrv2-r18": "PekingU/rtdetr_v2_r18vd",
    "rtdetrv2-r50": "PekingU/rtdetr_v2_r50vd",
    "dfine-m": "ustc-community/dfine-medium-coco",
    "dfine-x": "ustc-community/dfine-xlarge-coco",
    "rfdetr-base": "Roboflow/rf-detr-base",
}


class Detector(Protocol):
    @property
    def model(self) -> str: ...

    @property
    def model_hash(self) -> str: ...

    def detect(self, photos: Sequence[Pixels], threshold: float) -> list[list[Box]]:
        """Of each photo its boxes with at least this score, the surest first, within the photo."""


class TransformersDetector:
    """Any model of AutoModelForObjectDetection: RT-DETRv2, D-FINE, RF-DETR, YOLOS, ..."""

    def __init__(self, model: str, device: str = "auto") -> None:
        """`model`: of DETECTORS, user/name[@revision] of the Hub, or a folder."""
        folder, self.model = model_folder(DETECTORS.get(model, model))
        self.model_hash = weights_hash(folder)
        self._processor = load_processor("AutoImageProcessor", folder)
        self._network = load_whole("AutoModelForObjectDetection", folder, device)
        self._names = self._network.config.id2label

    def detect(self, photos: Sequence[Pixels], threshold: float) -> list[list[Box]]:
        inputs = self._processor(images=list(photos), return_tensors="pt")
        sizes = [(photo.shape[0], photo.shape[1]) for photo in photos]
        with torch.inference_mode():
            found = self._network(**inputs.to(self._network.device, dtype=self._network.dtype))
        # Some models give bfloat16, which the post-processing would round to whole pixels.
        found.logits, found.pred_boxes = found.logits.float(), found.pred_boxes.float()
        each = self._processor.post_process_object_detection(
            found, threshold=threshold, target_sizes=sizes
        )
        return [
            tidy_boxes(
                zip(
                    map(self._name, one["labels"].tolist()),
                    one["scores"].tolist(),
                    one["boxes"].tolist(),
                    strict=True,
                ),
                *size,
            )
            for one, size in zip(each, sizes, strict=True)
        ]

    def _name(self, label: int) -> str:
        return str(self._names.get(label) or label)


def open_detector(
    model: str, device: str, *, weights: Path, trusted: str | None = None
) -> AbstractContextManager[Detector]:
    """`weights`: folder of the files that a name of YOLO12 means. Raises PetdataError."""
    if is_yolo(model):
        return YoloDetector(weights_file(model, weights), device, trusted)
    if trusted is not None:
        raise PetdataError(f"--weights-sha256 is for a .pt; {model} is read from safetensors")
    return nullcontext(TransformersDetector(model, device))
