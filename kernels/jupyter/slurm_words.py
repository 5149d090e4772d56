"""What Slurm's states and reasons mean, and what one can do about them, in plain words."""

from aurora_kernels.jupyter.slurm import Job

# The first that the reason begins with counts.
REASONS = {
    "None": "Slurm has not looked at it yet",
    "Resources": "it is next, as soon as enough is free",
    "Priority": "others are before it in the queue",
    "DependencyNeverSatisfied": "it waits for a job that has failed, so it will never start: cancel it",
    "Dependency": "it waits for another job to end",
    "BeginTime": "it is not to start yet (after a requeue it waits for two minutes)",
    "JobHeldUser": "it is held: scontrol release {number}",
    "JobHeldAdmin": "it is held by the administrators: ask them",
    "JobHoldMaxRequeue": "it came back into the queue too often, and is held: its log may say why",
    "launch failed requeued held": "it could not be started, and is held: ask the administrators",
    "PartitionTimeLimit": "it asks for more time than partition {partition} allows: TIME in site.conf",
    "PartitionNodeLimit": "it asks for more nodes than partition {partition} allows",
    "PartitionDown": "partition {partition} is closed for now: sinfo lists others",
    "PartitionInactive": "partition {partition} starts no jobs for now: sinfo lists others",
    "ReqNodeNotAvail": "the node it asks for is down, or reserved: sinfo -R says why",
    "Nodes required": "the nodes that it could have are down, or kept for other jobs: sinfo -R says why",
    "NodeDown": "a node that it needs is down: sinfo -R says why",
    "BadConstraints": "no node has what it asks for: cancel it, and look at RESOURCE in site.conf",
    "Reservation": "it waits for its reservation to begin",
    "Licenses": "it waits for a licence",
    "QOSMaxJobsPerUserLimit": "you have as many jobs running as your quality of service allows",
    "QOSMaxWallDurationPerJobLimit": "it asks for more time than its QOS allows: TIME or QOS in site.conf",
    "QOSNotAllowed": "its QOS may not use partition {partition}: QOS or PARTITION in site.conf",
    "QOS": "a limit of its quality of service is reached: sacctmgr show qos lists them",
    "Assoc": "a limit of your account is reached, until other jobs of it end: sshare, or your grant's page",
    "AccountNotAllowed": "your account may not use partition {partition}: ACCOUNT or PARTITION in site.conf",
    "InvalidAccount": "your account is not valid here: ACCOUNT in site.conf",
    "InvalidQOS": "its quality of service is not valid here: QOS in site.conf",
    "JobArrayTaskLimit": "as many tasks of its array run as may at a time",
    "JobLaunchFailure": "it could not be started: its log, or the administrators, may know why",
    "MaxMem": "it asks for more memory than a job may have: MEMORY in site.conf",
    "Prolog": "what the site does on a node before a job failed: ask the administrators",
}
# By state and reason, else by the state alone.
ENDS = {
    "COMPLETED": "it ran to its end",
    "FAILED BadConstraints": "it was refused when it was submitted: no node has what it asked for",
    "FAILED JobLaunchFailure": "it could not be started: its log, or the administrators, may know why",
    "FAILED": "its script ended with an error: see its log",
    "CANCELLED": "it was cancelled",
    "TIMEOUT": "it ran out of time: ask for more, TIME in site.conf",
    "DEADLINE": "its deadline was over before it could end",
    "OUT_OF_MEMORY": "it ran out of memory: ask for more, MEMORY in site.conf",
    "NODE_FAIL": "its node failed: submit it again",
    "BOOT_FAIL": "its node did not start: submit it again",
    "PREEMPTED": "another job had a better right to its node: submit it again, or choose another partition",
    "REVOKED": "another cluster took it",
}
STATES = {
    "RUNNING": "it runs",
    "CONFIGURING": "its node is being made ready",
    "COMPLETING": "it is ending",
    "SUSPENDED": "it is suspended: another job has its node for now",
    "STOPPED": "it is stopped, and keeps its node",
    "REQUEUE_HOLD": "it is back in the queue, and held: scontrol release {number}",
    "REQUEUED": "it is back in the queue",
    "SPECIAL_EXIT": "it is back in the queue, and held: scontrol release {number}",
}


def why(job: Job) -> str:
    """Return one sentence on the state of a job: where it is, why, and what to do about it."""
    if job.ended:
        words = ENDS.get(f"{job.state} {job.reason}") or ENDS.get(job.state, f"it ended ({job.state})")
    elif job.state == "PENDING":
        # Slurm says (Nodes required for job are DOWN, ...) in words as well as ReqNodeNotAvail, UnavailableNodes:...
        known = (text for reason, text in REASONS.items() if job.reason.startswith(reason))
        words = next(known, f"Slurm gives as the reason: {job.reason}")
    else:
        words = STATES.get(job.state, f"its state is {job.state}")
    return words.format(number=job.number, partition=job.partition)
