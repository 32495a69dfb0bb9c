// Shows panel.qml, with davbus as what it shows.
//
//   qdbusxml2cpp -p manager /usr/share/dbus-1/interfaces/org.davbus.Sync1.Manager.xml
//   moc manager.h -o moc_manager.cpp && moc davbus.h -o moc_davbus.cpp
//   g++ -fPIC -I. panel.cpp manager.cpp moc_*.cpp $(pkg-config --cflags --libs Qt5DBus Qt5Quick) -o panel
//
//   panel PANEL.QML            until it is closed
//   panel PANEL.QML sync WHAT  also syncs WHAT, and ends with it: 0 if all went well
#include "davbus.h"
#include <QGuiApplication>
#include <QQmlContext>
#include <QQuickView>

int main(int argc, char **argv)
{
    QGuiApplication app(argc, argv);
    if (argc < 2)
        qFatal("panel PANEL.QML [sync WHAT]");
    Davbus davbus;
    davbus.look();
    QQuickView view;
    view.rootContext()->setContextProperty("davbus", &davbus);
    view.setSource(QUrl::fromLocalFile(argv[1]));
    if (view.status() != QQuickView::Ready)
        return 1; // it has said why
    view.show();
    QObject::connect(&davbus, &Davbus::ended, &app, &QCoreApplication::exit, Qt::QueuedConnection);
    if (argc > 2 && QString(argv[2]) == "sync") {
        const QString error = davbus.sync(argc > 3 ? argv[3] : "");
        if (!error.isEmpty())
            qFatal("%s", qPrintable(error));
    }
    return app.exec();
}
