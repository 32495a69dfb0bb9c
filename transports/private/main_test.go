package private

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets this program be another user's.
func TestMain(m *testing.M) {
	if os.Getenv("DAVBUS_TEST_HELPER") != "" {
		otherUser()
	}
	goleak.VerifyTestMain(m)
}

// otherUser listens, or calls, and ends the program.
func otherUser() {
	verb, path, _ := strings.Cut(os.Getenv("DAVBUS_TEST_HELPER"), " ")
	if verb == "listen" {
		if _, err := net.Listen("unix", path); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Chmod(path, 0o777)
		fmt.Println("ready")
		os.Stdin.Read(make([]byte, 1))
		os.Exit(0)
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		fmt.Fprint(c, "hello")
		var n int
		if n, err = c.Read(make([]byte, 1)); n == 1 {
			os.Exit(0)
		}
	}
	fmt.Println(err)
	os.Exit(1)
}
