"""Commands of models. Like petdata.cli, each parses, calls once and prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from evaluation.embed_flags import EmbedFlags
from petdata.config_flags import with_flags
from trainer.config import TrainConfig

ModelName = Annotated[
    str, typer.Argument(help="A run or export, user/name of the Hub, or an encoder, used frozen.")
]
ReleaseName = Annotated[
    str, typer.Argument(help="Release folder, NAME@VERSION, or user/name of the Hub.")
]


def add_model_commands(app: typer.Typer) -> None:
    for command in (train, export, embed, evaluate, compare, costs, reproduce, report, search):
        app.command()(command)


@with_flags(TrainConfig)
def train(
    dataset: Annotated[
        str | None, typer.Argument(help="Release folder, NAME@VERSION, or user/name of the Hub.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file with any of these flags; flags win.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print identities, batches, memory; train nothing.")
    ] = False,
    list_encoders: Annotated[
        bool, typer.Option("--list-encoders", help="Print the encoders that there are.")
    ] = False,
    *,
    flags: dict[str, Any],
) -> None:
    """Train an encoder on a release, by a published recipe unless flags say otherwise.

    The recipe: Kudryavtsev et al., J. Imaging 2026, 12, 30. The same command again goes on where a
    run stopped. Several GPUs: torchrun -m petdata train ...
    """
    from evaluation.train_command import print_encoders, train_and_print

    if list_encoders:
        print_encoders()
        return
    given = flags if dataset is None else flags | {"dataset": dataset}
    train_and_print(config, given, dry_run=dry_run)


def export(
    run: Annotated[str, typer.Argument(help="A finished run, by name or folder.")],
    into: Annotated[
        Path | None, typer.Option(help="The folder to make; without it export/ of the run.")
    ] = None,
    push: Annotated[
        str | None, typer.Option(metavar="USER/NAME", help="Send it to the Hub, in one commit.")
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Make the repository, where there is none, private.")
    ] = False,
    onnx: Annotated[bool, typer.Option("--onnx", help="Add onnx/model.onnx.")] = False,
) -> None:
    """Make a folder that transformers, timm or open_clip load without petdata, with a card.

    A fresh process first loads it as its card says and compares embeddings with the run's.
    """
    from trainer.export_command import export_and_print

    export_and_print(run, into=into, push=push, private=private, onnx=onnx)


@with_flags(EmbedFlags)
def embed(
    model: ModelName,
    release: ReleaseName,
    pickle: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a pickle too, for other tools.")
    ] = None,
    *,
    flags: dict[str, Any],
) -> None:
    """Embed a split of a release into the cache, as Parquet of unit vectors, and print the folder.

    What is there already is not made again; what was cut short goes on.
    """
    from evaluation.embed_command import embed_and_print

    embed_and_print(model, release, flags, pickle_file=pickle)


@with_flags(EmbedFlags)
def evaluate(
    model: ModelName,
    release: ReleaseName,
    name: Annotated[str | None, typer.Option(help="Of the folder in evaluations/.")] = None,
    resamples: Annotated[int, typer.Option(help="Of the bootstrap over identities.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of pairs and bootstrap.")] = 0,
    no_controls: Annotated[
        bool, typer.Option("--no-controls", help="The model alone, without raw encoder and so on.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
    *,
    flags: dict[str, Any],
) -> None:
    """Evaluate a model on a split: retrieval, verification, open set, each with its interval.

    Beside it what the raw encoder, random weights and a colour histogram reach. Everything is
    stored in evaluations/, with the lists of pairs.
    """
    from evaluation.evaluate_command import evaluate_and_print

    evaluate_and_print(
        model,
        release,
        flags,
        name=name,
        resamples=resamples,
        seed=seed,
        with_controls=not no_controls,
        as_json=as_json,
    )


def compare(
    evaluations: Annotated[
        list[str], typer.Argument(help="Two or more, by name or folder; the first is the baseline.")
    ],
    resamples: Annotated[int, typer.Option(help="Of the bootstrap over identities.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of pairs and bootstrap.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Compare evaluations on the same photos with the first one, and say what can be concluded."""
    from evaluation.compare_command import compare_and_print

    compare_and_print(evaluations, resamples=resamples, seed=seed, as_json=as_json)


def costs(
    models: Annotated[
        list[str], typer.Argument(help="Runs, exports, or encoders of the tables, of texts too.")
    ],
    tiny: Annotated[bool, typer.Option("--tiny", help="The encoders in small.")] = False,
    batch_size: Annotated[int, typer.Option(help="Photos at once.")] = 128,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    epoch_photos: Annotated[
        int, typer.Option(min=1, help="Of an epoch of a model that is no run: the paper's.")
    ] = 1_387_360,
    as_format: Annotated[
        str, typer.Option("--format", help="table, markdown, latex or json.")
    ] = "table",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Measure parameters, multiply-adds (torch's and torchinfo's way), memory and photos a second.

    On drawn noise, without decoding. Encoders of the table need no published weights for it. The
    seconds of an epoch are those that a run has logged; for other models an estimate, marked ~.
    """
    from evaluation.costs_command import CostsFlags, costs_and_print

    flags: Any = {"device": device, "precision": precision}
    chosen: Any = {"as_format": "json" if as_json else as_format}
    costs_and_print(
        models,
        EmbedFlags(tiny=tiny, batch_size=batch_size, **flags),
        CostsFlags(epoch_photos=epoch_photos, **chosen),
    )


def reproduce(
    release: ReleaseName,
    only: Annotated[
        str | None,
        typer.Option(help="Comma-separated: vision, text, fusion, data, crop, comparison, loss."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Of each cell: 0, 1, and so on.")] = 1,
    matrix: Annotated[
        str, typer.Option(help="paper, tiny (minutes on a CPU), or a TOML file.")
    ] = "paper",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print runs and GPU hours; run nothing.")
    ] = False,
    tflops: Annotated[
        float, typer.Option(help="TFLOP a second that the estimate of hours assumes.")
    ] = 100.0,
) -> None:
    """Train and evaluate what a paper's tables need, and fill these tables.

    The matrix of Kudryavtsev et al., J. Imaging 2026, 12, 30, unless told otherwise. What is done
    is not done again; a cell that misses its input, or fails, is told and the others go on. The
    same command again goes on where it stopped. Exit code 1 where a cell failed.
    """
    from evaluation.reproduce_command import ReproduceFlags, reproduce_and_print

    flags = ReproduceFlags(matrix=matrix, only=only, seeds=seeds, dry_run=dry_run, teraflops=tflops)
    reproduce_and_print(release, flags)


def report(
    name: Annotated[str, typer.Argument(help="An evaluation or a run, by name or folder.")],
    into: Annotated[
        Path | None, typer.Option(help="The file; without it report.html beside the figures.")
    ] = None,
    costs: Annotated[
        bool, typer.Option("--costs", help="Measure time and memory of the model too.")
    ] = False,
    batch_size: Annotated[int, typer.Option(help="Photos at once, for --costs.")] = 128,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda, for --costs.")] = "auto",
    precision: Annotated[str, typer.Option(help="float32 or bfloat16, for --costs.")] = "float32",
) -> None:
    """Write what an evaluation says as one HTML file: curves, tables, photos, where it comes from.

    It needs neither network nor scripts. Of a run the last evaluation is shown, with the curves of
    its training.
    """
    from evaluation.report_command import report_and_print

    flags: Any = {"device": device, "precision": precision}
    measure = EmbedFlags(batch_size=batch_size, **flags) if costs else None
    report_and_print(name, into=into, costs=measure)


@with_flags(EmbedFlags)
def search(
    model: ModelName,
    release: ReleaseName,
    photo: Annotated[Path, typer.Argument(help="A picture file of any common kind.")],
    text: Annotated[
        str | None, typer.Option(help="What is said of the animal, for models that read.")
    ] = None,
    top: Annotated[int, typer.Option(help="Identities to name.")] = 10,
    index: Annotated[
        str, typer.Option(help="exact, or hnsw: a kept graph, quicker in large releases.")
    ] = "exact",
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with the pictures too.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
    *,
    flags: dict[str, Any],
) -> None:
    """Name the identities of a split that look most like a photo, with their similarities.

    The split is embedded first, unless petdata embed has done it.
    """
    from evaluation.search_command import SearchFlags, search_and_print

    shown: Any = {"index": index}
    search_and_print(
        model,
        release,
        photo,
        flags,
        SearchFlags(text=text, top=top, html=html, as_json=as_json, **shown),
    )
