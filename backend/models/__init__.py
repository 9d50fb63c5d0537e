"""Networks written from descriptions of published models, and the reading of their weights."""
