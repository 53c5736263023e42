package server_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
)

var directive = regexp.MustCompile(`\$\{([a-z]+\d*)(?: ([^}]*))?\}`)

// expand replaces what stands in a request for something else:
//
//	${zip NAME…}     the base64 of a zip of these files of the archive
//	${sha256 NAME…}  the CodeSha256 of that zip
//	${bomb N}        the base64 of a small zip with a file that says of itself that it has N bytes
//	${file NAME}     the base64 of this file of the archive
//	${base64 TEXT}   the base64 of a text
//	${repeat N TEXT} a text N times
//	${i}             which repetition of the step this is, from 1
//	${uuid3}, ${marker1}, ${url}
//	                 what an earlier answer shows as <uuid3>, <marker1>, or last as <url>
func (w *wire) expand(t *testing.T, text string, repetition int) string {
	t.Helper()
	return directive.ReplaceAllStringFunc(text, func(s string) string {
		m := directive.FindStringSubmatch(s)
		name, argument := m[1], m[2]
		switch name {
		case "zip":
			return base64.StdEncoding.EncodeToString(w.zip(t, strings.Fields(argument)))
		case "sha256":
			return codeSHA256(w.zip(t, strings.Fields(argument)))
		case "bomb":
			return base64.StdEncoding.EncodeToString(bomb(t, argument))
		case "file":
			return base64.StdEncoding.EncodeToString([]byte(w.files[argument]))
		case "base64":
			return base64.StdEncoding.EncodeToString([]byte(argument))
		case "repeat":
			count, repeated, _ := strings.Cut(argument, " ")
			n, err := strconv.Atoi(count)
			must(t, err)
			return strings.Repeat(repeated, n)
		case "i":
			return strconv.Itoa(repetition)
		}
		value, ok := w.values[name]
		if !ok {
			t.Fatalf("%s stands for nothing", s)
		}
		return value
	})
}

// zip makes a package whose bytes depend on the files alone.
func (w *wire) zip(t *testing.T, names []string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range names {
		content, ok := w.files[name]
		if !ok {
			t.Fatalf("the archive has no file %s", name)
		}
		h := &zip.FileHeader{Name: name, Method: zip.Store}
		h.SetMode(0o755)
		f, err := z.CreateHeader(h)
		must(t, err)
		_, err = io.WriteString(f, content)
		must(t, err)
	}
	must(t, z.Close())
	return b.Bytes()
}

func bomb(t *testing.T, size string) []byte {
	t.Helper()
	n, err := strconv.ParseUint(size, 10, 64)
	must(t, err)
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	f, err := z.CreateRaw(&zip.FileHeader{Name: "zeros", Method: zip.Deflate, UncompressedSize64: n, CompressedSize64: 2})
	must(t, err)
	_, err = f.Write([]byte{3, 0}) // an empty stream
	must(t, err)
	must(t, z.Close())
	return b.Bytes()
}

func codeSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// headerLines shows headers in the order of their names.
func headerLines(t *testing.T, h http.Header) []string {
	t.Helper()
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			switch name {
			case "Date", "Content-Length", "X-Serin-Warning":
				continue
			case "X-Amz-Log-Result":
				value = shownLog(t, value)
			}
			lines = append(lines, name+": "+value)
		}
	}
	return lines
}

// shownLog returns the tail of a log in the clear, or the end of one that was cut.
func shownLog(t *testing.T, encoded string) string {
	t.Helper()
	const most = 4096
	log, err := base64.StdEncoding.DecodeString(encoded)
	must(t, err)
	if len(log) < most {
		return fmt.Sprintf("<base64 of %q>", log)
	}
	return fmt.Sprintf("<base64 of %d bytes that end in %q>", len(log), log[bytes.LastIndex(log, []byte("END RequestId")):])
}

const eventStream = "application/vnd.amazon.eventstream"

// shownEvents returns a line for each event of a stream. Pieces of a response that follow each other are shown as one,
// since how they are cut depends on the moment.
func shownEvents(t *testing.T, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	before, d := "", eventstream.NewDecoder()
	for r := bytes.NewReader(body); r.Len() > 0; {
		m, err := d.Decode(r, nil)
		must(t, err)
		var headers []string
		for _, h := range m.Headers {
			headers = append(headers, h.Name+" "+h.Value.String())
		}
		head := strings.Join(headers, ", ")
		if head != before || !strings.Contains(head, "PayloadChunk") {
			fmt.Fprintf(&b, "\n[%s]\n", head)
		}
		before = head
		var complete map[string]string
		if strings.Contains(head, "InvokeComplete") {
			must(t, json.Unmarshal(m.Payload, &complete))
			if log, ok := complete["LogResult"]; ok {
				complete["LogResult"] = shownLog(t, log)
			}
			for _, name := range slices.Sorted(maps.Keys(complete)) {
				fmt.Fprintf(&b, "%s: %s\n", name, complete[name])
			}
			continue
		}
		b.Write(m.Payload)
	}
	return bytes.TrimLeft(b.Bytes(), "\n")
}

// shownBody returns a body in the form of the golden files: what is not compact JSON, or short, as it is.
func shownBody(t *testing.T, body []byte) string {
	t.Helper()
	const longest = 160
	if !utf8.Valid(body) || bytes.HasPrefix(body, []byte("PK")) {
		return fmt.Sprintf("<%d bytes with the SHA-256 %s>", len(body), codeSHA256(body))
	}
	var compact bytes.Buffer
	if len(body) < longest || json.Compact(&compact, body) != nil || !bytes.Equal(compact.Bytes(), body) {
		return string(body)
	}
	return string(unfold(t, nil, body, ""))
}

// unfold appends a compact JSON value, spread over lines as far as it is long. Members keep their order.
func unfold(t *testing.T, to []byte, value json.RawMessage, indent string) []byte {
	t.Helper()
	const short = 80
	if len(value) <= short || value[0] != '{' && value[0] != '[' {
		return append(to, value...)
	}
	deeper, separator := indent+"  ", "\n"
	d := json.NewDecoder(bytes.NewReader(value))
	_, err := d.Token()
	must(t, err)
	to = append(to, value[0])
	for d.More() {
		to = append(append(to, separator...), deeper...)
		if value[0] == '{' {
			name, err := d.Token()
			must(t, err)
			to = fmt.Appendf(to, "%q: ", name)
		}
		var member json.RawMessage
		must(t, d.Decode(&member))
		to, separator = unfold(t, to, member, deeper), ",\n"
	}
	to = append(append(to, '\n'), indent...)
	return append(to, value[len(value)-1])
}

// What differs from run to run, and what stands for it.
var (
	uuids       = regexp.MustCompile(`[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	markers     = regexp.MustCompile(`("NextMarker": ?")([^"]+)`)
	urlHosts    = regexp.MustCompile(`\b([a-z2-7]{32})(\.lambda-url\.[a-z0-9-]+\.localhost):\d+`)
	urls        = regexp.MustCompile(`http://127\.0\.0\.1:\d+[^"\s]*`)
	fluctuating = []struct {
		match       *regexp.Regexp
		replacement string
	}{
		{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?(\+0000|Z)`), "<time>"},
		{regexp.MustCompile(`("LastModified": ?)\d{10}(\.\d{1,3})?\b`), "$1<epoch>"},
		{regexp.MustCompile(`\b\d{8}T\d{6}Z\b`), "<date>"},
		{regexp.MustCompile(`'\d{8}'`), "'<day>'"},
		{regexp.MustCompile(`Duration: \d+\.\d\d ms`), "Duration: <n.nn> ms"},
		{regexp.MustCompile(`Billed Duration: \d+ ms`), "Billed Duration: <n> ms"},
		{regexp.MustCompile(`Max Memory Used: \d+ MB`), "Max Memory Used: <n> MB"},
		{regexp.MustCompile(`/[^" ]*/packages/[0-9a-f]{64}/`), "/var/task/"},
		{regexp.MustCompile(`("  File \\"[^"\\]*importlib(?:[^"\\]|\\.)*", )+`), "<frames of importlib>, "},
	}
)

// normal replaces what differs from run to run: consistently, so that equal values are seen to be equal and others
// to be different, and ${uuid1} in a later request stands for <uuid1>. Long runs of a character become the
// directive that makes them.
func (w *wire) normal(text, requestID string) string {
	if requestID != "" {
		text = strings.ReplaceAll(text, requestID, "<request-id>")
	}
	text = uuids.ReplaceAllStringFunc(text, func(s string) string { return w.placeholder("uuid", s) })
	text = markers.ReplaceAllStringFunc(text, func(s string) string {
		m := markers.FindStringSubmatch(s)
		return m[1] + w.placeholder("marker", m[2])
	})
	text = urlHosts.ReplaceAllStringFunc(text, func(s string) string {
		m := urlHosts.FindStringSubmatch(s)
		return w.placeholder("urlid", m[1]) + m[2] + ":<port>"
	})
	text = urls.ReplaceAllStringFunc(text, func(s string) string {
		w.values["url"] = s
		return "<url>"
	})
	for _, f := range fluctuating {
		text = f.match.ReplaceAllString(text, f.replacement)
	}
	return shortened(text)
}

// placeholder returns <kind1> for the first value of a kind, <kind2> for the next one that differs, and so on.
func (w *wire) placeholder(kind, value string) string {
	name, ok := w.names[value]
	if !ok {
		w.counts[kind]++
		name = kind + strconv.Itoa(w.counts[kind])
		w.names[value], w.values[name] = name, value
	}
	return "<" + name + ">"
}

// shortened replaces long runs of a character.
func shortened(text string) string {
	const long = 64
	var b strings.Builder
	for start := 0; start < len(text); {
		end := start + 1
		for end < len(text) && text[end] == text[start] {
			end++
		}
		if end-start >= long {
			fmt.Fprintf(&b, "${repeat %d %c}", end-start, text[start])
		} else {
			b.WriteString(text[start:end])
		}
		start = end
	}
	return b.String()
}
