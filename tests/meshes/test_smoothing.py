from __future__ import annotations

import numpy as np

from backend.meshes.smoothing import taubin
from tests.meshes.solids import sphere


def test_noise_goes_and_the_volume_stays():
    ball = sphere(subdivisions=4)
    rng = np.random.default_rng(3)
    noisy = ball.with_vertices(ball.vertices + rng.normal(0, 0.01, ball.vertices.shape))
    smooth = taubin(noisy, 6)
    rough_before = np.linalg.norm(noisy.vertices, axis=1).std()
    rough_after = np.linalg.norm(smooth.vertices, axis=1).std()
    assert rough_after < 0.5 * rough_before
    assert abs(smooth.volume() / ball.volume() - 1) < 0.03
    assert (smooth.faces == ball.faces).all()
