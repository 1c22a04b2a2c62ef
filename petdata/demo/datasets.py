"""Small drawn versions of the five public data sets, in the formats that these have on disk.

Each `write_*` draws a data set into an empty folder, as it comes unpacked or, `packed`, as it is
downloaded, and returns the truth: what an import keeps of which animal, and what it drops and why.
Everything depends on the arguments alone. `first_pet` chooses the animals: two data sets that
overlap in it show the same ones in other photos.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from petdata.demo.pets import DrawnPhoto, draw_identity, draw_photo, encode_photo
from petdata.errors import Reason
from petdata.records import Species

FACE_PX: Final = 224  # PetFace and DogFaceNet
_HEIC: Final = Path(__file__).with_name("photo.heic")  # nothing here encodes HEIC
_LONGEST_PX: Final = 480


@dataclass
class Truth:
    """Addresses are paths inside the data set, as the ledger has them."""

    photos: dict[str, list[str]] = field(default_factory=dict)  # source id -> addresses kept
    dropped: dict[str, Reason] = field(default_factory=dict)  # address -> reason
    splits: dict[str, str] = field(
        default_factory=dict
    )  # address -> source_split, where it has one
    pairs: list[tuple[str, str, bool]] = field(default_factory=list)  # PetFace's verification

    def keep(self, source_id: str, address: str, split: str | None = None) -> None:
        self.photos.setdefault(source_id, []).append(address)
        if split is not None:
            self.splits[address] = split


class _Artist:
    """Photos of one data set."""

    def __init__(self, seed: int, first_pet: int, species: Species) -> None:
        self._seed, self._first, self._species = seed, first_pet, species

    def picture(self, number: int, photo: int, species: Species | None = None) -> Image.Image:
        drawn = self._drawn(number, photo, species)
        image = drawn.image
        image.thumbnail((_LONGEST_PX, _LONGEST_PX))
        return image

    def face(self, number: int, photo: int, species: Species | None = None) -> Image.Image:
        """The head, square, as a face that was aligned."""
        drawn = self._drawn(number, photo, species)
        left, top, right, bottom = drawn.head_box
        side = max(right - left, bottom - top, 16)
        middle = (left + right) // 2, (top + bottom) // 2
        box = (middle[0] - side // 2, middle[1] - side // 2)
        face = drawn.image.crop((*box, box[0] + side, box[1] + side))
        return face.resize((FACE_PX, FACE_PX), Image.Resampling.BILINEAR)

    def _drawn(self, number: int, photo: int, species: Species | None) -> DrawnPhoto:
        pet = draw_identity(self._seed, self._first + number, species or self._species)
        return draw_photo(pet, photo)

    def jpeg(self, number: int, photo: int) -> bytes:
        return encode_photo(self.picture(number, photo), "JPEG", 85)


def write_dogs_world(
    folder: Path, seed: int, identities: int, *, packed: bool = False, first_pet: int = 10_000
) -> Truth:
    """images/ and metadata/, below archive/ or in dogs-world.zip. At least 2 identities.

    Planted: two dogs on one photo, another extension than the path says, a photo cut off, one
    without metadata, one whose metadata name no dog, broken metadata, metadata without a photo.
    """
    artist = _Artist(seed, first_pet, Species.DOG)
    tree = _empty(folder / "archive")
    truth = Truth()

    def write(number: int, photo: int, raw: bytes, suffix: str = ".jpg") -> str:
        name = sha256(f"{seed}/{number}/{photo}".encode()).hexdigest()[:32]
        _write(tree / f"images/{name}{suffix}", raw)
        return name

    def describe(name: str, dogs: Iterable[str], suffix: str = ".jpg") -> None:
        entries = [{"identity": dog} for dog in dogs]
        document = {"path": f"images/{name}{suffix}", "identities": entries}
        _write(tree / f"metadata/{name}.json", json.dumps(document).encode())

    dogs = [f"dog-{seed}-{number}" for number in range(identities)]
    for number, dog in enumerate(dogs):
        for photo in range(1 + number % 3):
            if (number, photo) == (1, 0):  # a PNG whose path says JPEG
                name = write(number, photo, _png(artist.picture(number, photo)), ".png")
                truth.keep(dog, f"images/{name}.png")
            else:
                name = write(number, photo, artist.jpeg(number, photo))
                truth.keep(dog, f"images/{name}.jpg")
            describe(name, [dog])
    two = write(0, 50, artist.jpeg(0, 50))
    describe(two, dogs[:2])
    truth.dropped[f"images/{two}.jpg"] = Reason.SEVERAL_IDENTITIES
    cut = write(0, 51, artist.jpeg(0, 51)[:-400])
    describe(cut, dogs[:1])
    truth.dropped[f"images/{cut}.jpg"] = Reason.TRUNCATED
    for photo, dogs_said in ((52, None), (53, []), (54, "broken")):
        name = write(0, photo, artist.jpeg(0, photo))
        if dogs_said == "broken":
            _write(tree / f"metadata/{name}.json", b'{"path": "images/')
        elif dogs_said is not None:
            describe(name, [])
        truth.dropped[f"images/{name}.jpg"] = Reason.NO_IDENTITY
    describe("f" * 32, dogs[:1])
    truth.dropped[f"images/{'f' * 32}.jpg"] = Reason.NOT_FOUND
    if packed:
        _zip(tree, folder / "dogs-world.zip")
    return truth


def write_lcw(
    folder: Path, seed: int, identities: int, *, packed: bool = False, first_pet: int = 20_000
) -> Truth:
    """CatFullDataset/<id>/<image>, or lcwlabeled-cats-in-the-wild.zip. At least 2 identities.

    Planted: a corrupt file, one that is no picture, the same photo twice.
    """
    artist = _Artist(seed, first_pet, Species.CAT)
    tree = _empty(folder / "lcw")
    cats = tree / "CatFullDataset"
    truth = Truth()
    for number in range(identities):
        cat = str(101 + 7 * number)
        for photo in range(1 + number % 4):
            form = ("JPEG", "PNG", "WEBP", "JPEG")[photo]
            suffix = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}[form]
            address = f"{cat}/{photo:03d}.{suffix}"
            picture = artist.picture(number, photo)
            _write(
                cats / address, _png(picture) if form == "PNG" else encode_photo(picture, form, 85)
            )
            truth.keep(cat, address)
    first = "101"
    raw = bytearray(artist.jpeg(0, 60))
    raw[len(raw) // 2 : len(raw) // 2 + 64] = b"\xff\xd9" * 32
    _plant(truth, cats, f"{first}/corrupt.jpg", bytes(raw), Reason.TRUNCATED)
    _plant(truth, cats, f"{first}/page.jpg", b"<html>not found</html>", Reason.NOT_AN_IMAGE)
    copy = (cats / truth.photos["108"][0]).read_bytes()
    _plant(truth, cats, "108/copy.jpeg", copy, Reason.DUPLICATE_IN_IDENTITY)
    if packed:
        _zip(tree, folder / "lcwlabeled-cats-in-the-wild.zip")
    return truth


def write_petface(
    folder: Path, seed: int, identities: int, *, packed: bool = False, first_pet: int = 30_000
) -> Truth:
    """Cats and dogs, and one rabbit that nobody asks for; `identities` of each, at least 4.

    images/, split/ and annotations/, or dog-001.tar.gz, dog-002.tar.gz, cat.tar.gz, rabbit.tar.gz
    and PetFace.zip with the lists. Labels restart with each species; Name has lost its zeros.
    """
    artist = _Artist(seed, first_pet, Species.DOG)
    tree = _empty(folder / "PetFace")
    truth = Truth()
    for order, species in enumerate((Species.CAT, Species.DOG)):
        kind = _PetFaceFamily(species, tree, truth)
        for number in range(identities):
            kind.add(
                number,
                [_png(artist.face(1_000 * order + number, photo, species)) for photo in range(3)],
            )
        kind.write_lists()
    _write(tree / "images/rabbit/000000/00.png", _png(artist.face(5_000, 0, Species.OTHER)))
    if packed:
        images = tree / "images"
        dogs = sorted((images / "dog").iterdir())
        _tar(images, dogs[: len(dogs) // 2], folder / "dog-001.tar.gz")
        _tar(images, dogs[len(dogs) // 2 :], folder / "dog-002.tar.gz")
        for family in ("cat", "rabbit"):
            _tar(images, sorted((images / family).iterdir()), folder / f"{family}.tar.gz")
        shutil.rmtree(images)
        _write(tree / "README.md", b"# PetFace\n")
        _zip(tree, folder / "PetFace.zip", prefix="PetFace/")
    return truth


class _PetFaceFamily:
    """Lists of one family: two of four individuals train, one is for val, one for test."""

    def __init__(self, species: Species, tree: Path, truth: Truth) -> None:
        self.species, self.tree, self.truth = species, tree, truth
        self.lists: dict[str, list[list[str]]] = {
            name: [] for name in ("train", "reidentification", "val", "test", "verification")
        }
        self.annotations: list[list[str]] = []

    def add(self, number: int, faces: Sequence[bytes]) -> None:
        identity = 3 + 5 * number
        source_id = f"{self.species}-{identity:06d}"
        role = ("train", "val", "test", "train")[number % 4]
        for photo, face in enumerate(faces):
            address = f"{self.species}/{identity:06d}/{photo:02d}.png"
            _write(self.tree / "images" / address, face)
            held_out = role == "train" and photo == len(faces) - 1
            split = "reidentification" if held_out else role
            if number == 0 and photo == 0:  # on no list
                self.truth.keep(source_id, address)
                continue
            labelled = split in ("train", "reidentification")
            self.lists[split].append([address, str(identity)] if labelled else [address])
            self.truth.keep(source_id, address, split)
        sex = ("Male", "Female", "unknown")[number % 3]
        breed = ("Mixed", "unknown")[number % 2]
        colours = ["black", "white"] if self.species is Species.CAT else []
        self.annotations.append([str(identity), sex, breed, *colours])

    def write_lists(self) -> None:
        split = self.tree / "split" / self.species
        for name in ("train", "reidentification"):
            _write(split / f"{name}.csv", _csv([["filename", "label"], *self.lists[name]]))
        for name in ("val", "test"):
            _write(
                split / f"{name}.txt", "".join(f"{row[0]}\n" for row in self.lists[name]).encode()
            )
        tests = [row[0] for row in self.lists["test"]]
        pairs = [(tests[0], tests[1], True), (tests[0], tests[-1], tests[-1][:-6] == tests[0][:-6])]
        self.truth.pairs += pairs
        rows = [[first, second, str(int(same))] for first, second, same in pairs]
        _write(split / "verification.csv", _csv([["filename1", "filename2", "label"], *rows]))
        colours = ["Color1", "Color2"] if self.species is Species.CAT else []
        header = ["Name", "Gender", "Breed", *colours]
        _write(self.tree / f"annotations/{self.species}.csv", _csv([header, *self.annotations]))


def write_cat_individual_images(
    folder: Path, seed: int, identities: int, *, packed: bool = False, first_pet: int = 40_000
) -> Truth:
    """cat_individuals_dataset/<4-digit id>/<image>, or cat-individuals.zip. At least 2 identities.

    Planted: a HEIC, a HEIC beside its JPEG, copies in a third level, extensions of either case.
    """
    artist = _Artist(seed, first_pet, Species.CAT)
    tree = _empty(folder / "cat-individuals")
    cats = tree / "cat_individuals_dataset"
    truth = Truth()
    for number in range(identities):
        cat = f"{number + 1:04d}"
        for photo in range(2 + number % 2):
            suffix = ("JPG", "jpg", "Jpeg")[photo]
            address = f"{cat}/IMG_{100 * number + photo:04d}.{suffix}"
            _write(cats / address, artist.jpeg(number, photo))
            truth.keep(cat, address)
    _write(cats / "0001/IMG_9000.HEIC", _HEIC.read_bytes())
    truth.keep("0001", "0001/IMG_9000.HEIC")
    converted = truth.photos["0002"][1]
    heic = f"{converted.rpartition('.')[0]}.HEIC"
    _plant(truth, cats, heic, _HEIC.read_bytes(), Reason.DUPLICATE_IN_IDENTITY)
    copy = (cats / truth.photos["0001"][0]).read_bytes()
    _plant(truth, cats, "0001/0001/IMG_0000.JPG", copy, Reason.NESTED_FOLDER)
    if packed:
        _zip(tree, folder / "cat-individuals.zip")
    return truth


def write_dogfacenet(
    folder: Path,
    seed: int,
    identities: int,
    *,
    form: Literal["zenodo", "github", "mirror"] = "zenodo",
    first_pet: int = 50_000,
) -> Truth:
    """Zenodo's folder, GitHub's zip with its class lists beside it, or the Hub's Parquet mirror.

    Class ids are not contiguous; every third class is on the test list. The mirror has no lists.
    """
    artist = _Artist(seed, first_pet, Species.DOG)
    tree = _empty(folder / "DogFaceNet_224resized")
    truth = Truth()
    rng = np.random.default_rng([seed, first_pet])
    lists: dict[str, list[str]] = {"train": [], "test": []}
    rows: list[dict[str, object]] = []
    for number in range(identities):
        dog = str(number * 9 + 1)
        split = "test" if number % 3 == 2 else "train"
        for photo in range(2 + number % 2):
            face = artist.face(number, photo).rotate(float(rng.uniform(-20, 20)))  # black corners
            raw = encode_photo(face, "JPEG", 92)
            name = f"{dog}.{photo}.jpg"
            if form == "mirror":
                address = f"train-00000-of-00001.parquet/{len(rows)}/{name}"
                truth.keep(dog, address)
            else:
                address = f"{dog}/{name}"
                _write(tree / "after_4_bis" / address, raw)
                truth.keep(dog, address, split)
            rows.append({"image": {"bytes": raw, "path": name}, "label": number})
            lists[split].append(dog)
    if form == "mirror":
        shutil.rmtree(tree)
        (folder / "data").mkdir()
        pq.write_table(pa.Table.from_pylist(rows), folder / "data/train-00000-of-00001.parquet")
        return truth
    beside = tree
    if form == "github":
        _zip(tree, folder / "DogFaceNet_Dataset_224_1.zip")
        beside = folder
    for split, classes in lists.items():
        _write(beside / f"classes_{split}.txt", "".join(f"{name}\n" for name in classes).encode())
    return truth


# Files and archives


def _empty(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _plant(truth: Truth, folder: Path, address: str, raw: bytes, reason: Reason) -> None:
    _write(folder / address, raw)
    truth.dropped[address] = reason


def _png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()


def _zip(tree: Path, archive: Path, prefix: str = "") -> None:
    """What is below `tree` becomes the archive, the same on any day."""
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(tree.rglob("*")):
            if path.is_file():
                info = zipfile.ZipInfo(prefix + path.relative_to(tree).as_posix())
                info.external_attr = 0o644 << 16
                info.compress_type = zipfile.ZIP_DEFLATED
                file.writestr(info, path.read_bytes())
    shutil.rmtree(tree)


def _tar(root: Path, folders: Sequence[Path], archive: Path) -> None:
    with tarfile.open(archive, "w:gz", compresslevel=1) as file:
        for folder in folders:
            for path in (folder, *sorted(folder.iterdir())):
                info = file.gettarinfo(path, path.relative_to(root).as_posix())
                info.mtime = 0
                if path.is_dir():
                    file.addfile(info)
                else:
                    file.addfile(info, io.BytesIO(path.read_bytes()))
