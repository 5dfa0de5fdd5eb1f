"""How fast is it?  `python -m tests.bench` measures every row in one interleaved run and prints a table.

traffic  what is sent: signed events of many subscriptions in order, reads with tokens
load     the client: one process, raw sockets, everything prepared before the clock starts
subjects what is measured: each a server of its own, started once and driven in turns
streams, inside   the rows that are no request load: open streams, `decide` alone, start-up
rivals/  what a user would otherwise run, in an environment of its own
"""
