//go:build !linux

package network

import "time"

// watchLinks gives a token every half minute: links are looked at.
func watchLinks() (changed <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	tick := time.NewTicker(30 * time.Second)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			select {
			case ch <- struct{}{}:
			default:
			}
		}
	}()
	return ch, func() { tick.Stop(); close(done); <-ended }
}
