"""The web process: REST, sockets and pages. Never imports torch or an engine."""
