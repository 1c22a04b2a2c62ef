"""Descriptions over real HTTP: answers, faults, resuming, what is never told."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter, deque
from contextlib import closing
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_models import save_vision_language_model
from typer.testing import CliRunner
from worlds import Animal, add, build_release, photo

from petdata.cli import app
from petdata.demo.servers import chat
from petdata.demo.servers.chat import ChatServer, Fault
from petdata.errors import MissingSetting, PetdataError, TryLater
from petdata.side_tables import known_sha256, part_files, read_side_table
from petdata.takedowns import Takedown, record_takedowns
from petdata.workspace import Workspace
from trainer.describe import DescribeConfig, DescribeCounts, describe_photos
from trainer.describe_backends import API_KEY, OpenAICompatible, Transformers
from trainer.describe_prompt import PROMPTS
from trainer.strict_loading import CheckpointMismatch
from trainer.unseen_photos import unseen_photos

KEY = "sk-of-nobody-1234567890"
PHOTOS = 8


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of PHOTOS photos, four animals with two each, and a release of them."""
    root = tmp_path_factory.mktemp("describe")
    workspace = Workspace(root=root)
    pets = [photo(n, number) for n in range(4) for number in range(2)]
    add(workspace, [Animal(f"pet911/rl70{n:04}", pets[2 * n : 2 * n + 2]) for n in range(4)])
    build_release(workspace, val_fraction=0.3)
    return root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "side_tables" / "descriptions"


def describe(
    root: Path, folder: Path, server: ChatServer, timeout_s: float = 5.0, **config: Any
) -> DescribeCounts:
    photos = unseen_photos("pet911", folder, Workspace(root=root))
    with closing(OpenAICompatible(server.url, "tiny-vl", timeout_s=timeout_s)) as backend:
        return describe_photos(photos, folder, backend, DescribeConfig(**config))


def rows(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_side_table(folder).rows.to_pylist()
    return found


@pytest.mark.parametrize(
    ("language", "texts"),
    [
        ("en", {"cat, adult. red.", "cat, adult. gray.", "cat, adult. black."}),
        ("ru", {"кошка, взрослое. рыжий.", "кошка, взрослое. серый.", "кошка, взрослое. чёрный."}),
    ],
)
def test_every_photo_gets_the_text_of_its_own_answer(
    collected: Path, folder: Path, language: str, texts: set[str]
) -> None:
    with ChatServer() as server:
        counts = describe(collected, folder, server, language=language)
    found = rows(folder)
    assert len(found) == counts.described == PHOTOS
    for row in found:
        coat = chat.COATS[language][int(row["sha256"], 16) % 3]
        assert row["fields"]["coat"] == coat
        assert row["fields"]["breed"] is None
        assert (row["model"], row["prompt_version"]) == ("tiny-vl", "1")
        if row["fields"]["species"] == "cat":
            assert row["text"] in texts
    assert {asked.sha256 for asked in server.asked} == {row["sha256"] for row in found}
    assert counts.prompt_tokens == PHOTOS * chat.PROMPT_TOKENS
    assert counts.answer_tokens == PHOTOS * chat.ANSWER_TOKENS


def test_a_question_holds_one_photo_and_nothing_of_its_announcement(
    collected: Path, folder: Path
) -> None:
    with ChatServer() as server:
        describe(collected, folder, server)
    assert len(server.asked) == PHOTOS  # the server refuses a request of two photos
    assert len({asked.question for asked in server.asked}) == 1
    assert server.asked[0].question.startswith(PROMPTS["1"][:60])


GOOD = '"breed": "", "age_class": "adult", "coat": "red", "marks": ""}'
WRONG_ANSWERS = {
    "no json": ("I see a lovely cat", "not one JSON object"),
    "a list": ("[1]", "not one JSON object"),
    "species": ('{"species": "tiger", ' + GOOD, "species is not one of"),
    "a field is missing": ('{"species": "cat"}', "breed, age_class, coat, marks are not there"),
    "one field more": ('{"species": "cat", "owner": "x", ' + GOOD, "has fields beside"),
    "no string": ('{"species": 3, ' + GOOD, "species is not a string"),
    "too long": ('{"species": "cat", ' + GOOD.replace("red", "r" * 201), "longer than 200"),
    "another language": ('{"species": "cat", ' + GOOD.replace("red", "рыжий"), "not in English"),
    "deep": ("[" * 100_000, "not one JSON object"),
}


@pytest.mark.parametrize(("says", "why"), WRONG_ANSWERS.values(), ids=WRONG_ANSWERS)
def test_a_wrong_answer_is_refused_and_asked_for_again(
    collected: Path, folder: Path, says: str, why: str
) -> None:
    with ChatServer(faults=deque([Fault(says=says)])) as server:
        counts = describe(collected, folder, server, concurrency=1)
    assert counts.described == PHOTOS
    assert counts.bad_answers == 1
    assert len(server.asked) == PHOTOS + 1
    assert server.asked[0].sha256 == server.asked[1].sha256
    assert why in server.asked[1].question
    assert counts.prompt_tokens == (PHOTOS + 1) * chat.PROMPT_TOKENS


@pytest.mark.parametrize(
    "fault",
    [Fault(cut_off=True), Fault(body=b"{}"), Fault(body=b"x" * 400_000), Fault(body=b"\xff")],
    ids=["cut off", "no completion", "endless", "no text"],
)
def test_a_photo_with_only_bad_answers_is_a_problem_and_the_others_go_on(
    collected: Path, folder: Path, fault: Fault
) -> None:
    bad = unseen_photos("pet911", folder, Workspace(root=collected)).table["sha256"][3].as_py()
    with ChatServer(always=lambda sha256: fault if sha256 == bad else chat.USUAL) as server:
        counts = describe(collected, folder, server)
        assert (counts.described, counts.problems) == (PHOTOS - 1, 1)
        asked = Counter(asked.sha256 for asked in server.asked)
        assert asked.pop(bad) == 3
        assert set(asked.values()) == {1}
        describe(collected, folder, server)  # and it is not tried for ever
        assert len(server.asked) == PHOTOS + 2
    (problem,) = (row for row in rows(folder) if row["sha256"] == bad)
    assert problem["text"] is None
    assert problem["problem"].startswith("3 answers: it is ")


def test_a_photo_without_an_animal_is_a_problem(collected: Path, folder: Path) -> None:
    says = '{"species": "none", "breed": "", "age_class": "unknown", "coat": "", "marks": ""}'
    with ChatServer(faults=deque([Fault(says=says)])) as server:
        counts = describe(collected, folder, server)
    assert (counts.described, counts.problems) == (PHOTOS - 1, 1)


def test_a_busy_server_is_left_alone_as_long_as_it_says(collected: Path, folder: Path) -> None:
    with ChatServer(faults=deque([Fault(status=429, retry_after_s=1)])) as server:
        counts = describe(collected, folder, server, concurrency=1)
    assert counts.described == PHOTOS
    assert server.asked[1].at - server.asked[0].at >= 1.0
    assert server.asked[0].sha256 == server.asked[1].sha256


def test_a_silent_server_is_asked_again(collected: Path, folder: Path) -> None:
    with ChatServer(faults=deque([Fault(delay_s=1.5), Fault(status=503)])) as server:
        counts = describe(collected, folder, server, timeout_s=0.5)
    assert counts.described == PHOTOS
    assert counts.problems == 0


def test_a_server_that_stays_busy_ends_the_run_and_what_was_answered_is_stored(
    collected: Path, folder: Path
) -> None:
    done: set[str] = set()

    def busy_after_three(sha256: str) -> Fault:
        if len(done) == 3 and sha256 not in done:
            return Fault(status=429, retry_after_s=0)
        done.add(sha256)
        return chat.USUAL

    with ChatServer(always=busy_after_three) as server:
        with pytest.raises(TryLater, match="HTTP 429"):
            describe(collected, folder, server, concurrency=1)
        assert set(known_sha256(folder).to_pylist()) == done
        server.always = lambda sha256: chat.USUAL
        server.asked.clear()
        describe(collected, folder, server)
        assert not done & {asked.sha256 for asked in server.asked}
    assert len(rows(folder)) == PHOTOS


def test_no_more_requests_are_under_way_than_were_wished(collected: Path, folder: Path) -> None:
    with ChatServer(always=lambda sha256: Fault(delay_s=0.3)) as server:
        describe(collected, folder, server, concurrency=3)
    assert server.most_at_once == 3


def test_a_refused_photo_is_a_problem_with_the_servers_reason(
    collected: Path, folder: Path
) -> None:
    with ChatServer(faults=deque([chat.USUAL, Fault(status=400)])) as server:
        counts = describe(collected, folder, server, concurrency=1)
    assert counts.problems == 1
    (problem,) = (row["problem"] for row in rows(folder) if row["problem"])
    assert problem == 'refused: HTTP 400, {"error": {"message": "out of order"}}'


def test_a_server_that_refuses_every_photo_leaves_no_problems_behind(
    collected: Path, folder: Path
) -> None:
    with (
        ChatServer(always=lambda sha256: Fault(status=400)) as server,
        pytest.raises(PetdataError, match="first 5 photos were all refused"),
    ):
        describe(collected, folder, server)
    assert part_files(folder) == []


def test_a_wrong_key_says_which_setting_to_change_and_is_never_shown(
    collected: Path, folder: Path
) -> None:
    photos = unseen_photos("pet911", folder, Workspace(root=collected))
    with (
        ChatServer(key="another") as server,
        closing(OpenAICompatible(server.url, "tiny-vl", key=KEY)) as backend,
        pytest.raises(MissingSetting, match=API_KEY) as raised,
    ):
        describe_photos(photos, folder, backend, DescribeConfig())
    assert "wrong key ***" in str(raised.value)  # this server repeats it
    assert KEY not in str(raised.value)


def test_a_key_does_not_travel_in_the_clear() -> None:
    with pytest.raises(PetdataError, match="use https"):
        OpenAICompatible("http://models.example/v1", "tiny-vl", key=KEY)


def test_another_language_is_another_table(collected: Path, folder: Path) -> None:
    with ChatServer() as server:
        describe(collected, folder, server)
        asked = len(server.asked)
        photos = unseen_photos("pet911", folder.parent / "none", Workspace(root=collected))
        with (
            closing(OpenAICompatible(server.url, "tiny-vl")) as backend,
            pytest.raises(PetdataError, match="name another table"),
        ):
            describe_photos(photos, folder, backend, DescribeConfig(language="ru"))
        assert len(server.asked) == asked


def test_what_was_taken_down_is_not_sent(collected: Path, folder: Path, tmp_path: Path) -> None:
    workspace = Workspace(root=tmp_path / "other")
    workspace.root.mkdir()
    add(workspace, [Animal(f"pet911/rl71{n:04}", [photo(50 + n)]) for n in range(3)])
    entry = Takedown("identity", "pet911/rl710001", reason="owner", on=date(2026, 1, 2))
    record_takedowns(workspace.takedowns, [entry])
    with ChatServer() as server:
        describe(workspace.root, folder, server)
    described = sorted(row["photo_id"].split("/")[1] for row in rows(folder))  # answers race
    assert described == ["rl710000", "rl710002"]


def test_a_corrupt_row_is_skipped_with_a_reason(folder: Path, tmp_path: Path) -> None:
    workspace = Workspace(root=tmp_path / "other")
    workspace.root.mkdir()
    add(workspace, [Animal(f"pet911/rl72{n:04}", [photo(60 + n)]) for n in range(3)])
    (shard,) = workspace.shards("pet911").glob("*.parquet")
    content = bytearray(shard.read_bytes())
    content[content.index(b"\xff\xd8\xff") + 1000] ^= 0xFF
    shard.chmod(0o644)
    shard.write_bytes(content)
    told: list[str | None] = []
    with ChatServer() as server:
        photos = unseen_photos("pet911", folder, workspace)
        with closing(OpenAICompatible(server.url, "tiny-vl")) as backend:
            counts = describe_photos(
                photos, folder, backend, DescribeConfig(), tell=lambda _, why: told.append(why)
            )
    assert (counts.described, counts.unreadable) == (2, 1)
    (why,) = filter(None, told)
    assert "was skipped" in why
    assert "does not have its SHA-256" in why


def test_killed_and_started_again_no_stored_photo_is_asked_for_twice(
    collected: Path, folder: Path
) -> None:
    script = (
        "import sys; from pathlib import Path; from petdata.workspace import Workspace\n"
        "from trainer.describe import DescribeConfig, describe_photos\n"
        "from trainer.describe_backends import OpenAICompatible\n"
        "from trainer.unseen_photos import unseen_photos\n"
        "root, folder, url = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]\n"
        "photos = unseen_photos('pet911', folder, Workspace(root=root))\n"
        "config = DescribeConfig(concurrency=1, every=2)\n"
        "describe_photos(photos, folder, OpenAICompatible(url, 'tiny-vl'), config)\n"
    )
    with ChatServer() as server:
        server.always = lambda _: Fault(delay_s=300.0) if len(server.asked) > 5 else chat.USUAL
        command = [sys.executable, "-c", script, str(collected), str(folder), server.url]
        running = subprocess.Popen(command)
        try:
            deadline = time.monotonic() + 60
            while len(server.asked) < 6 and time.monotonic() < deadline:
                time.sleep(0.01)
        finally:
            running.send_signal(signal.SIGKILL)
            running.wait()
        stored = set(known_sha256(folder).to_pylist())
        assert len(stored) == 4  # two parts of two; the fifth answer was not stored yet
        server.always = lambda _: chat.USUAL
        server.asked.clear()
        subprocess.run(command, check=True)
        assert not stored & {asked.sha256 for asked in server.asked}
    assert len(rows(folder)) == PHOTOS


def test_the_command_describes_a_release_and_tells_rate_and_cost(
    collected: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PETDATA_HOME", str(collected))
    monkeypatch.setenv(API_KEY, KEY)
    with ChatServer(key=KEY) as server:
        command = ["describe", "pets", "--backend", "openai-compatible", "--base-url", server.url]
        command += ["--model", "tiny-vl", "--table", "said", "--price-in", "2", "--price-out", "10"]
        first = CliRunner().invoke(app, [*command, "--limit", "3"])
        second = CliRunner().invoke(app, command)
        third = CliRunner().invoke(app, command)
    assert first.exit_code == second.exit_code == third.exit_code == 0, second.output
    assert "3 of 3 described" in first.output
    assert "300 + 60 tokens, cost 0.0012" in first.output  # (300 * 2 + 60 * 10) / 1e6
    assert f"{PHOTOS - 3} photos to look at, 3 have a row" in second.output
    assert f"0 photos to look at, {PHOTOS} have a row" in third.output
    assert len(server.asked) == PHOTOS
    assert KEY not in first.output + second.output
    stored = b"".join(path.read_bytes() for path in (collected / "side_tables").rglob("*.parquet"))
    assert KEY.encode() not in stored
    assert server.url.encode() not in stored


def test_a_name_that_is_neither_release_nor_source_is_told(
    collected: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PETDATA_HOME", str(collected))
    for name, told in (("nothing", "no release 'nothing'"), ("telegram", "has no shards here")):
        result = CliRunner().invoke(app, ["describe", name])
        assert isinstance(result.exception, PetdataError)
        assert told in str(result.exception)


def test_a_model_of_transformers_says_what_its_own_generation_says(tmp_path: Path) -> None:
    save_vision_language_model(tmp_path)
    jpeg = photo(7)
    answer = Transformers(str(tmp_path), "cpu").answer(jpeg, "what is here?")
    processor = transformers.AutoProcessor.from_pretrained(tmp_path)
    network = transformers.LlavaForConditionalGeneration.from_pretrained(tmp_path).eval()
    picture = Image.open(BytesIO(jpeg))
    inputs = processor(images=picture, text="<image>what is here?", return_tensors="pt")
    tokens = network.generate(**inputs, max_new_tokens=300, do_sample=False)[0]
    said = tokens[inputs["input_ids"].shape[1] :]
    assert answer.text == processor.decode(said, skip_special_tokens=True)
    # A pixel patch of 16 x 16 is a token: 2 x 2 of them, and a byte of the question each.
    assert answer.prompt_tokens == 4 + len("what is here?")
    assert answer.answer_tokens == len(said)


def test_what_a_model_of_transformers_babbles_is_a_problem_of_its_photo(
    collected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_vision_language_model(tmp_path / "tiny-llava")
    monkeypatch.setenv("PETDATA_HOME", str(collected))
    command = ["describe", "pets", "--model", str(tmp_path / "tiny-llava"), "--table", "babble"]
    result = CliRunner().invoke(app, [*command, "--limit", "2", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert "0 of 2 described, 2 with a problem, 6 answers refused" in result.output
    table = read_side_table(collected / "side_tables" / "babble")
    assert table.producer.model == "tiny-llava"  # not where it lies
    assert len(table.producer.model_hash) == 64
    assert table.rows["problem"].to_pylist() == ["3 answers: it is too long"] * 2


def test_a_model_that_lacks_a_tensor_is_refused(tmp_path: Path) -> None:
    save_vision_language_model(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    lost = next(name for name in state if "q_proj.weight" in name)
    del state[lost]
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointMismatch, match="1 missing"):
        Transformers(str(tmp_path), "cpu")
