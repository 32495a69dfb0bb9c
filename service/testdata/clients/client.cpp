// The script of all libraries, with QtDBus and what qdbusxml2cpp makes of the XML.
#include "manager.h"
#include "conflict.h"
#include <QCoreApplication>
#include <QEventLoop>
#include <algorithm>

static const QString NAME = "org.davbus.Sync1", ROOT = "/org/davbus/Sync1";
static const QString JOB = ROOT + "/job/", CONFLICT = ROOT + "/conflict/";

static void say(const QStringList &words)
{
    QTextStream(stdout) << words.join(' ') << '\n';
}

template <typename Reply> static Reply must(Reply reply)
{
    reply.waitForFinished();
    if (reply.isError())
        qFatal("%s", qPrintable(reply.error().message()));
    return reply;
}

// A Trace is what is seen of jobs, in the order in which it comes.
class Trace : public QObject
{
    Q_OBJECT
public:
    explicit Trace(OrgDavbusSync1ManagerInterface *manager)
    {
        auto bus = QDBusConnection::sessionBus();
        bus.connect(NAME, ROOT, "org.freedesktop.DBus.ObjectManager", "InterfacesAdded", this, SLOT(added(QDBusMessage)));
        bus.connect(NAME, QString(), "org.freedesktop.DBus.Properties", "PropertiesChanged", this, SLOT(changed(QDBusMessage)));
        bus.connect(NAME, QString(), NAME + ".Job", "Completed", this, SLOT(completed(QDBusMessage)));
        connect(manager, &OrgDavbusSync1ManagerInterface::JobNew, this,
                [this](uint, const QDBusObjectPath &job) { note(job.path(), "new"); });
        connect(manager, &OrgDavbusSync1ManagerInterface::JobRemoved, this,
                [this](uint, const QDBusObjectPath &job, const QString &, const QDBusObjectPath &, const QString &result) {
                    note(job.path(), "removed:" + result);
                });
    }

    // Says what is seen of the job that a call under way returns, until its end.
    void follow(const QString &title, const QDBusPendingCall &call)
    {
        QString job;
        QEventLoop loop;
        QDBusPendingCallWatcher watcher(call);
        connect(&watcher, &QDBusPendingCallWatcher::finished, this, [&] {
            QDBusPendingReply<QDBusObjectPath> reply = watcher;
            job = must(reply).value().path();
            note(job, "reply");
        });
        auto over = [&] {
            return !job.isEmpty() && std::any_of(seen.begin(), seen.end(), [&](const auto &s) {
                return s.first == job && s.second.startsWith("removed");
            });
        };
        while (!over())
            loop.processEvents(QEventLoop::WaitForMoreEvents);
        QStringList words{title};
        for (const auto &s : seen)
            if (s.first == job)
                words << s.second;
        say(words);
        seen.clear();
    }

private Q_SLOTS:
    void added(const QDBusMessage &m)
    {
        const auto path = m.arguments().at(0).value<QDBusObjectPath>().path();
        if (path.startsWith(JOB))
            note(path, "added");
    }
    void changed(const QDBusMessage &m)
    {
        if (qdbus_cast<QVariantMap>(m.arguments().at(1)).value("State") == "done")
            note(m.path(), "done");
    }
    void completed(const QDBusMessage &m) { note(m.path(), "completed:" + m.arguments().at(0).toString()); }

private:
    void note(const QString &path, const QString &what) { seen.append({path, what}); }
    QList<QPair<QString, QString>> seen;
};

// Says what the tree holds besides jobs, and gives the conflict in it.
static QString look()
{
    auto call = QDBusMessage::createMethodCall(NAME, ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects");
    QDBusPendingReply<DavbusObjects> objects = must(QDBusPendingReply<DavbusObjects>(QDBusConnection::sessionBus().asyncCall(call)));
    QString conflict;
    QStringList paths;
    for (const auto &object : objects.value().keys()) {
        if (object.path().startsWith(CONFLICT))
            conflict = object.path();
        else if (!object.path().startsWith(JOB))
            paths << object.path().mid(ROOT.size());
    }
    paths.sort();
    say(QStringList{"tree"} + paths);
    return conflict;
}

static void show(OrgDavbusSync1ConflictInterface &conflict)
{
    say({"conflict", conflict.kind(), conflict.itemName(), conflict.state()});
    auto versions = must(conflict.GetVersions({}));
    QStringList words;
    const auto texts = versions.argumentAt<0>();
    for (auto it = texts.begin(); it != texts.end(); ++it)
        words << it.key() + "=" + it.value().section("SUMMARY:", 1).section('\r', 0, 0);
    words.sort();
    say(QStringList{"versions"} + words);
}

int main(int argc, char **argv)
{
    QCoreApplication app(argc, argv);
    registerDavbusTypes();
    OrgDavbusSync1ManagerInterface manager(NAME, ROOT, QDBusConnection::sessionBus());
    Trace trace(&manager);
    for (const QString id : {"a", "b"})
        say({"account", must(manager.AddAccount(id, "vdir", {{"path", "~/" + id}}, {})).value().path()});
    say({"group", must(manager.AddGroup("home", {"a", "b"}, {{"create-missing", QStringList{"b"}}, {"interval-sec", 0u}})).value().path()});
    trace.follow("sync", manager.Sync("home", {}));
    OrgDavbusSync1ConflictInterface conflict(NAME, look(), QDBusConnection::sessionBus());
    show(conflict);
    trace.follow("resolve", conflict.Resolve("member:a/cal", {}));
    say({"conflicts", QString::number(must(manager.ListConflicts("", 0, 10, {})).value().size())});
    auto none = manager.Sync("nosuch", {});
    none.waitForFinished();
    say({"error", none.error().name()});
    return 0;
}

#include "client.moc"
