"""Seam's public HTTP API below `/seam`, as far as Heliograph has what it speaks of."""
