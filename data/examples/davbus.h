// The tree of davbus, for follow.cpp and panel.cpp.
#pragma once
#include "manager.h"
#include <QtDBus>

using Interfaces = QMap<QString, QVariantMap>;
using Objects = QMap<QDBusObjectPath, Interfaces>;
Q_DECLARE_METATYPE(Interfaces)
Q_DECLARE_METATYPE(Objects)

inline const QString NAME = "org.davbus.Sync1", ROOT = "/org/davbus/Sync1";

// Davbus knows the whole tree and keeps it up to date: what QtDBus has no class for.
class Davbus : public QObject
{
    Q_OBJECT
    // For QML: of each object its properties.
    Q_PROPERTY(QVariantList accounts READ accounts NOTIFY moved)
    Q_PROPERTY(QVariantList jobs READ jobs NOTIFY moved)
    Q_PROPERTY(QVariantList conflicts READ conflicts NOTIFY moved)
public:
    Davbus()
    {
        qDBusRegisterMetaType<QList<QVariantMap>>();
        qDBusRegisterMetaType<Interfaces>();
        qDBusRegisterMetaType<Objects>();
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

    // sync gives why it cannot, or "".
    Q_INVOKABLE QString sync(const QString &what)
    {
        OrgDavbusSync1ManagerInterface manager(NAME, ROOT, QDBusConnection::sessionBus());
        QDBusReply<QDBusObjectPath> job = manager.Sync(what, {});
        if (!job.isValid())
            return job.error().message();
        mine = job.value().path();
        return "";
    }

    QVariantList accounts() const { return all("Account"); }
    QVariantList jobs() const { return all("Job"); }
    QVariantList conflicts() const { return all("Conflict"); }

Q_SIGNALS:
    void said(const QString &line);
    void moved();
    void ended(int status);

private Q_SLOTS:
    void added(const QDBusObjectPath &path, const Interfaces &interfaces)
    {
        for (auto it = interfaces.begin(); it != interfaces.end(); ++it) {
            known[path.path()][it.key()] = it.value();
            say(it.key(), it.value());
        }
        Q_EMIT moved();
    }

    void removed(const QDBusObjectPath &path, const QStringList &)
    {
        known.remove(path.path());
        Q_EMIT said("gone: " + path.path());
        Q_EMIT moved();
    }

    void changed(const QDBusMessage &message)
    {
        const auto interface = message.arguments().at(0).toString();
        const auto values = qdbus_cast<QVariantMap>(message.arguments().at(1));
        auto &properties = known[message.path()][interface];
        for (auto it = values.begin(); it != values.end(); ++it)
            properties[it.key()] = it.value();
        Q_EMIT moved();
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
    QVariantList all(const QString &interface) const
    {
        QVariantList list;
        for (const Interfaces &object : known) {
            if (object.contains(NAME + "." + interface))
                list.append(object.value(NAME + "." + interface));
        }
        return list;
    }

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
