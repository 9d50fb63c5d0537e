from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from skimage.measure import marching_cubes

from backend.engines.field_calls import SMALLEST_CHUNK, Box
from backend.engines.grid_levels import levels_of
from backend.engines.implicit_decode import decode_grid
from backend.profiling.recorder import profile_stage, record_pipeline
from backend.profiling.spans import SpanKind

BOX = Box((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))
SHAPES = (64, 65, (70, 96, 41))


@pytest.fixture(autouse=True)
def one_thread():
    """Several threads wait for each other when other tests compute too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def ball(points):
    return 0.6 - points.norm(dim=-1)


def ring(points):
    across = torch.stack([points[:, :2].norm(dim=-1) - 0.6, points[:, 2]], dim=-1)
    return 0.15 - across.norm(dim=-1)


def waves(points):
    x, y, z = points.unbind(-1)
    return torch.sin(9 * x) * torch.sin(8 * y) + torch.sin(7 * z) - 0.3


def sheet(points):
    """A disc 1.3 % thick: less than half a cell of the coarsest grid."""
    flat = 0.0065 - (points[:, 2] - 0.0113).abs()
    return torch.minimum(flat, 0.7 - points[:, :2].norm(dim=-1))


def strand(points):
    """A bent wire 3 % thick, all by itself."""
    bent = torch.sin(5 * points[:, 2])
    off = torch.stack([points[:, 0] - 0.3 * bent + 0.011, points[:, 1] - 0.017], dim=-1)
    return torch.minimum(0.015 - off.norm(dim=-1), 0.8 - points[:, 2].abs())


def truncated_strand(points):
    """As networks are trained to answer: the distance, cut off at 5 %."""
    return (20 * strand(points)).clamp(-1, 1)


def ball_with_wire(points):
    """A ball that only tells in from out, with a wire that no coarse corner lies in."""
    off = torch.stack([points[:, 0] - 0.013, points[:, 1] - 0.017], dim=-1).norm(dim=-1)
    wire = (off < 0.03) & (points[:, 2].abs() < 0.95)
    return torch.where((points.norm(dim=-1) < 0.4) | wire, 0.5, -0.5)


def speck(points):
    """Tells in from out, and fits between the corners of a coarse grid of 48."""
    return torch.where((points - 0.0214).norm(dim=-1) < 0.02, 0.5, -0.5)


def truncated_plate(points):
    """A disc between the corners of a coarse grid of 48; cut off so near that none of them tells.

    The corners of 48 next to it have -0.64, those behind them -1.
    """
    flat = 0.0053 - (points[:, 2] - 1 / 48).abs()
    return (41 * torch.minimum(flat, 0.3 - points[:, :2].norm(dim=-1))).clamp(-1, 1)


def surface(values):
    return marching_cubes(values.numpy(), 0.0)[:2]


FIELDS = (ball, ring, waves, sheet, strand, truncated_strand, ball_with_wire)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("field", FIELDS)
def test_coarse_to_fine_finds_the_same_surface_with_fewer_queries(field, shape):
    dense = decode_grid(field, shape, BOX, hierarchical=False)
    sparse = decode_grid(field, shape, BOX)
    assert torch.equal(sparse.values[sparse.is_asked], dense.values[sparse.is_asked])
    assert torch.equal(sparse.values > 0, dense.values > 0)
    if (dense.values > 0).any():
        for ours, theirs in zip(surface(sparse.values), surface(dense.values), strict=True):
            assert np.array_equal(ours, theirs)
    assert sparse.queries == int(sparse.is_asked.sum())
    assert dense.queries == dense.values.numel()
    assert dense.hierarchical_queries == sparse.queries == sparse.hierarchical_queries
    assert (dense.same_surface, sparse.same_surface) == (True, None)
    assert sparse.queries < dense.queries


def test_of_a_ball_only_what_lies_near_its_surface_is_asked():
    found = decode_grid(ball, 160, BOX)
    asked = found.is_asked
    axis = torch.linspace(-1, 1, 161)
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)
    off_cells = ball(points.view(-1, 3)).abs().view(asked.shape) * 80
    fine = torch.ones_like(asked)
    fine[::4, ::4, ::4] = False  # the coarsest grid is asked everywhere
    fine[::2, ::2, ::2] = False
    assert float(off_cells[asked & fine].max()) < 9
    assert bool(asked[off_cells < 1].all())
    assert found.queries < 0.12 * 161**3


def test_what_fits_between_coarse_corners_is_told_to_be_lost():
    dense = decode_grid(speck, 96, BOX, hierarchical=False)
    assert (dense.values > 0).any()
    assert dense.same_surface is False
    assert not (decode_grid(speck, 96, BOX).values > 0).any()


def test_a_crumb_beside_the_surface_is_found_though_no_coarse_corner_lies_in_it():
    crumb = torch.tensor([0.5214, 0.0214, 0.0214])

    def field(points):
        is_inside = (points.norm(dim=-1) < 0.49) | ((points - crumb).norm(dim=-1) < 0.018)
        return torch.where(is_inside, 0.05, -1.0)  # by its slope it seems far away

    assert decode_grid(field, 96, BOX, hierarchical=False).same_surface is True
    with_crumb = decode_grid(field, 96, BOX).values > 0
    assert int(with_crumb[72:].sum()) > 0  # beyond x = 0.5


def test_a_band_finds_a_thin_part_of_a_truncated_field_that_is_lost_without():
    dense = decode_grid(truncated_plate, 96, BOX, hierarchical=False, band=0.95)
    assert int((dense.values > 0).sum()) > 500
    assert dense.same_surface is True
    with_band = decode_grid(truncated_plate, 96, BOX, band=0.95)
    assert torch.equal(with_band.values > 0, dense.values > 0)
    assert with_band.queries == dense.hierarchical_queries < 0.3 * 97**3
    assert not (decode_grid(truncated_plate, 96, BOX).values > 0).any()
    assert decode_grid(truncated_plate, 96, BOX, hierarchical=False).same_surface is False


@pytest.mark.parametrize("field", FIELDS)
def test_a_band_only_adds_questions(field):
    plain, wide = decode_grid(field, 65, BOX, band=0.0), decode_grid(field, 65, BOX, band=0.2)
    assert bool(wide.is_asked[plain.is_asked].all())
    assert torch.equal(wide.values > 0, plain.values > 0)
    assert torch.equal(decode_grid(field, 65, BOX).is_asked, plain.is_asked)


@pytest.mark.parametrize("hierarchical", [True, False])
def test_chunks_change_nothing_and_come_in_few_sizes(hierarchical):
    sizes = []

    def watched(points):
        sizes.append(len(points))
        return ring(points)[:, None].double()  # networks answer with a last axis

    whole = decode_grid(ring, 64, BOX, hierarchical=hierarchical, chunk_points=10**6)
    chunked = decode_grid(watched, 64, BOX, hierarchical=hierarchical, chunk_points=4096)
    assert torch.equal(whole.values, chunked.values)
    assert whole.queries == chunked.queries
    assert chunked.values.dtype == torch.float32
    assert set(sizes) <= {4096, 2048, 1024, 512, 256}
    assert chunked.queries <= sum(sizes) < 1.02 * chunked.queries + 256


def test_points_lie_where_the_box_says():
    box = Box((-2.0, 0.0, 1.0), (2.0, 1.0, 5.0))
    for axis in range(3):
        values = decode_grid(
            lambda points, axis=axis: points[:, axis], (4, 2, 8), box, hierarchical=False
        ).values
        along = values.movedim(axis, 0)[:, 0, 0]
        count = (4, 2, 8)[axis] + 1
        assert torch.equal(along, torch.linspace(box.lower[axis], box.upper[axis], count))


class Greedy:
    """Runs out of memory above so many points."""

    def __init__(self, most, message="CUDA out of memory. Tried to allocate"):
        self.most, self.message, self.sizes = most, message, []

    def __call__(self, points):
        self.sizes.append(len(points))
        if len(points) > self.most:
            raise torch.OutOfMemoryError(self.message)
        return ball(points)


def test_when_memory_runs_out_smaller_calls_do_the_same():
    field = Greedy(3000)
    found = decode_grid(field, 40, BOX, chunk_points=16_384)
    assert torch.equal(found.values, decode_grid(ball, 40, BOX).values)
    assert field.sizes[:4] == [16_384, 8192, 4096, 2048]
    assert max(field.sizes[3:]) == 2048, "what did not fit is not tried again"


def test_when_even_a_small_call_fails_or_the_fault_is_another_it_is_raised():
    with pytest.raises(torch.OutOfMemoryError):
        decode_grid(Greedy(SMALLEST_CHUNK - 1), 40, BOX, chunk_points=4096)
    with pytest.raises(torch.OutOfMemoryError):
        decode_grid(Greedy(1), 3, BOX)

    def broken(points):
        raise ValueError("no such layer")

    with pytest.raises(ValueError, match="no such layer"):
        decode_grid(broken, 40, BOX)


def test_progress_rises_and_may_stop_the_work():
    told = []
    decode_grid(ring, 64, BOX, chunk_points=8192, progress=told.append)
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0.0, 1.0)

    def stop(share):
        if share > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        decode_grid(ring, 64, BOX, chunk_points=8192, progress=stop)


def test_progress_follows_the_questions_not_the_levels():
    """Of three levels the last has most of the work."""
    told, done = [], []

    def counted(points):
        done.append(len(points))
        return ball(points)

    found = decode_grid(counted, 160, BOX, chunk_points=4096, progress=told.append)
    for calls, share in enumerate(told[:-1]):
        assert abs(share - sum(done[:calls]) / found.queries) < 0.15


def peak_bytes(work):
    """Most bytes that tensors held at one time."""
    with torch.profiler.profile(profile_memory=True) as profile:
        work()
    events = [one for one in profile.profiler.kineto_results.events() if one.name() == "[memory]"]
    events.sort(key=lambda one: one.start_ns())
    return max(itertools.accumulate(one.nbytes() for one in events))


def test_bookkeeping_takes_little_memory_beside_the_values():
    values_bytes = 4 * 129**3
    for hierarchical in (True, False):
        peak = peak_bytes(lambda on=hierarchical: decode_grid(ball, 128, BOX, hierarchical=on))
        assert values_bytes < peak < 4 * values_bytes


def test_a_stage_learns_how_much_was_asked():
    with record_pipeline("p") as trace, profile_stage("decode_volume", SpanKind.GPU):
        found = decode_grid(ball, 64, BOX, hierarchical=False, lower_resolution=48)
    assert trace.profile.spans[0].attributes["facts"]["decode"] == {
        "resolution": 64,
        "queries": 65**3,
        "hierarchical_queries": found.hierarchical_queries,
        "same_surface": True,
        "bookkeeping_s": found.bookkeeping_s,
        "lower_resolution": 48,
    }
    assert 0 < found.bookkeeping_s < trace.profile.spans[0].elapsed_s
    assert decode_grid(ball, 64, BOX).bookkeeping_s is None


def test_a_small_grid_is_asked_everywhere():
    found = decode_grid(ball, 40, BOX)
    assert found.queries == 41**3
    assert bool(found.is_asked.all())


def test_in_a_flat_grid_nothing_is_lost_between_few_layers():
    """Halved twice, five layers would leave two, with a whole ball between their corners."""

    def plain(points):
        return torch.where(ball(points) > 0, 1.0, -1.0)

    found = decode_grid(plain, (128, 128, 5), BOX)
    assert torch.equal(
        found.values, decode_grid(plain, (128, 128, 5), BOX, hierarchical=False).values
    )
    assert (found.values > 0).any()


def test_levels_halve_down_to_the_coarsest():
    assert levels_of((384, 384, 384), 32) == [(n,) * 3 for n in (48, 96, 192, 384)]
    assert levels_of((97, 17, 15), 32) == [(49, 9, 8), (97, 17, 15)]
    assert levels_of((97, 17, 14), 32) == [(97, 17, 14)], "too flat to be halved"
