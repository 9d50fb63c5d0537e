from __future__ import annotations

import threading

import pytest
import torch

from backend.errors import UnknownModel
from backend.gpu.cuda_graphs import CapturedGraph, GraphCache
from backend.residency import controls
from backend.residency.ledger_device import LedgerDevice
from backend.residency.manager import ResidencyManager
from backend.residency.records import ModelSpec
from backend.units import MB
from tests.residency.conftest import PLAIN_RULES, Caller


class Weights:
    """A weight that can move; a recording remembers the place it had."""

    def __init__(self, value):
        self.place = torch.tensor([float(value)])

    def move(self):
        """Leave the old place to somebody else, who writes there."""
        old, self.place = self.place, self.place.clone()
        old.fill_(-1000.0)


class Recorder:
    """Captures ``weights * input``: a replay reads the addresses of its capture."""

    def __init__(self, weights):
        self._weights = weights
        self.captures = self.releases = 0

    def __call__(self, function, inputs):
        self.captures += 1
        static = tuple(each.clone() for each in inputs)
        place, output = self._weights.place, function(*static)

        def replay():
            output.copy_(place * static[0])

        def release():
            self.releases += 1

        return CapturedGraph(static, output, replay, release)


@pytest.fixture
def weights():
    return Weights(3.0)


@pytest.fixture
def recorder(weights):
    return Recorder(weights)


@pytest.fixture
def run(weights, recorder):
    """Run the model; the cache is its attribute."""
    cache = GraphCache(recorder)

    def run(value, bucket="b", *, model="m", resident=True, size=1, dtype=torch.float32):
        inputs = (torch.full((size,), float(value), dtype=dtype),)
        return cache.run(model, bucket, lambda x: weights.place * x, inputs, resident=resident)

    run.cache = cache
    return run


def test_it_is_recorded_once_and_replayed_with_the_inputs_of_each_call(run, recorder):
    first = run(2)
    assert [first.item(), run(5).item(), run(7).item()] == [6, 15, 21]
    assert first.item() == 6, "a replay does not write over an earlier result"
    assert recorder.captures == 1
    assert (run.cache.captures, run.cache.replays, run.cache.eager_runs) == (1, 3, 0)


def test_a_recording_would_be_stale_after_a_move(run, weights):
    """The failure that ``drop`` is for; without it the other tests would prove nothing."""
    run(2)
    weights.move()
    assert run(2).item() == -2000


def test_after_a_drop_it_is_recorded_anew_and_never_replayed_stale(run, weights, recorder):
    for times in range(1, 6):
        assert run(2, "small").item() == 6
        assert run(4, "large").item() == 12
        run.cache.drop("m")
        assert recorder.releases == recorder.captures == 2 * times
        weights.move()
    assert run(2, "small").item() == 6


def test_a_drop_leaves_other_models_alone(run, recorder):
    run(2, model="one")
    run(2, model="other")
    run.cache.drop("one")
    run.cache.drop("never seen")
    run(2, model="other")
    assert recorder.captures == 2
    run(2, model="one")
    assert recorder.captures == 3


def test_a_model_that_may_leave_is_run_as_it_is(run, weights, recorder):
    assert run(2, resident=False).item() == 6
    weights.move()
    assert run(2, resident=False).item() == 6
    assert (recorder.captures, run.cache.eager_runs) == (0, 2)


def test_other_shapes_and_dtypes_are_other_recordings(run, recorder):
    assert run(2).shape == (1,)
    assert run(2, size=4).tolist() == [6, 6, 6, 6]
    assert run(2, dtype=torch.float64).dtype is torch.float64
    assert run(2, "another bucket").item() == 6
    assert recorder.captures == 4


def test_the_graph_unused_for_longest_goes_when_there_are_too_many(weights, recorder):
    cache = GraphCache(recorder, most_graphs=2)

    def run(bucket):
        cache.run("m", bucket, lambda x: weights.place * x, (torch.ones(1),), resident=True)

    for bucket in ("a", "b", "a", "c"):
        run(bucket)
    assert (recorder.captures, recorder.releases) == (3, 1)
    run("a")
    assert recorder.captures == 3, "it was used after b"
    run("b")
    assert recorder.captures == 4


def test_what_cannot_be_recorded_is_run_as_it_is_and_not_tried_again_until_a_drop(weights):
    tries = []

    def refuse(function, inputs):
        tries.append(function)
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    cache = GraphCache(refuse)

    def run():
        return cache.run("m", "b", lambda x: weights.place * x, (torch.ones(1),), resident=True)

    assert [run().item() for _ in range(3)] == [3, 3, 3]
    assert len(tries) == 1
    assert cache.state() == {
        "captures": 0, "replays": 0, "eager_runs": 3,
        "models": {
            "m": {"graphs": 0, "refused": ["operation not permitted when stream is capturing"]}
        },
    }  # fmt: skip
    cache.drop("m")
    run()
    assert len(tries) == 2


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        UnknownModel("m"),
    ],
)
def test_a_lack_of_memory_a_lost_context_and_errors_of_the_work_are_raised(error):
    def fail(function, inputs):
        raise error

    with pytest.raises(type(error)):
        GraphCache(fail).run("m", "b", abs, (torch.ones(1),), resident=True)


def test_a_recording_made_while_the_model_left_is_not_kept(weights, recorder):
    """Memory ran short during the recording, and the model itself was made to leave."""

    def capture(function, inputs):
        graph = recorder(function, inputs)
        if recorder.captures == 1:
            cache.drop("m")
            weights.move()
        return graph

    cache = GraphCache(capture)
    results = [
        cache.run("m", "b", lambda x: weights.place * x, (torch.ones(1),), resident=True).item()
        for _ in range(3)
    ]
    assert results == [3, 3, 3]
    assert (recorder.captures, recorder.releases, cache.eager_runs) == (2, 1, 1)


def test_threads_get_the_results_of_their_own_inputs(run):
    start = threading.Barrier(4)

    def work(value):
        start.wait(5)
        return [run(value).item() for _ in range(100)]

    callers = [Caller(lambda value=value: work(value)) for value in range(4)]
    assert [c.finished(30) for c in callers] == [[3.0 * v] * 100 for v in range(4)]
    assert run.cache.captures == 1


def test_results_of_several_tensors_keep_their_form():
    static = torch.zeros(2)
    outputs = {"one": static, "pair": (static, [static]), "note": "text"}
    graph = CapturedGraph((static,), outputs, lambda: None, lambda: None)
    cache = GraphCache(lambda function, inputs: graph)
    first = cache.run("m", "b", abs, (torch.ones(2),), resident=True)
    cache.run("m", "b", abs, (torch.full((2,), 9.0),), resident=True)
    assert first["one"].tolist() == first["pair"][0].tolist() == first["pair"][1][0].tolist()
    assert first["one"].tolist() == [1, 1]
    assert first["note"] == "text"


def test_the_residency_manager_drops_the_graphs_before_the_weights_move():
    """A linear layer under the real manager: its recording reads the block of its time."""
    layer = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(3.0)
    captures = []

    def capture(function, inputs):
        address, static = layer.weight.data.view(1, 1), tuple(x.clone() for x in inputs)
        output = function(*static)
        captures.append(address.data_ptr())
        return CapturedGraph(
            static, output, lambda: output.copy_(static[0] @ address.T), lambda: None
        )

    cache = GraphCache(capture)
    manager = ResidencyManager(LedgerDevice(8 * MB), PLAIN_RULES, free_host=lambda: 10**12)
    manager.register(
        ModelSpec("m", lambda: layer, keep=True, before_offload=lambda: cache.drop("m"))
    )
    inputs = (torch.full((2, 1), 2.0),)
    for round_number in range(1, 4):
        with manager.lease("m") as model, torch.no_grad():
            for _ in range(2):
                result = cache.run("m", "b", model, inputs, resident=True)
                assert result.flatten().tolist() == [6, 6]
        controls.offload(manager, "m")
        assert cache.state()["models"]["m"]["graphs"] == 0
        assert len(captures) == round_number
