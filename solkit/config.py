"""`sol.config`: the few settings of solkit, each checked when it is set.

sol.config["threads"] = 1
sol.config.print()
"""

import logging
import os
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from solkit.errors import ConfigError

log = logging.getLogger("solkit")

LEVELS = ("TRACE", "DEBUG", "INFO", "WARNING", "ERROR")
logging.addLevelName(5, "TRACE")


@dataclass(frozen=True)
class Option:
    """One row of the table of settings; `check` says whether a value is allowed, `allowed` says it in words."""

    name: str
    default: Any
    check: Callable[[Any], bool]
    allowed: str
    meaning: str


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1024


OPTIONS = {
    option.name: option
    for option in (
        Option(
            "compiler::name",
            None,
            lambda v: v is None or (isinstance(v, str) and v.strip() != ""),
            "None or a command line such as 'gcc-13'",
            "C compiler; None takes $CC, gcc, clang or the ziglang wheel, the first there is",
        ),
        Option(
            "autotuning",
            "on",
            lambda v: v in ("off", "on", "full"),
            "'off', 'on' or 'full'",
            "measure implementations against each other once per shape and machine; 'full' tries more of them",
        ),
        Option(
            "cache::path",
            None,
            lambda v: v is None or isinstance(v, (str, os.PathLike)),
            "None or a folder",
            "compiled models; None takes $SOL_CACHE_DIR or the user's cache folder",
        ),
        Option(
            "threads",
            None,
            lambda v: v is None or _is_count(v),
            "None or a whole number from 1 to 1024",
            "threads of a call; None follows torch.get_num_threads()",
        ),
        Option(
            "verify",
            True,
            lambda v: isinstance(v, bool),
            "True or False",
            "compare with PyTorch on the example inputs before a model is handed out",
        ),
        Option(
            "compiler::debug",
            None,
            lambda v: v is None or isinstance(v, (str, os.PathLike)),
            "None or a folder",
            "where to write each model's graph, C files and explain() when it is compiled",
        ),
        Option(
            "compiler::debug_memory_consumption",
            False,
            lambda v: isinstance(v, bool),
            "True or False",
            "write a picture of the memory: memory.html in compiler::debug, or beside the program in the cache",
        ),
        Option(
            "log::level",
            "WARNING",
            lambda v: v in LEVELS,
            "one of " + ", ".join(LEVELS),
            "what is logged; $SOL_LOG sets it at start",
        ),
    )
}


class Config(MutableMapping):
    """Settings by name, as a mapping that refuses unknown names and values.

    Raises:
        ConfigError: for a name that is not in the table or a value the option cannot take.
    """

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def _option(self, name: str) -> Option:
        if name not in OPTIONS:
            near = get_close_matches(str(name), OPTIONS, n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(OPTIONS)}"
            raise ConfigError(f"sol.config has no option {name!r}{hint}")
        return OPTIONS[name]

    def __getitem__(self, name: str) -> Any:
        return self._values.get(name, self._option(name).default)

    def __setitem__(self, name: str, value: Any) -> None:
        option = self._option(name)
        if not option.check(value):
            raise ConfigError(f"sol.config[{name!r}] cannot be {value!r}: it takes {option.allowed}")
        self._values[name] = value
        if name == "log::level":
            _set_level(value)

    def __delitem__(self, name: str) -> None:
        """Back to the default."""
        self._values.pop(self._option(name).name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(OPTIONS)

    def __len__(self) -> int:
        return len(OPTIONS)

    def print(self) -> None:
        """Print every option with its value and meaning."""
        width = max(map(len, OPTIONS))
        for option in OPTIONS.values():
            print(f"{option.name:{width}}  {self[option.name]!r:10}  {option.meaning}")


def _set_level(level: str) -> None:
    log.setLevel(level)
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("[solkit] %(levelname)s %(message)s"))
        log.addHandler(handler)
        log.propagate = False


config = Config()
if os.environ.get("SOL_LOG"):
    config["log::level"] = os.environ["SOL_LOG"].upper()
