"""Whose turn it is: which tenants have something to deliver, and which worker sees to each."""
