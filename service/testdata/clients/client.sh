#!/bin/sh
# The script of all libraries, with busctl, which is sd-bus, and jq. A monitor of
# its own sees what a listener would, and the replies besides.
set -eu
name=org.davbus.Sync1 root=/org/davbus/Sync1
bus="busctl --address=$DBUS_SESSION_BUS_ADDRESS"
dir=$(mktemp -d)
$bus --json=short monitor $name >"$dir/seen" 2>"$dir/state" &
monitor=$!
trap 'kill $monitor; rm -rf "$dir"' EXIT
until grep -q Monitoring "$dir/state"; do kill -0 $monitor; sleep 0.02; done

call() { # PATH INTERFACE METHOD ARGUMENTS...: the first result
	path=$1 iface=$2
	shift 2
	$bus --json=short call $name "$path" "$iface" "$@" | jq -r '.data[0]'
}
seen() { # JOB: what was seen of it, one word each
	jq -rn --arg job "$1" 'inputs |
		if .member == "InterfacesAdded" and .payload.data[0] == $job then "added"
		elif .member == "JobNew" and .payload.data[1] == $job then "new"
		elif .type == "method_return" and .payload.type == "o" and .payload.data[0] == $job then "reply"
		elif .member == "PropertiesChanged" and .path == $job and .payload.data[1].State.data == "done" then "done"
		elif .member == "Completed" and .path == $job then "completed:" + .payload.data[0]
		elif .member == "JobRemoved" and .payload.data[1] == $job then "removed:" + .payload.data[4]
		else empty end' "$dir/seen" 2>/dev/null | tr '\n' ' ' | sed 's/ $//'
}
follow() { # as call, for a method that returns a job: what was seen of it until its end
	job=$(call "$@")
	tries=0
	until seen "$job" | grep -q removed; do
		tries=$((tries + 1))
		[ $tries -lt 1000 ] || { cat "$dir/seen" >&2; exit 1; }
		sleep 0.02
	done
	seen "$job"
}

for id in a b; do
	echo "account $(call $root $name.Manager AddAccount 'ssa{sv}a{sv}' $id vdir 1 path s "~/$id" 0)"
done
echo "group $(call $root $name.Manager AddGroup 'sasa{sv}' home 2 a b 2 create-missing as 1 b interval-sec u 0)"
echo "sync $(follow $root $name.Manager Sync 'sa{sv}' home 0)"
$bus --json=short call $name $root org.freedesktop.DBus.ObjectManager GetManagedObjects >"$dir/tree"
conflict=$(jq -r '.data[0] | keys[] | select(contains("/conflict/"))' "$dir/tree")
echo "tree $(jq -r '.data[0] | keys[] | select(test("/(job|conflict)/") | not) | ltrimstr("'$root'")' "$dir/tree" | tr '\n' ' ' | sed 's/ $//')"
echo "conflict $($bus --json=short get-property $name "$conflict" $name.Conflict Kind ItemName State | jq -rs 'map(.data) | join(" ")')"
echo "versions $(call "$conflict" $name.Conflict GetVersions 'a{sv}' 0 |
	jq -r 'to_entries | map(.key + "=" + (.value | split("SUMMARY:")[1] | split("\r")[0])) | sort | join(" ")')"
echo "resolve $(follow "$conflict" $name.Conflict Resolve 'sa{sv}' member:a/cal 0)"
echo "conflicts $(call $root $name.Manager ListConflicts 'suua{sv}' '' 0 10 0 | jq length)"
# busctl prints an error's message alone; its name is on the bus.
$bus call $name $root $name.Manager Sync 'sa{sv}' nosuch 0 2>/dev/null && exit 1
until grep -q '"type":"error"' "$dir/seen"; do kill -0 $monitor; sleep 0.02; done
echo "error $(jq -rn 'first(inputs | select(.type == "error") | .error_name)' "$dir/seen" 2>/dev/null)"
