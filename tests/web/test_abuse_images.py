"""Rows 1 to 13 and 44 of the abuse table: pictures and file names."""

from __future__ import annotations

import io
import struct
import time
import zipfile
import zlib

import pytest
from PIL import Image, ImageCms

from tests.conftest import png_bytes
from tests.web.conftest import encoded

GRADIENT = Image.linear_gradient("L").resize((96, 64))
RGB = Image.merge("RGB", (GRADIENT, GRADIENT.rotate(180), GRADIENT))


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int, depth: int = 8, colour: int = 2) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)


def png_of_rows(width: int, height: int, rows: int) -> bytes:
    data = zlib.compress((b"\0" + b"\x40\x80\xc0" * width) * rows, 1)
    return png_header(width, height) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def with_chunk(png: bytes, kind: bytes, body: bytes) -> bytes:
    return png[:33] + chunk(kind, body) + png[33:]


def webp_header(width: int, height: int) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + size
    return b"RIFF" + struct.pack("<I", len(body)) + body


def jpeg_header(width: int, height: int) -> bytes:
    frame = struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes(9)
    return b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0" + frame


PNG, JPEG, WEBP = png_bytes(RGB), encoded(RGB, "JPEG"), encoded(RGB, "WEBP")

REFUSED = {
    "row 1 empty file": (b"", 422, "empty-file"),
    "row 3 text": (b"hello", 415, "unsupported-image"),
    "row 3 svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "unsupported-image"),
    "row 3 pdf": (b"%PDF-1.7 ...", 415, "unsupported-image"),
    "row 3 html": (b"<!doctype html><script>alert(1)</script>", 415, "unsupported-image"),
    "row 4 png header": (png_header(20000, 20000), 422, "image-too-large"),
    "row 4 webp header": (webp_header(16000, 16000), 422, "image-too-large"),
    "row 4 jpeg header": (jpeg_header(60000, 60000), 422, "image-too-large"),
    "row 5 100 megapixels": (png_header(8000, 12500) + b"x", 422, "image-too-large"),
    "row 5 below the side limit": (png_header(8000, 5000) + b"x", 422, "image-too-large"),
    "row 6 truncated jpeg": (JPEG[: len(JPEG) // 2], 422, "image-corrupt"),
    "row 6 truncated webp": (WEBP[: len(WEBP) // 2], 422, "image-corrupt"),
    "row 6 png cut off": (PNG[:-30], 422, "image-corrupt"),
    "row 6 png with missing rows": (png_of_rows(64, 64, 40), 422, "image-corrupt"),
    "row 6 png with garbage": (
        png_header(64, 64) + chunk(b"IDAT", b"nonsense") + chunk(b"IEND", b""), 422,
        "image-corrupt"),
    "row 6 png with two sizes": (
        with_chunk(png_of_rows(64, 64, 64), b"IHDR",
                   struct.pack(">IIBBBBB", 9000, 9000, 8, 2, 0, 0, 0)), 422, "image-corrupt"),
    "row 6 only a signature": (b"\x89PNG\r\n\x1a\n", 422, "image-corrupt"),
    "row 6 only a jpeg marker": (b"\xff\xd8\xff", 422, "image-corrupt"),
    "row 7 one pixel": (png_bytes(Image.new("RGB", (1, 1))), 422, "image-too-small"),
    "row 7 strip": (png_bytes(Image.new("RGB", (40, 4000))), 422, "image-too-small"),
    "row 7 16x4000": (png_bytes(Image.new("RGB", (16, 4000))), 422, "image-too-small"),
    "row 8 transparent": (png_bytes(Image.new("RGBA", (64, 64))), 422, "no-foreground"),
    "row 8 single colour": (png_bytes(Image.new("RGB", (64, 64), "red")), 422, "no-foreground"),
    "row 9 animated gif": (
        encoded(RGB, "GIF", save_all=True, append_images=[RGB] * 5), 415, "unsupported-image"),
    "row 44 pickle": (b"\x80\x04\x95\x00\x00\x00\x00", 415, "unsupported-image"),
    "row 44 zip checkpoint": (b"PK\x03\x04" + bytes(100), 415, "unsupported-image"),
}  # fmt: skip


@pytest.mark.parametrize("row", REFUSED)
def test_refused(server, row):
    data, status, code = REFUSED[row]
    started_s = time.perf_counter()
    answer = server.post(data)
    assert (answer.status_code, answer.json["code"]) == (status, code), answer.text
    assert answer.json["advice"]
    assert time.perf_counter() - started_s < 2
    assert server.count() == 0
    assert list(server.service.artefacts.job_ids()) == []


def test_row_1_no_file(server):
    answer = server.client.post("/api/v1/jobs", data={"pipeline": "image_to_3d"})
    assert (answer.status_code, answer.json["code"]) == (400, "missing-file")
    text = server.client.post("/api/v1/jobs", data={"pipeline": "image_to_3d", "file": "text"},
                              content_type="multipart/form-data")  # fmt: skip
    assert (text.status_code, text.json["code"]) == (400, "missing-file")


def test_row_2_body_over_the_limit(make_server):
    server = make_server(max_upload_mb=1)
    answer = server.client.post(
        "/api/v1/jobs", data=bytes((1 << 20) + 1), content_type="multipart/form-data; boundary=b"
    )
    assert (answer.status_code, answer.json["code"]) == (413, "upload-too-large")
    assert answer.headers["Connection"] == "close"
    assert list(server.service.artefacts.job_ids()) == []


def mpo_like() -> Image.Image:
    return RGB.convert("CMYK")


def icc_bomb() -> bytes:
    profile = b"bomb\0\0" + zlib.compress(bytes(50_000_000))
    return with_chunk(PNG, b"iCCP", profile)


def palette_with_alpha() -> bytes:
    image = RGB.quantize(16)
    return encoded(image, "PNG", transparency=bytes([0, 128] + [255] * 14))


def grey_16() -> bytes:
    image = Image.new("I;16", (64, 64))
    image.putdata([value * 16 for value in range(64 * 64)])
    return encoded(image, "PNG")


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(RGB, "JPEG", exif=exif)


def with_profile() -> bytes:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    return encoded(RGB, "JPEG", icc_profile=profile)


def text_bomb() -> bytes:
    return with_chunk(PNG, b"zTXt", b"Comment\0\0" + zlib.compress(bytes(50_000_000)))


ACCEPTED = {
    "row 9 apng, first frame": (
        lambda: encoded(RGB, "PNG", save_all=True, append_images=[RGB.rotate(90)] * 20), (96, 64)),
    "row 9 animated webp": (
        lambda: encoded(RGB, "WEBP", save_all=True, append_images=[RGB.rotate(90)] * 5), (96, 64)),
    "row 10 cmyk": (lambda: encoded(mpo_like(), "JPEG"), (96, 64)),
    "row 10 16 bit grey": (grey_16, (64, 64)),
    "row 10 palette and alpha": (palette_with_alpha, (96, 64)),
    "row 10 one bit": (lambda: png_bytes(GRADIENT.convert("1")), (96, 64)),
    "row 10 exif rotated": (rotated, (64, 96)),
    "row 10 icc bomb": (icc_bomb, (96, 64)),
    "row 10 text bomb": (text_bomb, (96, 64)),
    "row 10 profile of another colour space": (with_profile, (96, 64)),
    "row 10 interlaced": (lambda: encoded(RGB, "PNG", interlace=1), (96, 64)),
}  # fmt: skip


@pytest.mark.parametrize("row", ACCEPTED)
def test_accepted_upright_without_metadata(server, row):
    make, size = ACCEPTED[row]
    data = make()
    job = server.submit(data)
    lossy = data.startswith(b"\xff\xd8")
    name = "image.jpg" if lossy else "image.png"
    with Image.open(server.service.artefacts.input_path(job["id"], name)) as image:
        image.load()
        assert (image.mode, image.size) == ("RGB" if lossy else "RGBA", size)
        assert not image.getexif()
        assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_row_10_16_bit_grey_keeps_its_tones(server):
    path = server.service.artefacts.input_path(server.submit(grey_16())["id"], "image.png")
    with Image.open(path) as image:
        low, high = image.convert("L").getextrema()
    assert low == 0
    assert 250 <= high <= 255


@pytest.mark.parametrize("kind", ["html", "zip"])
def test_row_11_a_polyglot_is_not_kept(server, kind):
    if kind == "html":
        data = with_chunk(PNG, b"tEXt", b"Comment\0<script>alert(1)</script>") + b"<script>"
        trace = b"<script>"
    else:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("payload.txt", "x")
        data, trace = PNG + packed.getvalue(), b"payload"
    job = server.submit(data)
    folder = server.service.artefacts.input_path(job["id"], "image.png").parent
    assert [path.name for path in folder.iterdir()] == ["image.png"]
    assert trace not in (folder / "image.png").read_bytes()


NAMES = {
    "../../x.png": "x.png",
    "..\\..\\x.png": "x.png",
    "/etc/passwd": "passwd",
    "a\u202egnp.exe.png": "agnp.exe.png",
    "CON": "CON",
    "n" * 4000 + ".png": "n" * 115 + "….png",
    "<img src=x onerror=alert(1)>.png": "<img src=x onerror=alert(1)>.png",
    "   .png": "png",
    "...": "picture",
    "stühl ❤.png": "stühl ❤.png",
}


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_rows_12_and_13_names_are_only_shown(server, name):
    answer = server.post(PNG, filename=name)
    assert answer.status_code == 202, answer.text
    assert answer.json["name"] == NAMES[name]
    assert answer.mimetype == "application/json"
    files = server.service.artefacts.root.rglob("*.png")
    assert [path.name for path in files] == ["image.png"]


def test_row_12_nul_in_the_name(server):
    body = (
        b'--b\r\nContent-Disposition: form-data; name="pipeline"\r\n\r\nimage_to_3d\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a\0b.png"\r\n\r\n'
        + PNG + b"\r\n--b--\r\n"
    )  # fmt: skip
    answer = server.client.post(
        "/api/v1/jobs", data=body, content_type="multipart/form-data; boundary=b"
    )
    assert answer.status_code == 202
    assert answer.json["name"] == "ab.png"
