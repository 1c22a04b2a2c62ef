"""The network as one ONNX file: pixels (and tokens) in, unit vectors out, any number at a time."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from petdata.errors import PetdataError
from trainer.model import PetEncoder

# Protobuf ends at 2 GiB; beyond this the weights lie in a file beside model.onnx.
_ONE_FILE_BYTES: Final = 1_500_000_000
_TRACED_WITH: Final = 2  # photos: 1 would be taken for a constant


class _UnitVectors(nn.Module):
    def __init__(self, model: PetEncoder) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        pixel_values: Tensor,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        batch = SimpleNamespace(
            pixel_values=pixel_values, input_ids=input_ids, attention_mask=attention_mask
        )
        return functional.normalize(self.model(batch), dim=-1)


def write_onnx(model: PetEncoder, file: Path) -> None:
    """Inputs pixel_values (batch, 3, S, S) float32 and, where texts are read, input_ids and
    attention_mask (batch, tokens) int64; output embeddings (batch, D). Raises PetdataError.
    """
    import onnx  # noqa: F401  - so that what is missing is named before the work
    import onnxscript  # noqa: F401

    side = model.vision.image_size
    given = {"pixel_values": torch.zeros(_TRACED_WITH, 3, side, side)}
    # Both inputs of one text share their names, so that they share their lengths.
    batch, tokens = (
        torch.export.Dim("batch"),
        torch.export.Dim("tokens", min=2, max=_longest(model)),
    )
    dynamic = {"pixel_values": {0: batch}}
    if model.text is not None:
        given |= model.text.tokenize(["a text of some words", "another"])
        dynamic |= {name: {0: batch, 1: tokens} for name in ("input_ids", "attention_mask")}
    logging.getLogger("onnxscript").setLevel(logging.ERROR)  # it tells which nodes it left alone
    size = sum(each.numel() * each.element_size() for each in model.parameters())
    file.parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own and onnxscript's old habits
        try:
            torch.onnx.export(
                _UnitVectors(model.eval()).eval(),
                tuple(given.values()),
                file,
                dynamo=True,
                input_names=list(given),
                output_names=["embeddings"],
                dynamic_shapes=tuple(dynamic.values()),
                external_data=size > _ONE_FILE_BYTES,
                verbose=False,
            )
        except (RuntimeError, ValueError, TypeError) as error:
            said = " ".join(str(error).split())[:300]
            raise PetdataError(
                f"this network cannot be written as ONNX: {said}. Export it without --onnx"
            ) from error


def _longest(model: PetEncoder) -> int:
    return 512 if model.text is None else model.text.tokenize.max_tokens
