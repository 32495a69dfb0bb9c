#!/bin/sh
# Any method of davbus from a shell, without a bus: ctl.sh METHOD [PARAMS], as
#   ctl.sh Manager.Sync '{"what":"home"}'     ctl.sh Job.Wait '{"object":"7"}'     ctl.sh commands
set -eu
ask() { printf '{"jsonrpc":"2.0","id":1,"method":"%s","params":%s}\n' "$1" "${2:-{\}}"; }
socket=${XDG_RUNTIME_DIR:?}/davbus/control
case ${CTL:-nc} in
nc) ask "$@" | nc -N -U "$socket" ;;
socat) ask "$@" | socat -t 30 - "UNIX-CONNECT:$socket" ;;
esac
