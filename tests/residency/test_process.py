from __future__ import annotations

import subprocess
import sys

import pytest

from backend.errors import StartFailed, UnknownModel
from backend.residency import process
from backend.residency.host_memory import host_limit_bytes
from backend.residency.model_manager import ModelManager
from backend.residency.policies import Policy
from backend.residency.process import ProcessResidency, rules_from, select_device
from backend.residency.states import Outcome, Residence
from backend.settings import Settings
from backend.units import MB

from .tiny_catalogue import register
from .tiny_models import TINY_MODELS


def settings(**values):
    return Settings.from_env({}, vram_reserve_mb=0, **values)


@pytest.fixture
def residency():
    made = ProcessResidency(settings(ledger_vram_mb=16, residency="one_at_a_time"))
    register(made)
    yield made
    made.close()


def test_an_idle_worker_opens_no_device_and_imports_no_torch():
    code = (
        "import sys\n"
        "from backend.residency.process import open_residency\n"
        "from backend.residency.records import ModelSpec\n"
        "from backend.settings import Settings\n"
        "made = open_residency(Settings.from_env({}))\n"
        "made.register(ModelSpec('a', int))\n"
        "status = made.status()\n"
        "assert status['models'][0]['state'] == 'unloaded', status\n"
        "assert status['residency']['budget']['total_mb'] is None, status\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_status_has_the_same_shape_before_and_after_the_device_is_open(residency):
    before = residency.status()
    residency.manager().lease("tiny_transformer").release()
    after = residency.status()
    assert before.keys() == after.keys()
    assert before["residency"].keys() == after["residency"].keys()
    assert before["residency"]["budget"].keys() == after["residency"]["budget"].keys()
    assert before["models"][0].keys() == after["models"][0].keys()
    assert after["residency"]["budget"]["total_mb"] == 16


def test_rules_follow_the_settings_and_management_can_be_switched_off():
    rules = rules_from(settings(residency="offload_after_use", pin_budget_mb=7, idle_offload_s=5.0))
    assert (rules.policy, rules.pin_budget_bytes) == (Policy.OFFLOAD_AFTER_USE, 7 * MB)
    off = rules_from(settings(residency="offload_after_use", gpu_management=False))
    assert (off.policy, off.idle_offload_s, off.idle_release_s) == (Policy.RESIDENT, -1, -1)
    with pytest.raises(StartFailed, match="not a policy"):
        settings(residency="forever")


def test_without_a_gpu_models_live_in_host_memory_once():
    device = select_device(settings())
    assert device.memory().total_bytes == host_limit_bytes()
    assert select_device(settings(ledger_vram_mb=5)).memory().total_bytes == 5 * MB


def test_a_gpu_that_torch_cannot_use_is_named(monkeypatch):
    monkeypatch.setattr(process, "has_cuda_device", lambda: True)
    assert "built without CUDA" in process.degraded_reason(settings())
    assert process.degraded_reason(settings(gpu="cpu")) is None
    monkeypatch.setattr(process.metadata, "version", lambda _: "2.13.0+cu130")
    assert process.degraded_reason(settings()) is None

    def missing(_):
        raise process.metadata.PackageNotFoundError

    monkeypatch.setattr(process.metadata, "version", missing)
    assert "not installed" in process.degraded_reason(settings())


def test_rules_change_before_and_after_the_device_is_open(residency):
    residency.change_rules(idle_offload_s=1.0)
    assert residency.manager().rules.idle_offload_s == 1.0
    residency.change_rules(policy=Policy.RESIDENT)
    assert residency.manager().rules.policy is Policy.RESIDENT


def test_the_names_of_earlier_managers_return_leases_and_really_move(residency):
    manager = ModelManager(residency)
    load, _ = TINY_MODELS["tiny_convolution"]
    with manager.get_model("mine", load) as network:
        assert network is not None
    device = residency.manager().device
    held = device.memory().allocated_bytes
    assert held > 0
    assert manager.force_offload("mine") == {"mine": Outcome.DONE}
    assert device.memory().allocated_bytes == 0, "bytes, not words"
    assert manager.models_cpu == ["mine"]
    assert manager.unload_all_models()["mine"] is Outcome.DONE
    assert residency.manager().table.records["mine"].copy is None
    manager.update_timeout(30)
    assert residency.manager().rules.idle_release_s == 30
    assert {m["name"] for m in manager.get_status()["models"]} >= {"mine", "tiny_transformer"}
    with pytest.raises(UnknownModel):
        manager.get_p3sam_model()
    with pytest.raises(UnknownModel):
        manager.get_partformer_pipeline()


def test_management_off_keeps_what_was_loaded(standing_clock):
    made = ProcessResidency(settings(gpu_management=False, ledger_vram_mb=16), standing_clock)
    register(made)
    made.manager().lease("tiny_transformer").release()
    standing_clock.forward(10**6)
    made._housekeeper.run_due()
    record = made.manager().table.records["tiny_transformer"]
    assert record.state is Residence.RESIDENT
    assert made.status()["residency"]["enabled"] is False
    made.close()
