#!/bin/sh
# A plugin for davbus in shell and jq: every *.ics file of a folder is an item of one calendar.
# The protocol is davbus-plugin(7); davbus plugin check --param path=FOLDER ./folder.sh tries it.
set -u

answer() { jq -cn --argjson id "$id" --argjson result "$1" '{jsonrpc: "2.0", id: $id, result: $result}'; }
refuse() { jq -cn --argjson id "$id" --arg name "$1" --arg text "$2" '{jsonrpc: "2.0", id: $id, error: {code: -32000, message: $text, data: {name: $name}}}'; }
param() { printf '%s\n' "$call" | jq -r "$1 // empty"; }
etag() { sha256sum <"$1" | cut -d ' ' -f 1; }

# change REF sends one item of the stream, with its text; one that is not there is gone.
change() {
	if [ -f "$folder/$1" ]; then
		jq -cn --argjson stream "$stream" --arg ref "$1" --arg etag "$(etag "$folder/$1")" --rawfile text "$folder/$1" \
			'{jsonrpc: "2.0", method: "change", params: {stream: $stream, ref: $ref, etag: $etag, text: $text}}'
	else
		jq -cn --argjson stream "$stream" --arg ref "$1" '{jsonrpc: "2.0", method: "change", params: {stream: $stream, ref: $ref, deleted: true}}'
	fi
	count=$((count + 1))
}

commit() {
	verb=$(param .params.verb)
	ref=$(param .params.ref)
	# A name is made of the UID, so that a create which is tried twice finds its first.
	[ "$verb" != create ] || ref=$(param .params.uid | sha256sum | cut -c 1-32).ics
	case $ref in */* | .*) refuse forbidden "that is no name of a file here"; return ;; esac
	if [ "$verb" = create ] && [ -e "$folder/$ref" ]; then refuse exists "there is such a file"; return; fi
	if [ "$verb" != create ] && { [ ! -f "$folder/$ref" ] || [ "$(etag "$folder/$ref")" != "$(param .params.etag)" ]; }; then
		refuse changed "the file was edited meanwhile"
		return
	fi
	if [ "$verb" = delete ]; then
		rm "$folder/$ref" && answer '{}'
		return
	fi
	printf '%s\n' "$call" | jq -j '.params.text // (.params.base64 | @base64d)' >"$folder/.$ref.tmp" &&
		sync "$folder/.$ref.tmp" && mv "$folder/.$ref.tmp" "$folder/$ref" &&
		answer "$(jq -cn --arg ref "$ref" --arg etag "$(etag "$folder/$ref")" '{ref: $ref, etag: $etag}')"
}

while IFS= read -r call; do
	id=$(param .id)
	[ -n "$id" ] || continue
	stream=$(param .params.stream) count=0
	case $(param .method) in
	initialize)
		folder=$(param .params.parameters.path)
		answer '{"protocol": 1, "name": "a folder", "features": []}'
		;;
	discover) answer '{"collections": [{"id": "folder", "kind": "calendar"}]}' ;;
	get_changes)
		for file in "$folder"/*.ics; do [ ! -f "$file" ] || change "${file##*/}"; done
		answer "{\"full\": true, \"count\": $count}"
		;;
	read)
		for ref in $(param '.params.refs[]'); do change "$ref"; done
		answer "{\"count\": $count}"
		;;
	commit) commit || refuse io "the file cannot be written" ;;
	connect | committed_all | sync_done | disconnect | finalize) answer '{}' ;;
	*) refuse not-supported "this plugin has no such method" ;;
	esac
done
