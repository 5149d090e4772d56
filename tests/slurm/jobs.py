"""A template, submitted as a learner does it."""

import re
import time
from pathlib import Path


class Job:
    """A submitted template: its number, its log, its folder of results."""

    def __init__(self, cluster, repository, template: str, *arguments: str, environment: dict | None = None) -> None:
        self.cluster, self.repository, self.name = cluster, repository, template.removesuffix(".sh")
        done = repository.run(template, *arguments, environment=environment or cluster.environment)
        assert done.returncode == 0, done.stdout + done.stderr
        self.said = done.stdout
        self.number = re.search(r"Submitted batch job (\d+)", done.stdout)[1]
        self.results = repository.results / f"{self.name}-{self.number}"

    @property
    def log(self) -> str:
        """What is in its log so far."""
        path = self.repository.root / f"{self.name}-{self.number}.log"
        return path.read_text() if path.exists() else ""

    def ends(self, *states: str) -> dict[str, str]:
        """Wait for its end, in one of the states (COMPLETED), and return what Slurm knows of it."""
        found = self.cluster.wait_for(self.number, "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT")
        assert found["JobState"] in (states or ("COMPLETED",)), self.log
        return found

    def wait(self, path: Path, seconds: float = 120) -> None:
        """Wait for a file."""
        end = time.monotonic() + seconds
        while not path.exists():
            assert time.monotonic() < end, self.log
            time.sleep(0.2)

    def left(self) -> list[str]:
        """The processes of this job that still run."""
        found = []
        for place in Path("/proc").glob("[0-9]*/environ"):
            try:
                variables = place.read_bytes().split(b"\0")
            except OSError:
                continue
            if f"SLURM_JOB_ID={self.number}".encode() in variables:
                found.append(place.parent.name)
        return found
