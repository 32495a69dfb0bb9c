#!/usr/bin/gjs
// Follows davbus from GJS, as an extension of a shell would.
//
//   follow.js            until it is interrupted
//   follow.js sync WHAT  also syncs WHAT, and ends with it: 0 if all went well
const {Gio, GLib} = imports.gi;
const System = imports.system;

const NAME = 'org.davbus.Sync1', ROOT = '/org/davbus/Sync1';
const loop = new GLib.MainLoop(null, false);
let mine = null; // the path of the job that we started
let status = 0;

// One line for a person, or null for what is not shown.
function describe(proxy) {
    const get = name => proxy.get_cached_property(name)?.recursiveUnpack();
    switch (proxy.get_interface_name()) {
    case `${NAME}.Account`:
        return `account ${get('Id')}: ${get('State')} ${get('ErrorMessage')}`.trim();
    case `${NAME}.Group`:
        return `group ${get('Id')}: ${get('State')} ${get('ErrorMessage')}`.trim();
    case `${NAME}.Conflict`:
        return `conflict: ${get('ItemName')} in ${get('Members').join(', ')}`;
    case `${NAME}.Job`:
        if (get('State') === 'done')
            return `job ${get('Id')}: ${get('Result')} ${get('ErrorMessage')}`.trim();
        return `job ${get('Id')}: ${get('Kind')} ${get('State')}${get('Percent') >= 0 ? ` ${get('Percent')} %` : ''}`;
    }
    return null;
}

function show(proxy) {
    const line = describe(proxy);
    if (line)
        print(line);
}

const objects = Gio.DBusObjectManagerClient.new_for_bus_sync(
    Gio.BusType.SESSION, Gio.DBusObjectManagerClientFlags.NONE, NAME, ROOT, null, null);
objects.connect('object-added', (_objects, object) => object.get_interfaces().forEach(show));
objects.connect('object-removed', (_objects, object) => print(`gone: ${object.get_object_path()}`));
objects.connect('interface-proxy-properties-changed', (_objects, object, proxy, changed) => {
    const values = changed.recursiveUnpack();
    if (['State', 'Percent', 'Result', 'ErrorMessage', 'DisplayName'].some(name => name in values))
        show(proxy);
    if (object.get_object_path() === mine && values.State === 'done') {
        status = proxy.get_cached_property('Result').unpack() === 'success' ? 0 : 1;
        loop.quit();
    }
});
objects.get_objects().sort((a, b) => a.get_object_path() < b.get_object_path() ? -1 : 1)
    .forEach(object => object.get_interfaces().forEach(show));

if (ARGV[0] === 'sync') {
    // The job is announced before this reply and stays half a minute after its
    // end: whatever happens in between, the object manager has it.
    [mine] = Gio.DBus.session.call_sync(NAME, ROOT, `${NAME}.Manager`, 'Sync',
        new GLib.Variant('(sa{sv})', [ARGV[1] ?? '', {}]), null, Gio.DBusCallFlags.NONE, -1, null).recursiveUnpack();
}
loop.run();
System.exit(status);
