"""Photos of users' own: folders, manifests, and the sets of real pets."""

from __future__ import annotations

import csv
from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from data_sets import dropped, kept

from dataset_builder.readers.folder import read_identity_folders, read_manifest, read_real_pets
from dataset_builder.reading import Reading, identity_key
from petdata.bulk_intake import BulkConfig, BulkIntake
from petdata.errors import PetdataError
from petdata.records import Sex, Species, Status
from petdata.workspace import Workspace
from pictures_for_tests import jpeg


def touch(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def test_a_folder_is_an_identity(tmp_path: Path) -> None:
    touch(tmp_path, "Old Tom/1.jpg", "Old Tom/2.PNG", "Мурка/1.webp", "loose.jpg", "a/b/1.jpg")
    touch(tmp_path, "Old Tom/notes.txt", "Old Tom/.hidden.jpg")
    reading = Reading()
    found = {
        photo.address: (photo.source_id, photo.refused and photo.refused[0])
        for photo in read_identity_folders(tmp_path, reading, Species.CAT)
    }
    assert found == {
        "Old Tom/1.jpg": ("Old%20Tom", None),
        "Old Tom/2.PNG": ("Old%20Tom", None),
        "a/b/1.jpg": ("a", "nested_folder"),
        "Мурка/1.webp": ("Мурка", None),
    }
    assert reading.counts == {
        "photos outside of any identity's folder": 1,
        "files that are no photos": 1,
    }


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("tom", "tom"),
        ("Old Tom", "Old%20Tom"),
        ("100%", "100%25"),
        ("a/b", "a%2Fb"),
        ("я\n", "я%0A"),
    ],
)
def test_keys_of_identities(name: str, key: str) -> None:
    assert identity_key(name) == key


def manifest(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "photos.csv"
    path.write_text(text)
    return path


def test_a_manifest_says_everything(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg", "more/2.jpg", "not-named.jpg")
    path = manifest(
        tmp_path,
        "photo,identity,species,title,description,status,breed,sex,city,event_on,posted_on,"
        "source_split\n"
        "1.jpg,Tom,dog,Lost,call +7 916 123-45-67,lost,mixed,male,Ufa,2026-11-01,2026-11-02,train\n"
        "more/2.jpg,Tom,,,,,,,,,,\n"
        "gone.jpg,Kim,,,,,,,,,,\n",
    )
    first, second, third = read_manifest(tmp_path, path, Reading(), Species.CAT)
    assert (first.source_id, first.species, first.title) == ("Tom", "dog", "Lost")
    assert "916" not in (first.description or "")
    assert (first.status, first.breed, first.sex) == (Status.LOST, "mixed", Sex.MALE)
    assert (first.city, first.event_on, first.posted_on, first.source_split) == (
        *("Ufa", date(2026, 11, 1), date(2026, 11, 2)),
        "train",
    )
    assert (second.species, second.title, second.refused) == ("cat", None, None)
    assert third.refused is not None
    assert third.refused[0] == "not_found"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("photo,name\n", "line 1: lacks the column identity"),
        ("photo,identity,colour\n", "line 1: has a column 'colour'; known are photo, identity"),
        ("photo,identity\n1.jpg,Tom\n2.jpg,\n", "line 3: has no identity"),
        ("photo,identity\n1.jpg,Tom\n1.jpg,Kim\n", "line 3: 1.jpg stands in line 2 too"),
        ("photo,identity\n1.jpg,Tom,cat\n", "line 2: has another number of fields"),
        ("photo,identity\n1.jpg\n", "line 2: has another number of fields"),
        ("photo,identity\n../1.jpg,Tom\n", "line 2: ../1.jpg is not below the folder"),
        ("photo,identity\n/etc/x,Tom\n", "line 2: /etc/x is not below the folder"),
        ("photo,identity,species\n1.jpg,Tom,goat\n", "line 2: 'goat' is none of cat, dog"),
        ("photo,identity,sex\n1.jpg,Tom,he\n", "line 2: 'he' is none of male, female"),
        ("photo,identity,event_on\n1.jpg,Tom,1.2.26\n", "line 2: '1.2.26' is no day"),
        ('photo,identity\n1.jpg,"Tom\n', "line 2: cannot be read"),
        ("", "line 1: lacks the column photo, identity"),
    ],
)
def test_errors_of_a_manifest_name_the_line(tmp_path: Path, text: str, why: str) -> None:
    path = manifest(tmp_path, text)
    with pytest.raises(PetdataError) as caught:
        list(read_manifest(tmp_path, path, Reading(), Species.CAT))
    assert str(caught.value).startswith(f"{path}, {why}")


def test_a_manifest_without_species(tmp_path: Path) -> None:
    path = manifest(tmp_path, "photo,identity\n1.jpg,Tom\n")
    with pytest.raises(PetdataError, match=r"line 2: names no species: .* --species"):
        list(read_manifest(tmp_path, path, Reading(), None))


def test_a_file_that_turns_up_later_is_taken_then(tmp_path: Path) -> None:
    """Of a photo that was not there the next run makes what it finds."""
    photos = tmp_path / "photos"
    photos.mkdir()
    path = manifest(tmp_path, "photo,identity\n1.jpg,Tom\n2.jpg,Tom\n")
    (photos / "2.jpg").write_bytes(jpeg(2))
    workspace = Workspace(root=tmp_path / "workspace", declared_sources={"shelter": {}})
    for _ in range(2):
        with BulkIntake(workspace, "shelter", BulkConfig(workers=0)) as intake:
            intake.take(read_manifest(photos, path, Reading(), Species.CAT))
    assert kept(workspace.root, "shelter") == {"Tom": ["2.jpg"]}
    assert dropped(workspace.root, "shelter") == {"1.jpg": "not_found"}
    (photos / "1.jpg").write_bytes(jpeg(1))
    with BulkIntake(workspace, "shelter", BulkConfig(workers=0)) as intake:
        intake.take(read_manifest(photos, path, Reading(), Species.CAT))
    assert kept(workspace.root, "shelter") == {"Tom": ["2.jpg", "1.jpg"]}
    assert dropped(workspace.root, "shelter") == {}


def test_real_pets(real_data: Path, tmp_path: Path) -> None:
    """Every line of the manifests is kept, but for the two copies that SOURCE.md names."""
    root = real_data / "real-pets"
    rows = [
        (row["identity"], row["sha256"])
        for path in root.glob("*/manifest.csv")
        for row in csv.DictReader(path.open())
    ]
    workspace = Workspace(root=tmp_path, declared_sources={"home-cats": {}})
    with BulkIntake(workspace, "home-cats") as intake:
        intake.take(read_real_pets(root, Reading()))
        found = intake.ledger.query("SELECT source_id, original_sha256, outcome FROM photos")
    assert Counter((row[0], row[1]) for row in found) == Counter(rows)
    assert len(rows) == 472
    assert Counter(row[2] for row in found) == {"kept": 470, "dropped": 2}
    assert set(dropped(tmp_path, "home-cats").values()) == {"duplicate_in_identity"}
    assert len(kept(tmp_path, "home-cats")) == 23
