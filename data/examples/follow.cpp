// Follows davbus with QtDBus.
//
//   qdbusxml2cpp -p manager /usr/share/dbus-1/interfaces/org.davbus.Sync1.Manager.xml
//   moc manager.h -o moc_manager.cpp && moc davbus.h -o moc_davbus.cpp
//   g++ -fPIC -I. follow.cpp manager.cpp moc_*.cpp $(pkg-config --cflags --libs Qt5DBus) -o follow
//
//   follow            until it is interrupted
//   follow sync WHAT  also syncs WHAT, and ends with it: 0 if all went well
#include "davbus.h"
#include <QCoreApplication>
#include <QTextStream>

int main(int argc, char **argv)
{
    QCoreApplication app(argc, argv);
    Davbus davbus;
    QObject::connect(&davbus, &Davbus::said, [](const QString &line) { QTextStream(stdout) << line << '\n'; });
    QObject::connect(&davbus, &Davbus::ended, &app, &QCoreApplication::exit, Qt::QueuedConnection);
    davbus.look();
    if (argc > 1 && QString(argv[1]) == "sync") {
        const QString error = davbus.sync(argc > 2 ? argv[2] : "");
        if (!error.isEmpty())
            qFatal("%s", qPrintable(error));
    }
    return app.exec();
}
