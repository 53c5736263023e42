package cli

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"serin"
)

// count prints 2,811.
func count(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// counted prints 1 request or 2,811 requests.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return count(n) + " " + noun + "s"
}

// number prints a number with at most two decimals.
func number(v float64) string {
	return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64)
}

// rate prints a fraction as a percentage with the digits that matter.
func rate(fraction float64) string { return significant(100*fraction) + " %" }

// significant keeps one decimal, or two digits of what is smaller than that.
func significant(v float64) string {
	if v != 0 && math.Abs(v) < 0.1 {
		return strconv.FormatFloat(v, 'g', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}

// eValue prints an e-value, of which the magnitude matters.
func eValue(v float64) string {
	switch {
	case v >= 1e6:
		return "over 1,000,000"
	case v >= 100:
		return count(int(v))
	default:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
}

// milliseconds prints 41 ms or 1.2 s.
func milliseconds(ms float64) string {
	switch {
	case ms >= 1000:
		return strconv.FormatFloat(ms/1000, 'f', 1, 64) + " s"
	case ms >= 10:
		return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
	default:
		return strconv.FormatFloat(ms, 'f', 1, 64) + " ms"
	}
}

// seconds prints how long something took: 0.2 s, 74 s, 11m20s.
func seconds(s float64) string {
	switch {
	case s < 10:
		return strconv.FormatFloat(s, 'f', 1, 64) + " s"
	case s < 100:
		return strconv.FormatFloat(s, 'f', 0, 64) + " s"
	default:
		return shortDuration(time.Duration(s) * time.Second)
	}
}

// shortDuration prints 30m rather than 30m0s.
func shortDuration(d time.Duration) string {
	text := d.String()
	if before, ok := strings.CutSuffix(text, "m0s"); ok {
		text = before + "m"
	}
	if before, ok := strings.CutSuffix(text, "h0m"); ok {
		text = before + "h"
	}
	return text
}

// bytesText prints 4.1 MB.
func bytesText(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	default:
		return fmt.Sprintf("%d B", n)
	}
}

// shortSHA prints the first characters of a digest.
func shortSHA(sha string) string {
	if len(sha) > 6 {
		return sha[:6] + "…"
	}
	return sha
}

// clock prints a time for people, in the zone of the machine.
func clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// shares prints the traffic of an alias, most first: v1 90 %, v2 10 %.
func shares(traffic map[serin.VersionNumber]float64) string {
	var texts []string
	for _, v := range byShare(traffic) {
		texts = append(texts, fmt.Sprintf("%s %s %%", versionText(v), number(traffic[v])))
	}
	if len(texts) == 0 {
		return "none"
	}
	return strings.Join(texts, ", ")
}

// versionText prints v3 or $LATEST.
func versionText(v serin.VersionNumber) string {
	if v == serin.Latest {
		return v.String()
	}
	return "v" + v.String()
}

// clean makes text from outside safe to print on one line of a terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
}

// clip cuts a line to the width of a screen.
func clip(line string, width int) string {
	if width <= 0 || utf8.RuneCountInString(line) <= width {
		return line
	}
	runes := []rune(line)
	return string(runes[:max(width-1, 0)]) + "…"
}

// table lays out rows in columns. A column whose heading begins with > is set flush right.
func table(headings []string, rows [][]string) []string {
	right := make([]bool, len(headings))
	widths := make([]int, len(headings))
	first := make([]string, len(headings))
	for i, h := range headings {
		first[i], right[i] = strings.CutPrefix(h, ">")
	}
	rows = append([][]string{first}, rows...)
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	lines := make([]string, len(rows))
	for n, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			switch {
			case right[i]:
				line.WriteString(gap + cell + "  ")
			default:
				line.WriteString(cell + gap + "  ")
			}
		}
		lines[n] = strings.TrimRight(line.String(), " ")
	}
	return lines
}
