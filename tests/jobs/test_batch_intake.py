from __future__ import annotations

import threading

import pytest

from backend.errors import ImageCorrupt, StorageFull
from backend.jobs.batches.drafts import ItemDraft
from backend.jobs.batches.intake import READ_AHEAD, Intake

PATIENCE_S = 10


@pytest.fixture
def intake(service):
    return Intake(service.artefacts, service.clock, threads=2)


@pytest.fixture
def draft(service):
    """Makes an item of a name and of what reads its picture."""

    def made(name, read=lambda: b"pixels", on_make=lambda: None):
        def make(batch_id):
            on_make()
            new = service.prepare("image_to_3d", {"preset": "draft"}, name, batch_id=batch_id)
            return new, lambda: {"image.png": read()}

        return ItemDraft(name, make)

    return made


def failing(error):
    def fail():
        raise error

    return fail


def test_items_keep_their_order_though_a_later_one_is_ready_first(intake, draft, service):
    second_done = threading.Event()

    def slow():
        assert second_done.wait(PATIENCE_S)
        return b"slow"

    def quick():
        second_done.set()
        return b"quick"

    items = intake.take("b", [draft("slow", slow), draft("quick", quick)])
    assert [item.custom_id for item in items] == ["slow", "quick"]
    stored = [service.artefacts.input_path(item.job.id, "image.png") for item in items]
    assert [path.read_bytes() for path in stored] == [b"slow", b"quick"]
    assert items[0].job.inputs == ("image.png",)


def test_jobs_of_one_moment_start_in_the_order_of_the_items(intake, draft):
    items = intake.take("b", [draft(f"n{number}") for number in range(20)])
    ids = [item.job.id for item in items]
    assert ids == sorted(ids)


def test_a_problem_stays_with_its_item(intake, draft):
    torn = failing(ImageCorrupt("It is torn."))
    items = intake.take("b", [draft("a"), draft("b", torn), draft("c", on_make=torn), draft("d")])
    assert [item.problem and item.problem["detail"] for item in items] == [
        None, "It is torn.", "It is torn.", None,
    ]  # fmt: skip
    assert [item.job is None for item in items] == [False, True, True, False]


def test_requests_are_read_in_their_own_thread_and_few_pictures_ahead(intake, draft):
    here = threading.current_thread()
    lock = threading.Lock()
    held = most = 0

    def made():
        nonlocal held, most
        assert threading.current_thread() is here
        with lock:
            held += 1
            most = max(most, held)

    def read():
        nonlocal held
        assert threading.current_thread() is not here
        with lock:
            held -= 1
        return b"pixels"

    intake.take("b", [draft(f"n{number}", read, made) for number in range(40)])
    assert most <= 2 + READ_AHEAD


def test_a_full_disk_ends_all_and_leaves_no_file(intake, draft, service):
    other_begun = threading.Event()

    def full():
        assert other_begun.wait(PATIENCE_S)
        raise StorageFull

    def begun():
        other_begun.set()
        return b"pixels"

    drafts = [draft("done"), draft("full", full), draft("other", begun), draft("never")]
    with pytest.raises(StorageFull):
        intake.take("b", drafts)
    assert list(service.artefacts.job_ids()) == []
