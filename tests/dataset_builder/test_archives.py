"""Folders and archives, honest and hostile."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from dataset_builder import archives
from dataset_builder.archives import open_files
from petdata.errors import CorruptFile, PetdataError, Reason, RejectedPhoto
from petdata.limits import Limits

CONTENT = {"a/1.txt": b"one", "a/b/2.txt": b"two", "a.txt": b"", "z/3.txt": os.urandom(100_000)}


def tar_of(content: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        for name, raw in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            file.addfile(info, io.BytesIO(raw))
    return out.getvalue()


def zip_of(content: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as file:
        for name, raw in content.items():
            file.writestr(name, raw)
    return out.getvalue()


def write_folder(path: Path) -> None:
    for name, raw in CONTENT.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(raw)


FORMS: dict[str, Callable[[Path], object]] = {
    "folder": write_folder,
    "zip": lambda path: path.write_bytes(zip_of(CONTENT)),
    "stored zip": lambda path: path.write_bytes(zip_of(CONTENT, zipfile.ZIP_STORED)),
    "tar": lambda path: path.write_bytes(tar_of(dict(sorted(CONTENT.items())))),
    "tar.gz": lambda path: path.write_bytes(gzip.compress(tar_of(CONTENT))),
    "tar.gz in two streams": lambda path: path.write_bytes(
        gzip.compress(tar_of(CONTENT)[:700]) + gzip.compress(tar_of(CONTENT)[700:])
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_members_of_every_form(tmp_path: Path, form: str) -> None:
    path = tmp_path / "data"
    FORMS[form](path)
    files = open_files(path)
    found = {member.path: (member.size, member.load()) for member in files.members()}
    assert found == {name: (len(raw), raw) for name, raw in CONTENT.items()}
    assert [member.path for member in files.members("a")] in (
        ["1.txt", "b/2.txt"],
        ["b/2.txt", "1.txt"],
    )
    assert [files.find_folder(name) for name in ("a", "b", "c")] == ["a", "a/b", None]


def test_a_zip_is_read_in_the_order_of_a_folder(tmp_path: Path) -> None:
    names = ["b/1", "b 2/1", "b.txt", "a/c/d", "a/b", "b/c/1"]
    write = dict.fromkeys(names, b"")
    (tmp_path / "zip").write_bytes(zip_of(write))
    for name in names:
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    orders = [
        [member.path for member in open_files(tmp_path / form).members()]
        for form in ("zip", "folder")
    ]
    assert orders[0] == orders[1]


def test_what_systems_leave_behind_is_left_out(tmp_path: Path) -> None:
    names = ["a/1.jpg", "a/.DS_Store", "__MACOSX/a/._1.jpg", ".git/x"]
    (tmp_path / "zip").write_bytes(zip_of(dict.fromkeys(names, b"")))
    (tmp_path / "tar").write_bytes(tar_of(dict.fromkeys(names, b"")))
    for form in ("zip", "tar"):
        assert [member.path for member in open_files(tmp_path / form).members()] == ["a/1.jpg"]


def test_links_and_pipes_in_a_folder_are_passed_over_and_counted(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").touch()
    (tmp_path / "2.jpg").symlink_to(tmp_path / "1.jpg")
    (tmp_path / "up").symlink_to("/")
    os.mkfifo(tmp_path / "3.jpg")
    folder = archives.Folder(tmp_path)
    assert [member.path for member in folder.members()] == ["1.jpg"]
    assert folder.links == 3


def test_a_file_that_cannot_be_read_costs_only_itself(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").touch()
    [member] = open_files(tmp_path).members()
    (tmp_path / "1.jpg").unlink()
    with pytest.raises(RejectedPhoto, match="No such file") as caught:
        member.read_photo(Limits())
    assert caught.value.reason is Reason.UNREACHABLE


def test_a_photo_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "1.jpg").open("wb") as file:
        file.truncate(2**40)
    [member] = open_files(tmp_path).members()
    with pytest.raises(RejectedPhoto, match="too_many_bytes"):
        member.read_photo(Limits())


# Hostile archives: refused as a whole, before a member is used

BAD_NAMES = [
    *("../../etc/passwd", "a/../../b", "/etc/passwd", "C:/x", "a\\..\\..\\x", "a//b", "a/./b"),
    *("a\nb", "n" * 2_000),
]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("form", ["zip", "tar"])
def test_names_that_lead_elsewhere(tmp_path: Path, form: str, name: str) -> None:
    content = {"photo.jpg": b"fine", name: b"not fine"}
    raw = zip_of(content) if form == "zip" else tar_of(content)
    assert_refused(tmp_path, raw, "nothing of the archive is used")


def assert_refused(folder: Path, raw: bytes, why: str) -> None:
    path = folder / "archive"
    path.write_bytes(raw)
    with pytest.raises(CorruptFile, match=why) as caught:
        list(open_files(path).members())
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "kind",
    [
        *(tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE),
        tarfile.GNUTYPE_SPARSE,
    ],
)
def test_links_and_devices_in_a_tar(tmp_path: Path, kind: bytes) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        info = tarfile.TarInfo("photo.jpg")
        info.type, info.linkname = kind, "/etc/passwd"
        file.addfile(info)
    assert_refused(tmp_path, out.getvalue(), "is a link or a device")


def test_a_symbolic_link_in_a_zip(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        info = zipfile.ZipInfo("photo.jpg")
        info.external_attr = 0o120777 << 16
        file.writestr(info, "/etc/passwd")
    assert_refused(tmp_path, out.getvalue(), "is a link or a device")


def test_an_encrypted_zip(tmp_path: Path) -> None:
    raw = bytearray(zip_of({"photo.jpg": b"secret"}))
    raw[raw.index(b"PK\1\2") + 8] |= 1
    assert_refused(tmp_path, bytes(raw), "is encrypted")


def test_a_bomb_in_a_zip(tmp_path: Path) -> None:
    assert_refused(tmp_path, zip_of({"photo.jpg": bytes(80 * 2**20)}), "photos don't shrink")


def test_many_members_that_share_their_bytes(tmp_path: Path) -> None:
    """Each is small enough; together they are a thousand times the file (Fifield's bomb)."""
    content = {f"{number}.jpg": bytes(60 * 2**20) for number in range(2)}
    assert_refused(tmp_path, zip_of(content), "photos don't shrink")


def test_a_bomb_in_a_gzip(tmp_path: Path) -> None:
    raw = gzip.compress(tar_of({"photo.jpg": bytes(100 * 2**20)}))
    assert_refused(tmp_path, raw, "photos don't shrink")


def test_a_long_name_that_is_a_bomb(tmp_path: Path) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 50 * 2**20
    raw = info.tobuf() + bytes(50 * 2**20)
    assert_refused(tmp_path, raw, "a name or header of 52,428,800 bytes")


def test_a_name_twice(tmp_path: Path) -> None:
    raw = zip_of({"1.jpg": b"this", "2.jpg": b"or that"}).replace(b"2.jpg", b"1.jpg")
    assert_refused(tmp_path, raw, r"'1.jpg' stands in it twice")
    tar = tar_of({"1.jpg": b"this"})[:1024] + tar_of({"1.jpg": b"or that"})
    assert_refused(tmp_path, tar, r"'1.jpg' stands in it twice")


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize("left", [0.02, 0.5, 0.97])
def test_an_archive_that_was_cut_off(tmp_path: Path, form: str, left: float) -> None:
    content = {f"{number}.jpg": os.urandom(2_000) for number in range(20)}
    raw = zip_of(content) if form == "zip" else tar_of(content).rstrip(b"\0")
    raw = gzip.compress(raw + bytes(1024)) if form == "tar.gz" else raw
    assert_refused(tmp_path, raw[: int(len(raw) * left)], "cut off")


def test_a_tar_with_a_broken_header_in_the_middle(tmp_path: Path) -> None:
    """tarfile would take it for the end, and half the photos would be missing unsaid."""
    raw = bytearray(tar_of({"1.jpg": b"1", "2.jpg": b"2", "3.jpg": b"3"}))
    raw[1024 + 20] ^= 0xFF
    assert_refused(tmp_path, bytes(raw), "no header where the next should stand")


def test_two_tars_in_one(tmp_path: Path) -> None:
    """tarfile would stop at the end of the first."""
    assert_refused(tmp_path, tar_of(CONTENT) + tar_of(CONTENT), "more behind its end mark")


def test_a_gzip_with_a_wrong_checksum(tmp_path: Path) -> None:
    raw = bytearray(gzip.compress(tar_of(CONTENT) + bytes(200_000)))
    raw[-8] ^= 0xFF
    assert_refused(tmp_path, bytes(raw), "incorrect data check")


def test_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBERS", 9)
    content = {str(number): b"" for number in range(10)}
    assert_refused(tmp_path, zip_of(content), "too many members")
    assert_refused(tmp_path, tar_of(content), "more than 9 members")
    liar = bytearray(zip_of(content))
    end = liar.index(b"PK\5\6")
    struct.pack_into("<HH", liar, end + 8, 1, 1)  # "one member"
    assert_refused(tmp_path, bytes(liar), "too many members")


def test_a_member_whose_bytes_are_not_what_the_table_says(tmp_path: Path) -> None:
    raw = bytearray(zip_of({"1.jpg": b"x" * 100, "2.jpg": b"y"}, zipfile.ZIP_STORED))
    raw[40] ^= 0xFF
    (tmp_path / "zip").write_bytes(raw)
    first, second = open_files(tmp_path / "zip").members()
    with pytest.raises(RejectedPhoto, match="corrupt"):
        first.read_photo(Limits())
    assert second.read_photo(Limits()) == b"y"


@pytest.mark.parametrize("raw", [b"", b"Rar!\x1a\x07\x00", b"PK", zlib.compress(b"x" * 1000)])
def test_files_that_are_no_archive(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "file").write_bytes(raw)
    with pytest.raises(PetdataError, match=r"neither a folder nor a zip, tar or tar\.gz"):
        open_files(tmp_path / "file")
    with pytest.raises(PetdataError, match="No such file"):
        open_files(tmp_path / "none")
