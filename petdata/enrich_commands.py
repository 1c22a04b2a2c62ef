"""Commands that make side tables. Like petdata.cli, each parses, calls once and prints."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from petdata.config_flags import with_flags
from trainer.enrich_flags import DescribeFlags, DetectFlags

PhotosName = Annotated[
    str,
    typer.Argument(
        metavar="RELEASE|SOURCE",
        help="Release folder, NAME@VERSION or user/name of the Hub; or a source with shards here.",
    ),
]


def add_enrich_commands(app: typer.Typer) -> None:
    for command in (detect, describe):
        app.command()(command)


@with_flags(DetectFlags)
def detect(photos: PhotosName, *, flags: dict[str, Any]) -> None:
    """Find the animal on each photo: boxes with class and score, into a side table.

    Photos that have a row are not looked at again: the same command goes on where a run stopped.
    """
    from trainer.detect_command import detect_and_print

    detect_and_print(photos, flags)


@with_flags(DescribeFlags)
def describe(photos: PhotosName, *, flags: dict[str, Any]) -> None:
    """Have a model describe each photo by itself, into a side table of the workspace.

    A server's key is read from PETDATA_DESCRIBE_KEY. Photos that have a row are not looked at
    again: the same command goes on where a run stopped.
    """
    from trainer.describe_command import describe_and_print

    describe_and_print(photos, flags)
