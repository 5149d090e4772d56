#!/usr/bin/env bash
# Runs the Frovedis labs (07 and 08) on several MPI ranks of a compute node, and a program on all ranks of srun.
#
#   slurm/frovedis_lab.sh                      submits itself with the settings of slurm/site.conf
#   slurm/frovedis_lab.sh 07 -p rows=5000      only this lab, and the program; options are those of `aurora check`
#   slurm/frovedis_lab.sh 07 -- --ntasks=4     what follows -- is for sbatch; there are as many ranks as tasks
#   slurm/frovedis_lab.sh --dry-run            says what it would do; needs no Slurm
#
# The program is slurm/spmd.py; PROGRAM=my.py slurm/frovedis_lab.sh takes yours.
# What has run to its end is not run again when the job is requeued.

# What Slurm is to know in any case, on every cluster. What differs from site to site is in site.conf.
#SBATCH --job-name=frovedis_lab
#SBATCH --nodes=1
#SBATCH --ntasks=2
#SBATCH --output=%x-%j.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@90

set -euo pipefail

# --- 1. Where is the repository?
# Slurm runs a copy of this file. So it is where sbatch was called, or as Slurm knows.
template=frovedis_lab.sh
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
default_labs "$root"/labs/solutions/0[78]_*.ipynb
check_arguments
program=${PROGRAM:-$root/slurm/spmd.py}
[[ $program == /* ]] || program=$PWD/$program
[ -r "$program" ] || die "PROGRAM: there is no $program"
export PROGRAM=$program # the job starts in another folder
ranks=${SLURM_NTASKS:-2}

# --- 3. The work

# One lab: the notebook is one process, and starts the ranks itself, by mpirun, within the job.
lab() {
    choose_options "$1"
    if has_parameter ranks "$1"; then mine+=(-p "ranks=$ranks"); fi
    run "$python" -m labs.cli check "$1" "${mine[@]}" \
        --keep "$results" --json "$results/$1.json"
}

# The program: srun starts it as often as the job has tasks, and PMI-2 tells each process its rank.
spmd() {
    local status=0 start=(srun "--ntasks=$ranks" --mpi=pmi2 --quit-on-interrupt)
    if ! srun --mpi=list 2>&1 | grep -w pmi2 >/dev/null; then
        say "this Slurm has no PMI-2: mpiexec starts the program"
        # Hydra, MPICH's mpiexec, would ask Slurm to start the ranks. On one node it can do that itself.
        start=(env HYDRA_LAUNCHER=fork "${python%/*}/mpiexec" -n "$ranks")
    fi
    run "${start[@]}" "$python" "$program" >"$results/spmd.txt" 2>&1 || status=$?
    cat "$results/spmd.txt"
    return "$status"
}

# --- 4. Outside of a job: submit. Inside: do it.
if [ -n "$dry" ] || ! in_job; then
    submit
    [ -z "$dry" ] || show_plan "srun --mpi=pmi2 python ${program##*/}, on as many ranks as the job has tasks"
    exit 0
fi

steps=("${labs[@]}" spmd)
prepare
say "$ranks ranks"
for number in "${labs[@]}"; do once "$number" lab "$number"; done
once spmd spmd
summary
