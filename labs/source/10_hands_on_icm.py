# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lab 10: Hands-on at ICM, your first batch job
#
# The workshop of 2020 ended on a real machine: a node with eight Vector Engines at ICM, the computing centre of the
# University of Warsaw. Such a machine has many users and no screen. You log in from afar, write down what you want to
# have run and what it needs, and a program named **Slurm** runs it when there is room. In this lab you do that with
# the labs themselves.
#
# You can afterwards
#
# - say where you are: on your laptop, on a login node, or on a compute node,
# - read a batch script, and write one with the account, partition, time, memory and devices it needs,
# - submit, follow and cancel a job,
# - say from its state and its log why it did not run.
#
# You need a shell and no Slurm. Where there is one on this machine, the cells ask it. Where there is none, they show
# what one has said: such texts are labelled **shipped result**. Facts about ICM are those of its documentation from
# 2020; ask your own centre for yours.
#
# | section | time | kind |
# |:---|:---|:---|
# | 1. Where you are | 3 min | core |
# | 2. What to write down: the site's settings | 2 min | core |
# | 3. A batch script, part by part | 5 min | core |
# | 4. Exercise 10-1: write the directives | 5 min | core |
# | 5. Submit, look, cancel | 4 min | core |
# | 6. What becomes of a job | 3 min | core |
# | 7. Exercise 10-2: what happened to these jobs? | 4 min | core |
# | 8. What Slurm says when it says no | 2 min | core |
# | 9. Exercise 10-3: find the mistakes | 5 min | optional |
# | 10. The result | 2 min | core |
# | 11. Exercise 10-4: how much time to ask for | 7 min | optional |
# | 12. Many jobs at once | 2 min | optional |
# | 13. What you have seen | 1 min | core |
#
# The core is about 31 minutes. Run the cells from top to bottom, with <kbd>Shift</kbd>+<kbd>Enter</kbd>.

# %% tags=["parameters"]
submit = True  # where Slurm answers: send it a job of a few seconds
patience = 60  # seconds to wait for that job

# %% [markdown]
# ## 1. Where you are
#
# Between you and a Vector Engine there are three machines.

# %%
from labs.pictures import lab10

lab10.way_in()

# %% [markdown]
# **Follow the arrows.** From outside only one machine can be reached, the *gateway*. From it you go on to the *login
# node* of the cluster. Both steps in one command, typed on your laptop:
#
# ```bash
# ssh -J USER@hpc.icm.edu.pl USER@rysy
# ```
#
# `-J` means: jump over that host. The last arrow is different. You do not log in to a *compute node*. You hand a script
# to Slurm, and Slurm starts it there.
#
# The login node belongs to everyone at once. Edit there, copy files, install software, submit. **Do not compute
# there**: a heavy program on a login node stops everybody's typing, and the administrators will end it.
#
# Your home folder is the same on all machines of the cluster. So what you install on the login node is there on the
# compute node. Install the labs once (`make doctor` also says what the machine lacks):
#
# ```bash
# git clone .../aurora-labs && cd aurora-labs
# make doctor
# ```
#
# In 2020 you would have made a virtual environment at this point, installed the wheel of SOL from `/apps/nec/sol`, and
# run its test script.
#
# Now let us see which machine this notebook is on:

# %%
lab10.where_am_i()

# %% [markdown]
# ## 2. What to write down: the site's settings
#
# A job says what it needs, and each centre has names of its own for that. These labs keep them in one file,
# `slurm/site.conf`. As it comes, it has ICM's:

# %%
lab10.part("site.conf", "# --- for sbatch", "MEMORY=")

# %% [markdown]
# - The **account** is your grant, and pays for the time. No account, no job.
# - A **partition** is a group of nodes, with limits. ICM's node with the Vector Engines is the only one in `ve`.
# - The **resource** flag asks for devices. Slurm counts them: `--gres=ve:1` is one of the eight, and while you have it,
#   it is yours alone. Its number comes in the variable `VE_NODE_NUMBER`, and NEC's tools use that engine.
# - **Time** and **memory** are limits, not wishes. A job that passes one of them is ended.
#
# `sinfo` says which partitions there are:

# %%
lab10.ask("sinfo --format='%P %a %l %D %t %N %G'")

# %% [markdown]
# **Look at `GRES`**, generic resources: `ve:8` on one node. The star marks the partition you get without asking.

# %% [markdown]
# ## 3. A batch script, part by part
#
# A batch script is a shell script with remarks for Slurm at its top. This one, `slurm/sol_lab.sh`, runs the SOL labs on
# a compute node. It begins like this:

# %%
lab10.part("sol_lab.sh", "#SBATCH --job-name", "set -euo")

# %% [markdown]
# A line that begins with `#SBATCH` is a **directive**. For the shell it is a comment. Slurm reads it as if it were
# typed behind `sbatch`, and what is really typed there counts more. **Slurm stops reading directives at the first
# command**: a directive below it is a mere comment, and nobody tells you.
#
# - `--output=%x-%j.log` is where all that the job prints goes; `%x` is the name of the job and `%j` its number.
# - `--signal=B:USR1@90` asks for a warning 90 seconds before the time is over.
# - `--requeue` says that the script may be started again from its top, after a failure of the node for instance.
#
# Account and partition are missing here on purpose: they are not the same everywhere. What comes next?

# %%
lab10.part("sol_lab.sh", "# --- 1. Where", 'source "$root')

# %% [markdown]
# **A trap that everybody falls into once:** Slurm copies the script to a folder of its own and runs the copy. So "the
# folder in which this script lies" is not your folder. `SLURM_SUBMIT_DIR` is the one in which you called `sbatch`.
#
# The work itself is short:

# %%
lab10.part("sol_lab.sh", "# --- 3. The work", "summary")

# %% [markdown]
# **Look at part 4.** Outside of a job (the variable `SLURM_JOB_ID` is not set) the script submits
# itself, with the flags of `site.conf`. Inside of one, it goes on to the work: each lab *once*. A lab that is finished
# leaves a file with its name and `.done`. When the job is started again, it is not run again.
#
# And what happens at the warning, 90 seconds before the end?

# %%
lab10.part("common.sh", "out_of_time()", "exit 1")

# %% [markdown]
# It stops what runs, writes the report, and puts itself back into the queue for what remains. It does so only if it has
# got something done, or it would go round for ever.
#
# Now let the script say what it would submit. With `--dry-run` it needs no Slurm; where there is one, it is asked
# whether it would take the job.

# %%
lab10.ask("slurm/sol_lab.sh --dry-run 01 -p runs=2")

# %% [markdown]
# ## 4. Exercise 10-1: write the directives (core, 5 min)
#
# You have a program that takes 20 minutes and 3 GB of memory, and it uses one Vector Engine. **Write the directives of
# its batch script:**
#
# - the account `g12-34` and the partition `ve`,
# - one Vector Engine, with the flag that ICM has,
# - a time limit of half an hour,
# - 4 GB of memory.
#
# The answer is a text of several lines. Any of Slurm's spellings will do: `-A` is `--account`, and so on. `sbatch
# --help` lists them.

# %% tags=["exercise", "ex-10-1"]
directives = ...

# %% tags=["solution", "ex-10-1"]
directives = """#!/bin/bash
#SBATCH --account=g12-34
#SBATCH --partition=ve
#SBATCH --gres=ve:1
#SBATCH --time=30:00
#SBATCH --mem=4G
"""  # 30:00 are minutes and seconds. A bare 30 would be minutes, and a bare 4 of memory would be megabytes

# %%
from labs import lab

ex = lab.exercise("10-1")
ex.check(directives)

# %% [markdown]
# Stuck? Take the `#` away for a hint, and run the cell again for the next. The last resort is the solution.

# %%
# ex.hint()
# ex.solution()

# %% [markdown]
# ## 5. Submit, look, cancel
#
# | command | what it does |
# |:---|:---|
# | `sbatch script.sh` | hands the script to Slurm, which answers with the number of the job |
# | `squeue --me` | your jobs that wait or run |
# | `scontrol show job 15` | everything Slurm knows of a job that waits, runs, or ended minutes ago |
# | `scancel 15` | ends a job, or takes it out of the queue |
# | `sacct -j 15` | what became of a job, also months later |
# | `srun --pty bash -l` | a shell on a compute node, to try things: the same flags as `sbatch` |
#
# To run lab 01 as a job, you would type the following on the login node. (The Slurm that was recorded here ran on one
# virtual machine, `vm`, under the name of ICM's node, `pbaran`.)

# %%
lab10.shipped("submit")

# %%
lab10.shipped("squeue_pending")

# %% [markdown]
# **Look at the columns STATE and REASON.** `sol_lab` waits for `Resources`: another job has all eight engines. The jobs
# behind it wait because of their `Priority`: others come first. That is no error. Do not submit again, it only makes
# the queue longer.
#
# If Slurm answers on this machine, the next cell sends it a job of a few seconds.

# %%
lab10.tiny_job(submit, patience)

# %% [markdown]
# ## 6. What becomes of a job

# %%
lab10.states()

# %% [markdown]
# A job is in one *state* at a time. It waits (`PENDING`), it runs (`RUNNING`), it ends in one of several ways. And it
# may go back from running to waiting: when the node fails, when a job of higher priority takes its place, or when it
# asks for it, as our script does.
#
# Here is the queue of section 5 from its beginning to its end, as it was recorded. One bar for each job: empty is
# waiting, full is running.

# %%
lab10.history()

# %% [markdown]
# **Move the slider.** Watch `neighbour` end, and all the others start at once, because each of them needs only one
# engine. Then watch them vanish from `squeue`: a job that has ended is not in the queue any more. What became of it is
# known to `sacct`. (If you see no slider, your viewer cannot show it. Use `lab10.draw_history(30)` with
# `IPython.display.HTML` instead.)

# %%
lab10.shipped("sacct")

# %% [markdown]
# ## 7. Exercise 10-2: what happened to these jobs? (core, 4 min)
#
# `sacct` gives the state and the exit code: the status of the script, and the signal that ended it. The log gives the
# reason. These are the logs of the jobs that did not succeed. (`ranks` came later, and is not in the picture.)

# %%
lab10.shipped("logs")

# %% [markdown]
# **Say for each of the five why it ended.** The answer is a dictionary: the job's name, and one of these words.
#
# - `"time"`: it was still running when its time was over,
# - `"memory"`: it took more memory than it had asked for,
# - `"program"`: the program, or the script, made a mistake,
# - `"user"`: somebody cancelled it.

# %% tags=["exercise", "ex-10-2"]
reasons = {"too_short": ..., "broken": ..., "forgotten": ..., "greedy": ..., "ranks": ...}

# %% tags=["solution", "ex-10-2"]
reasons = {
    "too_short": "time",  # "DUE TO TIME LIMIT", state TIMEOUT
    "broken": "program",  # an error of Python's, state FAILED
    "forgotten": "user",  # CANCELLED by user number 0, and no word about a limit
    "greedy": "memory",  # FAILED, too, but the log says "exceeded memory limit"
    "ranks": "program",  # srun asks for two tasks in a job that has one
}

# %%
ex = lab.exercise("10-2")
ex.check(reasons)

# %%
# ex.hint()
# ex.solution()

# %% [markdown] tags=["solution", "ex-10-2"]
# `greedy` is the tricky one: its state is the same as that of `broken`, and only the log tells them apart (and the exit
# code: `0:9` is no status of the program, but signal 9, which kills). Clusters that limit memory with cgroups show the
# state `OUT_OF_MEMORY` instead.

# %% [markdown]
# ## 8. What Slurm says when it says no
#
# Most mistakes are found when you submit: no number is given, and a line says why.

# %%
lab10.shipped("refused")

# %% [markdown]
# **Look for the words that help**: the account, the partition, the resource's name, the memory. "Requested node
# configuration is not available" means that no node has so much, ever: it would wait for ever, so it is refused.
#
# Other mistakes are only found when the job runs.
#
# | what you see | what it is |
# |:---|:---|
# | `PENDING`, `(QOSMaxWallDurationPerJobLimit)` | the time is longer than your quality of service allows |
# | `PENDING`, `(ReqNodeNotAvail...)` | it would not end before the machine is serviced: ask for less time |
# | `PENDING`, `(AssocGrpCPUMinutesLimit)` | the grant is used up |
# | `command not found`, or `No module named ...` | modules of your shell are not the job's: it loads its own |
# | `Unable to create step ... More processors requested` | `srun -n 2` in a job with one task: ask with `--ntasks=2` |
# | no log at all | the folder in `--output` does not exist: Slurm does not make it |
# | `/bin/bash^M: bad interpreter` | the script was written on Windows: `dos2unix script.sh` |

# %% [markdown]
# ## 9. Exercise 10-3: find the mistakes (optional, 5 min)
#
# A colleague sends you this script. It is to run `hostname` in two tasks, with 2 GB of memory, for ten minutes at most.
# Slurm accepts it, and yet **three things are wrong with it**.

# %%
script = """#!/bin/bash
#SBATCH --account=g12-34
#SBATCH --partition=ve
#SBATCH --ntasks=1
#SBATCH --mem=2
cd "$SLURM_SUBMIT_DIR"
#SBATCH --time=10:00
srun -n 2 hostname
"""

# %% [markdown]
# **Write it correctly.** The answer is the whole script as a text. (It may also be made from `script` by a few calls of
# `.replace`.)

# %% tags=["exercise", "ex-10-3"]
repaired = ...

# %% tags=["solution", "ex-10-3"]
repaired = """#!/bin/bash
#SBATCH --account=g12-34
#SBATCH --partition=ve
#SBATCH --ntasks=2
#SBATCH --mem=2G
#SBATCH --time=10:00
cd "$SLURM_SUBMIT_DIR"
srun -n 2 hostname
"""  # two tasks for two ranks; 2 was 2 MB; and the time stood below a command, where Slurm does not read

# %%
ex = lab.exercise("10-3")
ex.check(repaired)

# %%
# ex.hint()
# ex.solution()

# %% [markdown]
# ## 10. The result
#
# This is the log of the job of section 5:

# %%
lab10.shipped("log")

# %% [markdown]
# **Look at its first lines**: the node, the cores, the Vector Engine that was granted. (This Slurm ran on a machine
# without cards, and the script says so. The labs run on the CPU in any case.) Then `aurora doctor` looks at the node
# (where there is a `[...]`, rows of it are left out), the lab runs, and the last line says that nothing remains.
#
# The results lie in a folder of their own, under the `SCRATCH` of `site.conf`:

# %%
lab10.shipped("ls")

# %% [markdown]
# `report.html` is one page with all labs that ran, their times, and the outcome of each exercise. From it you get to
# each notebook as a page, with all its outputs. Copy the folder to your laptop, and open it there:
#
# ```bash
# scp -r -J USER@hpc.icm.edu.pl USER@rysy:aurora-results/sol_lab-15 .
# ```
#
# How much did the job really use? `sacct` tells:

# %%
lab10.shipped("used")

# %% [markdown]
# **Compare it with what was asked for**: an hour, and 8 GB. A job that asks for much more than it takes waits
# longer: Slurm fills gaps in its plan with short jobs. That is called *backfill*.

# %% [markdown]
# ## 11. Exercise 10-4: how much time to ask for (optional, 7 min)
#
# A *quality of service* (QOS) is a set of limits that you choose with `--qos`. ICM had these for the Vector Engines:

# %%
# The longest time of each, in minutes.
QOS = {"short": 15, "limit": 6 * 60, "normal": 2 * 24 * 60, "long": 7 * 24 * 60}

# %% [markdown]
# **Write `ask(seconds)`.** It gets the run time that you have measured, in seconds, and gives a pair: the QOS and the
# time limit.
#
# - Half as much again is kept in reserve: the limit is 1.5 times the run time, rounded up to full minutes.
# - The QOS is the one with the smallest limit that is long enough.
# - The time is text as Slurm takes it, like `"0:45:00"`, or a number of minutes.
# - What is too long for all of them raises a `ValueError`.
#
# It is tried with other numbers, too. `math.ceil` rounds up.

# %%
import math


# %% tags=["exercise", "ex-10-4"]
def ask(seconds): ...


ask(600)


# %% tags=["solution", "ex-10-4"]
def ask(seconds):
    minutes = math.ceil(1.5 * seconds / 60)
    for name in sorted(QOS, key=QOS.get):  # the shortest first
        if minutes <= QOS[name]:
            return name, f"{minutes // 60}:{minutes % 60:02d}:00"
    raise ValueError(f"{minutes} minutes are more than any QOS allows")


ask(600)

# %%
ex = lab.exercise("10-4")
ex.check(ask)

# %%
# ex.hint()
# ex.solution()

# %% [markdown]
# ## 12. Many jobs at once (optional, 2 min)
#
# To run the same script for ten sets of parameters, do not submit it ten times. `sbatch --array=0-9%2 script.sh` makes
# one job of ten *tasks*, of which at most two run at a time (`%2`). Each finds its number in `SLURM_ARRAY_TASK_ID`, and
# `--output=%x-%A_%a.log` gives each a log of its own: `%A` is the number of the whole, `%a` that of the task. `squeue`
# shows the waiting rest in one line, like `12_[3-9%2]`, and `scancel 12_4` ends a single one.
#
# `slurm/sweep.sh 02 --over batch=1,2,4,8` does that with a lab, and makes one report with plots of all tasks.
#
# Several MPI ranks are one job with several tasks: `--ntasks=4`, and `srun` starts the program four times.
# `slurm/frovedis_lab.sh` does that with the Frovedis labs.
#
# Not everything is a batch. `slurm/jupyter.sh` starts JupyterLab on a node. And if JupyterLab runs on the login node,
# as it does at many centres, the kernel *Aurora labs (VE node, Slurm)* (menu *Kernel*, *Change Kernel*) runs the cells
# of a notebook in a job of its own: it says why it waits, and it ends when you shut the kernel down.

# %% [markdown]
# ## 13. What you have seen
#
# - On the login node you edit, install and submit. Computing is for compute nodes, and Slurm has their keys.
# - A batch script says what it needs in directives, above its first command. Limits are kept.
# - What differs between centres is in one file. What Slurm grants it counts, Vector Engines too.
# - `PENDING` has a reason. `sacct` and the log say how a job ended.
# - A job that saves what it has, and knows what is done, can be ended at any time.
#
# **Try it** on your cluster: put your account and partition into `slurm/site.conf`, and type
# `slurm/sol_lab.sh --dry-run`, then the same without it. `aurora slurm status` says in plain words where it is.
#
# **Further reading**
#
# - `slurm/README.md` and `slurm/common.sh` in this repository: the rest of the script you have read.
# - The manual pages: `man sbatch`, `man squeue`, `man sacct`. The section on reason codes in `man squeue` is worth it.
# - ICM's documentation of its computers, and your own centre's.
