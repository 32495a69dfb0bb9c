// Follows davbus with QtDBus.
//
//   qdbusxml2cpp -p manager /usr/share/dbus-1/interfaces/org.davbus.Sync1.Manager.xml
//   moc manager.h -o moc_manager.cpp && moc follow.cpp -o follow.moc
//   g++ -fPIC -I. follow.cpp manager.cpp moc_manager.cpp $(pkg-config --cflags --libs Qt5DBus) -o follow
//
//   follow            until it is interrupted
//   follow sync WHAT  also syncs WHAT, and ends with it: 0 if all went well
//
// In QML, make Davbus a context property and bind to its signal `said`.
#include "manager.h"
#include <QCoreApplication>
#include <QTextStream>
#include <QtDBus>

using Interfaces = QMap<QString, QVariantMap>;
using Objects = QMap<QDBusObjectPath, Interfaces>;
Q_DECLARE_METATYPE(Interfaces)
Q_DECLARE_METATYPE(Objects)

static const QString NAME = "org.davbus.Sync1", ROOT = "/org/davbus/Sync1";

// Davbus knows the whole tree and keeps it up to date: what QtDBus has no class for.
class Davbus : public QObject
{
    Q_OBJECT
public:
    Davbus()
    {
        auto bus = QDBusConnection::sessionBus();
        const QString manager = "org.freedesktop.DBus.ObjectManager";
        bus.connect(NAME, ROOT, manager, "InterfacesAdded", this, SLOT(added(QDBusObjectPath, Interfaces)));
        bus.connect(NAME, ROOT, manager, "InterfacesRemoved", this, SLOT(removed(QDBusObjectPath, QStringList)));
        bus.connect(NAME, QString(), "org.freedesktop.DBus.Properties", "PropertiesChanged", this, SLOT(changed(QDBusMessage)));
    }

    // After the connections, so that nothing is missed in between.
    void look()
    {
        auto call = QDBusMessage::createMethodCall(NAME, ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects");
        QDBusReply<Objects> all = QDBusConnection::sessionBus().call(call);
        if (!all.isValid())
            qFatal("%s", qPrintable(all.error().message()));
        for (auto it = all.value().constBegin(); it != all.value().constEnd(); ++it)
            added(it.key(), it.value());
    }

    void sync(const QString &what)
    {
        OrgDavbusSync1ManagerInterface manager(NAME, ROOT, QDBusConnection::sessionBus());
        QDBusReply<QDBusObjectPath> job = manager.Sync(what, {});
        if (!job.isValid())
            qFatal("%s", qPrintable(job.error().message()));
        mine = job.value().path();
    }

Q_SIGNALS:
    void said(const QString &line);
    void ended(int status);

private Q_SLOTS:
    void added(const QDBusObjectPath &path, const Interfaces &interfaces)
    {
        for (auto it = interfaces.begin(); it != interfaces.end(); ++it) {
            known[path.path()][it.key()] = it.value();
            say(it.key(), it.value());
        }
    }

    void removed(const QDBusObjectPath &path, const QStringList &)
    {
        known.remove(path.path());
        Q_EMIT said("gone: " + path.path());
    }

    void changed(const QDBusMessage &message)
    {
        const auto interface = message.arguments().at(0).toString();
        const auto values = qdbus_cast<QVariantMap>(message.arguments().at(1));
        auto &properties = known[message.path()][interface];
        for (auto it = values.begin(); it != values.end(); ++it)
            properties[it.key()] = it.value();
        for (const QString shown : {"State", "Percent", "Result", "ErrorMessage", "DisplayName"}) {
            if (values.contains(shown)) {
                say(interface, properties);
                break;
            }
        }
        if (message.path() == mine && values.value("State") == "done")
            Q_EMIT ended(properties.value("Result") == "success" ? 0 : 1);
    }

private:
    void say(const QString &interface, const QVariantMap &p)
    {
        auto get = [&](const QString &name) { return p.value(name).toString(); };
        QString line;
        if (interface == NAME + ".Account" || interface == NAME + ".Group")
            line = interface.section('.', -1).toLower() + " " + get("Id") + ": " + get("State") + " " + get("ErrorMessage");
        else if (interface == NAME + ".Conflict")
            line = "conflict: " + get("ItemName") + " in " + p.value("Members").toStringList().join(", ");
        else if (interface == NAME + ".Job" && get("State") == "done")
            line = "job " + get("Id") + ": " + get("Result") + " " + get("ErrorMessage");
        else if (interface == NAME + ".Job")
            line = "job " + get("Id") + ": " + get("Kind") + " " + get("State") + (p.value("Percent").toInt() >= 0 ? " " + get("Percent") + " %" : "");
        if (!line.isEmpty())
            Q_EMIT said(line.trimmed());
    }

    QMap<QString, Interfaces> known;
    QString mine; // the job that we started
};

int main(int argc, char **argv)
{
    QCoreApplication app(argc, argv);
    qDBusRegisterMetaType<QList<QVariantMap>>();
    qDBusRegisterMetaType<Interfaces>();
    qDBusRegisterMetaType<Objects>();
    Davbus davbus;
    QObject::connect(&davbus, &Davbus::said, [](const QString &line) { QTextStream(stdout) << line << '\n'; });
    QObject::connect(&davbus, &Davbus::ended, &app, &QCoreApplication::exit, Qt::QueuedConnection);
    davbus.look();
    if (argc > 1 && QString(argv[1]) == "sync")
        davbus.sync(argc > 2 ? argv[2] : "");
    return app.exec();
}

#include "follow.moc"
