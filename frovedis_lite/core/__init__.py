"""Distributed vectors: any function, on elements that lie on many ranks.

The vector of the first hour of every Frovedis workshop is scattered, mapped and reduced:

    >>> from frovedis_lite.core import broadcast, scatter
    >>> numbers = scatter([1, 2, 3, 4, 5, 6, 7, 8])
    >>> numbers.map(lambda x: 2 * x).gather()
    array([ 2,  4,  6,  8, 10, 12, 14, 16])
    >>> numbers.map(lambda x: 2 * x).reduce(lambda x, y: x + y)
    72

The second hour counts words, which meet by their hash on one rank each:

    >>> lines = scatter(["the quick brown fox", "jumps over the lazy dog", "the end"])
    >>> counts = lines.flat_map(str.split).map(lambda word: (word, 1)).reduce_by_key(lambda x, y: x + y)
    >>> counts.as_dvector().sort(key=lambda pair: pair[1], reverse=True).first(2)
    [('the', 3), ('quick', 1)]
    >>> counts["fox"]
    1

(`load_lines` reads the lines of a file.) A table that all ranks read is broadcast, and is an argument of the function:

    >>> prices = broadcast({"apple": 10, "grape": 30})
    >>> scatter(["grape", "apple", "grape"]).map(lambda fruit, price: price[fruit], prices).sum()
    70

Everything runs in this process, or on MPI's ranks: under `mpiexec` and `srun`, or after `FrovedisServer.initialize`.
"""

from frovedis_lite.core.maps import dunordered_map
from frovedis_lite.core.per_rank import broadcast, make_node_local, node_local
from frovedis_lite.core.text import load_lines
from frovedis_lite.core.vector import dvector, scatter

__all__ = ["broadcast", "dunordered_map", "dvector", "load_lines", "make_node_local", "node_local", "scatter"]
