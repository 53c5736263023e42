package cli

import (
	"fmt"
	"io"
	"strings"
)

// screen repaints the last lines of a terminal in place. Lines that are printed stay above them. It works
// with a terminal in raw mode, too, where a line ends with a carriage return.
type screen struct {
	to      io.Writer
	width   func() int
	color   bool
	painted int // lines that the next paint replaces
}

// print writes lines that stay.
func (s *screen) print(lines []string) {
	var out strings.Builder
	s.erase(&out)
	for _, l := range lines {
		out.WriteString(l + "\r\n")
	}
	fmt.Fprint(s.to, out.String())
}

// paint replaces the lines of the last paint.
func (s *screen) paint(lines []line) {
	var out strings.Builder
	s.erase(&out)
	width := s.width()
	for _, l := range lines {
		out.WriteString(s.styled(line{clip(clean(l.text), width), l.style}) + "\r\n")
	}
	s.painted = len(lines)
	fmt.Fprint(s.to, out.String())
}

// erase removes what was painted.
func (s *screen) erase(out *strings.Builder) {
	if s.painted > 0 {
		fmt.Fprintf(out, "\x1b[%dA\r\x1b[J", s.painted)
	}
	s.painted = 0
}

// styled is a line with its colours, if there are to be any.
func (s *screen) styled(l line) string {
	codes := map[style]string{strong: "1", faint: "2", good: "32", bad: "1;31"}
	code, styled := codes[l.style]
	if !s.color || !styled {
		return l.text
	}
	return "\x1b[" + code + "m" + l.text + "\x1b[0m"
}
