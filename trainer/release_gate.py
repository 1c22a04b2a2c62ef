"""The release gate: an exported folder, opened by others, gives what the run's network gives.

A fresh Python process runs the code that the card shows, in the folder that is about to be
published, on photos of the run's data set and on drawn pictures. Nothing of petdata is in it.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from petdata.errors import PetdataError
from petdata.releases import open_release
from petdata.workspace import Workspace
from trainer.config import TrainConfig
from trainer.data import open_photos
from trainer.model import PetEncoder

TOLERANCE: Final = 1e-5  # of any number of two unit vectors
_PHOTOS: Final = 5  # of the data set
_SIZES: Final = ((301, 200), (97, 640), (64, 64), (37, 61))  # width, height of drawn pictures
_TEXTS: Final = ("Пропал рыжий кот, белая грудка", "a tabby cat", "", "Найдена собака. " * 40)
_SAID: Final = 400  # characters of an error

# Put behind the code of the card. `embed` is what that defines.
_RUNNER: Final = """
import json
import sys
from pathlib import Path

import numpy
from PIL import Image
from safetensors.numpy import save_file

probe = Path(sys.argv[1])
arguments = [[Image.open(path) for path in sorted(probe.glob("*.picture"))]]
texts = json.loads((probe / "texts.json").read_text(encoding="utf-8"))
if texts is not None:
    arguments.append(texts)
if foreign := {"petdata", "trainer", "evaluation"} & sys.modules.keys():
    raise SystemExit(f"{foreign} was imported")
embeddings = numpy.ascontiguousarray(embed(*arguments), dtype=numpy.float32)
save_file({"embeddings": embeddings}, probe / "embeddings.safetensors")
"""


class GateRefusal(PetdataError):
    """What would be published is not what was trained."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What both sides embed."""

    names: Sequence[str]
    pictures: Sequence[bytes]  # JPEG or PNG
    texts: Sequence[str] | None  # one each, for networks that read them
    photos: int = 0  # of the data set, which come first; the others are drawn

    def __len__(self) -> int:
        return len(self.names)

    def open(self) -> list[Image.Image]:
        return [Image.open(io.BytesIO(each)) for each in self.pictures]


def make_probe(config: TrainConfig, workspace: Workspace) -> tuple[Probe, str | None]:
    """Photos of the data set where it can be opened, else why not; drawn pictures always."""
    drawn = drawn_probe(with_texts=config.text_encoder is not None)
    try:
        taken = _photos(config, workspace)
    except PetdataError as error:
        return drawn, str(error)
    both = Probe(
        names=[*taken.names, *drawn.names],
        pictures=[*taken.pictures, *drawn.pictures],
        texts=None if drawn.texts is None else [*(taken.texts or ()), *drawn.texts],
        photos=len(taken),
    )
    return both, None


def _photos(config: TrainConfig, workspace: Workspace) -> Probe:
    if config.dataset is None:
        raise PetdataError("the run names no data set")
    release = open_release(
        config.dataset, revision=config.revision, config=config.dataset_config, workspace=workspace
    )
    split = "validation" if "validation" in release.splits else "train"
    photos = open_photos(release, split, texts=config.text_from)
    rows = np.unique(np.linspace(0, len(photos) - 1, _PHOTOS).astype(np.int64))
    return Probe(
        names=[photos.photo_ids[row].as_py() for row in rows.tolist()],
        pictures=photos.read(rows),
        texts=None if photos.texts is None else [photos.texts[n].as_py() for n in rows.tolist()],
    )


def drawn_probe(*, with_texts: bool) -> Probe:
    """Blots with sharp noise in them: wide, tall, square and small."""
    names, pictures = [], []
    for number, (width, height) in enumerate(_SIZES):
        draw = np.random.default_rng(number)
        blots = Image.fromarray(draw.integers(0, 256, (6, 8, 3), np.uint8))
        large = np.asarray(blots.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
        noise = draw.integers(-24, 25, (height, width, 3))
        file = io.BytesIO()
        Image.fromarray((large + noise).clip(0, 255).astype(np.uint8)).save(file, "PNG")
        names.append(f"a drawn picture of {width} x {height}")
        pictures.append(file.getvalue())
    return Probe(names=names, pictures=pictures, texts=list(_TEXTS) if with_texts else None)


def own_embeddings(model: PetEncoder, probe: Probe) -> Tensor:
    """(N, D) unit vectors of the run's network, as petdata computes them."""
    transform = model.vision.transform()
    pixels = torch.stack([transform(picture) for picture in probe.open()])
    tokens: dict[str, Tensor] = {}
    if model.text is not None and probe.texts is not None:
        tokens = model.text.tokenize(probe.texts)
    batch = SimpleNamespace(
        pixel_values=pixels,
        input_ids=tokens.get("input_ids"),
        attention_mask=tokens.get("attention_mask"),
    )
    with torch.inference_mode():
        return functional.normalize(model.eval()(batch), dim=-1)


def check_release(folder: Path, code: str, probe: Probe, expected: Tensor) -> float:
    """The largest difference, at most TOLERANCE. Raises GateRefusal, saying what differs."""
    return largest_difference(_in_a_fresh_process(folder, code, probe), expected, probe.names)


def largest_difference(found: Tensor, expected: Tensor, names: Sequence[str]) -> float:
    """Of two (N, D). Raises GateRefusal where it is above TOLERANCE, or no number."""
    if found.shape != expected.shape:
        raise GateRefusal(
            f"the exported folder gives embeddings of shape {tuple(found.shape)}, the run's "
            f"network {tuple(expected.shape)}: nothing was exported"
        )
    differences = (found - expected).abs().nan_to_num(nan=torch.inf).amax(dim=1)  # (N,)
    worst = int(differences.argmax())
    largest = differences[worst].item()
    if largest > TOLERANCE:
        raise GateRefusal(
            "the exported folder does not give the run's embeddings: "
            f"{int((differences > TOLERANCE).sum())} of {len(names)} differ by more than "
            f"{TOLERANCE:g}, most that of {names[worst]}, by {largest:.3g}: nothing was exported"
        )
    return largest


def _in_a_fresh_process(folder: Path, code: str, probe: Probe) -> Tensor:
    with tempfile.TemporaryDirectory(prefix="petdata-gate-") as name:
        scratch = Path(name)
        for number, picture in enumerate(probe.pictures):
            (scratch / f"{number:04}.picture").write_bytes(picture)
        texts = None if probe.texts is None else list(probe.texts)
        (scratch / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
        script = scratch / "load_as_the_card_says.py"
        script.write_text(f"{code}\n{_RUNNER}", encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-I", str(script), name],
            cwd=folder,
            env=os.environ | {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = " ".join(done.stderr.split())[-_SAID:]
            raise GateRefusal(
                f"the exported folder cannot be loaded as its card says: {said or 'killed'} "
                f"(exit code {done.returncode}): nothing was exported"
            )
        return load_file(scratch / "embeddings.safetensors")["embeddings"]
