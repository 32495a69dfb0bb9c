#!/bin/sh
# Runs every fuzz target of the project for a while: FUZZTIME each, default 20s.
set -eu
cd "$(dirname "$0")/../.."
for file in $(grep -rlE '^func Fuzz' --include '*_test.go' data dbusapi engine service transports); do
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
		echo "== ./$(dirname "$file") $target"
		go test "./$(dirname "$file")" -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-20s}"
	done
done
