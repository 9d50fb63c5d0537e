"""Speech in a real browser, through web, worker and the program's own process.

The program (``small_speech``) is one layer of random weights, so that the result is noise: only
the way to it is tested. Networks of transformers: ``tests/engines/test_tiny_speech.py``.
"""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.test_appearance import violations
from tests.web.recordings import wav_bytes


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    path = tmp_path_factory.mktemp("voices") / "voice.wav"
    path.write_bytes(wav_bytes(1.5, 16_000, 2))
    return path


def done(page):
    page.wait_for_url("**/jobs/*")
    live = page.locator("#job-live")
    expect(live).to_have_attribute("data-status", "succeeded", timeout=90_000)


def drop(page, path):
    """Drag a file over the page and let it fall; the page says meanwhile that it takes it."""
    page.evaluate(
        """([name, bytes]) => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([new Uint8Array(bytes)], name, { type: "audio/wav" }));
          const options = { bubbles: true, cancelable: true, dataTransfer };
          const main = document.querySelector("main");
          main.dispatchEvent(new DragEvent("dragover", options));
          if (document.getElementById("drop-overlay").hidden) throw new Error("no overlay");
          main.dispatchEvent(new DragEvent("drop", options));
        }""",
        [path.name, list(path.read_bytes())],
    )


def plays(page, name) -> bool:
    """Whether the player of a sound knows how long it is, and can be led into it."""
    return page.evaluate(
        """name => new Promise((resolve) => {
          const audio = document.querySelector(`#${name} audio`);
          const seek = () => {
            audio.addEventListener("seeked", () => resolve(audio.currentTime > 0), { once: true });
            audio.currentTime = audio.duration / 2;
          };
          if (audio.readyState >= 1) seek();
          else audio.addEventListener("loadedmetadata", seek, { once: true });
        })""",
        name,
    )


def test_a_voice_is_chosen_heard_cloned_and_taken_further(networks, new_page, voice):
    page = new_page(networks, draws=False)
    page.goto("/speech")
    expect(page.locator("#speech-tiny")).to_contain_text("noise", timeout=60_000)
    page.set_input_files("#speech-file", voice)
    expect(page.locator("#speech-preview audio")).to_be_visible()
    for name in ("style", "passes", "tags"):
        expect(page.locator(f"#speech-{name}")).to_be_hidden()
    assert violations(page) == []
    page.get_by_label("What is said in it").fill("Hmm.")
    page.get_by_label("Text to say").fill("Good day.")
    page.get_by_role("button", name="Generate").click()
    done(page)
    expect(page.locator("#transcript")).to_contain_text("Hmm.")
    assert plays(page, "result")
    assert plays(page, "reference")
    head = page.locator("#reference .sound-wave")
    assert re.search(r"--played:\s*\d", head.get_attribute("style"))
    assert violations(page) == []

    page.get_by_role("link", name="Use the result as recording").click()
    expect(page.locator("#speech-transcript")).to_have_value("Good day.")
    page.get_by_label("Task").select_option("speed")
    expect(page.locator("#speech-style-label")).to_have_text("Speed")
    assert page.locator("#speech-style option").count() == 4, "those of this task only"
    page.get_by_label("Task").select_option("denoise")
    expect(page.locator("#speech-transcript")).to_be_hidden()


def test_a_mistake_is_told_beside_the_form_and_the_model_can_be_released(networks, new_page, voice):
    # the server refuses what the form sends, and a browser writes that to its console
    page = new_page(networks, draws=False, expect_errors=True, color_scheme="dark",
                    viewport={"width": 360, "height": 800})  # fmt: skip
    page.goto("/speech")
    drop(page, voice)
    expect(page.locator("#drop-overlay")).to_be_hidden()
    page.get_by_label("Task").select_option("paralinguistic")
    page.get_by_label("Text to say").fill("Well ")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#speech-problem")).to_contain_text("at least one tag")
    expect(page.locator("#speech-text")).to_be_focused()
    page.get_by_role("button", name="[Laughter]").click()
    expect(page.locator("#speech-text")).to_have_value("Well [Laughter]")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert violations(page) == []
    row = page.locator("#gpu-models-live tr[data-model='step_audio']")
    row.get_by_role("button", name=re.compile("Release")).click()
    expect(row).to_have_attribute("data-state", "unloaded")


def test_all_of_it_works_without_javascript(networks, new_page, voice):
    page = new_page(networks, java_script_enabled=False)
    page.goto("/speech")
    page.set_input_files("#speech-file", voice)
    page.get_by_label("Task").select_option("denoise")
    page.get_by_label("Text to say").fill("Not for this task.")
    page.get_by_role("button", name="Generate").click()
    page.wait_for_url("**/jobs/*")
    job = page.request.get(f"/api/v1{page.url.removeprefix(networks.url)}").json()
    assert (job["params"]["task"], job["params"]["text"]) == ("denoise", "")
    expect(page.locator("#reference audio")).to_be_visible()
