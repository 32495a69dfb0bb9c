package tree

import (
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"
)

const doctype = `<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
`

// describe is the introspection of one object or node.
func (t *Tree) describe(p dbus.ObjectPath) string {
	var b strings.Builder
	b.WriteString(doctype + "<node>\n" + peerXML + introspectableXML)
	o := t.object(p)
	if t.hasStandard(p, o, properties) {
		b.WriteString(propertiesXML)
	}
	if t.hasStandard(p, o, objectManager) {
		b.WriteString(objectManagerXML)
	}
	for _, name := range slices.Sorted(maps.Keys(o)) {
		b.WriteString(o[name].spec.text)
	}
	for _, name := range t.children(p) {
		b.WriteString("  <node name=\"" + name + "\"/>\n")
	}
	b.WriteString("</node>\n")
	return b.String()
}

const (
	peerXML = `  <interface name="org.freedesktop.DBus.Peer">
    <method name="Ping"/>
    <method name="GetMachineId">
      <arg name="machine_uuid" type="s" direction="out"/>
    </method>
  </interface>
`
	introspectableXML = `  <interface name="org.freedesktop.DBus.Introspectable">
    <method name="Introspect">
      <arg name="xml_data" type="s" direction="out"/>
    </method>
  </interface>
`
	propertiesXML = `  <interface name="org.freedesktop.DBus.Properties">
    <method name="Get">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="property_name" type="s" direction="in"/>
      <arg name="value" type="v" direction="out"/>
    </method>
    <method name="GetAll">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="properties" type="a{sv}" direction="out"/>
      <annotation name="org.qtproject.QtDBus.QtTypeName.Out0" value="QVariantMap"/>
    </method>
    <method name="Set">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="property_name" type="s" direction="in"/>
      <arg name="value" type="v" direction="in"/>
    </method>
    <signal name="PropertiesChanged">
      <arg name="interface_name" type="s"/>
      <arg name="changed_properties" type="a{sv}"/>
      <arg name="invalidated_properties" type="as"/>
      <annotation name="org.qtproject.QtDBus.QtTypeName.Out1" value="QVariantMap"/>
    </signal>
  </interface>
`
	objectManagerXML = `  <interface name="org.freedesktop.DBus.ObjectManager">
    <method name="GetManagedObjects">
      <arg name="objects" type="a{oa{sa{sv}}}" direction="out"/>
      <annotation name="org.qtproject.QtDBus.QtTypeName.Out0" value="QDBusObjectManagerObjects"/>
    </method>
    <signal name="InterfacesAdded">
      <arg name="object" type="o"/>
      <arg name="interfaces" type="a{sa{sv}}"/>
      <annotation name="org.qtproject.QtDBus.QtTypeName.Out1" value="QDBusObjectManagerInterfaces"/>
    </signal>
    <signal name="InterfacesRemoved">
      <arg name="object" type="o"/>
      <arg name="interfaces" type="as"/>
    </signal>
  </interface>
`
)

// machineID reads the id of this machine. Programs that share a bus across
// machines tell them apart by it.
func machineID() (string, error) {
	for _, name := range []string{"/etc/machine-id", "/var/lib/dbus/machine-id"} {
		if text, err := os.ReadFile(name); err == nil && len(strings.TrimSpace(string(text))) == 32 {
			return strings.TrimSpace(string(text)), nil
		}
	}
	return "", dbus.NewError("org.freedesktop.DBus.Error.FileNotFound", []any{"this machine has no id: run systemd-machine-id-setup or dbus-uuidgen"})
}
