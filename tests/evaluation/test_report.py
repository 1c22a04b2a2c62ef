"""petdata report on a small run and its evaluation; slow: looked at with Chromium."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from chromium import find_chromium, open_tab
from training import tiny, training_workspace
from typer.testing import CliRunner, Result

from evaluation.report_command import write_report
from evaluation.report_subject import find_subject
from evaluation.shown_photos import PhotoShelf
from evaluation.stored import StoredEvaluation, read_stored
from evaluation.validated_training import train_with_validation
from petdata.cli import app
from petdata.errors import PetdataError
from petdata.workspace import Workspace

QUICK = ("--split", "validation", "--workers", "0", "--device", "cpu", "--resamples", "100")
EVIL = "<script>alert('1')</script>\"&"
MOST_BYTES = 4_000_000


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = training_workspace(tmp_path_factory.mktemp("report") / "home")
    train_with_validation(tiny(name="cats", max_steps=3), workspace)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PETDATA_HOME", str(workspace.root))
        patch.chdir(workspace.root)
        assert petdata("evaluate", "cats", "pets", *QUICK, "--name", "first").exit_code == 0
    return workspace


@pytest.fixture(autouse=True)
def _here(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PETDATA_HOME", str(workspace.root))
    monkeypatch.chdir(workspace.root)


@pytest.fixture
def copy(workspace: Workspace, tmp_path: Path) -> Workspace:
    shutil.copytree(workspace.root, tmp_path / "home")
    return Workspace(root=tmp_path / "home")


def petdata(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


class Reading(HTMLParser):
    """Tags, attributes and text of a page; a tag that is closed in the wrong place raises."""

    VOID = ("meta", "img", "br", "rect", "path", "line", "circle")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += f"{data} "


def report_of(workspace: Workspace, name: str, tmp_path: Path) -> Reading:
    write_report(find_subject(workspace, name), tmp_path / "report.html", workspace)
    return Reading((tmp_path / "report.html").read_text())


def stored(workspace: Workspace) -> StoredEvaluation:
    return read_stored(workspace.root / "evaluations" / "first")


def changed(workspace: Workspace, file: str, **values: object) -> None:
    path = workspace.root / "evaluations" / "first" / file
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_it_shows_the_stored_figures(workspace: Workspace, tmp_path: Path) -> None:
    page = report_of(workspace, "first", tmp_path)
    part = stored(workspace).model.part()
    top_1 = part.figures["top_1_accuracy"]
    shown = f"{100 * top_1.estimate:.1f} {100 * top_1.low:.1f} to {100 * top_1.high:.1f}"
    assert f"Top-1 {shown}" in page.text
    equal = part.figures["all_pairs_equal_error_rate"].estimate
    assert page.text.count(f"EER {100 * equal:.1f} %") == 2  # on the ROC and on the DET
    for text in ("raw encoder", "colour histogram", "background alone", "same listing"):
        assert text in page.text
    for text in ("FAR), %", "TAR), %", "FRR), %", "similarity of a pair (cosine)"):
        assert text in page.text
    for value in (part.pairs_hash, stored(workspace).model.model_hash, "pets@1.0.0", "torch "):
        assert value in page.text
    assert "loss" in page.text  # the run is here too


def test_it_stands_alone(workspace: Workspace, tmp_path: Path) -> None:
    page = report_of(workspace, "first", tmp_path)
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "iframe", "object", "form", "base"}
    sources = [value for _, attrs in page.tags for name, value in attrs.items() if name == "src"]
    examples = stored(workspace).model.examples
    assert examples is not None
    cells = sum(1 + len(s.found) for s in (*examples.searches, *examples.failed))
    assert len(sources) == cells + 2 * len(examples.positives + examples.negatives) > 40
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    text = (tmp_path / "report.html").read_text()
    assert not re.search(r"https?:|url\(|@import|javascript:", text)
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert len(text) < MOST_BYTES


def test_right_and_wrong_are_said(workspace: Workspace, tmp_path: Path) -> None:
    page = report_of(workspace, "first", tmp_path)
    examples = stored(workspace).model.examples
    assert examples is not None
    found = [each for s in (*examples.searches, *examples.failed) for each in s.found]
    assert page.text.count("✓ right") == sum(each.is_right for each in found) > 0
    assert page.text.count("✗ wrong") == sum(not each.is_right for each in found) > 0


def test_a_run_has_the_report_of_its_last_evaluation(workspace: Workspace, tmp_path: Path) -> None:
    result = petdata("report", "cats", "--into", str(tmp_path / "sub" / "run.html"))
    assert result.stdout.strip() == str(tmp_path / "sub" / "run.html")
    assert petdata("report", "first").stdout.strip().endswith("evaluations/first/report.html")
    written = (workspace.root / "evaluations" / "first" / "report.html").read_text()
    assert (tmp_path / "sub" / "run.html").read_text() == written


def test_costs_are_measured_where_asked(workspace: Workspace, tmp_path: Path) -> None:
    counted = stored(workspace).about["costs"]
    file = tmp_path / "report.html"
    for flags, measured in (((), False), (("--costs", "--batch-size", "2"), True)):
        petdata("report", "first", "--into", str(file), "--device", "cpu", *flags)
        text = Reading(file.read_text()).text
        assert f"Parameters {counted['parameters']:,} " in text  # below a million
        assert ("forward passes alone" in text) is measured
        assert ("were not measured" in text) is not measured


def test_the_last_evaluation_of_a_run_is_found(copy: Workspace, tmp_path: Path) -> None:
    evaluations = copy.root / "evaluations"
    for name, model in (("second", "cats"), ("third", "resnet50"), ("broken", "cats")):
        shutil.copytree(evaluations / "first", evaluations / name)
        about = json.loads((evaluations / name / "about.json").read_text())
        (evaluations / name / "about.json").write_text(json.dumps(about | {"model": model}))
    (evaluations / "broken" / "about.json").write_text("{")
    found = find_subject(copy, "cats")
    assert found.stored is not None
    assert found.stored.folder.name == "second"
    assert found.others == ("first",)
    assert "Other evaluations of this run: first" in report_of(copy, "cats", tmp_path).text


def test_a_run_without_an_evaluation_says_so(copy: Workspace, tmp_path: Path) -> None:
    shutil.rmtree(copy.root / "evaluations")
    page = report_of(copy, "cats", tmp_path)
    assert "cats was not evaluated yet: petdata evaluate cats RELEASE" in page.text
    assert [tag for tag, _ in page.tags].count("svg") >= 3  # loss and validation
    (copy.root / "runs" / "cats" / "metrics.jsonl").unlink()
    (copy.root / "runs" / "cats" / "run.json").write_text("{")
    page = report_of(copy, "cats", tmp_path)
    assert "Nothing is logged yet" in page.text
    assert "How it was trained cannot be said" in page.text


def test_text_from_elsewhere_is_escaped(copy: Workspace, tmp_path: Path) -> None:
    told = json.loads((copy.root / "evaluations" / "first" / "model.json").read_text())
    told["examples"]["positives"][0]["first"] = f"{EVIL}/1"
    about = {"model": EVIL, "controls_not_had": {EVIL: EVIL}, "git": {"commit": EVIL}}
    changed(copy, "model.json", **told)
    changed(copy, "about.json", **about)
    page = report_of(copy, "first", tmp_path)
    assert "script" not in {tag for tag, _ in page.tags}
    assert page.text.count(EVIL) >= 5  # as text it is all there


def test_repeated_texts_stand_beside_the_figures(copy: Workspace, tmp_path: Path) -> None:
    kinds = ("identical_within", "near_within", "identical_across", "near_across")
    shares = {f"share_{kind}": (n + 1) / 8 for n, kind in enumerate(kinds)}
    assert "Texts that repeat" not in report_of(copy, "first", tmp_path).text
    changed(copy, "about.json", text_repeats=shares)
    text = report_of(copy, "first", tmp_path).text
    assert "12.5% of photos have that of another photo of the same animal, 25.0% nearly" in text


def test_without_its_release_there_are_no_pictures(copy: Workspace, tmp_path: Path) -> None:
    changed(copy, "about.json", build_hash="0" * 64)
    page = report_of(copy, "first", tmp_path)
    assert "no pictures: pets is another build than the one that was evaluated" in page.text
    assert "img" not in {tag for tag, _ in page.tags}
    shutil.rmtree(copy.root / "releases")
    page = report_of(copy, "first", tmp_path)
    assert "no pictures: no release" in page.text
    assert "Where this comes from" in page.text


def test_a_photo_without_pixels_is_said() -> None:
    class Recipe:
        are_remote = False

        def read(self, row: int) -> bytes | None:
            return None if row else b"no JPEG"

        def fetch(self, rows: object) -> None:
            raise AssertionError

    shelf = PhotoShelf(_photos=Recipe(), _rows={"a/1/x": (1, "a/1"), "a/2/y": (0, "a/2")})
    assert "no pixels here" in shelf.show("a/1/x").html()
    assert "cannot identify image" in shelf.show("a/2/y").html()
    assert shelf.show("a/3/z").identity_id == "a/3"
    assert "not in this release" in shelf.show("a/3/z").html()


def test_an_older_evaluation_is_shown_as_far_as_it_goes(copy: Workspace, tmp_path: Path) -> None:
    told = json.loads((copy.root / "evaluations" / "first" / "model.json").read_text())
    for part in told["parts"]:
        for name in ("pair_kinds", "curve", "similarities"):
            del part[name]
    changed(copy, "model.json", parts=told["parts"], examples=None)
    about = json.loads((copy.root / "evaluations" / "first" / "about.json").read_text())
    kept = ("format", "model", "release", "split", "build_hash", "embeddings", "dataset_config")
    path = copy.root / "evaluations" / "first" / "about.json"
    path.write_text(json.dumps({name: about[name] for name in kept} | {"controls": []}))
    page = report_of(copy, "first", tmp_path)
    assert "No curves are stored with this evaluation" in page.text
    assert "without controls" in page.text


def test_what_there_is_not_is_named(copy: Workspace) -> None:
    with pytest.raises(PetdataError, match="no run and no evaluation 'dogs'; here are first"):
        find_subject(copy, "dogs")
    (copy.root / "evaluations" / "first").rename(copy.root / "evaluations" / "cats")
    with pytest.raises(PetdataError, match="cats is an evaluation and a run: give "):
        find_subject(copy, "cats")


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("dark", [False, True])
def test_a_browser_shows_it(workspace: Workspace, tmp_path: Path, width: int, dark: bool) -> None:
    if find_chromium() is None:
        pytest.skip("no chromium here: apt-get install chromium")
    report_of(workspace, "first", tmp_path)
    file = tmp_path / "report.html"
    with open_tab(tmp_path / "profile") as page:
        page.open(file, width=width, dark=dark)
        assert "Searches drawn at random" in page.value("document.body.innerText")
        assert page.value("[...document.images].every(i => i.naturalWidth > 0)") is True
        assert page.value("document.images.length") > 40
        assert page.value("document.documentElement.scrollWidth") == width  # no sideways scrolling
        charts = "[...document.querySelectorAll('.chart')].map(c => c.getBoundingClientRect())"
        assert page.value(f"{charts}.every(r => r.width >= 280 && r.right <= {width})") is True
        background = page.value("getComputedStyle(document.body).backgroundColor")
        assert background == ("rgb(27, 26, 25)" if dark else "rgb(243, 241, 236)")
        assert page.complaints() == []
        assert page.requests() == [file.as_uri()]
        assert page.picture().startswith(b"\x89PNG")
