"""Heliograph as the clients of other platforms know theirs: they parse and render, and decide nothing."""
