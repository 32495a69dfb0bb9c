package conn

import "github.com/godbus/dbus/v5"

// Local makes a call that came another way than over the bus, from a caller
// whose name is no unique name of a bus. Its values have the types that the bus
// would have given them; it carries no descriptors.
func Local(sender string, path dbus.ObjectPath, iface, member, signature string, values []any) *Incoming {
	if values == nil {
		values = []any{}
	}
	return &Incoming{
		Type: dbus.TypeMethodCall, Path: path, Interface: iface, Member: member,
		Sender: sender, Signature: signature, values: values,
	}
}
