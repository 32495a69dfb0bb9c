/* What the annotations in the XML call the types that Qt has no name for. */
#pragma once
#include <QtDBus>

struct DavbusItem {
    QString action, member, item;
};
using DavbusItemList = QList<DavbusItem>;
Q_DECLARE_METATYPE(DavbusItem)
Q_DECLARE_METATYPE(DavbusItemList)

inline QDBusArgument &operator<<(QDBusArgument &a, const DavbusItem &i)
{
    a.beginStructure();
    a << i.action << i.member << i.item;
    a.endStructure();
    return a;
}

inline const QDBusArgument &operator>>(const QDBusArgument &a, DavbusItem &i)
{
    a.beginStructure();
    a >> i.action >> i.member >> i.item;
    a.endStructure();
    return a;
}

using DavbusInterfaces = QMap<QString, QVariantMap>;
using DavbusObjects = QMap<QDBusObjectPath, DavbusInterfaces>;
using DavbusTexts = QMap<QString, QString>;
Q_DECLARE_METATYPE(DavbusInterfaces)
Q_DECLARE_METATYPE(DavbusObjects)
Q_DECLARE_METATYPE(DavbusTexts)

inline void registerDavbusTypes()
{
    qDBusRegisterMetaType<DavbusItem>();
    qDBusRegisterMetaType<DavbusItemList>();
    qDBusRegisterMetaType<DavbusInterfaces>();
    qDBusRegisterMetaType<DavbusObjects>();
    qDBusRegisterMetaType<DavbusTexts>();
    qDBusRegisterMetaType<QList<QVariantMap>>();
}
