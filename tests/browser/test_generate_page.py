from __future__ import annotations

import base64
import io
import re
import time

import trimesh
from playwright.sync_api import expect

from tests.browser.sent_jobs import made
from tests.conftest import draw_figure, png_bytes

JOB_MS = 60_000  # a draft takes 3 s on a machine that does nothing else
SMALL = {"width": 640, "height": 600}  # the software renderer takes long for every pixel


def upload(page, picture, *, textured=True):
    """Start a draft; one without a texture takes half the time."""
    page.goto("/")
    page.set_input_files("#file", picture)
    page.check("input[name=preset][value=draft]", force=True)
    if not textured:
        without_texture(page)
    page.click("#submit")
    page.wait_for_url("**/jobs/*")


def without_texture(page):
    page.locator("#p-texture").evaluate("box => { box.checked = false; }")


def wait_done(page, status="succeeded"):
    live = page.locator("#job-live")
    expect(live).to_have_attribute("data-status", status, timeout=JOB_MS)


def download(page, server, role_label):
    href = page.get_by_role("link", name=role_label).get_attribute("href")
    return page.request.get(server.url + href).body()


def test_picture_becomes_a_model_without_a_reload(server, new_page, picture):
    page = new_page(server, viewport=SMALL)
    upload(page, picture)
    page.evaluate("window.sameDocument = true")
    wait_done(page)
    expect(page.locator("#viewer")).to_have_attribute("data-ready", "true")
    assert page.evaluate("window.sameDocument") is True
    expect(page.locator(".stage-succeeded")).to_have_count(5)
    expect(page.get_by_text("Built from the outline alone")).to_be_visible()
    mesh = trimesh.load(
        io.BytesIO(download(page, server, "GLB")), file_type="glb", force="mesh", process=False
    )
    mesh.merge_vertices(merge_tex=True, merge_norm=True)
    assert mesh.is_watertight


def test_progress_comes_over_the_socket_stage_by_stage(slow_server, new_page, picture):
    page = new_page(slow_server, draws=False)
    frames = []
    page.on("websocket", lambda ws: ws.on("framereceived", lambda frame: frames.append(frame)))
    upload(page, picture)
    expect(page.locator(".stage-running")).to_be_visible()
    wait_done(page)
    told = [frame for frame in frames if isinstance(frame, str)]
    for stage in ("image_preprocessing", "shape_generation", "texture_synthesis", "mesh_export"):
        assert any(f'stage stage-running" id="stage-{stage}"' in html for html in told), stage
    running = re.compile(r'stage-running" id="stage-(\w+)".*?step (\d+) of 20', re.DOTALL)
    steps = {found for html in told for found in running.findall(html)}
    assert len(steps) > 5, "steps are told as they are done"


def test_dropping_and_pasting_many_files(server, new_page):
    page = new_page(server)
    page.goto("/")
    encoded = [base64.b64encode(png_bytes(draw_figure(size))).decode() for size in (128, 160, 128)]
    page.evaluate(
        """(pictures) => {
          const files = pictures.map((data, i) => new File(
            [Uint8Array.from(atob(data), (c) => c.charCodeAt(0))],
            `p${i}.png`, {type: "image/png"}));
          const send = (name, kind, field, some) => {
            const transfer = new DataTransfer();
            some.forEach((file) => transfer.items.add(file));
            const event = new kind(name, {bubbles: true, cancelable: true, [field]: transfer});
            document.body.dispatchEvent(event);
          };
          send("dragover", DragEvent, "dataTransfer", files.slice(0, 1));
          send("drop", DragEvent, "dataTransfer", files.slice(0, 1));
          send("paste", ClipboardEvent, "clipboardData", files.slice(1));
        }""",
        encoded,
    )
    expect(page.locator(".file")).to_have_count(2)  # the third is the first again
    expect(page.locator("#drop-overlay")).to_be_hidden()
    page.check("input[name=preset][value=draft]", force=True)
    page.click("#submit")
    expect(page.locator("#submit-status")).to_have_text("2 of 2 sent.")
    expect(page.get_by_role("link", name="Open the job")).to_have_count(2)


def test_refused_files_stay_visible_with_the_reason(server, new_page, tmp_path):
    (tmp_path / "note.txt").write_text("hello")
    (tmp_path / "tiny.png").write_bytes(png_bytes(draw_figure(16)))
    page = new_page(server)
    page.goto("/")
    page.set_input_files("#file", [tmp_path / "note.txt", tmp_path / "tiny.png"])
    expect(page.locator(".file-refused")).to_have_count(2)
    expect(page.get_by_text("Save it as PNG, JPEG or WebP.")).to_be_visible()
    expect(page.get_by_text("only 16 × 16 pixels")).to_be_visible()
    page.click("#submit")
    expect(page.locator("#form-problem")).to_have_text("Choose a picture first.")


def test_an_error_of_the_server_is_shown_in_the_row(server, new_page, tmp_path):
    from PIL import Image

    (tmp_path / "white.png").write_bytes(png_bytes(Image.new("RGB", (64, 64), "white")))
    page = new_page(server, expect_errors=True)  # the browser notes the 422 in its console
    page.goto("/")
    page.set_input_files("#file", tmp_path / "white.png")
    page.set_viewport_size({"width": 900, "height": 620})
    page.click("#submit")
    expect(page.locator(".file-refused .note")).to_contain_text("No object was found")
    expect(page.locator("#submit-status")).to_contain_text("0 of 1 sent. No object was found")
    expect(page.locator("#submit-status")).to_be_in_viewport()


def test_the_first_of_several_refused_pictures_comes_into_view(server, new_page, tmp_path):
    from PIL import Image

    page = new_page(server, expect_errors=True)
    page.set_viewport_size({"width": 900, "height": 620})
    page.goto("/")
    for size in (64, 65):
        path = tmp_path / f"white{size}.png"
        path.write_bytes(png_bytes(Image.new("RGB", (size, size), "white")))
    page.set_input_files("#file", sorted(tmp_path.glob("*.png")))
    page.locator("#submit").scroll_into_view_if_needed()
    expect(page.locator(".file").first).not_to_be_in_viewport()
    page.click("#submit")
    expect(page.locator("#submit-status")).to_have_text("0 of 2 sent.")
    expect(page.locator(".file-refused").first).to_be_in_viewport()


def test_brush_changes_the_mask_and_the_model(server, new_page, picture):
    page = new_page(server, draws=False)
    page.goto("/")
    page.set_input_files("#file", picture)
    page.check("input[name=preset][value=draft]", force=True)
    without_texture(page)
    page.click("#check-cutout")
    expect(page.locator("#cutout[data-ready]")).to_be_visible()
    expect(page.locator("#cutout")).to_contain_text("its plain background")
    page.get_by_role("button", name="Erase").click()
    page.locator("#brush-size").fill("120")
    canvas = page.locator("#cutout canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.86)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.86, steps=8)
    page.mouse.up()
    page.get_by_role("button", name="Generate from this outline").click()
    page.wait_for_url("**/jobs/*")
    wait_done(page)
    expect(page.locator("#job-live")).to_contain_text("your mask")
    size = page.locator("dt:has-text('Size') + dd").inner_text()
    width, height = (float(part) for part in size.removesuffix(" m").split(" × ")[:2])
    assert width / height > 0.75, "without the feet the figure is wider for its height"


def test_mask_can_be_corrected_after_the_run(server, new_page, picture):
    page = new_page(server, draws=False)
    page.goto(made(server, picture, texture="false"))
    page.get_by_role("link", name="Correct the mask and run again").click()
    expect(page.locator("#cutout[data-ready]")).to_be_visible()
    canvas = page.locator("#cutout canvas")
    canvas.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Space")
    page.get_by_role("button", name="Generate from this outline").click()
    page.wait_for_url("**/jobs/*")
    wait_done(page)
    expect(page.locator("#job-live")).to_contain_text("your mask")


def test_everything_works_with_the_keyboard(server, new_page, picture):
    page = new_page(server, draws=False)
    page.goto("/")
    without_texture(page)
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.set_input_files("#file", picture)
    page.locator("input[name=preset][value=standard]").focus()
    page.keyboard.press("ArrowLeft")
    page.locator("#submit").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs/*")
    wait_done(page)
    expect(page.locator(".facts")).to_contain_text("10 000")


def test_who_sends_before_the_picture_was_looked_at_need_not_send_again(server, new_page, picture):
    page = new_page(server, draws=False)
    page.add_init_script("""
        const digest = crypto.subtle.digest.bind(crypto.subtle);
        crypto.subtle.digest = async (...given) => {
          await new Promise((done) => setTimeout(done, 500));
          return digest(...given);
        };
    """)
    page.goto("/")
    page.check("input[name=preset][value=draft]", force=True)
    page.set_input_files("#file", picture)
    page.click("#submit")
    page.wait_for_url("**/jobs/*")


def test_shortcuts_can_be_read_and_switched_off(server, new_page):
    page = new_page(server)
    page.goto("/gallery")
    page.keyboard.press("?")
    expect(page.locator("#shortcuts")).to_be_visible()
    page.uncheck("#shortcuts-on")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.locator("#shortcuts")).to_be_hidden()


def _reload_when_there(page, words):
    """Load a page that does not live again, once it has something; to draw it takes longest."""
    deadline_s = time.monotonic() + JOB_MS / 1000
    while words not in page.request.get(page.url).text():
        assert time.monotonic() < deadline_s, "it takes too long"
        page.wait_for_timeout(200)
    page.reload()


def test_form_works_without_javascript(server, new_page, picture):
    # a picture may be asked for while it is moved to the results
    page = new_page(server, expect_errors=True, java_script_enabled=False)
    page.goto("/")
    page.set_input_files("#file", picture)
    page.check("input[name=preset][value=draft]", force=True)
    page.click("#submit")
    page.wait_for_url("**/jobs/*")
    _reload_when_there(page, 'data-status="succeeded"')
    expect(page.locator("#job-live")).to_have_attribute("data-status", "succeeded")
    expect(page.get_by_role("link", name="GLB")).to_be_visible()


def test_cutout_works_without_javascript(server, new_page, picture):
    page = new_page(server, java_script_enabled=False)
    page.goto("/")
    page.set_input_files("#file", picture)
    page.check("input[name=preset][value=draft]", force=True)
    page.click("#check-cutout")
    page.wait_for_url("**/cutouts/*")
    _reload_when_there(page, 'id="cutout-form"')
    page.get_by_role("button", name="Generate from this outline").click()
    page.wait_for_url("**/jobs/*")
    expect(page.locator("#job-live")).to_be_visible()
