package item

import "testing"

func TestSmoke(t *testing.T) {
	a := "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:a\r\nSUMMARY;X=\"1\";A=2:hel\r\n lo\r\nDTSTAMP:x\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	b := "begin:VCALENDAR\nBEGIN:VEVENT\nsummary;A=2;x=1:hello\nUID:a\nEND:VEVENT\nVERSION:2.0\nPRODID:x\nEND:VCALENDAR\n"
	if Sum([]byte(a)) != Sum([]byte(b)) {
		t.Error("differ")
	}
}
