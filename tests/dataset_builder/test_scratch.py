"""Folders that are gone with their process, or stand in their place whole."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dataset_builder.database import open_database
from dataset_builder.scratch import scratch_folder, whole_folder
from petdata.errors import PetdataError, StorageFailure, TryLater

HOLD = """
import sys, time
from pathlib import Path
from dataset_builder.scratch import scratch_folder, whole_folder
with scratch_folder(Path(sys.argv[1]), "build-") as scratch, whole_folder(Path(sys.argv[2])):
    (scratch / "thumbnails").write_bytes(b"1")
    print("ready", flush=True)
    time.sleep(600)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_scratch_folder_is_gone_afterwards(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "build-notes").write_text("no folder, so not ours")
    (tmp_path / "cache" / "other-0").mkdir()
    with (
        scratch_folder(tmp_path / "cache", "build-") as first,
        scratch_folder(tmp_path / "cache", "build-") as second,
    ):
        assert names(tmp_path / "cache") == ["build-0", "build-1", "build-notes", "other-0"]
        assert (first.name, second.name) == ("build-0", "build-1")
    assert names(tmp_path / "cache") == ["build-notes", "other-0"]


def test_what_a_killed_process_left_goes_and_what_another_works_in_stays(tmp_path: Path) -> None:
    cache, target = tmp_path / "cache", tmp_path / "releases" / "1.0.0"
    command = [sys.executable, "-c", HOLD, str(cache), str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        with scratch_folder(cache, "build-") as scratch:
            assert scratch.name == "build-1"
        with pytest.raises(TryLater, match="another process is writing"), whole_folder(target):
            pass
        with whole_folder(target.with_name("2.0.0")):
            pass
        assert names(target.parent) == [".1.0.0.tmp", "2.0.0"]
        process.send_signal(signal.SIGKILL)
    assert names(cache) == ["build-0"]
    with scratch_folder(cache, "build-") as scratch:
        assert names(cache) == ["build-0"]
        assert names(scratch) == []
    with whole_folder(target.with_name("3.0.0")):
        pass
    assert names(target.parent) == ["2.0.0", "3.0.0"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_nothing_is_left_of_a_folder_that_was_not_finished(
    error: BaseException, tmp_path: Path
) -> None:
    expected = StorageFailure if isinstance(error, OSError) else KeyboardInterrupt

    def fail() -> None:
        with whole_folder(tmp_path / "1.0.0") as beside:
            (beside / "half").write_bytes(b"1")
            raise error

    with pytest.raises(expected):
        fail()
    assert names(tmp_path) == []


def test_a_folder_that_has_come_to_exist_is_not_changed(tmp_path: Path) -> None:
    target = tmp_path / "1.0.0"

    def come_second() -> None:
        with whole_folder(target):
            target.mkdir()
            (target / "manifest.json").write_text("theirs")

    with pytest.raises(PetdataError, match="exists already"):
        come_second()
    assert names(tmp_path) == ["1.0.0"]
    assert (target / "manifest.json").read_text() == "theirs"


def test_duckdb_names_the_file_that_it_cannot_read_in_one_line(tmp_path: Path) -> None:
    def query() -> None:
        with open_database() as database:
            database.execute(f"SELECT *\nFROM read_parquet('{tmp_path}/none.parquet')")

    with pytest.raises(StorageFailure, match=r'"[^"]+none\.parquet": make room or') as raised:
        query()
    assert "\n" not in str(raised.value)
