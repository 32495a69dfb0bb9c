//go:build real && further && linux

package ledger

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"davbus.org/davbus/engine/item"
)

const (
	writerFolder = "DAVBUS_LEDGER_TEST_FOLDER" // says that this process is the writer
	changesMade  = 60
	itemsKept    = 20 // each is changed again and again
)

// large is a text that cannot be packed, so that the journal comes to its limit
// and is carried over into the file now and then.
func large(n int) []byte {
	r := rand.New(rand.NewPCG(uint64(n), 0))
	raw := make([]byte, 70<<10)
	for i := range raw {
		raw[i] = byte(r.Uint32())
	}
	return event(fmt.Sprint(n), base64.StdEncoding.EncodeToString(raw))
}

// writeChanges is what the writer does: after each change it tells that it was made.
func writeChanges(t *testing.T, folder string) {
	told, err := os.Create(filepath.Join(folder, "told"))
	if err != nil {
		t.Fatal(err)
	}
	defer told.Close()
	l, _ := reopen(t, filepath.Join(folder, "ledger.db"))
	for n := 1; n <= changesMade; n++ {
		if n == changesMade*2/3 { // a ledger that is closed and opened
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l, _ = reopen(t, filepath.Join(folder, "ledger.db"))
		}
		known := map[string]Item{}
		for _, it := range load(t, l.Set(cal)).Items {
			known[it.Key] = it
		}
		do(t, l.Set(cal), func(c *Change) error {
			text := large(n)
			id, err := c.Text(text)
			if err != nil {
				return err
			}
			it := known[fmt.Sprint("u:", n%itemsKept)]
			it.Key, it.UID, it.Version, it.Sum, it.Text, it.Components = fmt.Sprint("u:", n%itemsKept), "x", uint64(n), item.Sum(text), id, "VEVENT"
			return c.PutItem(&it)
		})
		if _, err := told.WriteString(fmt.Sprint(n, "\n")); err != nil {
			t.Fatal(err)
		}
	}
}

// A ledger is written under strace. For cuts of the power at any of its calls, of
// what was not yet made durable only some reaches the disk: any writes, half of
// one, any names. What was told to be written is there, whole, and nothing else is.
func TestFurtherAPowerCutTakesNothingThatWasTold(t *testing.T) {
	folder := t.TempDir()
	if to := os.Getenv(writerFolder); to != "" {
		writeChanges(t, to)
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	trace := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command("strace", "-f", "--seccomp-bpf", "-qq", "-y", "-xx", "-s", "100000", "-o", trace,
		"-e", "trace=?open,openat,write,pwrite64,pwritev,ftruncate,fallocate,rename,renameat,renameat2,unlink,unlinkat,fsync,fdatasync",
		self, "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), writerFolder+"="+folder)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	calls := readTrace(t, trace, folder)
	cuts := 50
	if n, err := strconv.Atoi(os.Getenv("DAVBUS_CUTS")); err == nil {
		cuts = n
	}
	places := make([]int, cuts)
	for i := range places {
		places[i] = i * len(calls) / cuts
	}
	limit, _ := time.ParseDuration(os.Getenv("DAVBUS_FOR")) // after which no further cut is made
	began, made := time.Now(), 0
	d := newDisk()
	for i, c := range calls {
		d.make(c)
		for len(places) > 0 && places[0] == i {
			if places = places[1:]; limit > 0 && time.Since(began) > limit {
				break
			}
			made++
			left := t.TempDir()
			d.fail(t, rand.New(rand.NewPCG(uint64(i), 5)), left)
			if checkLeft(t, left, d.told); t.Failed() {
				t.Fatalf("cut after call %d of %d, %s of %s, after %d was told", i, len(calls), c.kind, c.name, d.told)
			}
			os.RemoveAll(left)
		}
	}
	t.Logf("%d of %d power cuts among %d calls: 0 lost, 0 half, 0 damaged", made, cuts, len(calls))
}

// checkLeft opens what a power cut left.
func checkLeft(t *testing.T, folder string, told int) {
	l, found, err := Open(filepath.Join(folder, "ledger.db"))
	if err != nil {
		t.Errorf("it cannot be opened: %v", err)
		return
	}
	defer l.Close()
	if found.SetAside != "" {
		t.Errorf("it was set aside as damaged")
		return
	}
	versions := map[string]int{}
	for _, it := range load(t, l.Set(cal)).Items {
		n := int(it.Version)
		versions[it.Key] = n
		text, err := l.Set(cal).Text(it.Text)
		if err != nil || n > told+1 || !bytes.Equal(text, large(n)) || it.Sum != item.Sum(text) {
			t.Errorf("%s is of change %d: %v", it.Key, n, err)
		}
	}
	for n := max(1, told-itemsKept+1); n <= told; n++ {
		if key := fmt.Sprint("u:", n%itemsKept); versions[key] < n {
			t.Errorf("%s is of change %d, and %d was told", key, versions[key], n)
		}
	}
	do(t, l.Set(cal), func(c *Change) error { _, err := c.Member("m/a", ""); return err })
}
