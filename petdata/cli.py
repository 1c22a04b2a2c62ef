"""The petdata command. Each command parses, calls once and prints; stages are imported there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from petdata import __version__
from petdata.collect_commands import add_collect_commands
from petdata.command_types import AsJson
from petdata.enrich_commands import add_enrich_commands
from petdata.errors import PetdataError
from petdata.model_commands import add_model_commands
from petdata.release_commands import add_release_commands
from petdata.standard_streams import open_closed_streams

app = typer.Typer(
    name="petdata",
    help="Collect photos of cats and dogs, build re-identification datasets, train and evaluate.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Entry point: a PetdataError becomes one line on stderr and its exit code."""
    open_closed_streams()
    try:
        app(standalone_mode=True)
    except PetdataError as error:
        typer.secho(f"petdata: {error}", fg="red", err=True)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        extra = _EXTRA_OF.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        typer.secho(
            f"petdata: this command needs the {extra} extra: pip install -e '.[{extra}]'",
            fg="red",
            err=True,
        )
        sys.exit(2)


_EXTRA_OF = {
    "scrapy": "crawl",
    "parsel": "crawl",
    "telethon": "telegram",
    "datasets": "build",
    "huggingface_hub": "build",
    "httpx2": "build",
    "torch": "train",
    "transformers": "train",
    "faiss": "evaluate",
    "scipy": "evaluate",
    "sklearn": "evaluate",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
}


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"petdata {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """The workspace is the folder of petdata.toml, else $PETDATA_HOME, else ./petdata-data."""


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show the workspace: sources, listings, photos, bytes, what is running."""
    from petdata.presentation import print_status
    from petdata.workspace import find_workspace

    print_status(find_workspace(), as_json=as_json)


@app.command()
def forget(
    target: Annotated[
        str,
        typer.Argument(
            help="An identity or photo, by its id here or in a release, an address or a SHA-256.",
            metavar="TARGET",
        ),
    ],
    reason: Annotated[str, typer.Option(help="Why, without naming anybody.")],
    purge: Annotated[
        bool, typer.Option("--purge", help="Also delete it here, with every release that has it.")
    ] = False,
) -> None:
    """Never collect this again, and leave it out of every build from now on.

    --purge rewrites shards, segments and ledgers without it, deletes releases, caches and pages
    that show it, and prints the commands for the Hub. Cut off, the same command goes on.
    """
    from dataset_builder.forgetting import forget_and_print

    forget_and_print(target, reason, purge_too=purge)


def demo(
    folder: Annotated[Path, typer.Option(help="The workspace of the demo.")] = Path("demo-data"),
    listings: Annotated[int, typer.Option(min=10, max=100_000, help="Size of the site.")] = 300,
    seed: Annotated[int, typer.Option(help="Another seed draws other animals.")] = 1,
) -> None:
    """From drawn pets to releases, encoders and a report, with the real commands. Offline."""
    from petdata.demo.run import run_demo

    run_demo(folder, listings=listings, seed=seed)


add_collect_commands(app)
add_release_commands(app)
app.command()(demo)
add_model_commands(app)
add_enrich_commands(app)


if __name__ == "__main__":
    main()
