package data

// Version is set by the build: see the Makefile.
var Version = "unreleased"
