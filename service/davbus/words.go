package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/transports/route"
)

// settings reads NAME=VALUE words, and NAME= as a name to be put back to its
// default. Types are signatures of D-Bus, by name.
func settings(of string, types map[string]string, words []string) (set client.Options, unset []string, err error) {
	unset = []string{}
	set = client.Options{}
	for _, word := range words {
		name, text, ok := strings.Cut(word, "=")
		if !ok {
			return nil, nil, usageError(fmt.Sprintf("%q is not NAME=VALUE", word))
		}
		signature, known := types[name]
		switch {
		case !known:
			return nil, nil, usageError(fmt.Sprintf("%s has no setting %q; there are: %s", of, name, strings.Join(slices.Sorted(maps.Keys(types)), ", ")))
		case text == "":
			unset = append(unset, name)
			continue
		}
		if set[name], err = value(set[name], name, signature, text); err != nil {
			return nil, nil, err
		}
	}
	return set, unset, nil
}

// value reads one value; before is what the same name had so far.
func value(before any, name, signature, text string) (any, error) {
	switch signature {
	case "as":
		list, _ := before.([]string)
		if before == nil && strings.HasSuffix(name, "-command") {
			words, why := route.Words(text)
			if why != "" {
				return nil, usageError(fmt.Sprintf("%s: %s", name, why))
			}
			return words, nil
		}
		return append(list, text), nil
	case "b":
		b, err := strconv.ParseBool(text)
		if err != nil {
			return nil, usageError(fmt.Sprintf("%s wants true or false, not %q", name, text))
		}
		return b, nil
	case "u":
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return nil, usageError(fmt.Sprintf("%s wants a whole number, not %q", name, text))
		}
		return uint32(n), nil
	case "i":
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return nil, usageError(fmt.Sprintf("%s wants a whole number, not %q", name, text))
		}
		return int32(n), nil
	}
	return text, nil
}
