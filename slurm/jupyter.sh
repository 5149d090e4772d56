#!/usr/bin/env bash
# Starts JupyterLab with the labs on a compute node. Its log says how to open it on your own computer.
# It ends with the job's time, by scancel, or by File > Shut Down.
#
#   slurm/jupyter.sh                       submits itself with the settings of slurm/site.conf
#   slurm/jupyter.sh --port=9000           at this port of the node; else at one that is free
#   slurm/jupyter.sh -- --time=4:00:00     what follows -- is for sbatch
#   slurm/jupyter.sh --dry-run             says what it would do; needs no Slurm

# What Slurm is to know on every cluster. What differs from site to site is in site.conf.
#SBATCH --job-name=jupyter
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --output=%x-%j.log
#SBATCH --open-mode=append
#SBATCH --no-requeue
#SBATCH --signal=B:USR1@90

set -euo pipefail

# --- 1. Where is the repository?
# Slurm runs a copy of this file. So it is where sbatch was called, or as Slurm knows.
template=jupyter.sh
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
given="${labs[*]}${options[*]}"
[[ $given =~ ^(--port[= ]([0-9]{1,5}))?$ ]] || die "what is $given? There is --port=NUMBER; $template --help says more"
port=${BASH_REMATCH[2]:-0} # 0: any that is free

# --- 3. The work

# The token lets people in. JupyterLab reads it from a file, so that no list of processes shows it. What JupyterLab
# writes down about itself is in the same folder, for it has the token in it, too.
make_token() (
    umask 077
    chmod 700 "$results" && mkdir -p "$private/labconfig" &&
        "$python" -c 'import secrets; print(secrets.token_hex(24), end="")' >"$token" &&
        # Open notebooks save themselves every 20 seconds, not 120: there may not be so many left.
        echo '{"@jupyterlab/docmanager-extension:plugin": {"autosaveInterval": 20}}' \
            >"$private/labconfig/default_setting_overrides.json"
)

# Waits until JupyterLab has written down its port, and answers there.
wait_for_answer() {
    local until=$((SECONDS + 180)) info=$private/jpserver-$child.json
    until [ -s "$info" ] && port=$(sed -n 's/.*"port": \([0-9]*\).*/\1/p' "$info") &&
        [ "$(answer_to "$(cat "$token")" "$address" "$port")" = 200 ]; do
        if ! kill -0 "$child" 2>/dev/null || [ "$SECONDS" -gt "$until" ]; then failed; fi
        sleep 0.5
    done
    chmod -R go= "$private" || true # for others its folder is shut in any case
    [ "$(answer_to wrong "$address" "$port")" = 403 ] || die "JupyterLab lets in all: see its settings in ~/.jupyter"
}

failed() {
    tail -n 15 "$results/server.log" >&2
    ! grep -q "port $port is not available" "$results/server.log" ||
        die "port $port of this node is taken, or not for users: choose another one, or none"
    die "JupyterLab does not run: see above, and $results/server.log"
}

say_how() {
    local login=${LOGIN:-USER@${SLURM_SUBMIT_HOST:-$(hostname)}}
    say "JupyterLab answers. To open it on your own computer, type there, and leave the terminal open:"
    echo "    ssh -N -L $port:$address:$port ${login//USER/$(id -un)}"
    echo "and open http://localhost:$port/lab in a browser. It asks for the token. To see it, here on the cluster:"
    printf '    cat %q; echo\n' "$token"
    printf 'It ends at %s. To end it before:\n    scancel %s\n' "$(squeue -h -j "$SLURM_JOB_ID" -o %e)" "$SLURM_JOB_ID"
}

# Slurm's signal 90 seconds before the end. JupyterLab does not go back into the queue: who would look for it there?
out_of_time() {
    trap '' USR1
    local until=$((SECONDS + 45))
    say "the time is nearly over: save your notebooks. In 45 seconds JupyterLab ends, and all kernels with it"
    while [ "$SECONDS" -lt "$until" ] && kill -0 "$child" 2>/dev/null; do sleep 1; done
    stop
    say "ended. To have more time: slurm/$template -- --time=4:00:00 (the usual: TIME in $site)"
    exit 0
}

# --- 4. Outside of a job: submit. Inside: do it.
if [ -n "$dry" ] || ! in_job; then
    submit
    [ -z "$dry" ] || show_plan "aurora lab --no-browser --ip=ADDRESS-OF-THE-NODE --port=$port"
    exit 0
fi

prepare
private=$results/private token=$results/private/token
trap 'stop; rm -rf "$private"' EXIT
make_token || die "no token could be written into $private. Is the disk full? (SCRATCH in $site)"
find_address
polite=TERM # JupyterLab ends its kernels and terminals
export JUPYTER_TOKEN_FILE=$token JUPYTER_RUNTIME_DIR=$private JUPYTER_PORT_RETRIES=0
export JUPYTER_CONFIG_PATH=$private${JUPYTER_CONFIG_PATH:+:$JUPYTER_CONFIG_PATH}
export HYDRA_LAUNCHER=fork # mpirun in a notebook starts ranks itself, on this node
start env -u JUPYTER_TOKEN "$python" -m labs.cli lab --no-browser "--ip=$address" "--port=$port" \
    >"$results/server.log" 2>&1
wait_for_answer
say_how
wait "$child" || failed
say "JupyterLab was shut down"
