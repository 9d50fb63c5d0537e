from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from backend.meshes.texturing.unseen_colour.faces import find_faces
from backend.meshes.texturing.unseen_colour.picture_islands import find_regions

FACE = (slice(40, 100), slice(114, 172))  # of the astronaut, at 320 pixels


@pytest.fixture(scope="module")
def astronaut():
    """NASA's portrait of Eileen Collins, in the public domain; scikit-image brings it."""
    return cv2.resize(data.astronaut(), (320, 320), interpolation=cv2.INTER_AREA)


def test_a_face_is_found_and_little_else(astronaut):
    found = find_faces(astronaut)
    assert found[FACE].mean() > 0.7
    found[FACE] = False
    assert found.mean() < 0.02


def test_what_has_no_face_has_none():
    rows, columns = np.indices((200, 200))
    plain = np.full((200, 200, 3), 120, dtype=np.uint8)
    chequered = np.repeat(((rows // 9 + columns // 9) % 2 * 200)[..., None], 3, axis=2)
    assert not find_faces(plain).any()
    assert not find_faces(chequered.astype(np.uint8)).any()


@pytest.mark.parametrize("shape", [(1, 1), (12, 300), (300, 12), (24, 24)])
def test_pictures_too_small_for_a_face_have_none(shape):
    assert not find_faces(np.full((*shape, 3), 90, dtype=np.uint8)).any()


def test_a_face_is_not_expected_behind_though_its_skin_goes_round(astronaut):
    """As that of a statue does, of which the eyes alone are islands."""
    face = cv2.ellipse(np.zeros((320, 320), np.float32), (143, 70), (26, 34), 0, 0, 360, 1, -1)
    share = cv2.GaussianBlur(face, (0, 0), 3)[..., None]
    skin = astronaut[60:85, 135:150].reshape(-1, 3).mean(axis=0)
    statue = np.round(share * astronaut + (1 - share) * skin).astype(np.uint8)
    body = np.zeros((320, 320), dtype=bool)
    body[10:200, 60:230] = True
    assert find_regions(statue, body).islands[find_faces(statue)].mean() > 0.95
