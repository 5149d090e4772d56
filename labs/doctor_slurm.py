"""What `aurora doctor` says of Slurm: on a login node, whether the site's settings fit; in a job, what it was given."""

import os

from labs import tools
from labs.doctor_checks import Finding


def slurm() -> Finding:
    """Whether a Slurm answers, and what one is to know of it here."""
    if os.environ.get("SLURM_JOB_ID"):
        return _in_job()
    path, tool = tools.find("slurm"), tools.TOOLS["slurm"]
    if path is None:
        return "missing", f"no {tool.programs[0]}; it is for {tool.use}", tool.fix
    from aurora_kernels.jupyter import site, slurm

    try:
        found = slurm.call("sinfo", "--all", "--noheader", "--format=%P", seconds=10)  # the default has a star
    except slurm.SlurmError as error:
        return "missing", f"{path}, but no Slurm answers: {str(error).splitlines()[0]}", tool.fix
    partitions = [name.rstrip("*") for name in found.split()]
    detail = f"{path}, partitions {', '.join(partitions) or 'none'}"
    try:
        file = site.find()
        wanted = site.read(file)["PARTITION"]
    except site.SiteError as error:
        return "wrong", f"{detail}; {error}", "aurora slurm submit --dry-run sol_lab"
    unknown = [name for name in wanted.split(",") if name and name not in partitions]
    if unknown and partitions:
        return "wrong", f"{detail}; there is no partition {', '.join(unknown)}", f"set PARTITION in {file}"
    return "ok", detail, ""


def _in_job() -> Finding:
    """What the job has been given; it can be too little for what is to run, but that is not wrong."""
    from aurora_kernels.jupyter import slurm

    given = os.environ.get
    number = given("SLURM_JOB_ID", "")
    if given("SLURM_ARRAY_JOB_ID"):
        number = f"{given('SLURM_ARRAY_JOB_ID')}_{given('SLURM_ARRAY_TASK_ID')}"
    tasks, each, all_of_them = (given(f"SLURM_{name}", "") for name in ("NTASKS", "CPUS_PER_TASK", "CPUS_ON_NODE"))
    words = [
        f"in job {number} on {given('SLURM_JOB_NODELIST') or given('SLURMD_NODENAME') or '?'}",
        f"partition {given('SLURM_JOB_PARTITION', '?')}",
        f"{_count(tasks or '1', 'task')} of {_count(each, 'core')}"
        if each
        else f"{_count(all_of_them, 'core')} on this node",
    ]
    if given("SLURM_MEM_PER_NODE", "").isdigit():
        words.append(f"{int(given('SLURM_MEM_PER_NODE', '')) / 1024:.1f} GiB of memory")
    try:
        job = slurm.queued(number)
    except slurm.SlurmError as error:
        return "wrong", f"{', '.join(words)}; Slurm does not answer: {str(error).splitlines()[0]}", "scontrol ping"
    if job and job.end:
        words.append(f"until {job.end:%H:%M on %d %b}")
    return "ok", ", ".join(words), ""


def _count(number: str, what: str) -> str:
    return f"{number} {what}" if number == "1" else f"{number} {what}s"
