from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import InvalidParameter
from backend.gpu import shape_buckets
from backend.gpu.shape_buckets import bucket_of, buckets_between, padding_share

COUNTS = st.integers(1, 10**6)
SHARES = st.floats(0, 0.99)


def test_the_examples_of_the_docstrings():
    outcome = doctest.testmod(shape_buckets)
    assert outcome.attempted >= 4
    assert outcome.failed == 0


@given(COUNTS, SHARES)
def test_a_bucket_holds_its_tokens_with_little_padding_and_is_its_own_bucket(tokens, share):
    bucket = bucket_of(tokens, share)
    assert bucket >= tokens
    assert padding_share(tokens, bucket) <= share
    assert bucket_of(bucket, share) == bucket


@given(COUNTS, COUNTS, SHARES)
def test_more_tokens_never_get_a_smaller_bucket(one, other, share):
    low, high = sorted((one, other))
    assert bucket_of(low, share) <= bucket_of(high, share)


@pytest.mark.parametrize("share", [0.05, 0.125, 0.5])
def test_there_are_few_buckets_between_two_powers_of_two(share):
    buckets = buckets_between(4097, 8192, share)
    assert len(buckets) <= 2 / share
    assert buckets == sorted({bucket_of(n, share) for n in range(4097, 8193)})


@pytest.mark.parametrize(("tokens", "share"), [(0, 0.1), (-3, 0.1), (5, 1.0), (5, -0.1)])
def test_nonsense_is_refused(tokens, share):
    with pytest.raises(InvalidParameter):
        bucket_of(tokens, share)
