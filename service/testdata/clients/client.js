// The script of all libraries, with GJS and proxies made of the installed XML.
const {Gio, GLib} = imports.gi;
const NAME = 'org.davbus.Sync1', ROOT = '/org/davbus/Sync1', JOB = `${ROOT}/job/`;
const bus = Gio.DBus.session, loop = new GLib.MainLoop(null, false);

const made = short => Gio.DBusProxy.makeProxyWrapper(
    new TextDecoder().decode(GLib.file_get_contents(`${ARGV[0]}/${NAME}.${short}.xml`)[1]));
const Manager = made('Manager'), Conflict = made('Conflict');

let trace = [];
bus.signal_subscribe(NAME, null, null, null, null, Gio.DBusSignalFlags.NONE, (_bus, _sender, path, _iface, member, args) => {
    args = args.recursiveUnpack();
    if (member === 'InterfacesAdded' && args[0].startsWith(JOB))
        trace.push([args[0], 'added']);
    else if (member === 'JobNew')
        trace.push([args[1], 'new']);
    else if (member === 'PropertiesChanged' && args[1].State === 'done')
        trace.push([path, 'done']);
    else if (member === 'Completed')
        trace.push([path, `completed:${args[0]}`]);
    else if (member === 'JobRemoved') {
        trace.push([args[1], `removed:${args[4]}`]);
        loop.quit();
    }
});

// Makes a call that returns a job, and says what was seen of it until its end.
function follow(call) {
    let job = null;
    trace = [];
    call(([path], error) => {
        if (error)
            throw error;
        trace.push([path, 'reply']);
        job = path;
    });
    while (!job || !trace.some(([path, what]) => path === job && what.startsWith('removed')))
        loop.run();
    return trace.filter(([path]) => path === job).map(([, what]) => what).join(' ');
}

const v = (type, value) => new GLib.Variant(type, value);
const manager = new Manager(bus, NAME, ROOT);
for (const id of ['a', 'b'])
    print('account', manager.AddAccountSync(id, 'vdir', {path: v('s', `~/${id}`)}, {})[0]);
print('group', manager.AddGroupSync('home', ['a', 'b'], {'create-missing': v('as', ['b']), 'interval-sec': v('u', 0)})[0]);
print('sync', follow(done => manager.SyncRemote('home', {}, done)));

const objects = Gio.DBusObjectManagerClient.new_sync(bus, Gio.DBusObjectManagerClientFlags.NONE, NAME, ROOT, null, null);
const paths = objects.get_objects().map(o => o.get_object_path()).sort();
const at = paths.find(p => p.startsWith(`${ROOT}/conflict/`));
print('tree', ...paths.filter(p => p !== at && !p.startsWith(JOB)).map(p => p.slice(ROOT.length)));
const conflict = new Conflict(bus, NAME, at);
print('conflict', conflict.Kind, conflict.ItemName, conflict.State);
const [versions] = conflict.GetVersionsSync({});
print('versions', ...Object.entries(versions).map(([k, text]) => `${k}=${text.split('SUMMARY:')[1].split('\r')[0]}`).sort());
print('resolve', follow(done => conflict.ResolveRemote('member:a/cal', {}, done)));
print('conflicts', manager.ListConflictsSync('', 0, 10, {})[0].length);
try {
    manager.SyncSync('nosuch', {});
} catch (e) {
    print('error', Gio.DBusError.get_remote_error(e));
}
