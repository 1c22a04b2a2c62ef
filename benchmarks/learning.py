"""Does training learn? A tiny ViT on the demo's release, from its folder and from a dataset ID.

    python benchmarks/learning.py [--listings 1000] [--steps 4000] [--folder FOLDER] [--quick]

Makes the demo's world with more listings, builds a release of it with 30 % for validation, and
trains a ViT of random weights (32 x 32 pixels, width 64, 3 blocks; photos cut to the animal,
P = 16, the recipe's loss) on the site's photos in it. The first steps are then trained again from a
local Hub, by dataset ID at a tag: their losses have to be equal. Last the real MiniLM reads the
owners' texts beside the pictures. Each gain in Top-1 is paired with the untrained network, with
its 95 % interval.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from dataset_builder.build import build
from dataset_builder.options import BuildOptions
from evaluation.embed import embed
from evaluation.embeddings import Embeddings
from evaluation.significance import Interval
from evaluation.validation import rank_species, top_1_difference
from petdata.demo.servers.hub import TOKEN, HubServer
from petdata.releases import open_release
from petdata.workspace import Workspace
from trainer.config import TrainConfig, to_toml
from trainer.metrics_log import read_metrics
from trainer.model import PetEncoder, build_model
from trainer.model_folder import read_model
from trainer.photo_set import open_photos
from trainer.run_folder import MODEL
from trainer.train import train

RELEASE = "learning"
SOURCE = "pet911"  # whose photos all have a box
BOXES = "boxes"  # the demo's: where it has drawn the animals
BAR = 0.10  # of the lower end of the gain's interval
SIDE = 32
WIDTH = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--listings", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--text-steps", type=int, default=100)
    parser.add_argument("--hub-steps", type=int, default=100)
    parser.add_argument("--folder", type=Path, help="to make the demo in, or where it is already")
    parser.add_argument("--quick", action="store_true", help="a world too small to learn from")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.listings, chosen.steps, chosen.text_steps, chosen.hub_steps = 20, 10, 3, 5
    with tempfile.TemporaryDirectory(prefix="petdata-learning-") as scratch:
        workspace = Workspace(root=(chosen.folder or Path(scratch) / "demo").resolve())
        make_world(workspace, chosen.listings)
        config = picture_config(Path(scratch) / "vit", chosen.steps)
        found: dict[str, object] = {"photos alone": learned(config, workspace)}
        found["hub"] = beside_the_hub(config, workspace, chosen.hub_steps, Path(scratch) / "pulled")
        texts = replace(
            config,
            text_encoder="minilm",
            text_from="owner",
            fusion="concat",  # gating finds nine of ten before it is trained: texts name listings
            trainable_blocks=1,
            max_steps=chosen.text_steps,
        )
        found["with owners' texts"] = learned(texts, workspace)
    print(json.dumps({"benchmark": "learning", "ratios": {}, **found}))


def make_world(workspace: Workspace, listings: int) -> None:
    if not (workspace.root / "releases" / "pets").exists():
        workspace.root.mkdir(parents=True, exist_ok=True)
        demo = ("demo", "--folder", str(workspace.root), "--listings", str(listings))
        petdata(workspace.root, {}, *demo)
    if not (workspace.root / "releases" / RELEASE).exists():
        build(workspace, BuildOptions(val_fraction=0.3, keep_text=True), name=RELEASE)


def picture_config(weights: Path, steps: int) -> TrainConfig:
    torch.manual_seed(0)
    size = {"height": SIDE, "width": SIDE}
    shape = CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=SIDE,
        patch_size=4,
        projection_dim=WIDTH,
    )
    CLIPVisionModelWithProjection(shape).save_pretrained(weights)
    processor = CLIPImageProcessor(size=size, crop_size=size, do_center_crop=False)
    processor.save_pretrained(weights)
    return TrainConfig(
        dataset=RELEASE,
        dataset_config=SOURCE,
        encoder="clip-vit-base",
        weights=str(weights),
        trainable_blocks=-1,
        crop=BOXES,
        identities=16,
        learning_rate=1e-3,
        epochs=10_000,
        max_steps=steps,
        scaled_decoding=True,
        validate=False,
        device="cpu",
    )


def learned(config: TrainConfig, workspace: Workspace) -> dict[str, object]:
    run = train(config, workspace, say=print)
    release = open_release(RELEASE, config=SOURCE, workspace=workspace)
    photos = open_photos(release, "validation", texts=config.text_from, boxes=config.crop)
    untrained: PetEncoder = build_model(config).eval()
    before, after = (embed(m, photos) for m in (untrained, read_model(run / MODEL)[0]))
    gain = top_1_difference(after, before)
    values = [line["loss"] for line in read_metrics(run) if "loss" in line]
    print(
        f"{run.name}: {len(photos):,} validation photos of {len(photos.groups):,} identities, loss "
        f"{mean(values[:5]):.3f} to {mean(values[-5:]):.3f}, Top-1 {top_1(before):.3f} untrained, "
        f"{top_1(after):.3f} trained, gain {shown(gain)} (bar: {BAR} at its lower end)"
    )
    return {"untrained": top_1(before), "trained": top_1(after), "gain_low": gain.low}


def beside_the_hub(
    config: TrainConfig, workspace: Workspace, steps: int, home: Path
) -> dict[str, object]:
    """The first steps from the folder and from the Hub at a tag, by the commands."""
    few = replace(config, max_steps=steps, log_every=1, name="first-steps")
    home.mkdir()
    file = home / "first-steps.toml"
    file.write_text(to_toml(few))
    petdata(workspace.root, {}, "train", "--config", str(file))
    with HubServer() as hub:
        client = {**hub.environment(home / "hub"), "HF_TOKEN": TOKEN}
        private = ("--private", "--include-restricted")
        petdata(workspace.root, client, "push", RELEASE, "user/learning", *private)
        tagged = ("user/learning", "--revision", "v1.0.0", "--config", str(file))
        petdata(home, client, "train", *tagged)
    of_folder, of_hub = (losses(root / "runs" / "first-steps") for root in (workspace.root, home))
    equal = of_folder == of_hub and len(of_hub) == steps
    print(f"{len(of_hub)} steps from user/learning@v1.0.0: equal losses: {equal}")
    return {"steps": len(of_hub), "equal_losses": equal}


def petdata(home: Path, environment: Mapping[str, str], *words: str) -> None:
    variables = {**os.environ, **environment, "PETDATA_HOME": str(home)}
    subprocess.run([sys.executable, "-m", "petdata", *words], env=variables, cwd=home, check=True)


def losses(run: Path) -> list[float]:
    return [line["loss"] for line in read_metrics(run) if "loss" in line]


def top_1(embeddings: Embeddings) -> float:
    return rank_species(embeddings).top_k_accuracy(1)


def mean(values: Sequence[float]) -> float:
    return sum(values) / max(len(values), 1)


def shown(interval: Interval) -> str:
    return f"{interval.estimate:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"


if __name__ == "__main__":
    main()
