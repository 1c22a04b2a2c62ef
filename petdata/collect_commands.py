"""Commands that collect or show what was. Like petdata.cli, each parses, calls once and prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from petdata.command_types import AsJson

crawl_app = typer.Typer(help="Collect listings and photos from a web site.", no_args_is_help=True)
import_app = typer.Typer(
    help="Read data sets that lie on this machine into shards.", no_args_is_help=True
)
telegram_app = typer.Typer(
    help="Collect posts and photos from Telegram channels that you may use.", no_args_is_help=True
)
shards_app = typer.Typer(help="Look at what was collected.", no_args_is_help=True)

SourceName = Annotated[
    str | None, typer.Argument(help="One source, e.g. pet911; without it all that are here.")
]
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


def add_collect_commands(app: typer.Typer) -> None:
    app.add_typer(crawl_app, name="crawl")
    app.add_typer(import_app, name="import")
    app.add_typer(telegram_app, name="telegram")
    app.add_typer(shards_app, name="shards")


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
