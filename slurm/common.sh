# shellcheck shell=bash
# What the templates in this folder share: the site's settings, submitting, the environment on the node, signals.
# A template sets `root` (the repository) and `template` (its own name), and sources this file.
: "${root:?}" "${template:?}"

say() { printf '%s  %s\n' "$(date +%H:%M:%S)" "$*"; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 2
}

: "${HOME:=$(cd ~ && pwd)}" # Slurm's --export=NONE leaves no HOME, and settings are likely to ask for it
export HOME PATH

# The job's number. That of an array's task is ARRAY_TASK: SLURM_JOB_ID of one of them means all of them to Slurm.
job=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID:-}}
job=${job:-${SLURM_JOB_ID:-}}
log=${template%.sh}-NUMBER.log

# In JupyterLab on a node one may submit a job, which inherits what that JupyterLab's job has set for itself.
if [ -n "${AURORA_INSIDE:-}" ] && [ "$AURORA_INSIDE" != "$job" ]; then
    unset AURORA_INSIDE VE_NODE_NUMBER HYDRA_LAUNCHER JUPYTER_RUNTIME_DIR JUPYTER_TOKEN_FILE
fi

if ((BASH_VERSINFO[0] * 10 + BASH_VERSINFO[1] < 44)); then die "bash 4.4 or newer is needed, not $BASH_VERSION"; fi

# --- settings

site=${AURORA_SITE:-$root/slurm/site.conf}
settings="ACCOUNT PARTITION QOS RESOURCE TIME CPUS MEMORY MODULES SETUP ENVIRONMENT SCRATCH LOGIN"

# Reads site.conf into variables of the same names, and into `flags`, what sbatch gets of it.
read_site() {
    local key words=()
    [ -r "$site" ] || die "the site's settings are not in $site (AURORA_SITE says where they are)"
    while read -r key; do
        [[ " $settings " == *" $key "* ]] || die "$site: there is no setting $key; there are $settings"
    done < <(sed -n 's/^ *\([A-Za-z_]*\)=.*/\1/p' "$site")
    for key in $settings; do printf -v "$key" ''; done
    # shellcheck source=slurm/site.conf
    source "$site" || die "$site cannot be read as shell: KEY=value, no blanks around the ="
    flags=()
    flag --account "$ACCOUNT"
    flag --partition "$PARTITION"
    flag --qos "$QOS"
    flag --time "$TIME"
    flag --cpus-per-task "$CPUS"
    flag --mem "$MEMORY"
    read -ra words <<<"$RESOURCE"
    flags+=("${words[@]}")
}

flag() { [ -z "$2" ] || flags+=("$1=$2"); }

# Sorts the arguments: --dry-run, labs by their numbers, what follows `--` for sbatch, and the rest for `aurora check`.
read_arguments() {
    arguments=("$@") dry='' labs=() options=() for_sbatch=()
    while [ $# -gt 0 ]; do
        case $1 in
            --dry-run) dry=yes ;;
            --learner) options+=("$1") ;;
            --) shift && for_sbatch=("$@") && break ;;
            -h | --help) sed -n '2,/^$/s/^# \{0,1\}//p' "$root/slurm/$template" && exit ;;
            [0-9][0-9] | [0-9][0-9]_*) labs+=("${1:0:2}") ;;
            -*)
                options+=("$1")
                # An option of `aurora check`, and its value, unless that is in the same word.
                if [[ $1 != *=* && $# -gt 1 ]]; then shift && options+=("$1"); fi
                ;;
            *) die "what is $1? A lab is given by its number, like 01; $template --help says more" ;;
        esac
        shift
    done
}

# The labs of these notebooks, unless some were named.
default_labs() {
    local file
    [ ${#labs[@]} -eq 0 ] || return 0
    for file in "$@"; do
        file=${file##*/}
        labs+=("${file%%_*}")
    done
}

# What lab $1 gets of the options, in `mine`: a parameter (-p name=value) only if its notebook has it.
choose_options() {
    local word before=''
    mine=()
    for word in "${options[@]}"; do
        if [ "$before" != -p ]; then
            [ "$word" = -p ] || mine+=("$word")
        elif has_parameter "${word%%=*}" "$1"; then
            mine+=(-p "$word")
        fi
        before=$word
    done
}

declare -A has=() # the answers, since a sweep asks often

has_parameter() {
    if [ -z "${has[$2.$1]:-}" ]; then
        has[$2.$1]=no
        if grep -qs "^ *\"$1 = " "$root/labs/solutions/$2"_*.ipynb; then has[$2.$1]=yes; fi
    fi
    [ "${has[$2.$1]}" = yes ]
}

# Ends with an error when there is no such lab, or no lab has a parameter of that name.
check_arguments() {
    local lab word before='' known
    for lab in "${labs[@]}"; do
        compgen -G "$root/labs/solutions/${lab}_*.ipynb" >/dev/null || die "there is no lab $lab"
    done
    for word in "${options[@]}"; do
        known=''
        for lab in "${labs[@]}"; do
            if [ "$before" != -p ] || has_parameter "${word%%=*}" "$lab"; then known=yes; fi
        done
        [ -n "$known" ] || die "no chosen lab has a parameter ${word%%=*}"
        before=$word
    done
}

# --- before the job

# A job's own script is in the job. What is started from within, in JupyterLab's terminal, is to be submitted.
in_job() { [ -n "$job" ] && [ -z "${AURORA_INSIDE:-}" ]; }

# Submits the template, with the site's flags. With --dry-run it only says so, and asks Slurm, where there is one,
# whether it would take the job.
submit() {
    local command=(sbatch "${flags[@]}" "${for_sbatch[@]}" "slurm/$template") word
    for word in "${arguments[@]}"; do
        [ "$word" != -- ] || break # the rest is before the template already
        [ "$word" = --dry-run ] || command+=("$word")
    done
    cd "$root" || die "cannot enter $root"
    if [ -n "$dry" ]; then
        printf 'This would submit, in %s:\n ' "$root"
        printf ' %q' "${command[@]}"
        printf '\n'
        if timeout 10 scontrol ping >/dev/null 2>&1; then
            sbatch --test-only "${command[@]:1}" || refused
        else
            echo "No Slurm answers on this machine, so nobody was asked whether this is right."
        fi
        return
    fi
    for word in "${!SLURM_@}"; do # what Slurm says of a job that one is in would be taken for the new one's
        [ "$word" = SLURM_CONF ] || unset "$word"
    done
    command -v sbatch >/dev/null || die "there is no sbatch here: log in to a cluster. $template --dry-run needs none"
    { printf '$' && printf ' %q' "${command[@]}" && echo; } >&2
    "${command[@]}" || refused
    echo "Where it is, and why it waits: squeue --me, or aurora slurm status NUMBER. Its log: $root/$log"
}

refused() { die "Slurm refuses this job: see the line above. Account, partition and limits are settings, in $site"; }

# What the job would run, for --dry-run; $1 is a step beside the labs.
show_plan() {
    local lab
    printf 'The job would run:\n  aurora doctor\n'
    for lab in "${labs[@]}"; do
        choose_options "$lab"
        echo "  aurora check $lab ${mine[*]}"
    done
    [ -z "$1" ] || echo "  $1"
}

# --- on the node

# Loads what the site needs, and finds Python.
find_python() {
    cd "$root" || die "cannot enter $root"
    set +eu # not our code
    if [ -n "$MODULES" ]; then
        find_module
        # shellcheck disable=SC2086 # the names of modules, with blanks between them
        module load $MODULES || die "a module could not be loaded: $MODULES (MODULES in $site)"
    fi
    if [ -n "$SETUP" ]; then
        [ -r "$SETUP" ] || die "there is no $SETUP on $(hostname) (SETUP in $site)"
        # shellcheck source=/dev/null
        source "$SETUP" || die "SETUP in $site, $SETUP, ended with an error"
    fi
    set -eu
    [[ $ENVIRONMENT == /* ]] || ENVIRONMENT=$root/$ENVIRONMENT
    python=$ENVIRONMENT/bin/python
    [ -x "$python" ] || die "no Python in $ENVIRONMENT. Run once, on the login node: make doctor (or see $site)"
}

# `module` is a function of the login shell. Where that is not bash, or was left behind, this shell has none yet.
find_module() {
    local file
    for file in "${MODULESHOME:-/usr/share/modules}/init/bash" /etc/profile.d/{modules,lmod,z00_lmod}.sh; do
        if type module >/dev/null 2>&1; then return; fi
        # shellcheck source=/dev/null
        [ ! -r "$file" ] || source "$file"
    done
    type module >/dev/null 2>&1 || die "there is no command module on $(hostname), for $MODULES (MODULES in $site)"
}

# The environment, the folder of results, the devices; then `aurora doctor` looks at the machine.
prepare() {
    find_python
    export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-${SLURM_CPUS_ON_NODE:-1}}"
    say "job $job on $(hostname), $OMP_NUM_THREADS cores, start number $((${SLURM_RESTART_COUNT:-0} + 1))"
    make_results
    say "results: $results"
    vector_engines
    run "$python" -m labs.cli doctor || die "this node is not ready for the labs: see the lines above"
}

# The folder of results, of this job alone: an earlier start of it may have left some there.
make_results() {
    [ -n "$SCRATCH" ] || die "no folder is named for results: SCRATCH in $site"
    results=$SCRATCH/${template%.sh}-${job/_//} # those of a task are in a folder of the array's
    if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ]; then
        end_leftovers
    elif [ -e "$results" ]; then # a Slurm that was set up anew counts its jobs from 1 again
        local old
        old=$results-before-$(date +%Y%m%d-%H%M%S)
        mv "$results" "$old" && say "there were results of another job with this number; they are in $old now"
    fi
    mkdir -p "$results" || die "no folder for results at $results (SCRATCH in $site)"
    has_room || die "nothing can be written to $results: is the disk full, or your quota? (SCRATCH in $site)"
    # A node that Slurm has lost may still be at work. (Where the file system has no locks, nobody can tell.)
    exec 9>>"$results/.lock"
    flock -w 60 -E 9 9 2>/dev/null || [ $? -ne 9 ] ||
        die "an earlier start of this job still writes to $results: try again later, with scontrol requeue $job"
}

has_room() {
    local status=0
    head -c 100000 /dev/zero >"$results/.room" || status=$?
    rm -f "$results/.room"
    return "$status"
} 2>/dev/null

# Says which Vector Engines the job has. Slurm's plugin for them sets VE_NODE_NUMBER; without it, Slurm still counts.
vector_engines() {
    local granted=${VE_NODE_NUMBER:-}
    if [ -z "$granted" ]; then
        granted=$(scontrol show job -d "$job" | sed -n 's/.*ve[^ ]*(IDX:\([0-9,-]*\)).*/\1/p') || true
    fi
    if [ -z "$granted" ]; then
        say "no Vector Engine was asked for: everything runs on the CPU"
        return
    fi
    export VE_NODE_NUMBER="${granted%%[,-]*}" # the first, for programs that use one
    say "Vector Engine $granted granted"
    compgen -G '/dev/veslot*' >/dev/null || say "(this node shows no card, though: everything runs on the CPU)"
}

# --- a server on the node

# Finds the address at which the login node reaches this one. A server listens there, and not on every network of the
# node; on 127.0.0.1 no tunnel from the login node would reach it. Others who reach it have no token.
find_address() {
    address=$(scontrol show node "$SLURMD_NODENAME" | sed -n 's/.*NodeAddr=\([^ ]*\).*/\1/p') || true
    address=${address:-$(hostname)}
    # On some systems a node's own name means 127.0.1.1 on the node itself.
    if [[ $address != 127.* && $(getent hosts "$address") == 127.* ]]; then
        address=$(hostname -I | cut -d ' ' -f 1)
    fi
}

# answer_to TOKEN ADDRESS PORT: prints what JupyterLab there answers to it: 200 is yes, 403 is no. (As an argument
# of curl the token could be seen by others.)
answer_to() {
    {
        printf 'GET /api/status HTTP/1.0\r\nHost: localhost\r\nAuthorization: token %s\r\n\r\n' "$1" >&3
        read -r -t 10 _ code _ <&3 && echo "$code"
    } 3<>"/dev/tcp/$2/$3"
} 2>/dev/null

# --- steps

steps=()   # the template's
finished=0 # of them, in this start of the job
results='' # their folder

# once NAME COMMAND...: runs a step, unless an earlier start of this job has finished it.
once() {
    local name=$1
    shift
    if [ -e "$results/$name.done" ]; then
        say "$name is done already"
        return
    fi
    say "step $name"
    if "$@" && has_room && touch "$results/$name.done"; then
        finished=$((finished + 1))
    else
        say "$name failed: see above, and the report"
        has_room || say "nothing can be written to $results: is the disk full, or your quota? (SCRATCH in $site)"
    fi
}

# Writes the report; says what is done and what is not. Its status says whether all is. Also when the time is over.
summary() {
    local step left=()
    for step in "${steps[@]}"; do
        [ -e "$results/$step.done" ] || left+=("$step")
    done
    if compgen -G "$results/[0-9][0-9].json" >/dev/null; then
        "$python" "$root/slurm/report.py" "$results" "job $job on $(hostname)" || say "there is no report"
    fi
    say "remaining: ${left[*]:-nothing}"
    [ ${#left[@]} -eq 0 ]
}

# --- signals

child=''   # the process that runs
polite=INT # the signal that makes it end, as Ctrl-C would

# Starts a command as a group of its own, so that a signal can end it with all that it has started.
start() {
    set -m
    AURORA_INSIDE=$job "$@" </dev/null &
    child=$!
    set +m
}

# Starts a command, and waits for its end.
run() {
    start "$@"
    local status=0
    wait "$child" || status=$?
    while [ "$status" -gt 128 ] && kill -0 "$child" 2>/dev/null; do # a signal for this shell ended the waiting
        status=0
        wait "$child" || status=$?
    done
    child=''
    return "$status"
}

# Ends what runs: politely first, so that it can end its own; after ten seconds by force. Then what has left the group,
# as kernels do.
stop() {
    [ -n "$child" ] || return 0
    local until=$((SECONDS + 10))
    kill -"$polite" -- "-$child" 2>/dev/null || true
    while kill -0 -- "-$child" 2>/dev/null && [ "$SECONDS" -lt "$until" ]; do sleep 0.2; done
    kill -KILL -- "-$child" 2>/dev/null || true
    child=''
    end_leftovers "AURORA_INSIDE=$job"
}

# Kills what has this job's number in its environment, and $1, if that is given; but not this shell.
end_leftovers() {
    local left number="SLURM_JOB_ID=$SLURM_JOB_ID"
    left=$(grep -lszx "${1:-$number}" /proc/[0-9]*/environ | xargs -r grep -lszx "$number" |
        cut -d / -f 3 | grep -vx "$$") || true
    # shellcheck disable=SC2086 # the numbers of processes, a line each
    [ -z "$left" ] || kill -KILL $left 2>/dev/null || true
}

# Slurm sends USR1 90 seconds before the time is over (see --signal in the template). What is finished is safe; the job
# goes back into the queue for the rest if it has got anything done, else it would never end.
out_of_time() {
    trap '' USR1
    if [[ $(timeout 10 squeue --noheader "--jobs=$job" --format=%l) == [012]:?? ]]; then
        say "this job's time is hardly more than the 90 seconds of the warning: it goes on until its time is over"
        return 0 # a bare return would hand on the status of what was interrupted
    fi
    say "the time is nearly over: stopping"
    stop
    summary || true
    if [ "$finished" -gt 0 ] && scontrol requeue "$job"; then
        say "requeued: it goes on with what remains when its turn comes again"
        exit 0
    fi
    say "nothing was finished in this time, so it would be no use to try again"
    say "give it more time: TIME in $site"
    exit 1
}

# Slurm ends the job: the user or an operator did so, another job came first, or the time is over. The line before in the
# log is Slurm's, and says which. It kills what is left after some seconds (KillWait, 30 if not set otherwise).
cancelled() {
    trap '' TERM INT USR1
    say "cancelled: ending what runs"
    stop
    [ ${#steps[@]} -eq 0 ] || [ -z "$results" ] || summary || true
    exit 143
}

trap out_of_time USR1
trap cancelled TERM INT
trap stop EXIT
