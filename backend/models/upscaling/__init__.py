"""Makes pictures larger."""
