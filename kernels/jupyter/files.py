"""Files that nobody else may read."""

import json
import os
from pathlib import Path


def write_private(path: Path, content: dict) -> None:
    """Write JSON that only its owner may read; whole or not at all, so that no reader sees half of it."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(content, file)
    new.replace(path)
