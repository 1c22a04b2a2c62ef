"""Embeddings of a real release by a small network: right, kept, resumed, refused."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from worlds import Animal, add, build_release, photo

from evaluation import embed as embed_module
from evaluation.embed import embed, model_hash
from evaluation.embeddings import MANIFEST, read_embeddings
from petdata.errors import CorruptFile, PetdataError
from petdata.records import Species
from petdata.workspace import Workspace
from trainer.data import Batch, PhotoSet, open_photos, open_release


class SmallPicture:
    """12 x 12 pixels, picklable."""

    def __call__(self, image: Image.Image) -> Tensor:
        small = np.asarray(image.convert("RGB").resize((12, 12)), np.float32)
        return torch.from_numpy(small / 255).permute(2, 0, 1)


class Network(nn.Module):
    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layer = nn.Linear(3 * 12 * 12, 7)
        self.dropout = nn.Dropout()
        self.batches = 0
        self.breaks_after: int | None = None

    def transform(self) -> SmallPicture:
        return SmallPicture()

    def forward(self, batch: Batch) -> Tensor:
        if self.batches == self.breaks_after:
            raise KeyboardInterrupt
        self.batches += 1
        raw: Tensor = self.dropout(self.layer(batch.pixel_values.flatten(1)))
        return raw


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> PhotoSet:
    workspace = Workspace(root=tmp_path_factory.mktemp("workspace"))
    animals = [
        Animal(
            f"pet911/rl60{n:04}",
            [photo(100 + n, number) for number in range(3)],
            species=Species.DOG if n % 2 else Species.CAT,
        )
        for n in range(7)
    ]
    add(workspace, animals)
    build_release(workspace, val_fraction=0.0)
    return open_photos(open_release("pets", workspace=workspace), "train")


@pytest.mark.parametrize("workers", [0, 2])
def test_embeddings_are_those_of_single_photos(photos: PhotoSet, workers: int) -> None:
    network = Network()
    found = embed(network, photos, batch_size=4, workers=workers)
    assert len(found) == len(photos) == 21
    assert found.vectors.dtype == np.float32
    with torch.no_grad():
        for row, jpeg in enumerate(photos.read(np.arange(21))):
            pixels = SmallPicture()(Image.open(io.BytesIO(jpeg)))
            raw = network.layer(pixels.flatten()).numpy()
            np.testing.assert_allclose(found.vectors[row], raw / np.linalg.norm(raw), atol=1e-5)
    assert found.photo_ids == photos.photo_ids
    assert found.identity_ids.to_pylist() == [
        name.rpartition("/")[0] for name in found.photo_ids.to_pylist()
    ]
    assert found.labels.tolist() == photos.labels.tolist()
    assert set(found.species.to_pylist()) == {"cat", "dog"}
    assert found.sha256 == photos.sha256
    assert (found.skipped, found.dataset_hash) == (0, photos.dataset_hash)


def test_the_network_stays_in_the_mode_that_it_was_in(photos: PhotoSet) -> None:
    network = Network()
    network.layer.eval()
    embed(network, photos, workers=0)
    assert (network.training, network.layer.training, network.dropout.training) == (1, 0, 1)


def test_kept_embeddings_are_read_back(photos: PhotoSet, tmp_path: Path) -> None:
    network = Network()
    first = embed(network, photos, cache=tmp_path, workers=0, batch_size=4)
    made = network.batches
    again = embed(network, photos, cache=tmp_path, workers=0, batch_size=4)
    assert network.batches == made == 6
    assert again.vectors.tobytes() == first.vectors.tobytes()
    assert again.photo_ids == photos.photo_ids
    assert again.model_hash == model_hash(network)
    np.testing.assert_array_equal(
        first.vectors, embed(network, photos, workers=0, batch_size=4).vectors
    )


def test_other_weights_or_photos_or_treatment_have_other_files(
    photos: PhotoSet, tmp_path: Path
) -> None:
    class Mirrored(SmallPicture):
        def __call__(self, image: Image.Image) -> Tensor:
            return super().__call__(image).flip(2)

    embed(Network(0), photos, cache=tmp_path, workers=0)
    embed(Network(1), photos, cache=tmp_path, workers=0)
    embed(Network(0), photos, cache=tmp_path, workers=0, transform=Mirrored())
    assert len(list(tmp_path.iterdir())) == 3
    embed(Network(0), photos, cache=tmp_path, workers=0)
    assert len(list(tmp_path.iterdir())) == 3


def test_an_interrupted_embedding_goes_on(
    photos: PhotoSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed_module, "BATCHES_A_PART", 2)
    whole = embed(Network(), photos, workers=0, batch_size=4)
    network = Network()
    network.breaks_after = 5  # two parts of two batches, and one batch more
    with pytest.raises(KeyboardInterrupt):
        embed(network, photos, cache=tmp_path, workers=0, batch_size=4)
    (folder,) = tmp_path.iterdir()
    assert sorted(path.name for path in folder.iterdir()) == [
        "part-00000.parquet",
        "part-00001.parquet",
    ]
    with pytest.raises(PetdataError, match="no finished embeddings"):
        read_embeddings(folder)
    network = Network()
    resumed = embed(network, photos, cache=tmp_path, workers=0, batch_size=4)
    assert network.batches == 2
    assert resumed.vectors.tobytes() == whole.vectors.tobytes()
    assert resumed.photo_ids == whole.photo_ids


def test_files_are_plain_parquet(photos: PhotoSet, tmp_path: Path) -> None:
    found = embed(Network(), photos, cache=tmp_path, workers=0)
    (part,) = tmp_path.glob("*/*.parquet")
    table = pq.read_table(part)
    vector = table.schema.field("vector").type
    assert (vector.list_size, vector.value_type) == (7, pa.float32())
    assert table["vector"][3].as_py() == found.vectors[3].tolist()
    assert table["photo_id"].to_pylist() == photos.photo_ids.to_pylist()


def test_damaged_files_are_refused(photos: PhotoSet, tmp_path: Path) -> None:
    embed(Network(), photos, cache=tmp_path, workers=0)
    (part,) = tmp_path.glob("*/*.parquet")
    whole = part.read_bytes()
    table = pq.read_table(part)
    pq.write_table(table.slice(1), part)
    with pytest.raises(CorruptFile, match="20 embeddings, not 21"):
        read_embeddings(part.parent)
    part.write_bytes(whole[:-50])
    with pytest.raises(CorruptFile, match="missing or damaged"):
        read_embeddings(part.parent)
    part.write_bytes(whole)
    (part.parent / MANIFEST).write_text("{}")
    with pytest.raises(CorruptFile, match=r"embeddings\.json is damaged"):
        read_embeddings(part.parent)


def test_a_photo_without_direction_is_named(photos: PhotoSet) -> None:
    class Silent(Network):
        def forward(self, batch: Batch) -> Tensor:
            raw = super().forward(batch)
            return torch.where((batch.rows == 6)[:, None], 0.0, raw)

    with pytest.raises(PetdataError, match=f"photo {photos.photo_ids[6]} is zero"):
        embed(Silent(), photos, workers=0, batch_size=4)


def test_a_network_without_a_transform_needs_one(photos: PhotoSet) -> None:
    with pytest.raises(PetdataError, match="Linear brings no transform"):
        embed(nn.Linear(1, 1), photos)
