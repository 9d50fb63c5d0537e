"""How long does the part explorer take in Chromium, from its page to a frame, a pick and a count?

Without a graphics card Chromium draws in software: the name of what drew is part of the record.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from flask import Flask
from playwright.sync_api import Page, sync_playwright
from werkzeug.serving import make_server

from backend.jobs.service import JobService
from backend.settings import Settings
from backend.web.app import create_app
from bench.record import Figure, report
from tests.jobs.parts.made_tree import made_tree, row_of_boxes, surface_glb, tree_data

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader",
         "--enable-unsafe-swiftshader", "--disable-dev-shm-usage"]  # fmt: skip
VIEW: Any = {"width": 1280, "height": 900}
READY_MS = 300_000
PATCHES = 160
FACES_PER_SQUARE, SIDES = 2, 6
ROLES = {"part_tree.json": "part_tree", "part_tree.npz": "part_tree_data", "surface.glb": "surface"}

LABELS = {
    "frame": "frame, after a turn",
    "plain": "the same surface by three's standard material",
    "count": "another number of parts, script",
    "pick": "part under the pointer",
    "wires": "wireframe switched on, drawn",
}

# Each returns milliseconds; reading one pixel back waits until all is drawn.
SETUP = """async () => {
  const three = await import("three");
  const explorer = document.querySelector("part-explorer");
  const { scene } = explorer;
  const gl = scene.renderer.getContext();
  const wait = () => gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  const timed = async (work) => {
    const from = performance.now();
    await work();
    return performance.now() - from;
  };
  const drawn = () => { scene.renderer.render(scene.scene, scene.camera); wait(); };
  // The same surface as three draws it by default: one material, two lights, smooth edges.
  const plain = new three.WebGLRenderer({ antialias: true });
  plain.setPixelRatio(scene.renderer.getPixelRatio());
  plain.setSize(scene.stage.clientWidth, scene.stage.clientHeight, false);
  const { attributes, index } = scene.mesh.geometry;
  const geometry = new three.BufferGeometry();
  geometry.setAttribute("position", attributes.position);
  geometry.setIndex(index);
  geometry.computeVertexNormals();
  const room = new three.Scene();
  room.add(new three.Mesh(geometry, new three.MeshStandardMaterial()), new three.HemisphereLight());
  room.add(new three.DirectionalLight());
  const other = plain.getContext();
  const drawnPlain = () => {
    plain.render(room, scene.camera);
    other.readPixels(0, 0, 1, 1, other.RGBA, other.UNSIGNED_BYTE, new Uint8Array(4));
  };
  window.measured = {
    plain: (n) => timed(() => { scene.turn(n % 2 ? 1 : -1, 0); drawnPlain(); }),
    frame: (n) => timed(() => { scene.turn(n % 2 ? 1 : -1, 0); drawn(); }),
    count: (n) => timed(() => explorer.edits.preview(4 + (7 * n) % 40)),
    pick: async (n) => {
      for (let n = 0; n < 2; n += 1) await new Promise(requestAnimationFrame);
      wait();
      const { left, top, width, height } = scene.canvas.getBoundingClientRect();
      const place = [left + width * (0.3 + 0.04 * (n % 10)), top + height / 2];
      return timed(() => scene.patchAt(...place));
    },
    wires: () => timed(() => { scene.showWireframe(true); drawn(); scene.showWireframe(false); }),
  };
  const names = gl.getExtension("WEBGL_debug_renderer_info");
  return gl.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : gl.RENDERER);
}"""


@dataclass(frozen=True)
class OutputFile:
    """A file as ``publish`` takes it."""

    name: str
    format: str
    role: str
    path: Path


def made_files(faces: int) -> tuple[dict[str, bytes], int]:
    """Make the files of a job of about so many faces; returns the number there is."""
    cells = max(1, round((faces / PATCHES / FACES_PER_SQUARE / SIDES) ** 0.5))
    vertices, corners, patches = row_of_boxes(PATCHES, cells)
    across = np.floor(vertices[:, 0])  # from a row to a block of boxes
    vertices[:, 0] -= across - across % 8
    vertices[:, 1] += across // 8 % 5
    vertices[:, 2] += across // 40
    tree = made_tree(PATCHES, suggested=12)
    files = {
        "part_tree.json": json.dumps(tree).encode(),
        "part_tree.npz": tree_data(patches[corners[:, 0]]),
        "surface.glb": surface_glb(vertices, corners, patches),
    }
    return files, len(corners)


def finished_job(service: JobService, files: dict[str, bytes]) -> str:
    """Store a job with these results; returns its id."""
    new = service.prepare("segment_parts", {}, "boxes.glb")
    service.submit(new, {"mesh.glb": b""})
    job = service.claims.claim("gpu", "bench:1:1", max_n=1)[0]
    folder = service.artefacts.work_dir(job.id, job.attempt)
    made = []
    for name, data in files.items():
        (folder / name).write_bytes(data)
        made.append(OutputFile(name, name.rpartition(".")[2], ROLES[name], folder / name))
    service.claims.finish(job, service.artefacts.publish(job.id, job.attempt, made), {})
    return job.id


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """Serve an app in a thread; returns its address."""
    listener = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.port}"
    finally:
        listener.shutdown()


def measure(page: Page, address: str, rounds: int) -> tuple[list[Figure], str]:
    """Open the page of a job and time it; also returns what drew it."""
    started_s = time.perf_counter()
    page.goto(address)
    page.wait_for_selector("part-explorer[data-ready=true]", timeout=READY_MS)
    ready_ms = 1000 * (time.perf_counter() - started_s)
    renderer: str = page.evaluate(SETUP)
    taken: dict[str, list[float]] = {name: [] for name in LABELS}
    for number in range(rounds):  # in turn, so that what else the machine does meets all alike
        for name, values in taken.items():
            if number == 0 or name != "wires":
                values.append(page.evaluate("([name, n]) => measured[name](n)", [name, number]))
    plain_ms = Figure.of("", "ms", taken["plain"]).median
    compared = {"frame": plain_ms, "plain": plain_ms}
    figures = [
        Figure.of(label, "ms", taken[name], compared.get(name)) for name, label in LABELS.items()
    ]
    return [Figure.of("page asked for to model ready", "ms", [ready_ms]), *figures], renderer


def main() -> None:
    """Measure, print, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    files, faces = made_files(options.faces)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        settings = Settings(data_dir=Path(folder), disk_floor_mb=1)
        service = JobService(settings)
        job = finished_job(service, files)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        with served(create_app(settings, service)) as address:
            page = browser.new_page(viewport=VIEW)
            figures, renderer = measure(page, f"{address}/jobs/{job}", options.rounds)
        browser.close()
        service.close()
    circumstances = {"faces": faces, "patches": PATCHES, "renderer": renderer, "view": VIEW,
                     "surface_bytes": len(files["surface.glb"])}  # fmt: skip
    report("part_explorer", figures, circumstances, options.json)


if __name__ == "__main__":
    main()
