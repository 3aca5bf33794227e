"""Heliograph: a self-hosted, multi-tenant event platform for connected devices."""

__version__ = "0.1.0"
