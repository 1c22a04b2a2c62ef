"""What `petdata costs` does and prints."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from evaluation.costs import Costs, costs_of
from evaluation.embed_flags import EmbedFlags
from petdata.workspace import Workspace, find_workspace
from trainer.encoders import VISION_ENCODERS, load_vision_encoder
from trainer.hub_models import device_of
from trainer.model import PetEncoder
from trainer.open_model import open_model


def costs_and_print(models: Sequence[str], flags: EmbedFlags, *, as_json: bool) -> None:
    workspace, device = find_workspace(), device_of(flags.device)
    found = {}
    for name in models:
        network = _network(name, workspace, tiny=flags.tiny)
        found[name] = costs_of(
            network, device=device, batch_size=flags.batch_size, precision=flags.precision
        )
    if as_json:
        told = {name: dataclasses.asdict(costs) for name, costs in found.items()}
        typer.echo(json.dumps(told, indent=2))
        return
    console = Console(highlight=False)
    table = Table(box=SIMPLE_HEAD)
    table.add_column("model", no_wrap=True)
    headers = ("M params", "M trainable", "G mult-adds", "torchinfo's", "peak MiB", "photos/s")
    for header in headers:
        table.add_column(header.replace(" ", "\n", 1), justify="right")
    for name, costs in found.items():
        table.add_row(name, *_row(costs))
    console.print(table)
    last = next(reversed(found.values()))
    console.print(
        f"photos/s: forward passes alone, batch {last.batch_size}, {last.precision}, "
        f"{last.device}, {last.timed_batches} batches after {last.warm_up_batches} to warm up; "
        f"peak: one photo, {last.peak_of}",
        soft_wrap=True,
        markup=False,
    )


def _network(name: str, workspace: Workspace, *, tiny: bool) -> PetEncoder:
    """One of the table with drawn weights, which cost what published ones do, as it is trained."""
    if name in VISION_ENCODERS:
        return PetEncoder(load_vision_encoder(name, weights="random", tiny=tiny, seed=0))
    return open_model(name, workspace=workspace)[0]


def _row(costs: Costs) -> list[str]:
    return [
        f"{costs.parameters / 1e6:,.2f}",
        f"{costs.trainable / 1e6:,.2f}",
        f"{costs.multiply_adds / 1e9:,.3f}",
        f"{costs.torchinfo_multiply_adds / 1e9:,.3f}",
        f"{costs.peak_bytes / 2**20:,.0f}",
        f"{costs.photos_per_second:,.0f}",
    ]
