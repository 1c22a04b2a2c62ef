"""What `petdata costs` does and prints."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from evaluation.costs import Costs, costs_of
from evaluation.embed_flags import EmbedFlags
from evaluation.epoch_costs import LOGGED, PAPER_EPOCH_PHOTOS, run_named, with_epoch
from evaluation.tables import TextTable, latex, markdown
from evaluation.text_alone import TOKENS, TextAlone
from petdata.workspace import Workspace, find_workspace
from trainer.config import check_choices
from trainer.encoders import VISION_ENCODERS, load_vision_encoder
from trainer.hub_models import device_of
from trainer.model import PetEncoder
from trainer.open_model import open_model
from trainer.text_encoder_table import TEXT_ENCODERS

TITLE: Final = "Costs of the models"
_COLUMNS: Final = (
    *("model", "M params", "M trainable", "G mult-adds", "torchinfo's", "MiB peak"),
    *("s an epoch", "photos/s"),
)


@dataclass(frozen=True, kw_only=True)
class CostsFlags:
    epoch_photos: int = PAPER_EPOCH_PHOTOS  # of a model that is no run
    as_format: Literal["table", "markdown", "latex", "json"] = "table"

    def __post_init__(self) -> None:
        check_choices(self)


def costs_and_print(models: Sequence[str], flags: EmbedFlags, shown: CostsFlags) -> None:
    workspace, device = find_workspace(), device_of(flags.device)
    found = {}
    for name in models:
        network = _network(name, workspace, tiny=flags.tiny)
        costs = costs_of(
            network, device=device, batch_size=flags.batch_size, precision=flags.precision
        )
        found[name] = with_epoch(costs, run_named(name, workspace), shown.epoch_photos)
    if shown.as_format == "json":
        told = {name: dataclasses.asdict(costs) for name, costs in found.items()}
        typer.echo(json.dumps(told, indent=2))
    elif shown.as_format == "table":
        _print(costs_table(found))
    else:
        table = costs_table(found)
        typer.echo((markdown if shown.as_format == "markdown" else latex)(table), nl=False)


def costs_table(found: Mapping[str, Costs]) -> TextTable:
    """The paper's Tables 3 to 6 in their columns, multiply-adds in both ways of counting."""
    last = [*found.values()][-1]
    rows = tuple((name, *_row(costs)) for name, costs in found.items())
    notes = [
        f"photos/s: forward passes alone, batch {last.batch_size}, {last.precision}, "
        f"{last.device}, {last.timed_batches} batches after {last.warm_up_batches} to warm up; "
        f"peak: one photo, {last.peak_of}",
        *(
            f"s an epoch, {name}: {costs.epoch_photos:,} photos, {costs.epoch_of}"
            for name, costs in found.items()
            if costs.epoch_of == LOGGED
        ),
        *(
            f"{name}: texts of {TOKENS} tokens instead of photos"
            for name in found
            if name in TEXT_ENCODERS
        ),
        *sorted(
            {
                f"~ s an epoch: {costs.epoch_photos:,} photos, {costs.epoch_of}"
                for costs in found.values()
                if costs.epoch_of != LOGGED
            }
        ),
    ]
    return TextTable(title=TITLE, columns=_COLUMNS, rows=rows, notes=tuple(notes))


def _print(table: TextTable) -> None:
    console = Console(highlight=False)
    shown = Table(box=SIMPLE_HEAD, pad_edge=False)
    first, *others = table.columns
    shown.add_column(first, no_wrap=True)
    for header in others:
        shown.add_column(header.replace(" ", "\n", 1), justify="right", no_wrap=True)
    for row in table.rows:
        shown.add_row(*row)
    whole = Measurement.get(console, console.options.update(max_width=1_000), shown).maximum
    console.width = max(console.width, whole)  # no number is cut
    console.print(shown)
    for note in table.notes:
        console.print(note, soft_wrap=True, markup=False)


def _network(name: str, workspace: Workspace, *, tiny: bool) -> PetEncoder | TextAlone:
    """One of the tables with drawn weights, which cost what published ones do, as it is trained."""
    if name in VISION_ENCODERS:
        return PetEncoder(load_vision_encoder(name, weights="random", tiny=tiny, seed=0))
    if name in TEXT_ENCODERS:
        return TextAlone(name)
    return open_model(name, workspace=workspace)[0]


def _row(costs: Costs) -> list[str]:
    mark = "" if costs.epoch_of == LOGGED else "~"
    seconds = costs.seconds_per_epoch
    return [
        f"{costs.parameters / 1e6:,.2f}",
        f"{costs.trainable / 1e6:,.2f}",
        f"{costs.multiply_adds / 1e9:,.3f}",
        f"{costs.torchinfo_multiply_adds / 1e9:,.3f}",
        f"{costs.peak_bytes / 2**20:,.0f}",
        "" if seconds is None else f"{mark}{seconds:,.{0 if seconds >= 10 else 2}f}",
        f"{costs.photos_per_second:,.0f}",
    ]
