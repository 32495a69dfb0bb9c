// Accounts, what is being done, what clashes, and a button. Each line that it
// shows it also logs.
import QtQuick 2.15

Column {
    id: panel
    width: 360
    padding: 12
    spacing: 6

    component Line: Text {
        Component.onCompleted: console.log(text)
    }

    Repeater {
        model: davbus.accounts
        Line {
            text: "account " + modelData.Id + ": " + modelData.State
                + (modelData.ErrorMessage ? " " + modelData.ErrorMessage : "")
            color: modelData.State === "error" ? "darkred" : "black"
        }
    }

    Repeater {
        model: davbus.jobs
        Column {
            Line {
                text: "job " + modelData.Id + ": " + (modelData.State === "done" ? modelData.Result
                    : modelData.Percent < 0 ? modelData.State : modelData.Percent + " %")
            }
            Rectangle { // how far it has come
                visible: modelData.State === "running"
                height: 4
                width: (panel.width - 24) * Math.max(modelData.Percent, 0) / 100
                color: "steelblue"
            }
        }
    }

    Repeater {
        model: davbus.conflicts
        Line { text: "conflict: " + modelData.ItemName + " in " + modelData.Members.join(", ") }
    }

    Text {
        id: error
        color: "darkred"
        visible: text !== ""
    }

    Rectangle {
        width: 96
        height: 28
        color: "gainsboro"
        Text { anchors.centerIn: parent; text: "Sync now" }
        MouseArea { anchors.fill: parent; onClicked: error.text = davbus.sync("") }
    }
}
