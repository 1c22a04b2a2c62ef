"""The petdata command. Each command parses, calls once and prints; stages are imported there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from petdata import __version__
from petdata.enrich_commands import add_enrich_commands
from petdata.errors import PetdataError
from petdata.model_commands import add_model_commands
from petdata.standard_streams import open_closed_streams

app = typer.Typer(
    name="petdata",
    help="Collect photos of cats and dogs, build re-identification datasets, train and evaluate.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
crawl_app = typer.Typer(help="Collect listings and photos from a web site.", no_args_is_help=True)
shards_app = typer.Typer(help="Look at what was collected.", no_args_is_help=True)
telegram_app = typer.Typer(
    help="Collect posts and photos from Telegram channels that you may use.", no_args_is_help=True
)
import_app = typer.Typer(
    help="Read data sets that lie on this machine into shards.", no_args_is_help=True
)
links_app = typer.Typer(
    help="Look at identities that share a photo, and decide.", no_args_is_help=True
)
app.add_typer(crawl_app, name="crawl")
app.add_typer(import_app, name="import")
app.add_typer(telegram_app, name="telegram")
app.add_typer(shards_app, name="shards")
app.add_typer(links_app, name="links")

SourceName = Annotated[
    str | None, typer.Argument(help="One source, e.g. pet911; without it all that are here.")
]
IdentityName = Annotated[
    str, typer.Argument(help="As a release or the workspace has it, e.g. pet911/rl518787.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]

ChannelsFile = Annotated[
    Path, typer.Argument(help="channels.toml: which channels, and by what right.")
]
TelegramSpecies = Annotated[
    str, typer.Option(help="Comma-separated: cat, dog, bird, other, unknown.")
]
MinPhotos = Annotated[int, typer.Option(help="A post with fewer is dropped.")]
MaxPhotos = Annotated[int, typer.Option(help="Photos taken of a post, in order.")]
Keywords = Annotated[
    list[Path] | None, typer.Option(help="A TOML file that adds to the keyword rules.")
]
ShardMegabytes = Annotated[float, typer.Option(min=0.01, help="JPEG bytes in a shard, in MB.")]

DataSetPath = Annotated[
    Path, typer.Argument(help="The folder, or the archive as downloaded.", metavar="PATH")
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes that decode; without it one a core.")
]


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


@crawl_app.command("pet911")
def crawl_pet911(
    species: Annotated[str, typer.Option(help="Comma-separated: cat, dog, bird, other.")] = (
        "cat,dog"
    ),
    city: Annotated[str | None, typer.Option(help="As in addresses: moskva.")] = None,
    min_photos: Annotated[int, typer.Option(help="A listing with fewer is dropped.")] = 2,
    max_photos: Annotated[int, typer.Option(help="Photos taken of a listing, in order.")] = 8,
    max_listings: Annotated[int | None, typer.Option(help="New listings in this run.")] = None,
    known_stop: Annotated[
        int, typer.Option(help="Known listings in a row that end the walk; 0: walk to the end.")
    ] = 40,
    recheck: Annotated[
        float | None, typer.Option(help="Days after which open listings are read again.")
    ] = None,
    base_url: Annotated[str, typer.Option(help="The site.")] = "https://pet911.ru",
    setting: Annotated[
        list[str] | None, typer.Option("--set", "-s", help="A Scrapy setting, NAME=VALUE.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Crawl pet911.ru into shards; run it again to go on, or to fetch what is new.

    The same as: scrapy crawl pet911 -a species=cat,dog -a ...
    PETDATA_CONTACT must say how the site can reach you.
    """
    from crawlers.run import crawl_and_print

    arguments = {
        "species": species,
        "city": city,
        "min_photos": min_photos,
        "max_photos": max_photos,
        "max_listings": max_listings,
        "known_stop": known_stop,
        "recheck": recheck,
        "base_url": base_url,
    }
    crawl_and_print("pet911", arguments, settings=setting or [], as_json=as_json)


@telegram_app.command("login")
def telegram_login(
    phone: Annotated[str | None, typer.Option(help="Phone number of the account.")] = None,
) -> None:
    """Log in once, with an application of your own, and leave a session file behind.

    TELEGRAM_API_ID and TELEGRAM_API_HASH come from https://my.telegram.org/apps; without them
    you are asked. Whoever has the session file is the account: its folder is yours alone (0700).
    """
    from crawlers.telegram.run import log_in_and_print

    log_in_and_print(phone, lambda text, secret: str(typer.prompt(text, hide_input=secret)))


@telegram_app.command("harvest")
def telegram_harvest(
    channels: ChannelsFile,
    only: Annotated[
        list[str] | None, typer.Option("--channel", help="Only this one of the file.")
    ] = None,
    species: TelegramSpecies = "cat,dog,unknown",
    min_photos: MinPhotos = 1,
    max_photos: MaxPhotos = 10,
    max_messages: Annotated[
        int | None, typer.Option(help="New messages of each channel in this run.")
    ] = None,
    rescan: Annotated[
        int, typer.Option(help="Message ids behind the newest known one to look at again.")
    ] = 200,
    recheck: Annotated[
        float | None, typer.Option(help="Days after which open posts are read again.")
    ] = None,
    max_wait: Annotated[
        int, typer.Option(help="Seconds that Telegram may ask to wait before the run ends.")
    ] = 60,
    keywords: Keywords = None,
    shard_mb: ShardMegabytes = 64,
    as_json: AsJson = False,
) -> None:
    """Read channels into shards; run it again to go on, or to read what is new.

    CHANNELS says of each channel who asserts what right of use: petdata takes it down, and gives
    no permission. Exit code 75: Telegram asks to wait longer than --max-wait; run it again then.
    """
    from crawlers.telegram.collection import HarvestOptions, parse_species
    from crawlers.telegram.run import harvest_and_print

    options = HarvestOptions(
        species=parse_species(species),
        min_photos=min_photos,
        max_photos=max_photos,
        max_messages=max_messages,
        rescan=rescan,
        recheck=recheck,
        max_wait=max_wait,
        shard_bytes=int(shard_mb * 2**20),
    )
    harvest_and_print(
        channels, options, only=only or [], keyword_files=keywords or [], as_json=as_json
    )


@telegram_app.command("import-export")
def telegram_import_export(
    folder: Annotated[Path, typer.Argument(help="Folder of result.json, as Desktop wrote it.")],
    channels: Annotated[
        Path, typer.Option(help="channels.toml: which channels, and by what right.")
    ] = Path("channels.toml"),
    species: TelegramSpecies = "cat,dog,unknown",
    min_photos: MinPhotos = 1,
    max_photos: MaxPhotos = 10,
    keywords: Keywords = None,
    shard_mb: ShardMegabytes = 64,
    as_json: AsJson = False,
) -> None:
    """Read a Telegram Desktop export (JSON, with photos) into the same shards; needs no account.

    Exports do not say which messages are one album: that is inferred, and marked so.
    """
    from crawlers.telegram.collection import HarvestOptions, parse_species
    from crawlers.telegram.run import import_and_print

    options = HarvestOptions(
        species=parse_species(species),
        min_photos=min_photos,
        max_photos=max_photos,
        shard_bytes=int(shard_mb * 2**20),
    )
    import_and_print(folder, channels, options, keyword_files=keywords or [], as_json=as_json)


@telegram_app.command("channels")
def telegram_channels(as_json: AsJson = False) -> None:
    """Show the channels that were read: cursor, messages, posts, photos."""
    from petdata.presentation import print_channels
    from petdata.workspace import find_workspace

    print_channels(find_workspace(), as_json=as_json)


@import_app.command("dogs-world")
def import_dogs_world(
    path: DataSetPath,
    workers: Workers = None,
    shard_mb: ShardMegabytes = 64,
    as_json: AsJson = False,
) -> None:
    """Import Dogs-World: photos of exactly one dog; run it again to go on."""
    from dataset_builder.importing import data_set, import_and_print

    job = data_set("dogs-world", path)
    import_and_print(job, workers=workers, shard_mb=shard_mb, as_json=as_json)


@import_app.command("lcw")
def import_lcw(
    path: DataSetPath,
    workers: Workers = None,
    shard_mb: ShardMegabytes = 64,
    as_json: AsJson = False,
) -> None:
    """Import Labeled Cats in the Wild; run it again to go on."""
    from dataset_builder.importing import data_set, import_and_print

    job = data_set("lcw", path)
    import_and_print(job, workers=workers, shard_mb=shard_mb, as_json=as_json)


@import_app.command("petface")
def import_petface(
    path: DataSetPath,
    families: Annotated[
        str, typer.Option(help="Comma-separated: cat, dog, rabbit, hamster, ...")
    ] = "cat,dog",
    workers: Workers = None,
    shard_mb: ShardMegabytes = 64,
    as_json: AsJson = False,
) -> None:
    """Import PetFace: the folder with its archives, or what they unpack to.

    Its lists go to source_split, its verification pairs to a table beside the shards.
    """
    from dataset_builder.importing import import_and_print, petface_families

    job = petface_families(path, [name.strip() for name in families.split(",") if name.strip()])
    import_and_print(job, workers=workers, shard_mb=shard_mb, as_json=as_json)


@import_app.command("cat-individual-images")
def import_cat_individual_images(
    path: DataSetPath,
    workers: Workers = None,
    shard_mb: ShardMegabytes = 64,
    as_json: AsJson = False,
) -> None:
    """Import Cat Individual Images, a test set; run it again to go on."""
    from dataset_builder.importing import data_set, import_and_print

    job = data_set("cat-individual-images", path)
    import_and_print(job, workers=workers, shard_mb=shard_mb, as_json=as_json)


@import_app.command("dogfacenet")
def import_dogfacenet(
    path: DataSetPath,
    workers: Workers = None,
    shard_mb: ShardMegabytes = 64,
    as_json: AsJson = False,
) -> None:
    """Import DogFaceNet, a test set: the 224 archive, Zenodo's folder or a Parquet mirror."""
    from dataset_builder.importing import data_set, import_and_print

    job = data_set("dogfacenet", path)
    import_and_print(job, workers=workers, shard_mb=shard_mb, as_json=as_json)


@import_app.command("folder")
def import_folder(
    path: DataSetPath,
    source: Annotated[str, typer.Option(help="As petdata.toml declares it.")],
    layout: Annotated[
        str, typer.Option(help="identity-folders: PATH/<identity>/<photo>; or real-pets.")
    ] = "identity-folders",
    manifest: Annotated[
        Path | None, typer.Option(help="A CSV with photo, identity, ... instead of a layout.")
    ] = None,
    species: Annotated[
        str | None, typer.Option(help="Of all photos, where the manifest does not say it.")
    ] = None,
    workers: Workers = None,
    shard_mb: ShardMegabytes = 64,
    as_json: AsJson = False,
) -> None:
    """Import photos of your own; run it again to go on, or to take what is new."""
    from dataset_builder.importing import import_and_print, own_photos

    job = own_photos(path, source, layout=layout, manifest=manifest, species=species)
    import_and_print(job, workers=workers, shard_mb=shard_mb, as_json=as_json)


@shards_app.command("list")
def shards_list(source: SourceName = None, as_json: AsJson = False) -> None:
    """List the shards: rows, bytes, fingerprint."""
    from petdata.presentation import print_shards
    from petdata.workspace import find_workspace

    print_shards(find_workspace(), source, as_json=as_json)


@shards_app.command("verify")
def shards_verify(source: SourceName = None) -> None:
    """Decode every photo, check every hash, compare shards and ledger. Exit code 1 on a problem."""
    from petdata.presentation import print_verification
    from petdata.workspace import find_workspace

    print_verification(find_workspace(), source)


@shards_app.command("show")
def shards_show(
    source: Annotated[str, typer.Argument(help="A source, e.g. pet911.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The HTML file to write.")
    ] = None,
    identities: Annotated[int, typer.Option(min=1, help="How many to show.")] = 60,
) -> None:
    """Write a contact sheet of the current photos, with their boxes: one HTML page to look at."""
    from petdata.presentation import print_contact_sheet
    from petdata.workspace import find_workspace

    print_contact_sheet(find_workspace(), source, output, identities)


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
def rehydrate(
    release: Annotated[
        str | None,
        typer.Argument(help="A folder, NAME, NAME@VERSION or user/name@v1.0.0; else the only."),
    ] = None,
) -> None:
    """Fill the pixels of a recipe in from this workspace's shards. Exit code 1 if some lack."""
    from dataset_builder.rehydrate_command import rehydrate_and_print

    rehydrate_and_print(release)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="The workspace of the demo.")] = Path("demo-data"),
    listings: Annotated[int, typer.Option(min=10, max=100_000, help="Size of the site.")] = 300,
    seed: Annotated[int, typer.Option(help="Another seed draws other animals.")] = 1,
) -> None:
    """From drawn pets to releases, encoders and a report, with the real commands. Offline."""
    from petdata.demo.run import run_demo

    run_demo(folder, listings=listings, seed=seed)


add_model_commands(app)
add_enrich_commands(app)


if __name__ == "__main__":
    main()
