"""The same item comes out the same, whatever batch it ran in."""

from __future__ import annotations

import hashlib
import io
import threading

import pytest
import trimesh
from PIL import Image

from backend.batch_processor import BatchProcessor
from backend.catalog import ImageTo3DParams, PipelineName, Preset, ShapeEngine, StageName
from backend.gpu.batch_history import BatchHistory
from backend.gpu_optimizer import GPUOptimizer
from backend.pipelines.catalogue import batched_stages, run_pipeline
from backend.pipelines.pipeline import PipelineRequest
from backend.progress import SilentSink

STAGES = tuple(stage.value for stage in StageName)


@pytest.fixture
def processor(tmp_path):
    history = BatchHistory(tmp_path / "gpu.sqlite3")
    return BatchProcessor(GPUOptimizer(history=history, read_status=lambda: {"devices": []}))


@pytest.fixture
def request_for(tmp_path, figure_png):
    """A job of its own picture and seed, in a folder of its own."""

    def make(number, where, **params):
        out_dir = tmp_path / where / str(number)
        out_dir.mkdir(parents=True)
        picture = out_dir / "image.png"
        image = Image.open(io.BytesIO(figure_png)).resize((200 + 20 * (number % 3), 256))
        image.save(picture)
        given = ImageTo3DParams(
            preset=Preset.DRAFT, grid_resolution=48, texture=False, seed=number, **params
        )
        return PipelineRequest({"image": picture}, given, out_dir)

    return make


def run_batch(processor, run, requests):
    """Run each request in a thread of its own, as members of one batch."""
    outcomes, members = {}, processor.members(len(requests), STAGES)

    def work(number):
        with members[number].present():
            outcomes[number] = run(PipelineName.IMAGE_TO_3D, requests[number], SilentSink())

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return [outcomes[number] for number in range(len(requests))], members


def model_of(outcome):
    return next(file.path for file in outcome.outputs if file.name == "model.glb")


def test_an_engine_that_works_item_by_item_gives_the_same_bytes(processor, request_for):
    params = {"engine": ShapeEngine.INFLATE}
    alone = [
        run_pipeline(PipelineName.IMAGE_TO_3D, request_for(n, "alone", **params), SilentSink())
        for n in range(2)
    ]
    batch, _ = run_batch(
        processor, run_pipeline, [request_for(n, "batch", **params) for n in range(2)]
    )
    for one, other in zip(alone, batch, strict=True):
        digests = {hashlib.sha256(model_of(o).read_bytes()).hexdigest() for o in (one, other)}
        assert len(digests) == 1


def test_a_network_gives_the_same_shape_but_for_rounding(processor, request_for):
    pytest.importorskip("torch")
    from bench.tiny_native.runner import run_pipeline as run_tiny

    alone = [
        run_tiny(PipelineName.IMAGE_TO_3D, request_for(n, "alone"), SilentSink()) for n in range(2)
    ]
    batch, members = run_batch(processor, run_tiny, [request_for(n, "batch") for n in range(2)])
    assert [member.batch_size for member in members] == [2] * 2, "both shared one call"
    volumes = []
    for one, other in zip(alone, batch, strict=True):
        mesh, again = (trimesh.load(model_of(o), force="mesh") for o in (one, other))
        assert again.extents == pytest.approx(mesh.extents, rel=5e-3)
        assert again.volume == pytest.approx(mesh.volume, rel=5e-3)
        volumes.append(mesh.volume)
    assert len({round(volume, 6) for volume in volumes}) == 2, "each from its picture and seed"


def test_seeds_are_those_of_the_items(processor, request_for):
    """One picture, two seeds, one batch: two shapes."""
    pytest.importorskip("torch")
    from bench.tiny_native.runner import run_pipeline as run_tiny

    same_picture = [request_for(n, "batch") for n in (0, 3)]
    batch, _ = run_batch(processor, run_tiny, same_picture)
    first, second = (model_of(outcome).read_bytes() for outcome in batch)
    assert first != second


def test_no_product_takes_batches_yet():
    params = ImageTo3DParams()
    assert batched_stages(PipelineName.IMAGE_TO_3D, params) == []
    assert batched_stages(PipelineName.CUT_OUT, params) == []
