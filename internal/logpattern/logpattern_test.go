package logpattern

import (
	"errors"
	"fmt"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

const (
	event  = `{"eventType":"UpdateTrail","sourceIPAddress":"111.111.111.111","errors":[{"code":404,"fatal":true},{"code":500}],"user":{"id":1,"email":"John@example.com","cluster.name":"c"},"latency":12.5,"gone":null,"ok":false,"text":"a \"b\" é"}`
	access = `127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534`
)

var matches = []struct {
	pattern, line string
	want          bool
}{
	{"", "anything", true},
	{`" "`, "anything", true},
	{"ERROR", "an ERROR here", true},
	{"ERROR", "an error here", false},
	{"ERROR ARGUMENTS", "ERROR: no ARGUMENTS", true},
	{"ERROR ARGUMENTS", "ERROR: nothing", false},
	{"?ERROR ?ARGUMENTS", "no ARGUMENTS", true},
	{"?ERROR ?WARN", "INFO all is well", false},
	{"ERROR ?WARN", "ERROR", true}, // ?-terms are ignored beside others
	{"ERROR -EXITING", "ERROR, EXITING", false},
	{"ERROR -EXITING", "ERROR, staying", true},
	{"-DEBUG", "INFO", true},
	{`"INTERNAL SERVER ERROR"`, "500 INTERNAL SERVER ERROR", true},
	{`"INTERNAL SERVER ERROR"`, "INTERNAL ERROR", false},
	{`ERROR "out of \"memory\""`, `ERROR: out of "memory"`, true},
	{`-"Task timed out"`, "Task timed out after 3 s", false},
	{`%AUTH\w+%`, "UNAUTHORIZED", true},
	{`%^4\d\d$%`, "404", true},
	{`%^4\d\d$%`, "1404", false},
	{`%100\%%`, "at 100%", true},
	{"größe", "die größe", true},

	{`{ $.eventType = "UpdateTrail" }`, event, true},
	{`{ $.eventType = UpdateTrail }`, event, true},
	{`{ $.eventType = "updatetrail" }`, event, false},
	{`{ $.eventType != "UpdateTrail" }`, event, false},
	{`{ $.missing != "UpdateTrail" }`, event, false},
	{`{ $.sourceIPAddress = 111.111.* }`, event, true},
	{`{ $.sourceIPAddress != 123.123.* }`, event, true},
	{`{ $.eventType = "*Trail" && $.latency > 12 }`, event, true},
	{`{ $.latency >= 12.5 && $.latency <= 1.25e1 && $.latency < 13 }`, event, true},
	{`{ $.latency > 12.5 }`, event, false},
	{`{ $.eventType > 3 }`, event, false},
	{`{ $.errors[0].code = 404 }`, event, true},
	{`{ $.errors[1].code = 404 }`, event, false},
	{`{ $.errors[*].code = 500 }`, event, true},
	{`{ $.errors[*].code = 501 }`, event, false},
	{`{ $.errors[0].code = 4* }`, event, true},
	{`{ $.*.email = "John@*" }`, event, true},
	{`{ $.user.['cluster.name'] = "c" }`, event, true},
	{`{ $.user['cluster.name'] = "c" }`, event, true},
	{`{ $.gone IS NULL }`, event, true},
	{`{ $.ok IS NULL }`, event, false},
	{`{ $.ok IS FALSE }`, event, true},
	{`{ $.errors[0].fatal IS TRUE }`, event, true},
	{`{ $.nothing NOT EXISTS }`, event, true},
	{`{ $.gone NOT EXISTS }`, event, false},
	{`{ $.gone EXISTS }`, event, true},
	{`{ $.eventType = %Up\w+Trail% }`, event, true},
	{`{ ($.user.id = 1) && ($.ok IS TRUE || $.latency = 12.5) }`, event, true},
	{`{ $.ok IS TRUE || $.user.id = 1 && $.user.id = 2 }`, event, false},
	{`{ $.text = "a \"b\" é" }`, event, true},
	{`{ $.a = 1 }`, `not JSON {"a":1}`, false},
	{`{ $.a = 1 }`, `{"a":1`, false},
	{`{ $.a NOT EXISTS }`, `{"b":`, false},
	{`{ $.a = 1 }`, `{"a":1} rest`, false},
	{`{ $.a = "x" }`, `{"\u0061":"\u0078"}`, true},

	{`[ip, server, username, timestamp, request, status, bytes]`, access, true},
	{`[ip, server, username, timestamp, request, status]`, access, false},
	{`[ip, ..., status, bytes]`, access, true},
	{`[..., status = 4*, bytes > 1000]`, access, true},
	{`[..., status = 4*, bytes > 2000]`, access, false},
	{`[ip, server, username, timestamp, request = *.html*, status = 404 || status = 410, bytes]`, access, true},
	{`[ip=%127\.0\.0\.[1-9]%, server, username, timestamp, request =*.html*, status_code = 4*,]`, access, true},
	{`[ip != 127.0.0.1, ...]`, access, false},
	{`[,,,,,,]`, access, true},
	{`[..., x, y, z, a, b, c, d, e]`, access, false},
}

func TestMatch(t *testing.T) {
	for _, c := range matches {
		p, err := Parse(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		if got := p.Match([]byte(c.line)); got != c.want {
			t.Errorf("%s matches %s: %v, want %v", c.pattern, c.line, got, c.want)
		}
	}
}

var mistakes = []string{
	`"open`, `%open`, `%(%`, `%%`, `foo-bar`, `ERROR [x`, `?`, `{`, `{ }`, `{ $. = 1 }`, `{ $.a }`, `{ $.a = }`, `{ $.a = 1`, `{ $.a = 1 } x`, `{ $.a > "x" }`, `{ a = 1 }`,
	`{ $.a IS 1 }`, `{ $.a NOT NULL }`, `{ $.a[x] = 1 }`, `{ $.a['b = 1 }`, `{ ($.a = 1 }`, `[a, b`, `[a = ]`, `[a = 1, ..., ...]`, `[a = 1 && b = 2]`, `[a] b`, `%a% %b% %c%`,
}

func TestMistakesAreNamed(t *testing.T) {
	for _, pattern := range mistakes {
		p, err := Parse(pattern)
		if _, ok := errors.AsType[*Error](err); !ok {
			t.Errorf("%s: %v, %v", pattern, p, err)
		}
	}
}

func TestExtract(t *testing.T) {
	for _, c := range []struct {
		pattern, line string
		want          map[string]string
	}{
		{`{ $.user.id = 1 && $.errors[1].code = 500 && $.gone IS NULL }`, event, map[string]string{"$.user.id": "1", "$.errors[1].code": "500", "$.gone": "null"}},
		{`[ip, , ..., bytes]`, access, map[string]string{"$ip": "127.0.0.1", "$2": "Prod", "$bytes": "1534"}},
		{`frank`, access, map[string]string{}},
	} {
		p, err := Parse(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, p.Extract([]byte(c.line))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.pattern, diff)
		}
	}
}

func FuzzPattern(f *testing.F) {
	for _, c := range matches {
		f.Add(c.pattern, c.line)
	}
	for _, pattern := range mistakes {
		f.Add(pattern, event)
	}
	f.Fuzz(func(t *testing.T, pattern, line string) {
		p, err := Parse(pattern)
		if err != nil {
			return
		}
		got := p.Match([]byte(line))
		if got {
			p.Extract([]byte(line))
		}
		if p.json != nil && got && !isObject([]byte(line)) {
			t.Errorf("%q matches %q", pattern, line)
		}
		if p.json != nil && p.json.root.leaf != nil && isObject([]byte(line)) && got != (p.json.root.leaf.reads([]byte(line)) && jsontext.Value(line).IsValid(lenient...)) {
			t.Errorf("%q on %q: the short way says %v", pattern, line, got)
		}
		again, err := Parse(p.String())
		if err != nil || again.Match([]byte(line)) != got {
			t.Errorf("%q is read differently again: %v", pattern, err)
		}
	})
}

func BenchmarkMatchJSON(b *testing.B) {
	for _, pattern := range []string{`{ $.latency > 12.5 }`, `{ $.eventType = "nothing" }`, `ERROR`} {
		p, err := Parse(pattern)
		if err != nil {
			b.Fatal(err)
		}
		line := []byte(event)
		b.Run(fmt.Sprintf("%.16s", pattern), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Match(line)
			}
		})
	}
}
