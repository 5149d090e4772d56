"""Code for many shapes of a model: made from samples of them, and found again for others without a compiler."""

from collections.abc import Callable, Iterable

from solkit import clusters, passes
from solkit.clusters import Cluster
from solkit.codegen import Program, generate
from solkit.codegen.pattern import Pattern
from solkit.config import log
from solkit.ir import Graph
from solkit.target import Target

Tune = Callable[[list[Cluster]], None]  # sets the choices of a graph's clusters


class Patterns:
    """The patterns of one model, each for calls that differ in nothing but sizes that vary."""

    def __init__(self) -> None:
        self._known: list[_Kept] = []
        self._hope = True  # that a pattern can be made

    def program(
        self, graph: Graph, target: Target, tune: Tune, samples: Iterable[Graph]
    ) -> tuple[list[Cluster], Program]:
        """The clusters of a graph, and its program: of a pattern that fits, or a new one, or for its shape alone.

        Args:
            graph: as the passes leave it. Its values are marked with the sizes that vary.
            samples: the graphs for other shapes, as they are captured.
        """
        for kept in self._known:
            made = kept.fit(graph, target)
            if made is not None:
                return made
        kept = _Kept.of(graph, target, tune, samples) if self._hope else None
        if kept is not None and (made := kept.fit(graph, target)) is not None:
            self._known.append(kept)
            return made
        self._hope = kept is not None
        _mark(graph, None)
        parts = clusters.partition(graph)
        tune(parts)
        return parts, generate(parts, target)


class _Kept:
    """A pattern, the sizes that vary in it, and the implementations chosen."""

    def __init__(self, pattern: Pattern, marks: list[frozenset[int]], choices: list[str | None]) -> None:
        self._pattern, self._marks, self._choices = pattern, marks, choices

    @classmethod
    def of(cls, graph: Graph, target: Target, tune: Tune, samples: Iterable[Graph]) -> "_Kept | None":
        graphs = [graph]
        for other in samples:
            passes.optimize(other, target=target)
            graphs.append(other)
        marks = _marks(graphs)
        if len(graphs) < 2 or marks is None:
            log.info("no code for many shapes: the graph for another is another one")
            return None
        programs, choices = [], None
        for other in graphs:
            parts = _parts(other, marks)
            if choices is None:
                tune(parts)
                choices = [part.choice for part in parts]
            elif len(parts) != len(choices):
                return None
            _choose(parts, choices)
            programs.append(generate(parts, target))
        pattern = Pattern.of(programs)
        return None if pattern is None else cls(pattern, marks, choices)

    def fit(self, graph: Graph, target: Target) -> tuple[list[Cluster], Program] | None:
        if len(list(graph.values())) != len(self._marks):
            return None
        parts = _parts(graph, self._marks)
        if len(parts) != len(self._choices):
            return None
        _choose(parts, self._choices)
        program = self._pattern.fit(generate(parts, target))
        return None if program is None else (parts, program)


def _marks(graphs: list[Graph]) -> list[frozenset[int]] | None:
    """For each value the dimensions whose size is not the same in all graphs; None where they do not have the same
    values."""
    made = []
    columns = [list(graph.values()) for graph in graphs]
    if len({len(column) for column in columns}) > 1:
        return None
    for values in zip(*columns, strict=True):
        shapes = [value.shape for value in values]
        if len({(len(shape), value.layout) for shape, value in zip(shapes, values, strict=True)}) > 1:
            return None
        made.append(frozenset(dim for dim, sizes in enumerate(zip(*shapes, strict=True)) if len(set(sizes)) > 1))
    return made


def _mark(graph: Graph, marks: list[frozenset[int]] | None) -> None:
    for index, value in enumerate(graph.values()):
        value.varying = marks[index] if marks is not None else frozenset()


def _parts(graph: Graph, marks: list[frozenset[int]]) -> list[Cluster]:
    _mark(graph, marks)
    return clusters.partition(graph)


def _choose(parts: list[Cluster], choices: list[str | None]) -> None:
    for part, choice in zip(parts, choices, strict=True):
        part.choice = choice
