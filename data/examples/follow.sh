#!/bin/sh
# Follows davbus from a shell, with gdbus alone.
#
#   follow.sh            until it is interrupted
#   follow.sh sync WHAT  also syncs WHAT, and ends with it: 0 if all went well
set -eu
name=org.davbus.Sync1 root=/org/davbus/Sync1

call() { gdbus call --session --dest $name --object-path $root --method "$name.$@"; }

# A list of strings as gdbus prints it, a line each.
lines() { sed -e "s/^(\[//; s/\],)\$//; s/^@as \[\$//; s/[\"'], [\"']/\n/g" | sed -e "s/^[\"']//; s/[\"']\$//"; }

# What happens to jobs, of the lines of gdbus monitor.
jobs() {
	sed -n \
		-e "s|.*\.Manager\.JobNew (uint32 \([0-9]*\), objectpath '[^']*', '\([^']*\)'.*|job \1: \2|p" \
		-e "s|$root/job/\([0-9]*\): .*PropertiesChanged.*'Percent': <\([0-9]*\)>.*|job \1: \2 %|p" \
		-e "s|.*\.Manager\.JobRemoved (uint32 \([0-9]*\),.*, '\([a-z]*\)')\$|job \1: \2|p"
}

events=$(mktemp -u)
mkfifo "$events"
gdbus monitor --session --dest $name >"$events" &
monitor=$!
trap 'kill $monitor 2>/dev/null; rm -f "$events"' EXIT
trap 'exit 130' INT TERM
exec 3<"$events"

# What is called after the monitor has found the daemon is not missed.
call Control.GetStatistics '{}' >/dev/null
while read -r line <&3; do
	case $line in *"is owned by"*) break ;; esac
done
call Shell.Status '' | lines

job=
if [ "${1:-}" = sync ]; then
	job=$(call Shell.Sync "${2:-}") # ('/org/davbus/Sync1/job/1',)
	job=${job#"('"} job=${job%"',)"}
fi
while read -r line <&3; do
	echo "$line" | jobs
	case $line in
	*"JobRemoved (uint32 ${job##*/},"*success*) exit 0 ;;
	*"JobRemoved (uint32 ${job##*/},"*) exit 1 ;;
	esac
done
