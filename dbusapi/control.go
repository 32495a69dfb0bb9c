package dbusapi

import (
	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/tree"
)

func (f *Face) control() tree.Interface {
	return tree.Interface{Name: ifControl, Methods: map[string]any{
		"Reload":        f.reload,
		"GetStatistics": f.getStatistics,
		"GetLog":        f.getLog,
		"Quit":          f.quit,
	}}
}

func (f *Face) reload(in dict) ([]string, error) {
	o := readOptions("reload", in)
	dry := o.bool("dry-run", false)
	if err := o.end(); err != nil {
		return nil, err
	}
	changed, err := f.host.Reload(dry)
	return names(changed), f.done(err)
}

func (f *Face) getLog(limit uint32, in dict) ([]string, error) {
	_, most, err := page("give the log", 0, limit)
	if err == nil {
		err = noOptions("give the log", in)
	}
	if err != nil {
		return nil, err
	}
	return texts(f.log.Recent(most)), nil
}

func (f *Face) getStatistics(in dict) (dict, error) {
	if err := noOptions("give statistics", in); err != nil {
		return nil, err
	}
	out := dict{
		"signals-sent":      dbus.MakeVariant(f.pub.sent.Load()),
		"signals-coalesced": dbus.MakeVariant(f.pub.coalesced.Load()),
		"calls-in-flight":   dbus.MakeVariant(uint64(f.tree.InFlight())),
		"agents":            dbus.MakeVariant(f.agents.count()),
	}
	for key, n := range f.host.Statistics() {
		out[text(key)] = dbus.MakeVariant(n)
	}
	return out, nil
}

// quit tells the host once the reply has left: the caller must get it.
func (f *Face) quit(c tree.Call, in dict) error {
	o := readOptions("quit", in)
	finish := o.bool("finish-jobs", true)
	if err := o.end(); err != nil {
		return err
	}
	c.After(func() { f.host.Quit(finish) })
	return nil
}
