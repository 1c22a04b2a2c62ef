"""What a training step is made of, and the whole beside Hugging Face's Trainer.

    python benchmarks/train_step.py [--encoder clip-vit-base] [--identities 16] [--quick]

A step is split into waiting for photos, the frozen blocks, the trained blocks with the backward
pass, the loss, and Adam; then timed again with the frozen blocks' output kept (--cache-features).
The Trainer gets the same network, loss, batches and transform. Weights are random: speed does not
depend on them. On a GPU the step runs in bf16 and the model FLOP utilisation is printed.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from generated_releases import some_jpegs, write_release
from PIL import Image
from torch import Tensor, nn

from petdata.workspace import Workspace
from trainer.config import TrainConfig
from trainer.data import PhotoLoader, PhotoSet, default_workers, open_photos, open_release
from trainer.feature_cache import FeatureLoader, open_feature_cache
from trainer.losses import build_loss
from trainer.model import PetEncoder, build_model
from trainer.sampler import IdentityBatchSampler, Rows
from trainer.steps import moved
from trainer.train import make_sampler

PEAK_FLOPS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # bf16, dense: vendor's figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--encoder", default="clip-vit-base")
    parser.add_argument("--identities", type=int, default=16, help="of 2 photos each, in a batch")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--quick", action="store_true", help="tiny encoder, 5 steps")
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = TrainConfig(
        encoder=options.encoder,
        weights="random",
        tiny=options.quick,
        identities=options.identities,
        precision="bf16" if device.type == "cuda" else "no",
    )
    steps = 5 if options.quick else options.steps
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_release(root / "release", (some_jpegs() * 40)[: 40 * options.identities])
        bench = Bench(config, root, device)
        report = bench.compare(steps)
    print(json.dumps({"benchmark": "train_step", "encoder": config.encoder, **report}))


class Bench:
    def __init__(self, config: TrainConfig, root: Path, device: torch.device) -> None:
        self.config, self.device = config, device
        self.workspace = Workspace(root=root)
        release = open_release(root / "release", config="all", workspace=self.workspace)
        self.photos: PhotoSet = open_photos(release, "train")
        self.sampler: IdentityBatchSampler = make_sampler(config, self.photos)

    def compare(self, steps: int) -> dict[str, Any]:
        model, loss, optimizer = self.parts()
        split = self.split_step(model, loss, optimizer, steps)
        whole = sum(split.values())
        for part, seconds in split.items():
            print(f"{part:28} {1e3 * seconds:9.1f} ms {seconds / whole:6.1%}")
        print(f"{'petdata, a step':28} {1e3 * whole:9.1f} ms")
        kept = self.kept_step(model, loss, optimizer, steps)
        print(f"{'with kept features':28} {1e3 * kept:9.1f} ms, {whole / kept:.2f} times as fast")
        theirs = self.trainer_step(steps)
        print(f"{'Trainer, a step':28} {1e3 * theirs:9.1f} ms")
        report: dict[str, Any] = {"ratios": {"Trainer": theirs / whole, "kept": whole / kept}}
        return report | {
            "split_s": split,
            "device": self.name(),
            "mfu": self.utilisation(model, whole),
        }

    def parts(self) -> tuple[PetEncoder, nn.Module, torch.optim.Optimizer]:
        model = build_model(self.config).to(self.device).train()
        loss = build_loss(self.config.loss_config(), identities=0, width=model.width)
        trained = [each for each in model.parameters() if each.requires_grad]
        return model, loss, torch.optim.Adam(trained, lr=self.config.learning_rate)

    def batches(self, count: int) -> Iterator[Rows]:
        for number in range(count):
            epoch, batch = divmod(number, self.sampler.batches_per_epoch)
            yield self.sampler.rows(epoch, batch)

    def split_step(
        self, model: PetEncoder, loss: nn.Module, optimizer: torch.optim.Optimizer, steps: int
    ) -> dict[str, float]:
        """Median seconds of each part; the first step warms up."""
        found: dict[str, list[float]] = {}
        began = self.now()

        def lap(part: str) -> None:
            nonlocal began
            now = self.now()
            found.setdefault(part, []).append(now - began)
            began = now

        loader = PhotoLoader(self.photos, model.vision.transform(), self.batches(steps + 1))
        for batch in loader:
            batch = moved(batch, self.device)
            lap("waiting for photos")
            with self.autocast():
                frozen = model.vision.frozen(batch.pixel_values)
                lap("frozen blocks")
                embeddings = model.vision.rest(frozen).pooled
            lap("trained blocks, forward")
            value = loss(embeddings.float(), batch.labels)
            assert math.isfinite(value.item())
            lap("loss")
            value.backward()
            lap("trained blocks, backward")
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            lap("Adam")
        return {part: statistics.median(seconds[1:]) for part, seconds in found.items()}

    def kept_step(
        self, model: PetEncoder, loss: nn.Module, optimizer: torch.optim.Optimizer, steps: int
    ) -> float:
        rows = self.sampler.usable_rows
        cache = open_feature_cache(
            self.workspace, model.vision, self.photos, rows, workers=None, say=print
        )
        seconds, began = [], self.now()
        for batch in FeatureLoader(cache, self.photos, self.batches(steps + 1)):
            batch = moved(batch, self.device)
            with self.autocast():
                embeddings = model(batch)
            loss(embeddings.float(), batch.labels).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            now = self.now()
            seconds.append(now - began)
            began = now
        return statistics.median(seconds[1:])

    def trainer_step(self, steps: int) -> float:
        """transformers.Trainer, its DataLoader filled through the same transform."""
        from transformers import Trainer, TrainerCallback, TrainingArguments

        model, loss, optimizer = self.parts()
        seconds: list[float] = []
        began = self.now()
        bench = self

        class Clock(TrainerCallback):
            def on_step_end(self, *arguments: Any, **named: Any) -> None:
                nonlocal began
                now = bench.now()
                seconds.append(now - began)
                began = now

        class WithLoss(Trainer):
            def compute_loss(self, model: Any, inputs: Any, *more: Any, **named: Any) -> Tensor:
                value: Tensor = loss(model(inputs["pixels"]).float(), inputs["labels"])
                return value

            def get_train_dataloader(self) -> Any:
                return self.accelerator.prepare(
                    torch.utils.data.DataLoader(
                        self.train_dataset,
                        batch_sampler=list(bench.batches(steps + 1)),
                        num_workers=default_workers(),
                    )
                )

        arguments = TrainingArguments(
            output_dir=str(self.workspace.root / "trainer"),
            max_steps=steps + 1,
            per_device_train_batch_size=2 * self.config.identities,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            max_grad_norm=0.0,
            bf16=self.config.precision == "bf16",
            use_cpu=self.device.type == "cpu",
            remove_unused_columns=False,
        )
        WithLoss(
            Pooled(model),
            arguments,
            train_dataset=Photos(self.photos, model),
            optimizers=(optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)),
            callbacks=[Clock()],
        ).train()
        return statistics.median(seconds[1:])

    def autocast(self) -> Any:
        bf16 = self.config.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=bf16)

    def now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def name(self) -> str:
        return torch.cuda.get_device_name() if self.device.type == "cuda" else "cpu"

    def utilisation(self, model: PetEncoder, seconds: float) -> float | None:
        """Of the device's peak: forward of all blocks, backward of the trained, once each."""
        peak = next((peak for name, peak in PEAK_FLOPS.items() if name in self.name()), None)
        if peak is None:
            return None
        from torch.utils.flop_counter import FlopCounterMode

        side = model.vision.image_size
        pixels = torch.zeros(2 * self.config.identities, 3, side, side, device=self.device)
        with FlopCounterMode(display=False) as counter, self.autocast():
            model.vision(pixels).pooled.float().sum().backward()
        return counter.get_total_flops() / seconds / peak


class Photos(torch.utils.data.Dataset):  # type: ignore[type-arg]
    def __init__(self, photos: PhotoSet, model: PetEncoder) -> None:
        self.photos, self.transform = photos, model.vision.transform()

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, row: int) -> dict[str, Any]:
        picture = Image.open(io.BytesIO(self.photos.read_one(int(row)))).convert("RGB")
        return {"pixels": self.transform(picture), "labels": int(self.photos.labels[row])}


class Pooled(nn.Module):
    def __init__(self, model: PetEncoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        return self.model.vision(pixels).pooled


if __name__ == "__main__":
    main()
