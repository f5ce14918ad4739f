"""Proof by force: nodes, Redis, links and clients are broken at random, and nothing may be lost."""
