"""A server's folders with tiny X-Part in them, for engines, pipelines and scripts."""

from __future__ import annotations

import pytest
import torch
import trimesh

from backend.engines import part_completion_steps
from backend.engines.part_decode import DecodedPart
from backend.meshes import part_surfaces
from backend.meshes.triangle_mesh import TriangleMesh
from backend.models.checkpoints.acceptance import Acceptances
from backend.models.checkpoints.catalogue import model_of
from backend.residency import process
from backend.residency.process import current_residency
from backend.units import SystemClock
from tests.models.checkpoints.tiny_part_checkpoints import write_tiny_xpart

FOLDERS = (
    ("MESHKILN_DATA_DIR", "data"),
    ("MESHKILN_MODEL_PATH", "own"),
    ("HY3DGEN_MODELS", "authors"),
    ("HF_HUB_CACHE", "cache"),
)


def write_weights(root, **changes):
    """Write the weights, and accept their licence."""
    write_tiny_xpart(root / "own", **changes)
    Acceptances(root / "data" / "models", SystemClock()).accept(model_of("x-part"))
    return root


def look_in(root, patch):
    """Make this process look for weights in a folder, with nothing loaded."""
    for name, folder in FOLDERS:
        patch.setenv(name, str(root / folder))
    patch.setattr(process, "_current", None)
    patch.setattr(part_surfaces, "OBJECT_SAMPLES", 2000)  # of which 320 are kept


def fill_spaces(patch):
    """Let each part fill the space in which it is looked for; what the networks say is noise."""

    def fill(networks, vae, latents, space, cells, tell):
        tell(1.0)
        box = trimesh.creation.box(bounds=space)
        mesh = TriangleMesh.welded(box.vertices, box.faces)
        return DecodedPart(mesh, queries=1, growths=0, is_cut_off=False, dropped_bodies=0)

    patch.setattr(part_completion_steps, "decoded_part", fill)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tiny networks only wait for threads. To be imported."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The folders of a server; to be imported."""
    return write_weights(tmp_path_factory.mktemp("xpart"))


@pytest.fixture
def model(weights, monkeypatch):
    """A process that finds the weights; to be imported."""
    look_in(weights, monkeypatch)
    yield
    current_residency().close()


@pytest.fixture
def solid_spaces(model, monkeypatch):
    """The same, with parts whose surfaces are known; to be imported."""
    fill_spaces(monkeypatch)
