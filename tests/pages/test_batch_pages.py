from __future__ import annotations

import doctest
import io
import re
import zipfile
from urllib.parse import urlsplit

import pytest

from backend.errors import NoForeground, OutOfMemory
from backend.jobs.batches.records import BatchCounts, BatchState
from backend.jobs.service import JobService
from backend.jobs.states import JobState
from backend.settings import Settings
from backend.web.pages import batches_view
from backend.web.pages.batches_formed import jobs_together
from backend.web.pages.batches_items import PAGE
from backend.web.pages.batches_view import batch_view, time_left
from tests.databases import database_url
from tests.jobs.conftest import ScriptedClock
from tests.pages.test_pages import HOSTILE, html
from tests.profiling.made_runs import made_profile
from tests.web.conftest import serving
from tests.web.keyed import Caller, logged_in

HTMX = {"HX-Request": "true"}


@pytest.fixture
def clock():
    return ScriptedClock()


@pytest.fixture
def service(tmp_path, clock):
    settings = Settings.from_env(
        {}, data_dir=tmp_path, disk_floor_mb=1, database_url=database_url(tmp_path)
    )
    made = JobService(settings, clock)
    yield made
    made.close()


@pytest.fixture
def make_batch(client, figure_png):
    """Send a batch as a script would; a name that begins with 'torn' is no picture."""
    script = client.application.test_client(use_cookies=False)

    def make(*names, **fields):
        files = [
            (io.BytesIO(figure_png[:200] if name.startswith("torn") else figure_png), name)
            for name in names
        ]
        data = {"file": files, "preset": "draft", **fields}
        answer = script.post("/api/v1/batches", data=data)
        assert answer.status_code == 202, answer.text
        return answer.json["id"]

    return make


@pytest.fixture
def claim_all(service):
    return lambda count: [service.claims.claim("gpu", "t:1:1", max_n=1)[0] for _ in range(count)]


def tiles(page):
    """State of each tile, by what the item is called."""
    found = re.findall(
        r'id="item-\d+" data-status="(\w+)">.*?class="tile-name"[^>]*>([^<]+)<', page, re.DOTALL
    )
    return {name: state for state, name in found}


def test_empty_list_says_what_a_batch_is_for(client):
    page = html(client.get("/batches"))
    assert "No batches yet" in page
    assert 'href="/batches/new"' in page
    assert 'href="/batches" aria-current="page"' in page


def test_list_shows_state_and_counts_of_each(client, make_batch, service, claim_all):
    ended = make_batch("a.png", "torn.png", name="Old ones")
    service.claims.finish(claim_all(1)[0], [], {})
    make_batch("b.png", "c.png", name="New ones")
    page = html(client.get("/batches"))
    assert page.index("New ones") < page.index("Old ones")
    assert "2 pictures: 2 waiting" in page
    assert "2 pictures: 1 done, 1 not taken" in page
    assert "Finished with problems" in page
    assert f'id="batch-{ended}" data-status="finished"' in page
    assert "batch-poll" in page, "one of them is not done"


def test_list_of_ended_batches_is_not_asked_for_again(client, make_batch, service, claim_all):
    make_batch("a.png")
    service.claims.finish(claim_all(1)[0], [], {})
    assert "batch-poll" not in html(client.get("/batches"))
    fragment = html(client.get("/batches", headers=HTMX))
    assert fragment.lstrip().startswith("<div id=")
    assert "<html" not in fragment


def test_list_pages_through_all(client, make_batch, monkeypatch):
    monkeypatch.setattr("backend.web.pages.batches.LISTED", 2)
    made = [make_batch("a.png") for _ in range(5)]
    address, seen = "/batches", []
    while address:
        page = html(client.get(address))
        seen += re.findall(r'id="batch-(\w{26})"', page)
        older = re.search(r'href="(/batches\?cursor=[^"]+)"', page)
        address = older and older[1]
    assert seen == made[::-1]


def test_form_has_the_settings_of_a_single_job_and_the_limits(client, service):
    page = html(client.get("/batches/new"))
    for name in ("preset", "background", "shape_mode", "texture", "seed", "priority"):
        assert f'name="{name}"' in page
    assert f'data-max-items="{service.settings.max_batch_items}"' in page
    assert f'data-max-bytes="{service.settings.max_batch_upload_mb * 2**20}"' in page
    assert page.count("not measured yet here") == 3


def test_form_without_javascript_makes_a_batch(client, post, service, figure_png):
    files = [(io.BytesIO(figure_png), f"{n}.png") for n in "ab"]
    empty = (io.BytesIO(), "")  # what a browser sends for a field without a file
    answer = post("/batches", file=files, archive=empty, name="", preset="high", seed="7")
    assert answer.status_code == 303, answer.text
    batch_id = urlsplit(answer.headers["Location"]).path.rpartition("/")[2]
    batch = service.batches.get(batch_id)
    assert (batch.counts.queued, batch.name) == (2, "2 pictures")
    jobs = [service.store.get(item.job_id) for item in service.batches.items(batch_id)]
    assert [(job.params["preset"], job.params["seed"]) for job in jobs] == [("high", 7)] * 2


def test_form_takes_a_zip(client, post, service, figure_png):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("in/a.png", figure_png)
        archive.writestr("in/b.png", figure_png)
    packed.seek(0)
    empty = (io.BytesIO(), "")
    answer = post("/batches", file=empty, archive=(packed, "dolls.zip"))
    batch_id = urlsplit(answer.headers["Location"]).path.rpartition("/")[2]
    names = [item.custom_id for item in service.batches.items(batch_id)]
    assert names == ["in/a.png", "in/b.png"]


def test_form_without_its_token_or_without_pictures_is_refused(client, post, figure_png):
    picture = (io.BytesIO(figure_png), "a.png")
    client.get("/")
    assert client.post("/batches", data={"file": picture}).status_code == 403
    answer = post("/batches", file=(io.BytesIO(), ""))
    assert answer.status_code in (400, 422)
    assert "Send pictures" in answer.text


def test_batch_shows_every_item_with_what_became_of_it(client, make_batch, service, claim_all):
    batch_id = make_batch("a.png", "b.png", "c.png", "d.png", "torn.png")
    one, two, _ = claim_all(3)
    service.claims.finish(one, [], {})
    service.claims.fail(two, NoForeground("Nothing there."))
    page = html(client.get(f"/batches/{batch_id}"))
    assert tiles(page) == {
        "a.png": "succeeded", "b.png": "failed", "c.png": "running", "d.png": "queued",
        "torn.png": "refused",
    }  # fmt: skip
    for text in ("Nothing there.", NoForeground.default_advice, "/docs/problems#no-foreground"):
        assert text in page
    assert "/docs/problems#image-corrupt" in page
    assert f'href="/jobs/{one.id}"' in page
    assert 'aria-label="1 done, 1 failed, 1 not taken, 1 running, 1 waiting"' in page
    assert "3 of 5 pictures finished" in page


def test_widths_of_the_bar_add_up_and_follow_each_other():
    parts = batches_view.bar_parts(BatchCounts(succeeded=5, failed=2, running=1, queued=2))
    shown = {part.state: (part.x_pct, part.width_pct) for part in parts if part.count}
    assert shown == {
        "succeeded": (0, 50), "failed": (50, 20), "running": (70, 10), "queued": (80, 20)
    }  # fmt: skip


@pytest.mark.parametrize(
    ("state", "names"),
    [("failed", {"b.png"}), ("queued", {"c.png"}), ("succeeded", {"a.png"}), ("running", set())],
)
def test_items_can_be_chosen_by_state(client, make_batch, service, claim_all, state, names):
    batch_id = make_batch("a.png", "b.png", "c.png")
    one, two = claim_all(2)
    service.claims.finish(one, [], {})
    service.claims.fail(two, OutOfMemory("Too large."))
    page = html(client.get(f"/batches/{batch_id}?status={state}"))
    assert set(tiles(page)) == names
    assert ("No item is in this state now" in page) == (not names)
    live = re.search(r'hx-get="([^"]+)"[^>]*hx-trigger="every 2s" hx-target="#batch-live"', page)
    assert set(tiles(html(client.get(live[1].replace("&amp;", "&"))))) == names


def test_states_and_pages_that_are_none_are_refused(client, make_batch):
    batch_id = make_batch("a.png")
    for query in ("status=asleep", "page=x"):
        assert client.get(f"/batches/{batch_id}?{query}").status_code == 422


def test_every_item_is_on_one_page(client, make_batch):
    names = [f"{n:03}.png" for n in range(PAGE + 5)]
    batch_id = make_batch(*names)
    first = tiles(html(client.get(f"/batches/{batch_id}")))
    second = tiles(html(client.get(f"/batches/{batch_id}?page=2")))
    beyond = tiles(html(client.get(f"/batches/{batch_id}?page=9&status=queued")))
    assert list(first) + list(second) == names
    assert (len(first), beyond) == (PAGE, second)


def test_canceling_jobs_count_as_running_and_expired_ones_as_done(
    client, make_batch, service, claim_all
):
    batch_id = make_batch("a.png", "b.png")
    one, two = claim_all(2)
    service.claims.finish(one, [], {})
    service.cancel(two.id)
    with service.store.writer.begin() as connection:
        sql = f"UPDATE jobs SET status = '{JobState.EXPIRED}' WHERE id = '{one.id}'"
        connection.exec_driver_sql(sql)
    assert tiles(html(client.get(f"/batches/{batch_id}?status=running"))) == {"b.png": "canceling"}
    done = html(client.get(f"/batches/{batch_id}?status=succeeded"))
    assert tiles(done) == {"a.png": "expired"}
    assert "Done, files removed" in done


def test_pace_and_time_left_are_unknown_until_enough_have_run(
    client, make_batch, service, claim_all, clock
):
    batch_id = make_batch(*[f"{n}.png" for n in range(10)])
    for job in claim_all(2):
        clock.forward(seconds=20)
        service.claims.finish(job, [], {})
    page = html(client.get(f"/batches/{batch_id}"))
    assert page.count("unknown: fewer than 3 have run") == 2
    clock.forward(seconds=20)
    service.claims.finish(claim_all(1)[0], [], {})
    page = html(client.get(f"/batches/{batch_id}"))
    assert "3.0 per minute" in page
    assert re.search(r'id="batch-left">\d+ min to \d+ min<', page)


def test_range_of_the_time_left_narrows_as_jobs_end(service, make_batch, claim_all, clock):
    batch_id = make_batch(*[f"{n}.png" for n in range(40)])
    widths = []
    for _ in range(6):
        for job in claim_all(5):
            clock.forward(seconds=10)
            service.claims.finish(job, [], {})
        batch = service.batches.get(batch_id)
        left = time_left(batch)
        assert left.low_s < batch.eta_s < left.high_s
        widths.append((left.high_s - left.low_s) / batch.eta_s)
    assert widths == sorted(widths, reverse=True)
    service.batches.pause(batch_id)
    assert time_left(service.batches.get(batch_id)) is None


def test_time_runs_from_the_first_job_to_the_last(service, make_batch, claim_all, clock):
    batch_id = make_batch("a.png", "b.png")
    clock.forward(hours=1)

    def elapsed_s():
        return batch_view(service.batches.get(batch_id), clock.now()).elapsed_s

    assert elapsed_s() is None, "waiting is not running"
    one, two = claim_all(2)
    clock.forward(seconds=30)
    assert elapsed_s() == pytest.approx(30, abs=0.1)
    service.claims.finish(one, [], {})
    service.claims.finish(two, [], {})
    clock.forward(hours=1)
    assert elapsed_s() == pytest.approx(30, abs=0.1)


def test_jobs_run_together_are_averaged_over_the_calls(client, service, make_batch, claim_all):
    batch_id = make_batch(*[f"{n}.png" for n in range(5)])
    assert jobs_together(service.store.engine, batch_id) is None
    assert "not measured yet" in html(client.get(f"/batches/{batch_id}"))
    for size, job in zip((4, 4, 4, 4, 1), claim_all(5), strict=True):
        keep_run(service, job, size)
    together = jobs_together(service.store.engine, batch_id)
    assert together.mean == pytest.approx(2.5), "five jobs in two calls"
    assert together.largest == 4
    assert "2.5 at a time on average, 4 at most" in html(client.get(f"/batches/{batch_id}"))


def keep_run(service, job, size):
    service.run_history.record(
        made_profile({"shape_generation": 1.0}), job_id=job.id, pipeline=job.pipeline, engine={},
        settings={}, shape_key="s", batch_size=size,
    )  # fmt: skip


def test_buttons_work_without_javascript(post, service, make_batch):
    batch_id = make_batch("a.png", "b.png")
    for action, state in (
        ("pause", BatchState.PAUSED), ("resume", BatchState.QUEUED),
        ("cancel", BatchState.CANCELED),
    ):  # fmt: skip
        answer = post(f"/batches/{batch_id}/{action}")
        assert (answer.status_code, answer.headers["Location"]) == (303, f"/batches/{batch_id}")
        assert service.batches.get(batch_id).state is state
    assert post(f"/batches/{batch_id}/pause").status_code == 409
    assert post(f"/batches/{batch_id}/explode").status_code == 404
    assert post("/batches/nobody/pause").status_code == 404


def test_buttons_of_a_script_answer_with_the_page_part(client, post, service, make_batch):
    batch_id = make_batch("a.png", "b.png")
    token = {"X-CSRF-Token": csrf(client), **HTMX}
    paused = html(client.post(f"/batches/{batch_id}/pause?status=queued", headers=token))
    assert 'data-status="paused"' in paused
    assert "Resume" in paused
    assert "unknown while paused" in paused
    assert "<html" not in paused
    service.batches.cancel(batch_id)
    refused = client.post(f"/batches/{batch_id}/pause", headers=token)
    assert refused.status_code == 409
    assert refused.headers["HX-Retarget"] == "#batch-message"
    assert "Nothing of the batch waits or runs." in refused.text
    assert client.post(f"/batches/{batch_id}/cancel", headers=HTMX).status_code == 403


def csrf(client):
    client.get("/")
    return client.get_cookie("mk_csrf").value


def test_failed_items_can_be_run_again_and_what_stays_is_told(
    client, service, make_batch, claim_all
):
    batch_id = make_batch("a.png", "b.png", "c.png")
    jobs = claim_all(3)
    for job in jobs[:2]:
        service.claims.fail(job, OutOfMemory("Too large."))
    service.claims.finish(jobs[2], [], {})
    page = html(client.get(f"/batches/{batch_id}"))
    assert "Run the 2 failed again" in page
    assert "batch-poll" not in page, "nothing moves any more"
    assert "batch-hold" not in page
    service.artefacts.remove_inputs(jobs[0].id)
    token = {"X-CSRF-Token": csrf(client), **HTMX}
    again = html(client.post(f"/batches/{batch_id}/retry-failed", headers=token))
    assert tiles(again) == {"a.png": "failed", "b.png": "queued", "c.png": "succeeded"}
    assert "1 failed item stays as it is" in again
    assert "batch-poll" in again
    message = again.partition('<div id="batch-message" hx-swap-oob="innerHTML">')[2]
    assert "1 failed item stays" in message, "outside of what is renewed every two seconds"


def test_what_stays_is_told_without_javascript_too(client, service, make_batch, claim_all):
    batch_id = make_batch("a.png", "b.png", "c.png")
    for job in (jobs := claim_all(3)):
        service.claims.fail(job, OutOfMemory("Too large."))
    for job in jobs[:2]:
        service.artefacts.remove_inputs(job.id)
    token = {"csrf_token": csrf(client)}
    answer = client.post(f"/batches/{batch_id}/retry-failed", data=token)
    assert answer.status_code == 303
    words = "2 failed items stay as they are: no picture, or no room to wait"
    assert words in html(client.get(answer.headers["Location"]))
    assert "failed items stay" not in html(client.get(f"/batches/{batch_id}"))
    for forged in ("-1", "0", "x", "1e9", "9" * 30):
        assert "stay as" not in html(client.get(f"/batches/{batch_id}?left={forged}"))


def test_what_a_batch_was_warned_of_is_told_on_its_page(client, post, service, figure_png):
    made = post("/batches", file=(io.BytesIO(figure_png), "a.png"))  # there is no Redis here
    address = made.headers["Location"]
    assert address.endswith("?note=broker-unavailable")
    words = "The queue did not answer. The jobs are kept and start when it is back."
    assert words in html(client.get(address))
    path = urlsplit(address).path
    assert words not in html(client.get(path))
    assert "Call this number" not in html(client.get(f"{path}?note=Call+this+number"))


def test_results_are_offered_where_there_are_any(client, service, make_batch, claim_all):
    batch_id = make_batch("a.png", "b.png")
    page = html(client.get(f"/batches/{batch_id}"))
    assert "batch-archive" not in page
    service.claims.finish(claim_all(1)[0], [], {})
    page = html(client.get(f"/batches/{batch_id}"))
    links = re.findall(r'class="download"[^>]*href="([^"]+)"', page)
    assert len(links) == 4
    for link in links:
        assert client.get(link).status_code == 200, link


def test_job_and_gallery_lead_to_the_batch(client, service, make_batch, make_job):
    batch_id = make_batch("a.png")
    job_id = service.batches.items(batch_id)[0].job_id
    alone = make_job()
    link = f'href="/batches/{batch_id}"'
    assert link in html(client.get(f"/jobs/{job_id}"))
    assert html(client.get("/gallery")).count(link) == 1
    assert "/batches/" not in html(client.get(f"/jobs/{alone.id}")).partition("<main")[2]


def test_deleted_jobs_leave_a_tile_without_a_link(client, service, make_batch):
    batch_id = make_batch("a.png", "b.png")
    gone = service.batches.items(batch_id)[0].job_id
    service.delete(gone)
    page = html(client.get(f"/batches/{batch_id}"))
    assert tiles(page) == {"a.png": "deleted", "b.png": "queued"}
    assert gone not in page


@pytest.mark.parametrize("path", ["/batches", "/batches/{id}"])
def test_names_are_shown_as_text(client, make_batch, path):
    batch_id = make_batch(f"{HOSTILE}.png", "torn<i>.png", name=HOSTILE)
    page = html(client.get(path.format(id=batch_id)))
    assert HOSTILE not in page
    assert "&lt;img src=x" in page
    assert "torn<i>" not in page


def test_pages_are_not_kept_by_the_browser(client, make_batch):
    batch_id = make_batch("a.png")
    for path in ("/batches", f"/batches/{batch_id}"):
        assert "no-store" in client.get(path).headers["Cache-Control"]


def test_unknown_batch_is_a_page_that_says_so(client):
    answer = client.get("/batches/nobody", headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "There is no such batch." in answer.text


def test_members_see_and_change_their_own_batches_only(tmp_path, figure_png):
    with serving(tmp_path, require_key=True) as server:
        ann, token = logged_in(server, Caller(server, "ann").secret)
        ben, other_token = logged_in(server, Caller(server, "ben").secret)
        form = {"csrf_token": token, "file": (io.BytesIO(figure_png), "a.png"), "name": "Ann's"}
        made = ann.post("/batches", data=form)
        assert made.status_code == 303, made.text
        address = urlsplit(made.headers["Location"]).path
        assert "Ann&#39;s" in html(ann.get(address))
        assert ann.post(f"{address}/pause", data={"csrf_token": token}).status_code == 303
        assert "No batches yet" in html(ben.get("/batches"))
        for path in (address, f"{address}/live"):
            assert ben.get(path).status_code == 404
        answer = ben.post(f"{address}/resume", data={"csrf_token": other_token})
        assert answer.status_code == 404


def test_the_examples_hold():
    outcome = doctest.testmod(batches_view)
    assert outcome.attempted
    assert not outcome.failed
