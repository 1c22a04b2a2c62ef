"""Every public data set in every form: what was drawn is kept, what was planted is dropped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from data_sets import WRITERS, dropped, kept, originals, take

from dataset_builder.readers import petface
from dataset_builder.readers.petface_lists import photo_name
from dataset_builder.reading import Reading
from petdata.demo.datasets import Truth
from petdata.errors import CorruptFile, PetdataError
from petdata.inspection import verify_source
from petdata.records import Photo, Sex
from petdata.shards import read_photos
from petdata.workspace import Workspace

Drawn = dict[str, tuple[Path, Truth]]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """Form -> folder and truth; drawn when asked for first."""

    class Forms(Drawn):
        def __missing__(self, form: str) -> tuple[Path, Truth]:
            folder = tmp_path_factory.mktemp(form)
            self[form] = folder, WRITERS[form](folder)
            return self[form]

    return Forms()


@pytest.mark.parametrize("form", WRITERS)
def test_a_drawn_data_set_becomes_what_its_truth_says(
    drawn: Drawn, tmp_path: Path, form: str
) -> None:
    folder, truth = drawn[form]
    root = next(folder.iterdir()) if form in ("petface", "dogfacenet", "lcw") else folder
    source = form.partition(".")[0]
    take(tmp_path, source, originals(form, root, Reading()))
    assert {name: sorted(paths) for name, paths in kept(tmp_path, source).items()} == {
        name: sorted(paths) for name, paths in truth.photos.items()
    }
    assert dropped(tmp_path, source) == truth.dropped
    rows = {path_of(photo): photo for photo in shard_rows(tmp_path, source)}
    splits = {path: photo.source_split for path, photo in rows.items() if photo.source_split}
    assert splits == truth.splits
    assert list(verify_source(Workspace(root=tmp_path), source)) == []


def shard_rows(workspace: Path, source: str) -> list[Photo]:
    return list(read_photos(sorted((workspace / "shards" / source).glob("part-*.parquet"))))


def path_of(photo: Photo) -> str:
    path: str = json.loads(photo.attributes or "")["path"]
    return path


@pytest.mark.parametrize("source", ["dogs_world", "lcw", "cat_individual_images", "petface"])
def test_archive_and_folder_give_the_same_photos(drawn: Drawn, tmp_path: Path, source: str) -> None:
    packed = "petface.tar.gz" if source == "petface" else f"{source}.zip"
    found = []
    for form in (source, packed):
        folder = drawn[form][0]
        root = next(folder.iterdir()) if form == "petface" else folder
        photos = originals(form, root, Reading())
        found.append({(photo.source_id, photo.address, photo.refused) for photo in photos})
    assert found[0] == found[1]


# PetFace's lists


def test_annotations_find_their_folder_without_its_zeros(drawn: Drawn) -> None:
    folder, _ = drawn["petface"]
    photos = {
        photo.source_id: photo for photo in originals("petface", folder / "PetFace", Reading())
    }
    cat, dog = photos["cat-000003"], photos["dog-000008"]
    assert (cat.sex, cat.breed, cat.attributes) == (
        Sex.MALE,
        "Mixed",
        {"color1": "black", "color2": "white"},
    )
    assert (dog.sex, dog.breed, dog.attributes) == (Sex.FEMALE, None, {})


def test_what_the_lists_say_beside_the_photos_is_counted(tmp_path: Path) -> None:
    """Three cats; the lists contradict themselves and the folder."""
    for path in ("cat/000001/00", "cat/000001/01", "cat/000002/00", "cat/000003/00"):
        write(tmp_path / f"images/{path}.png", "")
    write(
        tmp_path / "split/cat/train.csv",
        "filename,label\ncat/000001/00.png,1\ncat/000001/01.png,7\ncat/000009/00.png,9\nx,1\n",
    )
    write(tmp_path / "split/cat/test.txt", "cat/000001/01.png\ncat/000002/00.png\n")
    reading = Reading()
    photos = petface.PetFace(tmp_path, reading, ["cat"]).read()
    splits = {photo.address: photo.source_split for photo in photos}
    assert splits == {
        "cat/000001/00.png": "train",
        "cat/000001/01.png": "train",
        "cat/000002/00.png": "test",
        "cat/000003/00.png": None,
    }
    assert {name: count for name, count in reading.counts.items() if count} == {
        "cat photos on no list": 1,
        "lines of cat/train.csv that name no photo of it": 1,
        "labels of cat/train.csv that are not the folder's number": 1,
        "cat photos on the lists train and test": 1,
        "cat individuals of test that train has too": 1,
        "cat photos of list train that are not here": 1,
    }


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_other_families_come_only_when_asked_for(drawn: Drawn) -> None:
    folder = drawn["petface.tar.gz"][0]
    found = [
        {photo.species for photo in petface.PetFace(folder, Reading(), families).read()}
        for families in (["cat"], ["rabbit", "dog"])
    ]
    assert found == [{"cat"}, {"rabbit", "dog"}]
    with pytest.raises(PetdataError, match="no family goat; it has cat, chimp"):
        petface.PetFace(folder, Reading(), ["goat"])


def test_a_photo_in_two_archives_is_refused(drawn: Drawn, tmp_path: Path) -> None:
    archive = drawn["petface.tar.gz"][0] / "dog-001.tar.gz"
    for name in ("dog-001.tar.gz", "dog-002.tar.gz"):
        (tmp_path / name).write_bytes(archive.read_bytes())
    with pytest.raises(CorruptFile, match=r"dog/000003/00.png stands in .*dog-001.*dog-002"):
        petface.PetFace(tmp_path, Reading())


def test_photos_both_unpacked_and_packed_are_refused(drawn: Drawn, tmp_path: Path) -> None:
    archive = drawn["petface.tar.gz"][0] / "dog-001.tar.gz"
    (tmp_path / "dog-001.tar.gz").write_bytes(archive.read_bytes())
    write(tmp_path / "images/dog/000003/00.png", "")
    with pytest.raises(CorruptFile, match="both unpacked and in archives"):
        petface.PetFace(tmp_path, Reading())


@pytest.mark.parametrize(
    ("path", "source_id"),
    [
        ("dog/000007/00.png", "dog-000007"),
        ("images/dog/7/00.png", "dog-000007"),
        ("PetFace/images/cat/164099/09.png", "cat-164099"),
        ("dog/000007/face.png", None),
        ("dog/0000007/00.png", None),
        ("split/dog/train.csv", None),
    ],
)
def test_names_of_petface(path: str, source_id: str | None) -> None:
    name = photo_name(path)
    assert (name.source_id if name else None) == source_id


# The others


def test_lists_of_dogfacenet_are_compared_with_the_folders(tmp_path: Path) -> None:
    for path in ("1/1.0.jpg", "1/1.1.jpg", "10/10.0.jpg", "19/19.0.jpg"):
        write(tmp_path / "after_4_bis" / path, "")
    write(tmp_path / "classes_train.txt", "1\n1\n10\n10\n")
    write(tmp_path / "classes_test.txt", "28\n")
    reading = Reading()
    photos = list(originals("dogfacenet", tmp_path, reading))
    assert [photo.source_split for photo in photos] == ["train", "train", "train", None]
    assert reading.counts["photos on no class list"] == 1
    assert reading.counts["classes with another number of photos than their list says"] == 2


def test_dogs_world_without_its_folders(tmp_path: Path) -> None:
    with pytest.raises(PetdataError, match="has no folders images and metadata"):
        list(originals("dogs_world", tmp_path, Reading()))


def test_paths_of_metadata_cannot_lead_outside(tmp_path: Path) -> None:
    write(tmp_path / "secret.jpg", "of somebody else")
    write(tmp_path / "archive/images/a.jpg", "")
    for number, path in enumerate(["../secret.jpg", "images/../../secret.jpg", "/etc/passwd"]):
        document = {"path": path, "identities": [{"identity": "dog"}]}
        write(tmp_path / f"archive/metadata/{number}.json", json.dumps(document))
    photos = list(originals("dogs_world", tmp_path, Reading()))
    assert [(photo.address, photo.refused is None) for photo in photos] == [
        ("images/a.jpg", False),
        ("images/../../secret.jpg", False),  # never opened: no photo of the folder has this name
    ]
