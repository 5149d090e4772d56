# shellcheck shell=bash
# What sweep.sh is to go over: its own options, and all combinations of parameters. Sourced after common.sh.
# shellcheck disable=SC2034,SC2154 # variables of those two

# Takes out of the options what is for sweep.sh; those for `aurora check` stay, in `fixed`.
read_sweep() {
    over=() fixed=() at_once='' array=''
    set -- "${options[@]}"
    while [ $# -gt 0 ]; do
        [[ $1 != --@(over|at-once|merge)=* ]] || set -- "${1%%=*}" "${1#*=}" "${@:2}"
        case $1 in
            --over) over+=("${2-}") ;;
            --at-once) at_once=%${2-} ;;
            --merge) array=${2-} ;;
            *) fixed+=("$1") && shift && continue ;;
        esac
        shift $(($# > 1 ? 2 : 1))
    done
    check_sweep
}

# Counts the combinations; ends with an error if they are not what was meant, or too many.
check_sweep() {
    local list name word values seen given=" ${fixed[*]} " most
    [ ${#labs[@]} -gt 0 ] || die "which lab? It is given by its number, like 02"
    [ ${#over[@]} -gt 0 ] || die "over what? Say a parameter and its values: --over batch=1,2,4"
    [[ $at_once =~ ^(%[1-9][0-9]*)?$ ]] || die "--at-once is a number of tasks, not '${at_once#%}'"
    [[ " ${for_sbatch[*]}" != *\ @(-a|--array)* ]] || die "--over makes the array: leave --array out"
    count=1
    for list in "${over[@]}"; do
        [[ $list =~ ^[A-Za-z_][A-Za-z_0-9]*= ]] || die "--over is a parameter and its values, batch=1,2, not '$list'"
        name=${list%%=*} seen=,
        [[ ,${list#*=}, != *,,* ]] || die "--over $list: a value is empty"
        [[ $given != *" $name="* ]] || die "the parameter $name is given twice"
        given+="$name= "
        IFS=, read -ra values <<<"${list#*=}"
        for word in "${values[@]}"; do
            [[ $seen != *",$word,"* ]] || die "--over $list: the value $word is there twice"
            seen+=$word,
        done
        count=$((count * ${#values[@]}))
    done
    combine 0
    check_arguments
    for word in "${labs[@]}"; do
        choose_options "$word"
        for list in "${over[@]}"; do [[ " ${mine[*]}" != *" ${list%%=*}="* ]] || continue 2; done
        die "lab $word has none of the parameters to go over, so all its runs would be the same: leave it out"
    done
    most=$(timeout 10 scontrol show config 2>/dev/null | sed -n 's/^MaxArraySize *= *//p') || true
    [ "$count" -le "${most:-1001}" ] || die "$count combinations: Slurm takes ${most:-1001} in an array (MaxArraySize)"
}

# Combination $1, into `options`. It counts as a clock does: the last parameter is the fastest.
combine() {
    local rest=$1 place values swept=()
    for ((place = ${#over[@]} - 1; place >= 0; place--)); do
        IFS=, read -ra values <<<"${over[place]#*=}"
        swept=(-p "${over[place]%%=*}=${values[rest % ${#values[@]}]}" "${swept[@]}")
        rest=$((rest / ${#values[@]}))
    done
    options=("${fixed[@]}" "${swept[@]}")
}

# All that is to run: a line for each task and lab, tabs between the words. The report tells from it what is missing.
plan() ( # a shell of its own: `options` outside stay as they are
    for ((task = 0; task < count; task++)); do
        combine "$task"
        for lab in "${labs[@]}"; do
            choose_options "$lab"
            printf '%s\t%s' "$task" "$lab"
            printf '\t%s' "${mine[@]}"
            echo
        done
    done
)
