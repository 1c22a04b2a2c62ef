"""YOLO12 in its own process: boxes against a slow loop, what it may read, what it is kept from."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import random_yolo
from typer.testing import CliRunner
from worlds import Animal, add, photo

from petdata.cli import app
from petdata.errors import MissingSetting, PetdataError
from petdata.side_tables import read_side_table
from petdata.workspace import Workspace
from trainer.decoding import Pixels, decode
from trainer.detect_choice import Box, overlap
from trainer.yolo import YoloDetector, _checked

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ultralytics") is None, reason="needs pip install -e '.[crop]'"
)
THRESHOLD = 0.8
SAME = 0.7  # intersection over union from which ultralytics takes two boxes for one


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def square() -> Pixels:
    return decode(photo(1))[: random_yolo.SIDE, : random_yolo.SIDE].copy()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, square: Pixels) -> tuple[Path, Any]:
    """A .pt, and what its network says of the square picture."""
    folder = tmp_path_factory.mktemp("yolo")
    np.save(folder / "picture.npy", square)
    script = [sys.executable, random_yolo.__file__, folder / "tiny.pt", folder / "picture.npy"]
    own = os.environ | {"YOLO_OFFLINE": "true", "YOLO_CONFIG_DIR": str(folder)}
    said = subprocess.run(script, env=own, check=True, stdout=subprocess.PIPE).stdout
    return folder / "tiny.pt", json.loads(said.splitlines()[-1])


@pytest.fixture(scope="module")
def detector(made: tuple[Path, Any]) -> Iterator[YoloDetector]:
    with YoloDetector(made[0], "cpu", sha256_of(made[0])) as detector:
        yield detector


def test_boxes_are_the_networks_own(
    detector: YoloDetector, made: tuple[Path, Any], square: Pixels
) -> None:
    (found,) = detector.detect([square], THRESHOLD)
    expected: list[Box] = []
    places = zip(made[1]["scores"], made[1]["corners"], strict=True)
    surest = sorted(((max(scores), scores, corners) for scores, corners in places), reverse=True)
    for score, scores, (x0, y0, x1, y1) in surest:
        name = random_yolo.NAMES[scores.index(score)]
        box = Box(name, score, x0, y0, x1, y1)
        if score > THRESHOLD and not any(
            other.name == name and overlap(box, other) > SAME for other in expected
        ):
            expected.append(box)
    assert len(found) == len(expected) > 1
    for box, right in zip(found, expected, strict=True):
        assert box.name == right.name
        corners = np.clip([right.x0, right.y0, right.x1, right.y1], 0, random_yolo.SIDE)
        assert [box.score, box.x0, box.y0, box.x1, box.y1] == pytest.approx(
            [right.score, *corners], abs=0.02
        )


def test_boxes_of_a_photo_do_not_depend_on_its_batch(
    detector: YoloDetector, square: Pixels
) -> None:
    wide = decode(photo(2))[:100, :300].copy()
    together = detector.detect([wide, square, wide[:90]], THRESHOLD)
    alone = [detector.detect([each], THRESHOLD)[0] for each in (wide, square, wide[:90])]
    for some, same in zip(together, alone, strict=True):
        assert [box.name for box in some] == [box.name for box in same]
        assert [box.x0 for box in some] == pytest.approx([box.x0 for box in same], abs=0.1)
    assert all(0 <= box.x0 < box.x1 <= 300 and box.y1 <= 100 for box in together[0])
    assert max(box.x1 for box in together[0]) > random_yolo.SIDE  # pixels of the photo


class Touch:
    """What a pickle can do while it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_pickle_that_nobody_vouches_for_is_not_read(tmp_path: Path) -> None:
    evil = tmp_path / "yolo12n.pt"
    evil.write_bytes(pickle.dumps({"model": Touch(tmp_path / "was read")}))
    with pytest.raises(PetdataError, match=f"--weights-sha256 {sha256_of(evil)}"):
        YoloDetector(evil, "cpu", None)
    with pytest.raises(PetdataError, match="it is another file"):
        YoloDetector(evil, "cpu", "0" * 64)
    with pytest.raises(PetdataError, match="64 hex digits"):
        YoloDetector(evil, "cpu", "../..")
    assert not (tmp_path / "was read").exists()


def test_of_a_pickle_that_is_vouched_for_only_networks_are_read(tmp_path: Path) -> None:
    import torch

    evil = tmp_path / "yolo12n.pt"
    torch.save({"model": Touch(tmp_path / "was read")}, evil)
    with pytest.raises(PetdataError, match="the process that runs yolo12n"):
        YoloDetector(evil, "cpu", sha256_of(evil))
    assert not (tmp_path / "was read").exists()


def test_the_process_knows_no_key_and_ours_is_as_it_was(
    made: tuple[Path, Any], square: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    before = dict(os.environ)
    with YoloDetector(made[0], "cpu", sha256_of(made[0])) as detector:
        assert detector._process is not None
        its = Path(f"/proc/{detector._process.pid}/environ").read_bytes()
        folder = Path(detector._folder.name)
        assert b"hf_secret" not in its
        assert b"YOLO_OFFLINE=true" in its
        os.kill(detector._process.pid, signal.SIGKILL)
        with pytest.raises(PetdataError, match="it has ended"):
            detector.detect([square], THRESHOLD)
    assert not folder.exists()
    assert dict(os.environ) == before  # OMP_NUM_THREADS too
    assert "ultralytics" not in sys.modules


def runs(number: str) -> bool:
    """Whether a process is there and no zombie."""
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


@pytest.mark.parametrize(
    "box",
    [
        ["cat", 0.5, 1, 2, 3],
        ["cat", 0.5, 1, 2, 3, 4, 5],
        ["cat", 1.5, 1, 2, 3, 4],
        ["cat", 0.5, 1, 2, 3, float("nan")],
        ["cat", 0.5, 1, 2, 3, "__import__"],
        [["cat"], 0.5, 1, 2, 3, 4],
        {"name": "cat"},
        None,
    ],
)
def test_answers_that_are_no_boxes_are_refused(box: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        _checked(box)


def test_where_its_owner_is_killed_the_process_ends_and_its_folder_goes(
    made: tuple[Path, Any],
) -> None:
    script = (
        "import sys, time; from pathlib import Path; from trainer.yolo import YoloDetector\n"
        "detector = YoloDetector(Path(sys.argv[1]), 'cpu', sys.argv[2])\n"
        "print(detector._process.pid, detector._folder.name, flush=True)\n"
        "time.sleep(300)\n"
    )
    command = [sys.executable, "-c", script, str(made[0]), sha256_of(made[0])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        number, folder = owner.stdout.readline().split()
        assert Path(folder, "tiny.pt").exists()
        owner.kill()
    deadline = time.monotonic() + 60
    while (Path(folder).exists() or runs(number)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(folder).exists()
    assert not runs(number)


@pytest.mark.parametrize(
    "attempt",
    [
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import socket; socket.getaddrinfo('localhost', 80)",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.system('true')",
    ],
)
def test_the_process_opens_no_connection_and_starts_no_program(attempt: str) -> None:
    guard = "import sys; from trainer.yolo_process import _refuse; sys.addaudithook(_refuse); "
    ended = subprocess.run(
        [sys.executable, "-c", guard + attempt], capture_output=True, check=False
    )
    assert b"a detector works on its own" in ended.stderr


def test_the_command_stores_what_yolo_says(
    made: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PETDATA_HOME", str(tmp_path))
    add(Workspace(root=tmp_path), [Animal(f"pet911/rl82{n:04}", [photo(n)]) for n in range(2)])
    command = ["detect", "pet911", "--model", str(made[0]), "--device", "cpu"]
    refused = CliRunner().invoke(app, command)
    assert isinstance(refused.exception, PetdataError)
    result = CliRunner().invoke(app, [*command, "--weights-sha256", sha256_of(made[0])])
    assert result.exit_code == 0, result.output
    table = read_side_table(tmp_path / "side_tables" / "boxes")
    assert (table.producer.model, table.producer.model_hash) == ("tiny", sha256_of(made[0]))
    assert [len(row["boxes"]) > 0 for row in table.rows.to_pylist()] == [True, True]


def test_names_of_yolo_say_where_their_file_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PETDATA_HOME", str(tmp_path))
    add(Workspace(root=tmp_path), [Animal("pet911/rl830000", [photo(3)])])
    result = CliRunner().invoke(app, ["detect", "pet911", "--model", "yolo12x"])
    assert str(tmp_path / "weights" / "yolo12x.pt") in str(result.exception)
    other = ["detect", "pet911", "--weights-sha256", "0" * 64]
    assert "read from safetensors" in str(CliRunner().invoke(app, other).exception)


def test_without_the_extra_its_licence_is_named(
    made: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingSetting, match=r"\.\[crop\].*AGPL-3\.0"):
        YoloDetector(made[0], "cpu", None)
