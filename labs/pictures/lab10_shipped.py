"""What lab 10 shows where no Slurm answers: texts of a real one, and how its queue went."""

WHERE = "Slurm 22.05 on a virtual machine, eight files for Vector Engines, 23 November 2026"

# What was typed, and what was said.
TEXTS = {
    "sinfo": [
        (
            "sinfo --format='%P %a %l %D %t %N %G'",
            """\
PARTITION AVAIL TIMELIMIT NODES STATE NODELIST GRES
ve up 2-00:00:00 1 idle pbaran ve:8
short* up 15:00 1 idle pbaran ve:8
""",
        ),
    ],
    "dry": [
        (
            "slurm/sol_lab.sh --dry-run 01 -p runs=2",
            """\
This would submit, in ~/aurora-labs:
  sbatch --account=g12-34 --partition=ve --time=1:00:00 --cpus-per-task=4 --mem=8G --gres=ve:1 \\
    slurm/sol_lab.sh 01 -p runs=2
The job would run:
  aurora doctor
  aurora check 01 -p runs=2
sbatch: Job 11 to start at 2026-11-23T14:35:17 using 4 processors on nodes pbaran in partition ve
""",
        ),
    ],
    "submit": [
        (
            "slurm/sol_lab.sh 01 -p runs=2",
            """\
$ sbatch --account=g12-34 --partition=ve --time=1:00:00 --cpus-per-task=4 --mem=8G --gres=ve:1 \\
    slurm/sol_lab.sh 01 -p runs=2
Submitted batch job 15
Where it is, and why it waits: squeue --me, or aurora slurm status NUMBER. Its log: ~/aurora-labs/sol_lab-NUMBER.log
""",
        ),
    ],
    "squeue_pending": [
        (
            "squeue --me",
            """\
 JOBID PARTITION         NAME      STATE    TIME TIME_LIMI NODELIST(REASON)
    15        ve      sol_lab    PENDING    0:00   1:00:00 (Resources)
    16        ve    too_short    PENDING    0:00      1:00 (Priority)
    17        ve       broken    PENDING    0:00     10:00 (Priority)
    18        ve    forgotten    PENDING    0:00     10:00 (Priority)
    19        ve       greedy    PENDING    0:00     10:00 (Priority)
    14        ve    neighbour    RUNNING    0:07     10:00 pbaran
""",
        ),
    ],
    "sacct": [
        (
            "sacct -j 14,15,16,17,18,19,20 --allocations \\\n"
            "    --format=JobID%5,JobName%10,State%16,ExitCode,Elapsed,Timelimit",
            """\
JobID    JobName            State ExitCode    Elapsed  Timelimit
----- ---------- ---------------- -------- ---------- ----------
   14  neighbour        COMPLETED      0:0   00:00:30   00:10:00
   15    sol_lab        COMPLETED      0:0   00:00:43   01:00:00
   16  too_short          TIMEOUT      0:0   00:01:01   00:01:00
   17     broken           FAILED      1:0   00:00:00   00:10:00
   18  forgotten   CANCELLED by 0      0:0   00:00:21   00:10:00
   19     greedy           FAILED      0:9   00:00:01   00:10:00
   20      ranks           FAILED      1:0   00:00:00   00:10:00
""",
        ),
    ],
    "refused": [
        (
            "sbatch -A nobody slurm/sol_lab.sh",
            "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified",
        ),
        (
            "sbatch -A g12-34 -p vee slurm/sol_lab.sh",
            """\
sbatch: error: invalid partition specified: vee
sbatch: error: Batch job submission failed: Invalid partition name specified
""",
        ),
        (
            "sbatch -A g12-34 -p ve --gres=ve:9 slurm/sol_lab.sh",
            "sbatch: error: Batch job submission failed: Requested node configuration is not available",
        ),
        (
            "sbatch -A g12-34 -p ve --gres=vector:1 slurm/sol_lab.sh",
            "sbatch: error: Invalid generic resource (gres) specification",
        ),
        (
            "sbatch -A g12-34 -p ve --mem=900G slurm/sol_lab.sh",
            """\
sbatch: error: Memory specification can not be satisfied
sbatch: error: Batch job submission failed: Requested node configuration is not available
""",
        ),
    ],
    "logs": [
        (
            "cat too_short-16.log",
            "slurmstepd-pbaran: error: *** JOB 16 ON pbaran CANCELLED AT 2026-11-23T14:36:49 DUE TO TIME LIMIT ***",
        ),
        ("tail -n 1 broken-17.log", "ModuleNotFoundError: No module named 'torch_ve'"),
        ("cat forgotten-18.log", "slurmstepd-pbaran: error: *** JOB 18 ON pbaran CANCELLED AT 2026-11-23T14:36:09 ***"),
        (
            "cat greedy-19.log",
            """\
slurmstepd-pbaran: error: StepId=19.batch exceeded memory limit (984367104 > 209715200), being killed
slurmstepd-pbaran: error: Exceeded job memory limit
slurmstepd-pbaran: error: *** JOB 19 ON pbaran CANCELLED AT 2026-11-23T14:35:49 ***
slurmstepd-pbaran: error: StepId=19.batch exceeded memory limit (984367104 > 209715200), being killed
slurmstepd-pbaran: error: Exceeded job memory limit
""",
        ),
        ("cat ranks-20.log", "srun: error: Unable to create step for job 20: More processors requested than permitted"),
    ],
    "log": [
        (
            "cat sol_lab-15.log",
            """\
14:35:48  job 15 on vm, 4 cores, start number 1
14:35:48  results: ~/aurora-results/sol_lab-15
14:35:48  Vector Engine 0 granted
14:35:48  (this node shows no card, though: everything runs on the CPU)
aurora doctor
                   what             found
ok                 Python           3.11.7, ~/aurora-labs/.venv/bin/python
ok                 C compiler       gcc (Debian 12.2.0-14+deb12u1) 12.2.0 compiles, and what it makes runs
[...]
ok                 Memory           20.8 GiB free of 23.5
[...]
ok                 Slurm            /usr/bin/sbatch
[...]
missing, optional  Vector Engine    no card found; solkit compiles for it, running needs a card

Ready. Start with: aurora lab
14:35:51  step 01
ok 01_sol_introduction in 31 s (stated 37 min)

1 of 1 ran to the end; executed copies: ~/aurora-results/sol_lab-15
written: ~/aurora-results/sol_lab-15/01.json
report: ~/aurora-results/sol_lab-15/report.html
14:36:31  remaining: nothing
""",
        ),
    ],
    "ls": [
        (
            "ls aurora-results/sol_lab-15",
            """\
01.done
01.json
01_sol_introduction.html
01_sol_introduction.ipynb
report.html
report.json
""",
        ),
    ],
    "used": [
        (
            "sacct -j 15 --format=JobID,State,Elapsed,MaxRSS,AllocTRES%45",
            """\
JobID             State    Elapsed     MaxRSS                                     AllocTRES
------------ ---------- ---------- ---------- ---------------------------------------------
15            COMPLETED   00:00:43                  billing=4,cpu=4,gres/ve=1,mem=8G,node=1
15.batch      COMPLETED   00:00:43   1180144K                 cpu=4,gres/ve=1,mem=8G,node=1
""",
        ),
    ],
    "tiny": [
        (
            "sbatch --time=1 --job-name=tiny --output=tiny-%j.log --wrap='hostname; sleep 3'",
            """\
Submitted batch job 21

$ squeue --me
 JOBID PARTITION         NAME      STATE    TIME TIME_LIMI NODELIST(REASON)
    21        ve         tiny    RUNNING    0:01      1:00 pbaran

$ cat tiny-21.log
vm
""",
        ),
    ],
}

# Number and time limit of each job, and when (in seconds) it got into which state, and why or where.
JOBS = {
    "neighbour": (
        14,
        "10:00",
        [
            (0.0, "RUNNING", "pbaran"),
            (27.5, "COMPLETED", ""),
        ],
    ),
    "sol_lab": (
        15,
        "1:00:00",
        [
            (1.5, "PENDING", "(Resources)"),
            (27.5, "RUNNING", "pbaran"),
            (70.7, "COMPLETED", ""),
        ],
    ),
    "too_short": (
        16,
        "1:00",
        [
            (1.5, "PENDING", "(Priority)"),
            (27.5, "RUNNING", "pbaran"),
            (88.5, "TIMEOUT", ""),
        ],
    ),
    "broken": (
        17,
        "10:00",
        [
            (1.5, "PENDING", "(Priority)"),
            (27.5, "FAILED", ""),
        ],
    ),
    "forgotten": (
        18,
        "10:00",
        [
            (1.5, "PENDING", "(Priority)"),
            (27.5, "RUNNING", "pbaran"),
            (48.5, "CANCELLED", ""),
        ],
    ),
    "greedy": (
        19,
        "10:00",
        [
            (1.5, "PENDING", "(Priority)"),
            (27.5, "RUNNING", "pbaran"),
            (28.5, "FAILED", ""),
        ],
    ),
}
