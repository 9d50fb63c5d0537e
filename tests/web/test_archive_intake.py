"""Row 24 of the abuse table, and what archives of real systems look like."""

from __future__ import annotations

import io
import stat
import struct
import time
import tracemalloc
import zipfile

import pytest

from backend.errors import ArchiveInvalid, BatchTooLarge, ImageCorrupt, UploadTooLarge
from backend.web.archive_intake import ArchiveLimits, open_archive

LIMITS = ArchiveLimits(max_items=50, max_file_bytes=300_000, max_total_bytes=2_000_000)


def packed(*entries, method=zipfile.ZIP_DEFLATED):
    """A zip of (name or ZipInfo, bytes) pairs."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return buffer.getvalue()


def opened(data, limits=LIMITS):
    return open_archive(io.BytesIO(data), limits)


def changed(data, **fields):
    """Write other values into the last central directory entry: what a liar would send."""
    places = {"flags": ("<H", 8), "method": ("<H", 10), "crc": ("<L", 16),
              "packed": ("<L", 20), "size": ("<L", 24)}  # fmt: skip
    made = bytearray(data)
    start = made.rfind(b"PK\x01\x02")
    for name, value in fields.items():
        layout, offset = places[name]
        struct.pack_into(layout, made, start + offset, value)
    return bytes(made)


def test_pictures_are_listed_in_order_and_read(noise_png):
    entries = opened(packed(("b/2.png", noise_png), ("a.png", b"hello")))
    assert [entry.name for entry in entries] == ["b/2.png", "a.png"]
    assert [entry.read() for entry in entries] == [noise_png, b"hello"]


def test_what_systems_add_is_skipped():
    clutter = ("__MACOSX/toys/._a.png", "toys/.DS_Store", "toys/Thumbs.db", "toys/._b.png")
    data = packed(("toys/", b""), ("toys/a.png", b"x"), *[(name, b"c") for name in clutter])
    assert [entry.name for entry in opened(data)] == ["toys/a.png"]


@pytest.mark.parametrize(
    "name",
    ["../x.png", "a/../../x.png", "/etc/x.png", "C:/x.png", "c:x.png", "..\\x.png", "\\x.png"],
)
def test_names_that_lead_elsewhere_are_refused(name):
    info = zipfile.ZipInfo("x")
    info.filename = name  # the constructor would tidy it up
    with pytest.raises(ArchiveInvalid, match=r"x\.png"):
        opened(packed(("good.png", b"x"), (info, b"y")))


def test_a_name_that_hides_its_end_is_refused():
    data = packed(("aXpng.png", b"x")).replace(b"aXpng", b"a\0png")
    with pytest.raises(ArchiveInvalid):
        opened(data)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_are_refused(kind):
    info = zipfile.ZipInfo("link.png")
    info.external_attr = (kind | 0o777) << 16
    with pytest.raises(ArchiveInvalid, match=r"link\.png.*link or a device"):
        opened(packed((info, b"/etc/passwd")))


@pytest.mark.parametrize("name", ["inner.zip", "deep/inner.ZIP", "x.tar.gz", "y.7z", "z.rar"])
def test_archives_inside_are_refused(name):
    with pytest.raises(ArchiveInvalid, match="archive inside"):
        opened(packed((name, b"PK\x03\x04")))


def test_encrypted_entries_are_refused():
    with pytest.raises(ArchiveInvalid, match="encrypted"):
        opened(changed(packed(("a.png", b"x")), flags=1))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_ways_of_packing_that_cannot_be_bounded_are_refused(method):
    with pytest.raises(ArchiveInvalid, match="packed in a way"):
        opened(packed(("a.png", b"x" * 1000), method=method))


def test_a_name_that_comes_twice_is_refused():
    with pytest.warns(UserWarning, match="Duplicate"):
        data = packed(("a.png", b"x"), ("a.png", b"y"))
    with pytest.raises(ArchiveInvalid, match="twice"):
        opened(data)


def test_a_thousand_to_one_is_refused_and_a_plain_drawing_is_not():
    with pytest.raises(ArchiveInvalid, match=r"bomb\.png.*far more"):
        opened(packed(("a.png", b"x"), ("bomb.png", bytes(250_000))))
    assert len(opened(packed(("plain.png", bytes(50_000))))) == 1


def test_the_sum_of_all_files_is_bounded():
    entries = [(f"{i}.png", bytes(range(256)) * 800) for i in range(12)]
    with pytest.raises(ArchiveInvalid, match=r"9\.png.*more than 2000000 bytes"):
        opened(packed(*entries, method=zipfile.ZIP_STORED))


def test_too_many_files_are_refused_soon(tmp_path):
    data = packed(*[(f"{i}.png", b"") for i in range(10_001)])
    began_s = time.monotonic()
    with pytest.raises(BatchTooLarge):
        opened(data)
    assert time.monotonic() - began_s < 5
    with pytest.raises(BatchTooLarge):
        opened(packed(*[(f"{i}.png", b"") for i in range(51)]))
    assert len(opened(packed(*[(f"{i}.png", b"") for i in range(50)]))) == 50


def test_a_directory_that_claims_to_be_huge_takes_no_memory():
    entry = packed(("a.png", b"x"))
    directory = entry[entry.find(b"PK\x01\x02") : entry.rfind(b"PK\x05\x06")]
    many = directory * 120_000  # 6 MB of directory: a million objects would follow
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(many), 0, 0)
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveInvalid, match="directory"):
            opened(many + end)
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("data", [b"", b"PK", b"\x89PNG\r\n\x1a\n" + bytes(100), bytes(5000)])
def test_what_is_no_zip_is_refused(data):
    with pytest.raises(ArchiveInvalid, match="no zip"):
        opened(data)


def test_a_zip_without_files_is_refused():
    for data in (packed(), packed(("only/", b""))):
        with pytest.raises(ArchiveInvalid, match="no files"):
            opened(data)


def test_sizes_are_counted_while_unpacking_not_believed():
    """The directory says 100 bytes; what comes out is cut there, and does not fit its checksum."""
    noise = bytes((i * 7919) % 251 for i in range(200_000))
    (entry,) = opened(changed(packed(("a.png", noise)), size=100))
    with pytest.raises(ImageCorrupt, match=r"a\.png"):
        entry.read()


def test_one_file_that_is_too_large_is_told_when_it_is_read():
    noise = b"".join(i.to_bytes(3, "big") for i in range(130_000))
    small, large = opened(packed(("a.png", b"x"), ("b.png", noise), method=zipfile.ZIP_STORED))
    assert small.read() == b"x"
    with pytest.raises(UploadTooLarge, match=r"b\.png"):
        large.read()


def test_a_damaged_entry_is_told_when_it_is_read():
    data = bytearray(packed(("a.png", b"x" * 50), ("b.png", b"y" * 50), method=zipfile.ZIP_STORED))
    at = data.find(b"x" * 50)
    data[at : at + 5] = b"zzzzz"
    first, second = opened(bytes(data))
    with pytest.raises(ImageCorrupt):
        first.read()
    assert second.read() == b"y" * 50
