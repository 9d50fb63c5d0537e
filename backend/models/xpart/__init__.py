"""X-Part: from the boxes of an object's parts to closed shapes of them."""
