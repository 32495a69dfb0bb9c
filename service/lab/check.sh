#!/bin/sh
# Runs the parts of a check one after the other and tells how long each took.
#
#   check.sh PART...      see `parts` below; stops at the first that fails
set -eu
cd "$(dirname "$0")/../.."
staticcheck_version=v0.8.2

setup() { sh service/lab/setup.sh check; }
setup_all() { sh service/lab/setup.sh check-all; }
build() { make -s build; }
format() {
	bad=$(gofmt -l data dbusapi engine service transports)
	[ -z "$bad" ] || { echo "gofmt would change:"; echo "$bad"; return 1; }
}
vet() {
	go vet ./...
	go vet -tags real ./...
	GOOS=freebsd go vet ./...
}
lint() {
	tools=$(go env GOCACHE)/davbus-tools
	[ -x "$tools/staticcheck-$staticcheck_version" ] || {
		GOBIN=$tools go install honnef.co/go/tools/cmd/staticcheck@$staticcheck_version
		mv "$tools/staticcheck" "$tools/staticcheck-$staticcheck_version"
	}
	"$tools/staticcheck-$staticcheck_version" -tags "real further" ./...
}
datafiles() {
	for f in data/dbus-1/interfaces/*.xml; do xmllint --noout --nonet "$f"; done
	for f in data/man/*.scd; do scdoc <"$f" >/dev/null || { echo "$f: scdoc refuses it"; return 1; }; done
	# What is installed is removed again, to the last folder of ours.
	to=$(mktemp -d)
	make -s install DESTDIR="$to" PREFIX=/usr && make -s uninstall DESTDIR="$to" PREFIX=/usr
	left=$(find "$to" ! -type d -o -name '*davbus*')
	rm -rf "$to"
	[ -z "$left" ] || { echo "make uninstall leaves:"; echo "$left"; return 1; }
}
# With Go alone: what a newcomer types first. Also the long simulations, which the race detector would slow too much.
plain() { go test ./...; }
# Everything under the race detector, with the real programs.
race() { go test -race -tags real -timeout 9m ./...; }
# Further real parts, in the packages that have any.
further() {
	go test -tags "real further" -run Further -timeout 14m -v $(grep -lr '^//go:build real && further' --include '*_test.go' . | xargs -n 1 dirname | sort -u)
}

# The parts of make soak. Ten million random worlds of the planner.
worlds() { DAVBUS_WORLDS=10000000 go test -count=1 -timeout 30m -v -run RandomWorlds ./engine/plan; }
# 100,000 seeds of the simulator: storms of edits, faults, crashes and late members.
storms() { DAVBUS_STORMS=100000 go test -count=1 -timeout 90m -v -run Storm ./engine/group; }
# The shipped programs from outside, 2,000 sequences of 20 operations.
blackbox() {
	DAVBUS_SEQUENCES=2000 go test -tags "real further" -count=1 -timeout 40m -v -run LoseNothing ./service/blackbox
}
# The shipped daemon, killed at every system call of a mixed sync; the power-loss model of folders and ledger.
kills() {
	DAVBUS_KILLS=all go test -tags "real further" -count=1 -timeout 40m -v -run KillAtASystemCall ./service/blackbox
	go test -count=1 -timeout 10m -run 'Power|Crash|Kill' ./engine/storage/vdir ./engine/ledger
}

# A part runs as a program of its own, so that its first failing command ends it.
if [ "${1:-}" = --part ]; then "$2"; exit; fi

for part; do
	start=$(date +%s)
	echo "== $part"
	if sh service/lab/check.sh --part "$part"; then state=ok; else state=FAILED; fi
	spent=$(($(date +%s) - start))
	printf '== %s: %s, %d.%02d minutes\n' "$part" $state $((spent / 60)) $((spent % 60 * 100 / 60))
	[ $state = ok ]
done
