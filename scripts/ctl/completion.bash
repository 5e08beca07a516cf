# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# Completion of dpdk-vhost-rng-ctl.py for bash: commands, options, and the names of guests, for
# which the daemon is asked. "meson install" puts it where bash-completion looks.

_dpdk_vhost_rng_ctl()
{
    local program=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local commands='status names version top doctor add remove set move reseed reload log-level drain qemu-args qemu-replug libvirt-xml'
    local words='' command='' operands=0 socket=() i

    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --control-socket) socket=(--control-socket "${COMP_WORDS[++i]}") ;;
        --interval | --sort | --batch | --root | --weight | --cap | --burst | --burst-once | \
            --lcore | --max-bytes | --max-requests | --memory) ((++i)) ;;
        -*) ;;
        *) if [[ -z $command ]]; then command=${COMP_WORDS[i]}; else ((++operands)); fi ;;
        esac
    done

    COMPREPLY=()
    case $before in
    --control-socket | --root)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    --sort) words='rate name total' ;;
    --cap | --max-bytes | --max-requests) words=none ;;
    --lcore) words=any ;;
    --interval | --batch | --weight | --burst | --burst-once | --memory) return ;;
    *)
        if [[ $word == -* ]]; then
            words='--json --control-socket --help'
            case $command in
            '') words+=' --status' ;;
            top) words+=' --interval --sort --once --batch' ;;
            doctor) words+=' --root' ;;
            add) words+=' --weight --cap --burst --burst-once --lcore' ;;
            set) words+=' --weight --cap --burst --max-bytes --max-requests' ;;
            drain) words+=' --all --cancel' ;;
            qemu-args) words+=' --memory' ;;
            esac
        else
            case $command:$operands in
            :*) words=$commands ;;
            status:0 | set:0 | move:0 | qemu-args:0 | qemu-replug:0 | libvirt-xml:0 | \
                remove:* | drain:*)
                words=$("$program" "${socket[@]}" names 2>/dev/null)
                ;;
            move:1) words=any ;;
            log-level:0) words='error warning notice info debug' ;;
            add:1)
                mapfile -t COMPREPLY < <(compgen -f -- "$word")
                return
                ;;
            esac
        fi
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -o filenames -F _dpdk_vhost_rng_ctl dpdk-vhost-rng-ctl.py
