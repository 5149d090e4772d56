"""Minimizing sums over the rows of all ranks: objectives, and what finds their minimum.

Every rank runs the same iteration on the same numbers, which come from `allreduce`; only a pass over the rows differs.
"""
