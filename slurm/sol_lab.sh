#!/usr/bin/env bash
# Runs the SOL labs (01 to 06) on a compute node, from top to bottom, and makes one report of them.
#
#   slurm/sol_lab.sh                      submits itself with the settings of slurm/site.conf
#   slurm/sol_lab.sh 01 02 -p runs=5      only these labs; options are those of `aurora check`
#   slurm/sol_lab.sh 01 -- --time=30:00   what follows -- is for sbatch
#   slurm/sol_lab.sh --dry-run            says what it would do; needs no Slurm
#   sbatch -p ve slurm/sol_lab.sh 01      as any batch script: then you give the site's flags yourself
#
# A lab that has run to its end is not run again when the job is requeued.

# What Slurm is to know in any case, on every cluster. What differs from site to site is in site.conf.
#SBATCH --job-name=sol_lab
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --output=%x-%j.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@90

set -euo pipefail

# --- 1. Where is the repository?
# Slurm runs a copy of this file. So it is where sbatch was called, or as Slurm knows.
template=sol_lab.sh
root=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ -n "${SLURM_JOB_ID:-}" ] && [ ! -r "$root/slurm/common.sh" ]; then
    root=${SLURM_SUBMIT_DIR:-}
    if [ ! -r "$root/slurm/common.sh" ]; then
        root=$(scontrol show job "$SLURM_JOB_ID" |
            sed -n "s|^ *Command=\(.*\)/slurm/$template.*|\1|p") || true
    fi
fi
if [ ! -r "$root/slurm/common.sh" ]; then
    echo "error: the repository was not found: call slurm/$template from its root" >&2
    exit 2
fi
# shellcheck source=slurm/common.sh
source "$root/slurm/common.sh"

# --- 2. Settings and arguments
read_site
read_arguments "$@"
default_labs "$root"/labs/solutions/0[1-6]_*.ipynb
check_arguments

# --- 3. The work

# One lab: its notebook with the solutions, executed, goes into the folder of results.
lab() {
    choose_options "$1"
    run "$python" -m labs.cli check "$1" "${mine[@]}" \
        --keep "$results" --json "$results/$1.json"
}

# --- 4. Outside of a job: submit. Inside: do it.
if [ -n "$dry" ] || ! in_job; then
    submit
    [ -z "$dry" ] || show_plan ''
    exit 0
fi

steps=("${labs[@]}")
prepare
for number in "${labs[@]}"; do once "$number" lab "$number"; done
summary
