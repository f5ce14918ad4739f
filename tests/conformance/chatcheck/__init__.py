"""Conformance suite of the chat protocol: it knows SPEC.md and a URL, nothing of the server's source."""
