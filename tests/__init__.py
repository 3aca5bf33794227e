"""Tests, by package; `contract`, `conformance`, `stories`, `crash` and `rules` cut across packages."""
