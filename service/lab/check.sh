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
# Everything under the race detector, with the real programs. SQLite in Go alone is left
# out: it works in memory that the detector does not know, thirty times slower under it.
# The longest packages begin first.
race() {
	go test -race -tags real -timeout 9m \
		-gcflags 'modernc.org/sqlite/lib=-race=false -d=checkptr=0' -gcflags 'modernc.org/libc=-race=false -d=checkptr=0' \
		./service ./engine/group ./...
}
# Further real parts, in the packages that have any.
further() {
	go test -tags "real further" -run Further -timeout 14m -v $(grep -lr '^//go:build real && further' --include '*_test.go' . | xargs -n 1 dirname | sort -u)
}

# The parts of make soak: what is random or exhaustive, each with a number of things to
# do, after which it says how many it did, and a limit of minutes, after which it begins
# no more. SOAK=N multiplies both. DAVBUS_FROM=N begins with other worlds and storms.
soak() {
	what=$1 number=$2 minutes=$((${3} * ${SOAK:-1})) run=$4 package=$5
	env "$what=$((number * ${SOAK:-1}))" DAVBUS_FOR=${minutes}m \
		go test -tags "real further" -count=1 -timeout $((minutes + 5))m -v -run "$run" "$package"
}
# Random worlds of the planner.
worlds() { soak DAVBUS_WORLDS 10000000 6 RandomWorldsKeepTheLaws ./engine/plan; }
# Seeds of the simulator: storms of edits, faults, crashes and late members.
storms() { soak DAVBUS_STORMS 100000 30 SimulatedStormsKeepEveryPromise ./engine/group; }
# Gales of everything that a keeper is told.
gales() { soak DAVBUS_GALES 2000 5 EveryGale ./engine/keeper; }
# The shipped programs from outside, sequences of 20 operations.
blackbox() { soak DAVBUS_SEQUENCES 2000 12 LoseNothing$ ./service/blackbox; }
# The shipped daemon, killed at each call of a mixed sync, of up to so many of each kind.
kills() { soak DAVBUS_KILLS 60 8 KillAtASystemCall ./service/blackbox; }
# Power cuts: of the folder's writer at each step, and of the ledger at so many calls.
power() {
	go test -count=1 -timeout 5m -v -run 'Power|Durable' ./engine/storage/vdir
	soak DAVBUS_CUTS 1000 5 APowerCut ./engine/ledger
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
