#!/usr/bin/env bash
# Runs labs with every combination of parameters, as an array of jobs, and makes one report with plots of them all.
#
#   slurm/sweep.sh 02 --over batch=1,2,4,8               four tasks, submitted with the settings of slurm/site.conf
#   slurm/sweep.sh 02 --over batch=1,2 --over seed=0,1   four, too: every combination
#   slurm/sweep.sh 02 --over batch=1,2,4 --at-once 2     two at a time; else as many as there is room for
#   slurm/sweep.sh 02 --over batch=1,2,4 --dry-run       says what it would do; needs no Slurm
#   slurm/sweep.sh 08 --over ranks=1,2,4 -p runs=5 -- --ntasks=4
#
# Other options are those of `aurora check`; what follows -- is for sbatch. A second job waits until all tasks have ended,
# whatever became of them, and writes the report. What a task has finished is not run again when it is requeued.

# What Slurm is to know in any case, on every cluster. What differs from site to site is in site.conf.
#SBATCH --job-name=sweep
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --output=%x-%A_%a.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@90

set -euo pipefail

# --- 1. Where is the repository?
# Slurm runs a copy of this file. So it is where sbatch was called, or as Slurm knows.
template=sweep.sh
root=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ -n "${SLURM_JOB_ID:-}" ] && [ ! -r "$root/slurm/common.sh" ]; then
    root=${SLURM_SUBMIT_DIR:-}
    if [ ! -r "$root/slurm/common.sh" ]; then
        root=$(scontrol show job "$SLURM_JOB_ID" | # of an array, it may show all tasks
            sed -n "s|^ *Command=\(.*\)/slurm/$template.*|\1|p" | head -n 1) || true
    fi
fi
if [ ! -r "$root/slurm/common.sh" ]; then
    echo "error: the repository was not found: call slurm/$template from its root" >&2
    exit 2
fi
# shellcheck source=slurm/common.sh
source "$root/slurm/common.sh"
# shellcheck source=slurm/combinations.bash
source "$root/slurm/combinations.bash"

# --- 2. Settings and arguments
read_site
read_arguments "$@"
[ -n "$SCRATCH" ] || die "no folder is named for results: SCRATCH in $site"
read_sweep # over: the parameters with their values; count: how many combinations there are

# --- 3. The work
# One lab, as in sol_lab.sh. One that starts MPI ranks does so within the task.
lab() {
    choose_options "$1"
    run "$python" -m labs.cli check "$1" "${mine[@]}" \
        --keep "$results" --json "$results/$1.json"
}

# --- 4. Outside of a job: submit the array, and the job for the report.
if [ -n "$dry" ] || ! in_job; then
    [ -z "$array" ] || die "--merge is what the job for the report gets. By hand: python slurm/merge.py FOLDER"
    log=sweep-NUMBER_TASK.log
    of_site=("${flags[@]}")
    flags+=("--array=0-$((count - 1))$at_once")
    said=$(submit)
    echo "$said"
    if [ -n "$dry" ]; then
        printf 'A second job would write the report. Of the array, each task would run aurora doctor, and then\n'
        plan | while IFS=$'\t' read -r task words; do echo "  $task: aurora check ${words//$'\t'/ }"; done
        exit 0
    fi
    [[ $said =~ [0-9]+ ]] && array=${BASH_REMATCH[0]}
    log=sweep_report-NUMBER.log arguments=(--merge "$array" "${arguments[@]}") flags=("${of_site[@]}")
    for_sbatch+=(--job-name=sweep_report --output=%x-%j.log --ntasks=1 --begin=now "--dependency=afterany:$array")
    (submit) || { scancel "$array" && die "there is no job for the report, so the array is cancelled, too"; }
    echo "The report will be in $SCRATCH/sweep-$array"
    exit 0
fi

# --- 5. In the job for the report: make it, also of tasks that failed. Its status says whether all is well.
if [ -n "$array" ]; then
    find_python
    results=$SCRATCH/sweep-$array
    mkdir -p "$results"
    plan >"$results/plan.tsv"
    run "$python" slurm/merge.py "$results"
    exit
fi

# --- 6. In a task of the array: run its combination.
task=${SLURM_ARRAY_TASK_ID:-}
[[ -n $task && $task -lt $count ]] || die "no task of an array 0-$((count - 1)): give sbatch --array=0-$((count - 1))"
combine "$task"
steps=("${labs[@]}")
prepare
hostname >"$results/node.txt"
plan >"$results/plan.tsv" && mv "$results/plan.tsv" "${results%/*}" # so that the report can be made by hand, before
for number in "${labs[@]}"; do once "$number" lab "$number"; done
summary
