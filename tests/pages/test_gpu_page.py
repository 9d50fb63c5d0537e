from __future__ import annotations

import copy
import re

import pytest

from backend.errors import ModelLeased, UnknownModel, WorkerOffline
from backend.web.pages import gpu as page_module
from backend.web.pages.gpu import gpu_view, memory_parts

HX = {"HX-Request": "true"}
HOSTILE = "<img src=x onerror=alert(1)>"


def model(name="shape", state="resident", **more):
    return {
        "name": name, "title": name.title(), "state": state, "vram_mb": 0.0, "ram_mb": 0.0,
        "size_mb": 3000.0, "pinned": None, "leases": 0, "idle_s": 75.0, "loads": 1, "evictions": 0,
        "last_restore": None, "error": None,
    } | more  # fmt: skip


BUDGET = {
    "total_mb": 24000.0, "reserve_mb": 512.0, "reserved_mb": 1500.0, "models_mb": 5000.0,
    "activations_mb": 1000.0, "cache_mb": 200.0, "others_mb": 800.0, "available_mb": 14000.0,
}  # fmt: skip
RESTORE = {"elapsed_s": 0.2, "size_mb": 3000.0, "gb_per_s": 15.7, "pct_of_link": 63.0}
GPU = {
    "available": True, "reason_unavailable": None, "age_ms": 900, "mode": "gpu", "driver": "580.1",
    "cuda": "13.0", "workers": 1, "degraded": False, "degraded_reason": None,
    "worker": {"state": "busy"}, "host": {},
    "devices": [{
        "index": 0, "name": "Test Card 24", "temp_c": 61, "temp_slowdown_c": 90, "power_w": 211.4,
        "power_limit_w": 350.0, "gpu_util_pct": 87, "mem_util_pct": 41, "sm_clock_mhz": 1800,
        "sm_clock_max_mhz": 2100, "mem_clock_mhz": 9500, "vram_total_mb": 24000.0,
        "vram_used_mb": 7000.0, "vram_free_mb": 17000.0, "vram_used_by_others_mb": 800.0,
        "throttle": {"active": ["sw_power_cap"], "pct_last_60s": 12.0},
    }],
    "models": [
        model("shape", "resident", vram_mb=3000.0, leases=1, idle_s=None, last_restore=RESTORE),
        model("paint", "resident", vram_mb=2000.0, size_mb=2000.0, ram_mb=2000.0, pinned="full"),
        model("parts", "host", ram_mb=700.0),
        model("cold", "unloaded", loads=0, idle_s=None),
        model("broken", "failed", error="the file is damaged", idle_s=None),
    ],
    "residency": {
        "enabled": True, "policy": "auto", "policy_in_force": "lru", "idle_offload_s": 60.0,
        "idle_release_s": -1.0, "backend": "cuda", "budget": BUDGET,
        "host": {"pin_budget_mb": 8000.0, "pinned_mb": 2000.0, "used_mb": 2700.0},
        "link": {"gb_per_s": 24.9}, "switches": 3,
        "transitions": [{"at": "2026-11-21T07:12:03.100Z", "model": "parts", "from": "offloading",
                         "to": "host", "reason": "asked to offload", "elapsed_s": 0.3}],
    },
}  # fmt: skip
CPU = {
    "available": False, "reason_unavailable": "no NVIDIA driver was found", "age_ms": 400,
    "mode": "cpu", "driver": None, "cuda": None, "workers": 1, "degraded": False,
    "degraded_reason": None, "worker": {"state": "idle"}, "devices": [], "models": [],
    "host": {"cpu": "Test CPU", "cpu_cores": 8, "cpu_pct": 12.0, "ram_used_mb": 2048.0,
             "ram_total_mb": 16384.0},
    "residency": GPU["residency"] | {"backend": None, "policy_in_force": None, "transitions": [],
                                     "budget": dict.fromkeys(BUDGET), "link": {"gb_per_s": None}},
}  # fmt: skip
OFFLINE = {
    "available": False, "reason_unavailable": "no GPU worker has reported", "age_ms": None,
    "mode": None, "workers": 0, "degraded": False, "worker": {"state": "offline"}, "devices": [],
    "models": [], "residency": None, "host": {},
}  # fmt: skip


def changed(document, **more):
    return copy.deepcopy(document) | more


@pytest.fixture
def said(monkeypatch):
    """What the status says; tests put a document of their own in."""
    holder = {"document": GPU}
    monkeypatch.setattr(page_module, "gpu_status", lambda service: holder["document"])
    return holder


@pytest.fixture
def asked(monkeypatch):
    """Commands that reached the worker; ``answer`` is its outcome or its error."""
    record = {"commands": [], "answer": "done"}

    def command(service, kind, arguments):
        record["commands"].append((kind.value, dict(arguments)))
        if isinstance(record["answer"], Exception):
            raise record["answer"]
        return {"status": record["answer"], "models": {}}

    monkeypatch.setattr(page_module, "command_workers", command)
    return record


def text_of(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def page(client, path="/gpu"):
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


def row(html, name):
    return re.search(rf'<tr [^>]*data-model="{name}".*?</tr>', html, re.DOTALL)[0]


def is_open(html, button):
    return 'aria-disabled="true"' not in re.search(rf'<button[^>]*id="{button}"[^>]*>', html)[0]


def test_device_is_told_with_its_own_figures(client, said):
    text = text_of(page(client))
    for figure in ("Test Card 24", "61 °C", "211 W", "limit 350 W", "Compute units busy 87 %",
                   "Memory bus busy 41 %", "compute 1800 MHz of 2100", "memory 9500 MHz",
                   "sw power cap", "12 % of the last minute", "Reported 1 s ago"):  # fmt: skip
        assert figure in text, figure


def test_states_are_plain_words(client, said):
    html = page(client)
    words = {"shape": "on the GPU", "parts": "in memory", "cold": "on disk",
             "broken": "failed to load"}  # fmt: skip
    for name, word in words.items():
        assert word in text_of(row(html, name)), name
    assert "the file is damaged" in row(html, "broken")
    assert "1 min 15 s" in text_of(row(html, "paint"))
    assert "never used" in text_of(row(html, "cold"))
    assert "15.7 GB/s, 63 % of the link" in text_of(row(html, "shape"))
    assert "none yet" in text_of(row(html, "paint"))


def test_memory_parts_add_up_to_the_card():
    parts = memory_parts(GPU["devices"][0], BUDGET, GPU["models"])
    sizes = {part.label: part.size_mb for part in parts}
    assert sum(sizes.values()) == 24000.0
    assert (sizes["Shape"], sizes["Paint"], sizes["Other programs"]) == (3000.0, 2000.0, 800.0)
    assert sizes["Reserve, kept free on purpose"] == 512.0
    assert sizes["Free"] == 24000.0 - 5000 - 1000 - 200 - 800 - 512
    assert len({part.mark for part in parts}) == len(parts), "each part has a letter of its own"


def test_reserve_is_never_larger_than_what_is_free():
    tight = BUDGET | {"others_mb": 17600.0}
    sizes = {p.kind: p.size_mb for p in memory_parts(GPU["devices"][0], tight, GPU["models"])}
    assert (sizes["reserve"], sizes["free"]) == (200.0, 0.0)


def test_unknown_parts_are_told_as_unknown_and_the_rest_is_not_hidden():
    nothing = dict.fromkeys(BUDGET)
    parts = {p.kind: p.size_mb for p in memory_parts(GPU["devices"][0], nothing, [])}
    assert parts["activations"] is parts["cache"] is parts["reserve"] is None
    assert parts["others"] == 800.0
    assert parts["rest"] == 6200.0, "used by the driver's figure, by nobody we can name"
    assert parts["free"] == 17000.0


def test_bar_repeats_its_letters_in_a_table(client, said):
    html = page(client)
    bar = re.search(r'<div class="vram-bar" aria-hidden="true">.*?</div>', html, re.DOTALL)[0]
    assert re.findall(r">(\S)</span>", bar) == ["A", "B", "w", "c", "o", "r", "f"]
    legend = re.search(r'<table class="vram-legend">.*?</table>', html, re.DOTALL)[0]
    assert "Shape 2.9 GB" in text_of(legend)
    assert "Cache, returned when needed 200 MB" in text_of(legend)


def test_leased_model_cannot_leave_and_says_why(client, said):
    html = page(client)
    assert not is_open(html, "offload-1")
    assert not is_open(html, "release-1")
    assert "Shape is in use by 1 job." in row(html, "shape")
    assert is_open(html, "offload-2")
    assert is_open(html, "release-2")
    assert not is_open(html, "preload-2"), "it is on the GPU already"
    assert is_open(html, "preload-3"), "from memory to the GPU"
    assert is_open(html, "release-3")
    assert not is_open(html, "offload-3")
    assert is_open(html, "preload-4")
    assert not is_open(html, "release-4")
    assert is_open(html, "release-5"), "releasing acknowledges a failure"
    assert not is_open(html, "release-all"), "one of all is in use"
    assert " disabled" not in html, "a button that closes must not lose the focus"


def test_all_buttons_open_when_nothing_is_leased(client, said):
    said["document"] = changed(GPU, models=[model("paint"), model("parts", "host")])
    html = page(client)
    assert all(is_open(html, f"{action}-all") for action in ("offload", "release", "preload"))
    said["document"] = changed(GPU, models=[model("cold", "unloaded")])
    html = page(client)
    assert not is_open(html, "offload-all")
    assert not is_open(html, "release-all")
    assert is_open(html, "preload-all")


@pytest.mark.parametrize("state", ["loading", "restoring"])
def test_model_on_its_way_takes_no_orders(state):
    only = gpu_view(changed(GPU, models=[model("shape", state)]))["models"][0]
    assert all(button.reason for button in only["buttons"])


def test_rules_form_holds_what_is_in_force(client, said):
    html = page(client)
    assert re.search(r'<option value="auto" selected>', html)
    assert re.search(r'name="idle_offload_s"[^>]*value="60"', html)
    assert re.search(r'name="idle_release_s"[^>]*value=""', html), "negative is never"
    assert "The longest unused leaves first" in text_of(html)
    assert "24.9 GB/s" in text_of(html)


def test_rules_just_saved_are_shown_before_the_worker_repeats_them(client, said, monkeypatch):
    saved = {"policy": "one_at_a_time", "idle_release_s": 900.0}
    monkeypatch.setattr(page_module, "kept_settings", lambda redis: saved)
    html = page(client)
    assert '<option value="one_at_a_time" selected>' in html
    assert re.search(r'name="idle_release_s"[^>]*value="900"', html)
    assert re.search(r'name="idle_offload_s"[^>]*value="60"', html)


def test_transitions_newest_first_as_given(client, said):
    moves = [{"at": f"2026-11-21T07:00:{59 - i:02}Z", "model": f"m{i}", "from": "host",
              "to": "restoring", "reason": "a job asked", "elapsed_s": 1.5}
             for i in range(25)]  # fmt: skip
    said["document"] = changed(GPU, residency=GPU["residency"] | {"transitions": moves})
    listed = re.search(r'<ol class="transitions">.*?</ol>', page(client), re.DOTALL)[0]
    assert listed.count("<li>") == 20
    first = text_of(listed.partition("</li>")[0])
    assert "07:00:59 m0 in memory → moving to the GPU after 1.50 s: a job asked" in first


def test_cpu_mode_is_honest(client, said):
    said["document"] = CPU
    html = page(client)
    text = text_of(html)
    assert "CPU mode" in text
    assert "no NVIDIA driver was found" in text
    assert "What still works: the built-in engines" in text
    assert "The built-in engines need no model" in text
    assert "Test CPU" in text
    assert "2.0 GB of 16.0 GB" in text
    for part in ("vram-bar", "vram-legend", "°C", " W ", "GB/s"):
        assert part not in html, f"{part}: there is no card to have it"


def test_cpu_mode_moves_nothing_to_a_gpu(client, said):
    said["document"] = changed(CPU, models=[model("shape", "resident"), model("cold", "unloaded")])
    html = page(client)
    assert "in memory, ready" in text_of(row(html, "shape"))
    assert not is_open(html, "offload-1")
    assert "There is no GPU" in row(html, "shape")
    assert is_open(html, "release-1")
    assert is_open(html, "preload-2")
    assert not is_open(html, "offload-all")


def test_bytes_of_a_model_in_use_are_the_processors_where_there_is_no_gpu(client, said):
    held = model("shape", "resident", vram_mb=7.0, ram_mb=406.0)
    said["document"] = changed(CPU, models=[held])
    text = text_of(row(page(client), "shape"))
    assert "processor 7 MB, memory 406 MB" in text
    assert "GPU 7" not in text
    said["document"] = changed(GPU, models=[held])
    assert "GPU 7 MB, memory 406 MB" in text_of(row(page(client), "shape"))


def test_restore_without_a_link_claims_no_rate(client, said):
    restored = {"elapsed_s": 0.5, "size_mb": 100.0, "gb_per_s": None, "pct_of_link": None}
    said["document"] = changed(CPU, models=[model("shape", last_restore=restored)])
    text = text_of(row(page(client), "shape"))
    assert "0.50 s" in text
    assert "link" not in text


def test_offline_knows_nothing_and_says_so(client, said):
    said["document"] = OFFLINE
    text = text_of(page(client))
    assert "Worker offline" in text
    assert "nothing is known of its models" in text
    assert "Save the rules" not in text
    assert "CPU mode" not in text
    assert "need no model" not in text
    assert "Nothing was reported" in text


def test_offline_page_of_the_real_status(client):
    assert "Worker offline" in text_of(page(client))


def test_unknown_is_called_unknown_never_zero(client, said):
    device = dict.fromkeys(GPU["devices"][0]) | {"throttle": {"active": None}}
    blank = dict.fromkeys(model()) | {"name": "shape", "state": "resident"}
    rules = dict.fromkeys(GPU["residency"]) | {"policy": "auto", "enabled": True}
    said["document"] = changed(
        GPU, devices=[device], models=[blank], residency=rules, driver=None, cuda=None, age_ms=None
    )
    html = page(client)
    facts = text_of(html[html.index('id="gpu-devices"') : html.index('id="gpu-model-card"')])
    assert facts.count("unknown") >= 14
    assert not re.search(r"\b0(\.0)? (W|%|MB|GB|MHz|°C)", text_of(html))
    assert "None" not in text_of(html)
    assert "vram-bar" not in html
    assert "unknown" in text_of(row(html, "shape"))
    assert 'name="idle_offload_s"' not in html, "an unknown time must not be overwritten unseen"


def test_no_throttle_is_not_unknown_throttle(client, said):
    device = GPU["devices"][0] | {"throttle": {"active": [], "pct_last_60s": None}}
    said["document"] = changed(GPU, devices=[device])
    assert "Held back by nothing" in text_of(page(client))


def test_degraded_says_the_reason_and_closes_the_gpu(client, said):
    said["document"] = changed(
        GPU, degraded=True, degraded_reason="the GPU was lost 3 times within 10 minutes", mode="cpu"
    )
    html = page(client)
    assert "the GPU was lost 3 times within 10 minutes" in html
    assert "marked as degraded" in text_of(html)
    assert not is_open(html, "offload-2")


def test_management_switched_off_leaves_the_buttons_and_no_rules(client, said):
    said["document"] = changed(GPU, residency=GPU["residency"] | {"enabled": False})
    html = page(client)
    assert "--disable-gpu-management" in html
    assert 'id="gpu-rules"' not in html
    assert is_open(html, "offload-2")


def test_names_and_reasons_are_shown_as_text(client, said):
    said["document"] = changed(
        GPU, models=[model(HOSTILE, "failed", title=HOSTILE, error=HOSTILE)],
        degraded=True, degraded_reason=HOSTILE,
    )  # fmt: skip
    html = page(client)
    assert HOSTILE not in html
    assert "&lt;img src=x" in html
    assert HOSTILE not in page(client, f"/gpu?action=offload&outcome=done&model={HOSTILE}")


def test_fragment_is_the_part_that_moves(client, said):
    html = page(client, "/gpu/live")
    assert "<html" not in html
    assert "hx-trigger" not in html, "the poll is around the fragment, not in it"
    assert 'id="gpu-message"' not in html, "a message outlives the next poll"
    whole = page(client)
    assert 'hx-get="/gpu/live" hx-trigger="every 2s" hx-swap="innerMorph"' in whole
    assert re.search(r'<form id="gpu-rules"[^>]* hx-morph-skip', html)
    assert "<details" not in html, "a morph would close it"


def test_page_is_in_the_navigation(client, said):
    assert '<a href="/gpu" aria-current="page">GPU</a>' in page(client)


def test_form_posts_and_leads_back_with_a_message(post, client, said, asked):
    answer = post("/gpu/control", action="offload", model="paint")
    assert answer.status_code == 303
    assert asked["commands"] == [("offload", {"model": "paint", "drain": False})]
    assert "paint: off the GPU." in text_of(page(client, answer.location))


def test_all_models_are_one_command(post, client, said, asked):
    answer = post("/gpu/control", action="release")
    assert asked["commands"] == [("release", {"model": None, "drain": False})]
    assert "All models: released" in text_of(page(client, answer.location))


def test_loading_all_asks_for_each_that_can_be_loaded(post, client, said, asked):
    asked["answer"] = "started"
    answer = post("/gpu/control", action="preload")
    assert [arguments["model"] for _, arguments in asked["commands"]] == ["parts", "cold", "broken"]
    assert "being loaded" in text_of(page(client, answer.location))


def test_loading_all_without_a_worker_is_refused(post, said, asked):
    said["document"] = OFFLINE
    answer = post("/gpu/control", action="preload")
    assert answer.status_code == 503
    assert "No worker is running" in answer.text
    assert asked["commands"] == []


@pytest.mark.parametrize(
    ("outcome", "words"), [("draining", "as soon as the jobs end"), ("pending", "not answered yet")]
)
def test_outcomes_have_words(post, client, said, asked, outcome, words):
    asked["answer"] = outcome
    assert words in page(client, post("/gpu/control", action="offload", model="paint").location)


def test_leased_answer_is_a_message_that_offers_to_wait(post, client, said, asked):
    asked["answer"] = ModelLeased("shape is in use by 1 job(s).")
    answer = post("/gpu/control", action="release", model="shape")
    assert answer.status_code == 409
    assert "shape is in use by 1 job(s)." in answer.text
    assert "Release as soon as the job ends" in answer.text
    assert "Test Card 24" in answer.text, "the page itself is still shown"
    asked["answer"] = "draining"
    post("/gpu/control", action="release", model="shape", drain="1")
    assert asked["commands"][-1] == ("release", {"model": "shape", "drain": True})


@pytest.mark.parametrize(
    ("error", "status"), [(ModelLeased(), 409), (UnknownModel("gone"), 404), (WorkerOffline(), 503)]
)
def test_htmx_gets_the_refusal_alone_with_its_status(post, client, said, asked, error, status):
    asked["answer"] = error
    token = client.get_cookie("mk_csrf").value
    answer = client.post(
        "/gpu/control",
        data={"action": "offload", "model": "m"},
        headers=HX | {"X-CSRF-Token": token},
    )
    assert answer.status_code == status
    assert error.title in answer.text
    assert "<html" not in answer.text
    assert 'id="gpu-live"' not in answer.text


def test_htmx_gets_a_message_and_no_redirect(post, client, said, asked):
    token = client.get_cookie("mk_csrf").value
    answer = client.post(
        "/gpu/control", data={"action": "release"}, headers=HX | {"X-CSRF-Token": token}
    )
    assert answer.status_code == 200
    assert text_of(answer.text).strip() == "All models: released from the GPU and from memory."


def test_posts_need_the_token(client, said, asked):
    client.get("/gpu")
    assert client.post("/gpu/control", data={"action": "release"}).status_code == 403
    assert client.post("/gpu/rules", data={"policy": "auto"}).status_code == 403
    assert asked["commands"] == []


@pytest.mark.parametrize("action", ["", "settings", "explode"])
def test_unknown_action_is_refused(post, said, asked, action):
    assert post("/gpu/control", action=action, model="shape").status_code == 422
    assert asked["commands"] == []


def test_rules_are_sent_as_numbers_and_empty_is_never(post, client, said, asked):
    answer = post("/gpu/rules", policy="one_at_a_time", idle_offload_s="30", idle_release_s="")
    wanted = {"policy": "one_at_a_time", "idle_offload_s": 30.0, "idle_release_s": -1.0}
    assert asked["commands"] == [("settings", wanted)]
    assert answer.status_code == 303
    assert "rules are saved" in page(client, answer.location)


@pytest.mark.parametrize(
    "fields",
    [{"policy": "fastest"}, {"idle_offload_s": "soon"}, {"idle_offload_s": "-5"},
     {"idle_release_s": "nan"}, {"idle_release_s": "inf"}, {}],
)  # fmt: skip
def test_wrong_rules_are_refused_and_named(post, said, asked, fields):
    answer = post("/gpu/rules", **fields)
    assert answer.status_code == 422
    assert asked["commands"] == []
    assert "Test Card 24" in answer.text
    assert next(iter(fields), "policy") in answer.text


def test_message_of_an_address_is_from_our_own_words(client, said):
    for query in ("action=explode&outcome=done", "action=offload&outcome=paid", "action=offload"):
        html = page(client, f"/gpu?{query}")
        assert re.search(r'<div id="gpu-message"[^>]*>\s*</div>', html), query


def test_worker_started_for_the_processor_beside_a_card(client, said):
    said["document"] = changed(GPU, mode="cpu", residency=CPU["residency"])
    text = text_of(page(client))
    assert "this worker was started for the processor" in text
    assert "Test Card 24" in text


def test_what_a_hosted_program_keeps_of_the_gpu_is_shown(client, said):
    models = [model("speech", "host", ram_mb=700.0, leftover_mb=420.0), model("shape")]
    said["document"] = GPU | {"models": models}
    text = client.get("/gpu").get_data(as_text=True)
    assert "keeps 420 MB of the GPU" in text
    assert text.count("of the GPU</span>") == 1
