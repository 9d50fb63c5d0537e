"""Webhooks: the end of a job or batch is told to an address that its user named."""
