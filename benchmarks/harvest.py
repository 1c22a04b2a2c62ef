"""Messages and photos per second of a harvest of a local Telegram server, and its memory.

    python benchmarks/harvest.py [--quick] [--messages 1000 5000]

Photos of about 45 kB, some in albums, and posts without. Beside us: what a Telethon user would
write in ten minutes, `iter_messages` and `download_media` into files, over the same server; it
keeps no ledger and looks at no photo. The server runs in this process. Memory is the largest
resident set (VmHWM), told by the measured process itself.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import mean

from petdata.demo.pets import draw_identity, draw_photo, encode_photo
from petdata.demo.servers.telegram import TelegramServer
from petdata.demo.servers.telegram_channels import StubChannel, StubMessage, StubPhoto

ROOT = Path(__file__).parent.parent
CHANNEL_ID = 1_900_000_001
HANDLE = "harvest_benchmark"
TEXT = "Пропала кошка, серая с белой грудкой, отзывается на Мурку, район вокзала. Пост {}"
CHANNELS = f"""[[channel]]
handle = "{HANDLE}"
basis = "own_channel"
asserted_by = "benchmark"
since = 2026-01-15
evidence = "drawn for the benchmark"
"""
API = {"TELEGRAM_API_ID": "12345", "TELEGRAM_API_HASH": "0123456789abcdef"}
BARE = """
import asyncio, os, sys
from pathlib import Path
from telethon import TelegramClient
from peak_memory import peak_mebibytes

folder = Path(sys.argv[1])

async def main():
    client = TelegramClient(str(folder / "account"), 12345, "hash", receive_updates=False)
    async with client:
        async for message in client.iter_messages(sys.argv[2], reverse=True, wait_time=0):
            if message.photo:
                await client.download_media(message, file=str(folder / f"{message.id}.jpg"))

asyncio.run(main())
Path(os.environ["PEAK_FILE"]).write_text(str(peak_mebibytes()))
"""
POOL = 32  # pictures, each of which many messages show under photo ids of their own
PICTURE = (640, 480)
QUALITY = 86  # about 45 kB


@dataclass(frozen=True)
class Measured:
    messages: int
    photos: int
    wall_s: float
    cpu_s: float
    peak_mb: int

    def __str__(self) -> str:
        return (
            f"{self.messages / self.wall_s:7.1f} messages/s, "
            f"{self.photos / self.wall_s:6.1f} photos/s, "
            f"{1000 * self.cpu_s / self.photos:5.1f} ms CPU a photo, "
            f"{self.peak_mb:5d} MiB at most"
        )


def draw_pictures() -> list[bytes]:
    return [
        encode_photo(draw_photo(draw_identity(1, number), 0).image.resize(PICTURE), "JPEG", QUALITY)
        for number in range(POOL)
    ]


# Of ten messages: an album of three, five photos and two texts.
def make_messages(number: int, pictures: Sequence[bytes]) -> Iterator[StubMessage]:
    width, height = PICTURE
    for id in range(1, number + 1):
        place = id % 10
        jpeg = pictures[id % len(pictures)]
        yield StubMessage(
            message_id=id,
            sent_at=datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=id),
            text="Спасибо всем, кто помогает!" if place in (4, 8) else TEXT.format(id),
            grouped_id=1 + id // 10 if place in (1, 2, 3) else None,
            photo=None
            if place in (4, 8)
            else StubPhoto(photo_id=10**6 + id, jpeg=jpeg, width=width, height=height),
        )


def run(words: Sequence[str], environment: Mapping[str, str], peak: Path) -> tuple[float, float]:
    """Wall and CPU seconds of a process that writes its peak."""
    start = time.perf_counter()
    process = subprocess.Popen(
        words,
        cwd=ROOT,
        env={**os.environ, **environment, "PEAK_FILE": str(peak)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{words[1:3]} ended with {process.returncode}")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime


def measure(messages: int, pictures: Sequence[bytes], *, with_peer: bool) -> list[Measured]:
    """Ours, and the bare loop's."""
    by_id = {message.message_id: message for message in make_messages(messages, pictures)}
    photos = sum(message.photo is not None for message in by_id.values())
    channel = StubChannel(CHANNEL_ID, HANDLE, "Benchmark", by_id)
    found = []
    with tempfile.TemporaryDirectory(prefix="petdata-harvest-") as folder:
        home = Path(folder)
        channels, peak = home / "channels.toml", home / "peak"
        channels.write_text(CHANNELS)
        cli = str(ROOT / "tests" / "crawlers" / "measured_cli.py")
        ours = [sys.executable, cli, "telegram", "harvest", str(channels)]
        bare = [sys.executable, "-c", BARE, str(home / "bare"), HANDLE]
        here = {"PYTHONPATH": str(ROOT / "tests" / "petdata"), **API}
        for words, wanted in ((ours, True), (bare, with_peer)):
            if not wanted:
                continue
            with TelegramServer([channel]) as server:
                server.write_session(home / "workspace" / "telegram" / "account")
                server.write_session(home / "bare" / "account")
                seconds = run(words, here | {"PETDATA_HOME": str(home / "workspace")}, peak)
                fetched = server.photo_requests().total()
            if fetched != photos:
                sys.exit(f"{words[1:3]} fetched {fetched} of {photos} photos")
            found.append(Measured(messages, photos, *seconds, int(peak.read_text())))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="300 messages only")
    parser.add_argument("--messages", type=int, nargs="+", default=[1_000, 5_000])
    options = parser.parse_args()
    pictures = draw_pictures()
    print(f"{POOL} pictures of {mean(map(len, pictures)) / 1000:.0f} kB on average", flush=True)
    sizes = [300] if options.quick else options.messages
    found: dict[int, Measured] = {}
    for size in sizes:
        found[size], *peers = measure(size, pictures, with_peer=size == sizes[0])
        print(f"petdata, {size:6,} messages:        {found[size]}", flush=True)
        for peer in peers:
            bare = peer
            print(f"bare Telethon, {size:6,} messages:  {peer}", flush=True)
    first, last = found[sizes[0]], found[sizes[-1]]
    ratios = {
        "bare_telethon": bare.wall_s / first.wall_s,
        "bare_telethon_cpu": bare.cpu_s / first.cpu_s,
        "memory_growth": first.peak_mb / last.peak_mb,
    }
    figures = {str(size): vars(measured) for size, measured in found.items()}
    print(json.dumps({"benchmark": "harvest", "ratios": ratios, "figures": figures}))


if __name__ == "__main__":
    main()
