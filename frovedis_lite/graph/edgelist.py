"""Edge lists in text files, with networkx' parameters."""

import ast
import importlib
import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from frovedis_lite.graph.graph import Graph


def read_edgelist(
    path: "str | os.PathLike[str]",
    comments: str | None = "#",
    delimiter: str | None = None,
    create_using: Any = None,
    nodetype: Callable[[str], Any] | None = None,
    data: bool | Sequence[tuple[str, Callable[[str], Any]]] = True,
    edgetype: Any = None,
    encoding: str = "utf-8",
) -> Graph:
    """A graph from a text file with an edge per line: two nodes, and perhaps what belongs to the edge.

    Args:
        path: the file; .gz, .bz2 and .xz are unpacked.
        comments: what begins a comment.
        delimiter: what stands between columns; None: white space.
        create_using: networkx.DiGraph or an instance of it for a directed graph; None or networkx.Graph: undirected.
        nodetype: makes a node of its text, int for example; None: the text itself.
        data: True: Python dicts, whose "weight" is the weight; False: nothing that follows the nodes is read; or one
            pair of an attribute's name and what makes a number of its text, like [("weight", float)].
        edgetype: networkx' parameter; only None.

    Raises:
        ValueError: a line that is no edge, with its number; several attributes; create_using allows parallel edges.
        TypeError: a node's text that `nodetype` does not take.
    """
    if edgetype is not None:
        raise NotImplementedError("edgetype: say data=[('weight', float)]")
    if not isinstance(data, bool) and len(data) != 1:
        raise ValueError(f"a Graph has one weight per edge, not {len(data)} attributes: {[name for name, _ in data]}")
    directed = _is_directed(create_using)
    weight = "weight" if isinstance(data, bool) else data[0][0]
    columns = None
    if nodetype is int and (delimiter is None or len(delimiter) == 1):
        columns = _numbers(path, comments, delimiter, data, encoding)
    source, target, weights = columns or _lines(path, comments, delimiter, nodetype, data, encoding)
    made = Graph.from_edges(source, target, weights, directed=directed)
    made.weight = weight
    return made


def read_weighted_edgelist(
    path: "str | os.PathLike[str]",
    comments: str | None = "#",
    delimiter: str | None = None,
    create_using: Any = None,
    nodetype: Callable[[str], Any] | None = None,
    encoding: str = "utf-8",
) -> Graph:
    """The same where the third column is the weight."""
    data = [("weight", float)]
    return read_edgelist(path, comments, delimiter, create_using, nodetype, data, encoding=encoding)


def _is_directed(create_using: Any) -> bool:
    if create_using is None:
        return False
    made = create_using() if isinstance(create_using, type) else create_using
    if getattr(made, "is_multigraph", lambda: False)():
        raise ValueError("create_using: a Graph has no parallel edges; give networkx.Graph or networkx.DiGraph")
    return bool(made.is_directed())


def _numbers(path: Any, comments: str | None, delimiter: str | None, data: Any, encoding: str) -> Any:
    """The columns of a file of nothing but numbers; None if it is another, which is then read line by line."""
    weighted = not isinstance(data, bool) and data[0][1] in (int, float)
    if not weighted and data not in (True, False):
        return None
    kind = [("source", np.int64), ("target", np.int64)]
    if weighted:
        kind.append(("weight", np.float64))
    options = {"comments": comments, "delimiter": delimiter, "encoding": encoding, "ndmin": 1}
    try:
        if data is False:
            options["usecols"] = (0, 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a file without edges
            table = np.loadtxt(path, dtype=np.dtype(kind), **options)
    except ValueError:
        return None
    weights = np.ascontiguousarray(table["weight"]) if weighted else None
    return np.ascontiguousarray(table["source"]), np.ascontiguousarray(table["target"]), weights


def _lines(path: Any, comments: str | None, delimiter: str | None, nodetype: Any, data: Any, encoding: str) -> Any:
    source, target, weights = [], [], []
    with _opened(path, encoding) as file:
        for count, line in enumerate(file, 1):
            text = line.split(comments, 1)[0] if comments else line
            fields = text.strip().split(delimiter)
            if len(fields) < 2:
                if text.strip():
                    raise ValueError(f"{os.fspath(path)}, line {count}: two nodes are expected, not {text.strip()!r}")
                continue
            try:
                source.append(fields[0] if nodetype is None else nodetype(fields[0]))
                target.append(fields[1] if nodetype is None else nodetype(fields[1]))
            except Exception as error:
                where = f"{os.fspath(path)}, line {count}"
                raise TypeError(f"{where}: {fields[:2]} are not both a {nodetype}: {error}") from error
            weights.append(_weight(fields[2:], delimiter, data, f"{os.fspath(path)}, line {count}"))
    weighted = any(weight != 1 for weight in weights)
    return source, target, np.array(weights, float) if weighted else None


def _opened(path: Any, encoding: str) -> Any:
    module = {".gz": "gzip", ".bz2": "bz2", ".xz": "lzma"}.get(os.path.splitext(os.fspath(path))[1], "io")
    return importlib.import_module(module).open(path, "rt", encoding=encoding)


def _weight(fields: list[str], delimiter: str | None, data: Any, where: str) -> float:
    """What the columns behind the nodes say."""
    if data is False or (data is True and not fields):
        return 1
    try:
        if data is True:
            return float(ast.literal_eval((delimiter or " ").join(fields)).get("weight", 1))
        (text,) = fields
        return float(data[0][1](text))
    except (ValueError, SyntaxError, AttributeError, TypeError) as error:
        raise ValueError(f"{where}: {fields} is not what data={data} expects: {error}") from error
