from __future__ import annotations

import re
from datetime import timedelta

import pytest

from backend.jobs.busy_clock import BusyClock
from backend.web.pages import performance as page_module
from backend.web.pages.performance_view import performance_view
from backend.web.pages.roofline_view import roofline_panel
from tests.pages.test_performance_page import NOW, READY, document, run, stage

H200 = "NVIDIA H200"


def worked(name, gpu_s, flop, moved_bytes, elapsed_s=4.0, **more):
    return stage(
        name, elapsed_s, 10.0, kind="gpu", gpu_s=gpu_s, flop=flop, moved_bytes=moved_bytes,
        **{"dtype": "bf16"} | more,
    )  # fmt: skip


DENOISE = worked("shape_generation", 3.8, 2.2e15, 6e12)
DECODE = worked("volume_decode", 3.0, 2e13, 9e12)
UNKNOWN = worked("texture", 1.0, None, None, dtype=None)
CPU = stage("mesh_export", 1.0, 10.0)


def gpu_run(number, *stages, device=H200):
    return run(number, device=device, stages=list(stages))


def page_text(client, monkeypatch, runs):
    monkeypatch.setattr(
        page_module, "performance_document", lambda service, wanted=None: document(runs)
    )
    return client.get("/performance").get_data(as_text=True)


def panel_of(text):
    return text[text.index('id="perf-roofline"') :].split("</section>")[0]


def cells(text, stage_name):
    row = re.search(rf'<tr role="row" data-stage="{stage_name}">(.*?)</tr>', text, re.DOTALL)[1]
    found = re.findall(r'data-label="([^"]+)"[^>]*>(.*?)</td>', row, re.DOTALL)
    return {label: re.sub(r"<[^>]+>", "", value).strip() for label, value in found}


def test_stages_are_judged_by_the_peaks_of_their_card():
    panel = roofline_panel([gpu_run(0, DENOISE, DECODE, CPU), gpu_run(1, DENOISE, DECODE)])
    assert panel.peak.name == "H200 SXM"
    assert list(panel.rows) == ["shape_generation", "volume_decode"]
    denoise, decode = panel.rows.values()
    assert denoise.standing.mfu == pytest.approx(2.2e15 / 3.8 / 989.5e12)
    assert decode.standing.bandwidth_share == pytest.approx(9e12 / 3.0 / 4.8e12)
    assert (denoise.standing.bound, decode.standing.bound) == ("compute_bound", "memory_bound")
    assert (denoise.number, decode.number) == (1, 2)


def test_runs_on_another_card_do_not_count():
    slow = worked("shape_generation", 380.0, 2.2e15, 6e12)
    panel = roofline_panel([gpu_run(0, DENOISE), *[gpu_run(n, slow, device="L4") for n in (1, 2)]])
    assert panel.rows["shape_generation"].stage.gpu_s == 3.8


def test_a_stage_that_contradicts_the_peak_is_not_drawn():
    panel = roofline_panel([gpu_run(0, DENOISE, worked("odd", 0.1, 2.2e15, 6e9))])
    assert [point.name for point in panel.chart.points] == ["shape_generation"]
    assert panel.rows["odd"].number is None
    assert panel.rows["odd"].standing.mfu is None


def test_the_page_draws_the_roofline_with_a_table(client, monkeypatch):
    text = page_text(client, monkeypatch, [gpu_run(0, DENOISE, DECODE, UNKNOWN, CPU)])
    panel = panel_of(text)
    assert panel.count('class="roofline-point"') == 2
    assert "bf16 990 TFLOP/s" in panel
    assert "4.8 TB/s" in panel
    assert cells(panel, "shape_generation") == {
        "Computes in": "bf16", "Operations": "579 TFLOP/s", "Of the peak (MFU)": "59 %",
        "Memory, at least": "1.58 TB/s", "Of the memory's peak": "33 %",
        "Operations per byte": "367", "Held back by": "compute-bound",
    }  # fmt: skip
    assert cells(panel, "texture")["Of the peak (MFU)"] == "not known"
    assert cells(panel, "texture")["Held back by"] == "waiting"
    assert 'data-stage="mesh_export"' not in panel


def test_the_table_of_stages_tells_mfu_and_what_holds_them_back(client, monkeypatch):
    text = page_text(client, monkeypatch, [gpu_run(0, DENOISE, UNKNOWN, CPU)])
    table = text[text.index('id="perf-stages"') :].split("</table>")[0]
    assert cells(table, "shape_generation")["MFU"] == "59 %"
    assert cells(table, "shape_generation")["Held back by"] == "compute-bound"
    assert cells(table, "mesh_export")["MFU"] == "not measured"
    assert cells(table, "mesh_export")["Held back by"] == "not measured"


def test_on_a_processor_there_is_no_figure_and_a_word_on_what_brings_one(client, monkeypatch):
    text = page_text(client, monkeypatch, [run(0), run(1)])
    assert "MFU" not in text
    assert "Held back by" not in text
    panel = panel_of(text)
    assert "<svg" not in panel
    assert "appears here with the part of the card's peak" in panel


@pytest.mark.parametrize(
    ("stages", "device", "words"),
    [
        ([DENOISE], "Some Card 1", "The peaks of Some Card 1 are not known"),
        ([UNKNOWN], H200, f"The stages on {H200} were timed"),
    ],
)
def test_what_is_missing_is_said(client, monkeypatch, stages, device, words):
    panel = panel_of(page_text(client, monkeypatch, [gpu_run(0, *stages, device=device)]))
    assert words in panel
    assert "<svg" not in panel


def test_without_runs_the_panel_says_so(client, monkeypatch):
    assert "No run has finished" in panel_of(page_text(client, monkeypatch, []))


def test_the_name_of_a_device_is_text(client, monkeypatch):
    hostile = "<img src=x onerror=alert(1)>"
    assert hostile not in page_text(client, monkeypatch, [gpu_run(0, DENOISE, device=hostile)])


def test_runs_without_a_gpu_have_no_rows():
    assert performance_view(READY)["roofline"].rows == {}


def test_a_share_that_rounds_to_nothing_is_not_called_nothing(client, monkeypatch):
    tiny = worked("small_network", 0.5, 1e11, 2e10, elapsed_s=0.6)
    found = cells(panel_of(page_text(client, monkeypatch, [gpu_run(0, tiny)])), "small_network")
    assert found["Of the peak (MFU)"] == "under 0.1 %"
    assert found["Held back by"] == "launch-bound"


def clock_of(mhz, device=H200, minutes=10):
    return BusyClock(device, mhz, NOW - timedelta(minutes=minutes))


def test_a_card_that_is_held_down_is_also_judged_by_its_clock():
    slow = worked("shape_generation", 7.6, 2.2e15, 6e12, elapsed_s=8.0)
    runs = [gpu_run(0, slow), gpu_run(3, DENOISE), gpu_run(4, DENOISE)]
    panel = roofline_panel(runs, clock_of(915))
    row = panel.rows["shape_generation"]
    assert row.standing.mfu == pytest.approx(2.2e15 / 3.8 / 989.5e12)
    assert row.mfu_at_clock == pytest.approx(2.2e15 / 7.6 / (989.5e12 / 2))


@pytest.mark.parametrize("clock", [None, clock_of(1829), clock_of(915, device="NVIDIA L4")])
def test_at_its_full_or_an_unknown_clock_nothing_is_added(clock):
    panel = roofline_panel([gpu_run(0, DENOISE)], clock)
    assert panel.clock is None
    assert panel.rows["shape_generation"].mfu_at_clock is None


def test_runs_before_the_readings_are_not_judged_by_them():
    panel = roofline_panel([gpu_run(6, DENOISE)], clock_of(915))
    assert panel.rows["shape_generation"].mfu_at_clock is None


def test_the_page_tells_the_clock(client, monkeypatch):
    told = document([gpu_run(0, DENOISE)], busy_clock=clock_of(1464))
    monkeypatch.setattr(page_module, "performance_document", lambda service, wanted=None: told)
    panel = panel_of(client.get("/performance").get_data(as_text=True))
    assert "ran at 1464 MHz on average" in panel
    assert cells(panel, "shape_generation")["Of the peak (MFU)"] == "59 % 73 % at its clock"
