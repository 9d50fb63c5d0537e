from __future__ import annotations

import pytest

from backend.jobs.gpu_failures import PREFIX, WINDOW_S, failure_reason, note_failure

from .scratch_redis import scratch_redis

pytestmark = pytest.mark.server


@pytest.fixture
def client(tmp_path):
    with scratch_redis(tmp_path) as made:
        yield made


def test_a_card_is_left_alone_when_several_jobs_lost_it_not_one_job_often(client):
    for _ in range(5):
        note_failure(client, "GPU-1", "poisonous")
    assert failure_reason(client, "GPU-1") is None
    client.expire(PREFIX + "GPU-1", 100)
    note_failure(client, "GPU-1", "second")
    note_failure(client, "GPU-1", "third")
    assert "3 jobs lost it" in failure_reason(client, "GPU-1")
    assert client.ttl(PREFIX + "GPU-1") <= 100 < WINDOW_S, "the window does not slide"
    assert failure_reason(client, "GPU-2") is None
