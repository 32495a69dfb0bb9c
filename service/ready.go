package service

import (
	"os"

	"github.com/coreos/go-systemd/v22/daemon"
)

// tellReady says that the name is owned: to systemd, and to whoever passed a
// descriptor. Neither need be there, and a failure to tell is no reason to stop.
func tellReady(to *os.File) {
	_, _ = daemon.SdNotify(false, daemon.SdNotifyReady+"\nSTATUS=Ready")
	if to != nil {
		_, _ = to.WriteString("READY=1\n")
		_ = to.Close()
	}
}

func tellStopping() {
	_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping+"\nSTATUS=Letting jobs stop")
}
