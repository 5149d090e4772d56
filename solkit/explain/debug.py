"""`sol.config["compiler::debug"]`: what the compiler made of a model, as files to read."""

from pathlib import Path

from solkit.config import config, log
from solkit.errors import ConfigError
from solkit.explain.explanation import Explanation
from solkit.explain.svg import page
from solkit.ir import Graph, Value
from solkit.runtime.engine import Engine


def listing(graph: Graph) -> str:
    """The graph as text: every value with its type and layout, every node with its attributes and layer."""
    names = {value: name for name, value in graph.parameters.items()}
    lines = [f"{_made(value)} = input" for value in graph.inputs]
    lines += [f"{_made(value)} = parameter {name}" for value, name in names.items()]
    lines += [f"{_made(value)} = constant" for value, _ in graph.constants.values()]
    for node in graph.nodes:
        read = [f"%{value.name}" for value in node.inputs]
        read += [f"{name}={value!r}" for name, value in node.attributes.items()]
        layer = f"  # {node.layer}" if node.layer else ""
        lines.append(f"{', '.join(map(_made, node.outputs))} = {node.op}({', '.join(read)}){layer}")
    return "\n".join([*lines, "return " + ", ".join(f"%{value.name}" for value in graph.outputs)]) + "\n"


def _made(value: Value) -> str:
    layout = "" if str(value.layout) == "plain" else f" {value.layout}"
    return f"{value!r}{layout}"


def write_debug(folder: str | Path | None, model: str, before: str, engine: Engine) -> None:
    """Write what `compiler::debug` and `compiler::debug_memory_consumption` ask for.

    Into `folder`/MODEL-KEY, KEY being the first figures of the compiled program's key in the cache: graph_before.txt,
    graph_after.txt (after all passes), the generated C files in source/, and explain.html. memory.html goes there too,
    or, without a folder, beside the compiled program in the cache.

    Args:
        folder: where to; None writes no more than memory.html.
        model: name of the model's class.
        before: `listing` of the graph before the passes.
        engine: the compiled model.
    Raises:
        ConfigError: a file cannot be written.
    """
    entry = engine.library.path.parent
    place = entry if folder is None else Path(folder).expanduser() / f"{model}-{entry.name[:8]}"
    explanation = Explanation(engine)
    files: dict[str, str] = {}
    if folder is not None:
        files = {
            "graph_before.txt": before,
            "graph_after.txt": listing(engine.graph),
            "explain.html": page(f"{model}: clusters", explanation.to_html()),
            **{f"source/{name}": text for name, text in engine.program.sources.items()},
        }
    if config["compiler::debug_memory_consumption"]:
        files["memory.html"] = page(f"{model}: memory", explanation.memory().to_html())
    try:
        for name, text in files.items():
            path = place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot write {place} ({error.strerror}): set sol.config['compiler::debug'] to a folder you can write"
        ) from error
    if files:
        log.info("wrote %s into %s", ", ".join(files), place)
