package dbusapi

import (
	"github.com/godbus/dbus/v5"

	"davbus.org/davbus/dbusapi/tree"
)

// offer lets others reach a service of the caller's.
func (f *Face) offer(c tree.Call, label, service, target string, in dict) error {
	host, err := f.introductions()
	if err != nil {
		return err
	}
	return host.Offer(f.caller(c).Name, Offer{Name: label, Service: service, Target: target, Parameters: Metadata(in)})
}

func (f *Face) withdraw(c tree.Call, label, service string) error {
	host, err := f.introductions()
	if err != nil {
		return err
	}
	return host.Withdraw(f.caller(c).Name, label, service)
}

// take makes a stream whose connections lead to what somebody offers.
func (f *Face) take(c tree.Call, to, service string, in dict) (dbus.ObjectPath, dict, error) {
	var parameters any
	o := readOptions("take an offer", in)
	r := StreamRequest{Kind: "tunnel", To: unname(to), Service: service, Size: UnknownSize, Taken: func(p any) { parameters = p }}
	path, err := f.streamOf(c, Root, o, r)
	if err != nil {
		return "/", dict{}, err
	}
	out, err := metadataOf(parameters)
	return path, out, err
}

func (f *Face) listOffers(c tree.Call, in dict) ([]dict, error) {
	if err := noOptions("list offers", in); err != nil {
		return nil, err
	}
	host, err := f.introductions()
	if err != nil {
		return nil, err
	}
	out := []dict{}
	for _, o := range host.Offers(f.caller(c).Name) {
		parameters, err := metadataOf(o.Parameters)
		if err != nil {
			return nil, err
		}
		out = append(out, dict{
			"name": dbus.MakeVariant(text(o.Name)), "service": dbus.MakeVariant(text(o.Service)),
			"parameters": dbus.MakeVariant(parameters), "own": dbus.MakeVariant(o.Own),
		})
	}
	return out, nil
}

// tellTunnel tells the owner of an offer, and nobody else, of a connection.
func (f *Face) tellTunnel(owner string, e TunnelEvent) {
	if e.Connected > 0 {
		_ = f.tree.EmitTo(owner, Root, ifIntroducer, "TunnelConnected", text(e.Name), text(e.Service), e.Connected, senderOf(e.Taker))
		return
	}
	name, why := "", ""
	if e.Err != nil {
		reply := ErrorReply(e.Err)
		name, why = reply.Name, reply.Error()
	}
	_ = f.tree.EmitTo(owner, Root, ifIntroducer, "TunnelDisconnected", text(e.Name), text(e.Service), e.Disconnected, name, why)
}
