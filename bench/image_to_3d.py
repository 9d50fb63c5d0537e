"""What does the pipeline make of a folder of pictures, and what does each stage take?

Compared with a flat extrusion of the same cut-out, exported alike, in the same run.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.catalog import ImageTo3DParams, PipelineName, Preset, ShapeMode
from backend.errors import MeshkilnError
from backend.meshes.export import reload_welded, write_glb
from backend.meshes.frame import to_metres
from backend.meshes.inflation_surface import sample_outline, slab_surface
from backend.meshes.masks import clean
from backend.meshes.picture import Picture
from backend.meshes.render import View, render
from backend.pipelines.catalogue import run_pipeline
from backend.pipelines.cut_out import WORKING_PX
from backend.pipelines.image_to_3d import effort_of
from backend.pipelines.pipeline import PipelineRequest
from backend.progress import SilentSink
from backend.settings import Settings
from backend.web.uploads import normalise_image
from bench.record import Figure, report

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}
TILE_PX = 220
VIEWS = (View(0), View(35, 15), View(90), View(180))


@dataclass
class Row:
    """What one picture came to."""

    picture: str
    ok: bool = False
    error: str | None = None
    total_s: float | None = None
    extrusion_s: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    closed_when_reloaded: bool | None = None
    warnings: list[str] = field(default_factory=list)


class NotingSink(SilentSink):
    """Keeps the notes to the user."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        """Keep a note."""
        self.warnings.append(message)


def run_one(source: Path, params: ImageTo3DParams, out_dir: Path) -> Row:
    """Run the pipeline on a picture as the server would store it."""
    row = Row(source.name)
    image = out_dir / "image.png"
    try:
        normalised = normalise_image(source.read_bytes(), source.name, Settings())
        image.write_bytes(normalised.data)
        row.extrusion_s = extrude(Picture.read(image), out_dir)
        sink = NotingSink()
        started_s = time.perf_counter()
        outcome = run_pipeline(
            PipelineName.IMAGE_TO_3D, PipelineRequest({"image": image}, params, out_dir), sink
        )
        row.total_s = time.perf_counter() - started_s
        row.facts, row.warnings = outcome.facts, sink.warnings
        row.closed_when_reloaded = bool(reload_welded(out_dir / "model.glb").is_watertight)
        row.ok = row.closed_when_reloaded
    except MeshkilnError as error:
        row.error = f"{error.code}: {error.detail}"
    return row


def extrude(picture: Picture, out_dir: Path) -> float:
    """Seconds for the plainest thing one could do: a slab of the thresholded picture."""
    started_s = time.perf_counter()
    working = picture.scaled_to(WORKING_PX)
    alpha = working.rgba[..., 3] >= 128
    dark = working.rgb.mean(axis=2) < 245
    mask = clean(alpha & (dark | working.has_alpha))
    if not mask.any():
        mask = clean(working.rgba[..., 3] > 0)
    depth = np.where(mask, 0.125 * np.sqrt(mask.sum()), 0.0)
    flat = np.zeros(mask.shape, dtype=np.float32)
    outline = sample_outline(mask, depth, flat, effort_of(ImageTo3DParams(seed=0)).resolution)
    mesh, _ = to_metres(slab_surface(outline), 1.0)
    write_glb(mesh, out_dir / "extrusion.glb")
    return time.perf_counter() - started_s


def contact_row(source: Path, out_dir: Path) -> NDArray[np.uint8]:
    """Source, front, three quarters, side and back in a row."""
    tiles = [_tile(Picture.read(out_dir / "image.png").rgba), _tile(_read(out_dir / "cutout.png"))]
    mesh = _load_textured(out_dir / "model.glb")
    tiles += [_tile(render(mesh, view, TILE_PX)) for view in VIEWS]
    return np.concatenate(tiles, axis=1)


def _load_textured(path: Path) -> Any:
    import trimesh

    from backend.meshes.textured_mesh import TexturedMesh

    mesh: Any = trimesh.load(path, force="mesh", process=False)
    texture = np.asarray(mesh.visual.material.baseColorTexture.convert("RGB"))
    return TexturedMesh(
        np.asarray(mesh.vertices, dtype=np.float32),
        np.asarray(mesh.vertex_normals, dtype=np.float32),
        np.asarray(mesh.visual.uv, dtype=np.float32),
        np.asarray(mesh.faces, dtype=np.int32),
        texture,
    )


def _read(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGBA"))


def _tile(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    image = Image.fromarray(rgba)
    image.thumbnail((TILE_PX, TILE_PX))
    tile = Image.new("RGBA", (TILE_PX, TILE_PX), (236, 238, 242, 255))
    place = ((TILE_PX - image.width) // 2, (TILE_PX - image.height) // 2)
    tile.alpha_composite(image, place)
    return np.asarray(tile.convert("RGB"))


def figures(rows: list[Row]) -> list[Figure]:
    """Summarise; the extrusion is what the pipeline is compared with."""
    good = [row for row in rows if row.ok]
    extrusion = Figure.of(
        "flat extrusion of the same picture", "s", [r.extrusion_s for r in good if r.extrusion_s]
    )
    found = [
        Figure.of("closed when read back, of all pictures", "share", [float(r.ok) for r in rows]),
        Figure.of("outline IoU", "share", [r.facts["mesh"]["outline_iou"] for r in good]),
        extrusion,
        Figure.of(
            "whole pipeline",
            "s",
            [r.total_s for r in good if r.total_s],
            compared_with=extrusion.median,
        ),
    ]
    stages = good[0].facts["timings_s"]
    found += [Figure.of(f"  {s}", "s", [r.facts["timings_s"][s] for r in good]) for s in stages]
    return found


def drawn_pictures(folder: Path) -> list[Path]:
    """Hard pictures made here, for a run without a folder."""
    from tests.pipelines.drawings import DRAWINGS, THIN

    images = {name: make()[0] for name, make in DRAWINGS.items()}
    images |= {name: make() for name, make in THIN.items()}
    for name, image in images.items():
        image.save(folder / f"{name}.png")
    return [folder / f"{name}.png" for name in images]


def main() -> None:
    """Measure and report; the contact sheet lies next to the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--preset", choices=[*Preset], default=Preset.STANDARD)
    parser.add_argument("--mode", choices=[*ShapeMode], default=ShapeMode.AUTO)
    parser.add_argument("--sheet", type=Path, help="where the contact sheet goes")
    args = parser.parse_args()
    params = ImageTo3DParams(preset=args.preset, shape_mode=args.mode, seed=0)
    rows, strips = [], []
    with tempfile.TemporaryDirectory() as scratch:
        sources = (
            sorted(p for p in args.images.iterdir() if p.suffix.lower() in SUFFIXES)
            if args.images
            else drawn_pictures(Path(scratch))
        )
        for source in sources:
            with tempfile.TemporaryDirectory() as folder:
                rows.append(run_one(source, params, Path(folder)))
                if rows[-1].ok:
                    strips.append(contact_row(source, Path(folder)))
    for row in rows:
        facts = row.facts
        mask = facts.get("mask", {})
        print(
            f"{row.picture:<28} {'closed' if row.ok else 'FAILED':<7} "
            f"{facts.get('shape', {}).get('mode', ''):<8} {mask.get('method', ''):<8} "
            f"{mask.get('confidence', '')!s:<6} "
            f"{facts.get('mesh', {}).get('outline_iou', '')!s:<7} "
            f"{row.total_s or 0:.2f} s  {row.error or ''}"
        )
    settings = {"preset": args.preset, "mode": args.mode, "pictures": len(rows)}
    report("image_to_3d", figures(rows), settings, args.json, [row.__dict__ for row in rows])
    sheet = args.sheet or (args.json.with_suffix(".png") if args.json else None)
    if sheet and strips:
        Image.fromarray(np.concatenate(strips, axis=0)).save(sheet)
    print(f"{statistics.mean(r.ok for r in rows):.1%} of {len(rows)} pictures ended closed")


if __name__ == "__main__":
    main()
