package call

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// ErrTooLong ends a connection: what follows an overlong line cannot be told
// apart.
var ErrTooLong = errors.New("a line is longer than allowed")

// A lineReader reads lines of at most limit bytes. An empty line is passed over,
// so that a person may press return.
type lineReader struct {
	in    *bufio.Reader
	limit int
}

func newLineReader(r io.Reader, limit int) *lineReader {
	return &lineReader{bufio.NewReaderSize(r, 4096), limit}
}

// next reads up to a newline. What comes before the end of the stream without
// one is no line: it was cut off.
func (l *lineReader) next() ([]byte, error) {
	for {
		line, err := l.line()
		if len(line) > 0 || err != nil {
			return line, err
		}
	}
}

func (l *lineReader) line() ([]byte, error) {
	var line []byte
	for {
		part, err := l.in.ReadSlice('\n')
		if err == nil {
			part = part[:len(part)-1]
		}
		if len(line)+len(part) > l.limit {
			return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLong, l.limit)
		}
		line = append(line, part...)
		if err == nil {
			if n := len(line); n > 0 && line[n-1] == '\r' {
				line = line[:n-1]
			}
			return line, nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}
