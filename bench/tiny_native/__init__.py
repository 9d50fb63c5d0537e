"""A tiny engine of random networks, for tests and benches; it is no product and learns nothing."""
