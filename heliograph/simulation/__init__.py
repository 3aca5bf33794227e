"""A fleet that is played against a server: what happens is decided here, without one, and carried out over its API.

What is decided depends on the number of players and locks and on the seed alone, and each step says what the server
must answer and put on record. So playing is also a test of the server, from outside.
"""
