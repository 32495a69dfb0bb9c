//go:build real

package service

import (
	"path/filepath"
	"strings"
	"testing"

	"davbus.org/davbus/dbusapi/client"
	"davbus.org/davbus/service/lab"
)

// annOf4 is a contact of version 4 that says what version 3 cannot.
const annOf4 = "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:ann\r\nFN:Ann Smith\r\nN:Smith;Ann;;;\r\nLANG;PREF=1:fr\r\nNOTE:far\r\n" +
	"TEL;VALUE=uri;PREF=2;TYPE=cell:tel:+43-1-2\r\nBDAY:--0415\r\nPHOTO:data:image/jpeg;base64,/9j/4AAQSkZJRgABAQAAAQABAAD/2w==\r\nEND:VCARD\r\n"

// Xandikos says that it takes version 3; to Radicale, which takes the comma of a
// data: URI for the end of a picture, a person gives version 3 alone.
func TestAContactOfVersion4LivesOnServersOfVersion3(t *testing.T) {
	for _, start := range []func(lab.T) *lab.Server{lab.Radicale, lab.XandikosOnSocket} {
		server := start(t)
		t.Run(server.Name, func(t *testing.T) {
			d := home(t)
			d.start()
			path, err := server.Make(t.Context(), "people.contacts")
			d.must(err)
			d.write("pw", lab.AlicePassword+"\n")
			d.write("local/people/ann.vcf", annOf4)
			params := []any{"url", server.URL + "/", "via", "unix:" + server.Socket, "username", lab.Alice, "password-command", []string{"cat", filepath.Join(d.Dir, "pw")}}
			if server.Name == "radicale" {
				params = append(params, "formats", []string{"vcard3"})
			}
			d.account("work", "dav", params...)
			d.account("local", "vdir", "path", filepath.Join(d.Dir, "local"))
			d.group("people", []string{"work/people.contacts", "local/people"}, client.Options{})
			d.sync("people", "success")
			served := string(d.get(server, path+"ann.vcf"))
			for _, want := range []string{"VERSION:3.0", "/9j/4AAQSkZJRgABAQAAAQABAAD/2w==", "+43-1-2", "1604-04-15"} {
				if !strings.Contains(strings.ReplaceAll(served, "\r\n ", ""), want) {
					t.Errorf("the server has no %s in\n%s", want, served)
				}
			}
			// Somebody edits it there, and somebody here.
			if code := d.ask(server, "PUT", path+"ann.vcf", strings.Replace(served, "NOTE:far", "NOTE:near", 1)); code/100 != 2 {
				t.Fatalf("PUT gives %d", code)
			}
			d.edit("local/people/ann.vcf", "LANG;PREF=1:fr", "LANG;PREF=1:de")
			d.sync("people", "success")
			want := strings.NewReplacer("NOTE:far", "NOTE:near", "LANG;PREF=1:fr", "LANG;PREF=1:de").Replace(annOf4)
			if got := d.read("local/people/ann.vcf"); got != want {
				t.Errorf("the folder has\n%s\ninstead of\n%s", got, want)
			}
			etag := string(d.get(server, path+"ann.vcf"))
			d.sync("people", "success")
			if d.read("local/people/ann.vcf") != want || string(d.get(server, path+"ann.vcf")) != etag {
				t.Error("another sync changed something")
			}
		})
	}
}
