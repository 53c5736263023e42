package console

import (
	"errors"
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"

	"serin"
)

// functions are what templates call.
func functions(a *assets) template.FuncMap {
	return template.FuncMap{
		"asset": func(name string) string { return a.base + name },
		"count": count, "percent": percent, "rate": fraction, "ms": milliseconds, "bytes": bytesText, "sha": shortSHA,
		"seconds": seconds, "moment": moment, "version": versionText, "slug": slug, "args": args, "plural": plural,
		"inc": func(i int) int { return i + 1 }, "inverse": func(v float64) float64 { return 1 / v },
	}
}

// args makes a map of names and values, for templates that need more than one value.
func args(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("args: want names and values")
	}
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("args: %v is no name", pairs[i])
		}
		m[name] = pairs[i+1]
	}
	return m, nil
}

// count prints 12,345.
func count(n int) string {
	digits := strconv.Itoa(n)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

func plural(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return count(n) + " " + noun
}

// percent prints a share of a hundred: 75 %, 12.5 %.
func percent(p float64) string { return number(p) + " %" }

// fraction prints a fraction with two significant digits: 0.12 %.
func fraction(r float64) string {
	p := 100 * r
	switch {
	case p == 0:
		return "0 %"
	case p < 0.01:
		return "< 0.01 %"
	case p < 1:
		return strconv.FormatFloat(p, 'f', 2, 64) + " %"
	default:
		return strconv.FormatFloat(p, 'f', 1, 64) + " %"
	}
}

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

// number prints with two decimals at most.
func number(v float64) string { return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64) }

// seconds prints how long something takes: 0.2 s, 74 s, 12 min, 3.5 h.
func seconds(s float64) string {
	switch {
	case s < 10:
		return strconv.FormatFloat(s, 'f', 1, 64) + " s"
	case s < 100:
		return strconv.FormatFloat(s, 'f', 0, 64) + " s"
	case s < 5400:
		return strconv.FormatFloat(s/60, 'f', 0, 64) + " min"
	default:
		return strconv.FormatFloat(s/3600, 'f', 1, 64) + " h"
	}
}

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

func shortSHA(sha string) string { return sha[:min(len(sha), 8)] }

func versionText(n serin.VersionNumber) string {
	if n == serin.Latest {
		return n.String()
	}
	return "v" + n.String()
}

// moment is a time as the script finds it: it shows how long ago that was, in the zone of whoever reads.
func moment(t time.Time) template.HTML {
	if t.IsZero() {
		return ""
	}
	t = t.UTC()
	//nolint:gosec // digits and signs
	return template.HTML(`<time datetime="` + t.Format(time.RFC3339) + `">` + t.Format("2006-01-02 15:04:05") + `</time>`)
}

// slug makes a name one word that can be part of an id.
func slug(parts ...any) string {
	text := strings.ToLower(fmt.Sprint(parts...))
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, text)
}
