package network

import (
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// watchLinks gives a token whenever a link or an address of this machine
// changes, as the kernel tells it.
func watchLinks() (changed <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return ch, func() {}
	}
	groups := uint32(unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return ch, func() {}
	}
	f := os.NewFile(uintptr(fd), "netlink")
	var work sync.WaitGroup
	work.Go(func() {
		defer f.Close()
		buf := make([]byte, 64<<10)
		for {
			_, err := f.Read(buf)
			if os.IsTimeout(err) {
				return
			}
			select { // what it says does not matter, nor that some was lost
			case ch <- struct{}{}:
			default:
			}
			if err != nil && err.(*os.PathError).Err != unix.ENOBUFS {
				return
			}
		}
	})
	return ch, func() { f.SetReadDeadline(time.Unix(1, 0)); work.Wait() }
}
