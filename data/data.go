// Package data carries the files that are installed beside the program, so
// that the program, its tests and its packages all read the same ones.
package data

import "embed"

// Interfaces holds the D-Bus introspection files: the folder "interfaces" ours,
// one interface a file, the folder "other" those of others that we implement and
// do not install. They are the contract: the code is checked against them,
// never the other way round.
//
//go:embed dbus-1/interfaces dbus-1/other
var Interfaces embed.FS
