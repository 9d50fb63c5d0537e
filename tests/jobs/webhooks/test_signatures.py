"""Signatures as in Standard Webhooks, and the secret they are made with."""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
from email.message import Message

import pytest

from backend.errors import (
    StartFailed,
)
from backend.jobs.webhooks.secret_file import SecretFile
from backend.jobs.webhooks.signatures import signature_headers
from examples.receive_webhook import is_genuine


def test_the_signature_is_that_of_the_standard():
    """Source: the example of the specification's reference libraries."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    made = signature_headers(
        [secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert made["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_message_that_was_changed_or_is_old_is_not_genuine():
    secret = "whsec_" + base64.b64encode(b"k" * 32).decode()
    headers = Message()
    for name, value in signature_headers([secret], "a", 1000, b"{}").items():
        headers[name.title()] = value
    assert is_genuine(secret, headers, b"{}", 1299)
    assert not is_genuine(secret, headers, b"{ }", 1000)
    assert not is_genuine(secret, headers, b"{}", 1301)
    assert not is_genuine(secret, headers, b"{}", 699)
    assert not is_genuine("whsec_" + base64.b64encode(b"j" * 32).decode(), headers, b"{}", 1000)
    assert not is_genuine(secret, Message(), b"{}", 1000)


def test_a_rotated_secret_signs_beside_the_new_one_until_it_is_dropped(tmp_path):
    file = SecretFile(tmp_path)
    (old,) = file.secrets()
    assert len(base64.b64decode(old.removeprefix("whsec_"))) == 32
    assert (tmp_path / "webhook_secret").stat().st_mode & 0o777 == 0o600
    new = file.rotate()
    assert file.secrets() == [new, old]
    made = signature_headers(file.secrets(), "a", 1, b"{}")["webhook-signature"].split(" ")
    expected = hmac.digest(base64.b64decode(old[6:]), b"a.1.{}", hashlib.sha256)
    assert made[1] == "v1," + base64.b64encode(expected).decode()
    file.drop_old()
    assert SecretFile(tmp_path).secrets() == [new]
    assert (tmp_path / "webhook_secret").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["webhook_secret"]


def test_processes_that_start_together_agree_on_one_secret(tmp_path):
    found, start = [], threading.Barrier(8)

    def run():
        start.wait()
        found.extend(SecretFile(tmp_path).secrets())

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_a_secret_file_that_holds_none_is_told(tmp_path):
    (tmp_path / "webhook_secret").write_text("hello\n")
    with pytest.raises(StartFailed, match="holds no webhook secret"):
        SecretFile(tmp_path).secrets()
