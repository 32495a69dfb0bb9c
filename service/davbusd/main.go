// Command davbusd is the daemon that keeps calendars, tasks and contacts in
// step: see davbusd(8).
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"davbus.org/davbus/data"
	"davbus.org/davbus/service"
)

var flags struct {
	LogLevel string           `help:"debug, info, warn or error; else what davbus.yaml says." enum:",debug,info,warn,error" default:""`
	ReadyFD  int              `name:"ready-fd" help:"Write READY=1 to this descriptor when ready." default:"-1"`
	Version  kong.VersionFlag `help:"Print the version and exit."`
}

func main() {
	kong.Parse(&flags, kong.Name("davbusd"), kong.Description("Keeps calendars, tasks and contacts in step, as a service on the session bus."),
		kong.Vars{"version": "davbusd " + data.Version})
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	o := service.Options{LogLevel: flags.LogLevel, Log: os.Stderr, Reload: reload}
	if flags.ReadyFD >= 0 {
		syscall.CloseOnExec(flags.ReadyFD) // no program that we start is to hold it
		o.Ready = os.NewFile(uintptr(flags.ReadyFD), "ready-fd")
	}
	if err := service.Run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "davbusd:", err)
		os.Exit(1)
	}
}
