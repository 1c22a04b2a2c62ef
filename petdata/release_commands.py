"""Commands of releases. Like petdata.cli, each parses, calls once and prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from petdata.command_types import AsJson

links_app = typer.Typer(
    help="Look at identities that share a photo, and decide.", no_args_is_help=True
)

IdentityName = Annotated[
    str, typer.Argument(help="As a release or the workspace has it, e.g. pet911/rl518787.")
]


def add_release_commands(app: typer.Typer) -> None:
    for command in (build, stats, diff, verify, push, pull, rehydrate):
        app.command()(command)
    app.add_typer(links_app, name="links")


def build(
    name: Annotated[str, typer.Option(help="Of the release.")] = "pets",
    version: Annotated[
        str | None, typer.Option(help="As 1.0.0; without it the next one, by what changed.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="A source to leave out; may be repeated.")
    ] = None,
    petface: Annotated[
        str | None, typer.Option(help="Its lists: none, train or all (the default).")
    ] = None,
    min_photos: Annotated[int, typer.Option(help="A smaller identity group is dropped.")] = 1,
    near_duplicates: Annotated[
        int, typer.Option(help="Bits within which photos of an identity repeat each other.")
    ] = 4,
    leak_bits: Annotated[
        int, typer.Option(help="Bits within which training may not resemble a test photo.")
    ] = 10,
    merge_identities: Annotated[
        str, typer.Option(help="Identities that share a photo: exact, near or off.")
    ] = "exact",
    val_fraction: Annotated[float, typer.Option(help="Of identity groups; 0: none.")] = 0.05,
    keep_text: Annotated[bool, typer.Option("--keep-text", help="Titles, descriptions.")] = False,
    keep_source_ids: Annotated[
        bool, typer.Option("--keep-source-ids", help="For private use: no pseudonyms.")
    ] = False,
    multi_animal: Annotated[
        str, typer.Option(help="Announcements and photos of several animals: drop or keep.")
    ] = "drop",
    seed: Annotated[int, typer.Option(help="Of the validation split.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Merge what is here into a release: versioned, leak-checked, a Hugging Face dataset."""
    from dataset_builder.commands import build_and_print
    from dataset_builder.options import BuildOptions, petface_choice

    options = BuildOptions(
        exclude=frozenset(exclude or ()),
        petface=petface_choice(exclude or (), petface),
        min_photos=min_photos,
        near_duplicates=near_duplicates,
        leak_bits=leak_bits,
        merge_identities=merge_identities,
        val_fraction=val_fraction,
        keep_text=keep_text,
        keep_source_ids=keep_source_ids,
        multi_animal=multi_animal,
        seed=seed,
    )
    build_and_print(options, name=name, version=version, as_json=as_json)


def stats(
    release: Annotated[
        str | None,
        typer.Argument(help="A folder, NAME, NAME@VERSION or user/name@v1.0.0; else the newest."),
    ] = None,
    shards: Annotated[
        bool, typer.Option("--shards", help="Of what is collected and imported, unbuilt.")
    ] = False,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV on standard output.")] = False,
    page: Annotated[
        Path | None, typer.Option("--html", help="Write a page: charts, photos, tables.")
    ] = None,
) -> None:
    """Show photos per identity by source, split and species; what each step of the build took."""
    from dataset_builder.stats_command import stats_and_print

    stats_and_print(release, shards=shards, as_json=as_json, as_csv=as_csv, page=page)


def diff(
    before: Annotated[
        str, typer.Argument(help="A folder, NAME, NAME@VERSION or user/name@v1.0.0.", metavar="A")
    ],
    after: Annotated[str, typer.Argument(help="Another one.", metavar="B")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Every photo's change, as Parquet.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what was added, removed, changed or moved between two releases, and why."""
    from dataset_builder.diff_command import compare_and_print

    compare_and_print(before, after, output=output, as_json=as_json)


def verify(
    release: Annotated[
        str | None,
        typer.Argument(help="A folder, NAME, NAME@VERSION or user/name@v1.0.0; else the only."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Decode no photo.")] = False,
    purged: Annotated[
        str | None,
        typer.Option(help="Search the whole workspace for what was purged.", metavar="TARGET"),
    ] = None,
) -> None:
    """Hold a release to its manifest: files, photos, splits, leaks, sums. Exit code 1 if broken."""
    from dataset_builder.verify_command import verify_and_print

    verify_and_print(release, quick=quick, purged=purged)


@links_app.command("show")
def links_show(
    release: Annotated[
        str | None,
        typer.Argument(help="A folder, NAME, NAME@VERSION or user/name@v1.0.0; else the only."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The HTML file to write.")
    ] = None,
    most: Annotated[int, typer.Option(min=1, help="Pairs on the page.")] = 200,
) -> None:
    """Write a page of the pairs of identities that share a photo: near ones first."""
    from dataset_builder.links_command import show_links

    show_links(release, output, most)


@links_app.command("accept")
def links_accept(first: IdentityName, second: IdentityName) -> None:
    """These two are one animal: the next build joins them."""
    from dataset_builder.links_command import decide_and_print

    decide_and_print(first, second, "accepted")


@links_app.command("reject")
def links_reject(first: IdentityName, second: IdentityName) -> None:
    """These two are not one animal, whatever photo they share: the next build keeps them apart."""
    from dataset_builder.links_command import decide_and_print

    decide_and_print(first, second, "rejected")


def push(
    release: Annotated[str, typer.Argument(help="Its folder, NAME or NAME@VERSION.")],
    repository: Annotated[str, typer.Argument(help="user/name on the Hub.", metavar="REPOSITORY")],
    private: Annotated[
        bool, typer.Option("--private", help="A repository that is made is private.")
    ] = False,
    include_restricted: Annotated[
        bool,
        typer.Option(
            "--include-restricted",
            help="Private only: pixels also of sources that may not be passed on.",
        ),
    ] = False,
) -> None:
    """Publish a release on the Hub as vX.Y.Z, all of it or nothing; run it again to go on.

    Rows of sources that may not be passed on go up without pixels: a recipe.
    """
    from dataset_builder.hub import PushOptions
    from dataset_builder.hub_command import push_and_print

    options = PushOptions(private=private, include_restricted=include_restricted)
    push_and_print(release, repository, options)


def pull(
    dataset: Annotated[
        str, typer.Argument(help="user/name or user/name@v1.0.0; else the newest version.")
    ],
    into: Annotated[
        Path | None, typer.Option(help="A new folder; else releases/ of the workspace.")
    ] = None,
) -> None:
    """Fetch a release from the Hub, every hash compared; run it again to go on."""
    from dataset_builder.hub_command import pull_and_print

    pull_and_print(dataset, into)


def rehydrate(
    release: Annotated[
        str | None,
        typer.Argument(help="A folder, NAME, NAME@VERSION or user/name@v1.0.0; else the only."),
    ] = None,
) -> None:
    """Fill the pixels of a recipe in from this workspace's shards. Exit code 1 if some lack."""
    from dataset_builder.rehydrate_command import rehydrate_and_print

    rehydrate_and_print(release)
