package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata/wire by what the server says")

// TestWire holds the server to the golden files in testdata/wire: literal requests and the literal answers that
// AWS gives to them. A file is a txtar archive. Its comment says which facts it covers; a line "Needs python3." in it
// skips the file where there is no python3, "Needs isolation." where functions are not isolated. A part called "file: NAME" is a file for packages. Every other part is a
// request to a fresh server, sent in order and followed by a part "answer".
//
// A request is its method and target, then headers, then after an empty line the body. It is signed unless it says
// otherwise with a line "@unsigned", "@secret S", "@key ID", "@region R" or "@date ±DURATION"; "@repeat N" sends it N
// times, which must end alike, and shows the last answer. ${…} stands for what [wire.expand] lists.
//
// An answer shows an event stream as lines, each with the headers and the payload of an event; all headers but Date, Content-Length, which is checked, and X-Serin-Warning, which depends on the
// machine; and a long compact JSON body in indented form. What differs from run to run is replaced: see [wire.normal].
func TestWire(t *testing.T) {
	files, err := filepath.Glob("testdata/wire/*.txtar")
	must(t, err)
	if len(files) == 0 {
		t.Fatal("there are no golden files")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			testWire(t, file)
		})
	}
}

var needed = regexp.MustCompile(`(?m)^Needs (\w+)\.$`)

func testWire(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	golden := txtar.Parse(text)
	for _, m := range needed.FindAllStringSubmatch(string(golden.Comment), -1) {
		if m[1] == "isolation" {
			isolates(t)
			continue
		}
		needs(t, m[1])
	}
	w := newWire(t)
	rewritten := txtar.Archive{Comment: golden.Comment}
	for i := 0; i < len(golden.Files); i++ {
		p := golden.Files[i]
		rewritten.Files = append(rewritten.Files, p)
		if name, ok := strings.CutPrefix(p.Name, "file: "); ok {
			w.files[name] = string(p.Data)
			continue
		}
		got := w.step(t, p)
		if i+1 < len(golden.Files) && golden.Files[i+1].Name == "answer" {
			i++
			if want := string(golden.Files[i].Data); got != want && !*update {
				t.Errorf("%s: %s (-want +got):\n%s", file, p.Name, cmp.Diff(want, got))
			}
		} else if !*update {
			t.Errorf("%s: %s has no answer; the server says:\n%s", file, p.Name, got)
		}
		rewritten.Files = append(rewritten.Files, txtar.File{Name: "answer", Data: []byte(got)})
	}
	if *update {
		must(t, os.WriteFile(file, txtar.Format(&rewritten), 0o644))
	}
}

// wire is a conversation with one server.
type wire struct {
	server *running
	client *http.Client
	files  map[string]string

	values map[string]string // by placeholder, such as uuid1
	names  map[string]string // the inverse
	counts map[string]int    // placeholders by kind
}

func newWire(t *testing.T) *wire {
	t.Helper()
	return &wire{
		server: start(t), files: map[string]string{}, values: map[string]string{}, names: map[string]string{}, counts: map[string]int{},
		client: &http.Client{
			Transport:     &http.Transport{DisableCompression: true, ExpectContinueTimeout: time.Minute},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// wireRequest is one request as a golden file describes it.
type wireRequest struct {
	method, target string
	header         http.Header
	body           string

	unsigned            bool
	secret, key, region string
	clock               time.Duration
	repeat              int
}

func (w *wire) parse(t *testing.T, text string) wireRequest {
	t.Helper()
	head, body, _ := strings.Cut(strings.TrimSuffix(text, "\n"), "\n\n")
	lines := strings.Split(head, "\n")
	r := wireRequest{
		header: http.Header{}, body: body, repeat: 1,
		secret: w.server.SecretAccessKey, key: w.server.AccessKeyID, region: w.server.Region,
	}
	r.method, r.target, _ = strings.Cut(lines[0], " ")
	for _, line := range lines[1:] {
		var err error
		switch name, value, _ := strings.Cut(line, " "); name {
		case "@unsigned":
			r.unsigned = true
		case "@secret":
			r.secret = value
		case "@key":
			r.key = value
		case "@region":
			r.region = value
		case "@date":
			r.clock, err = time.ParseDuration(value)
		case "@repeat":
			r.repeat, err = strconv.Atoi(value)
		default:
			if !strings.HasSuffix(name, ":") {
				t.Fatalf("not a header: %s", line)
			}
			r.header.Add(strings.TrimSuffix(name, ":"), value)
		}
		must(t, err)
	}
	return r
}

// step sends the request of a part and returns the answer.
func (w *wire) step(t *testing.T, p txtar.File) string {
	t.Helper()
	r := w.parse(t, string(p.Data))
	answer, outcome := "", ""
	for i := range r.repeat {
		again := r
		again.target, again.body = w.expand(t, r.target, i+1), w.expand(t, r.body, i+1)
		again.header = http.Header{}
		for name, values := range r.header {
			for _, value := range values {
				again.header.Add(name, w.expand(t, value, i+1))
			}
		}
		reply := w.send(t, &again)
		before := outcome
		if outcome = reply.status + " " + reply.header.Get("X-Amz-Executed-Version"); i > 0 && outcome != before {
			t.Fatalf("%s, repetition %d: %s, before it was %s: %s", p.Name, i+1, outcome, before, reply.body)
		}
		if i+1 == r.repeat {
			answer = w.answer(t, reply)
		}
	}
	return answer
}

// wireReply is one answer as it came.
type wireReply struct {
	status string
	header http.Header
	body   []byte
}

func (w *wire) send(t *testing.T, r *wireRequest) wireReply {
	t.Helper()
	target := r.target
	if strings.HasPrefix(target, "/") {
		target = w.server.Endpoint + target
	}
	req, err := http.NewRequestWithContext(t.Context(), r.method, target, strings.NewReader(r.body))
	must(t, err)
	req.Header = r.header
	if !r.unsigned {
		must(t, r.sign(t.Context(), req))
	}
	resp, err := w.client.Do(req)
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	return wireReply{resp.Status, resp.Header, body}
}

func (r *wireRequest) sign(ctx context.Context, req *http.Request) error {
	hash := req.Header.Get("X-Amz-Content-Sha256")
	if hash == "" {
		sum := sha256.Sum256([]byte(r.body))
		hash = hex.EncodeToString(sum[:])
	}
	credentials := aws.Credentials{AccessKeyID: r.key, SecretAccessKey: r.secret}
	return v4.NewSigner().SignHTTP(ctx, credentials, req, hash, "lambda", r.region, time.Now().Add(r.clock))
}

// answer shows a reply.
func (w *wire) answer(t *testing.T, r wireReply) string {
	t.Helper()
	length := r.header.Get("Content-Length")
	switch {
	case r.status == "204 No Content":
		if length != "" || len(r.body) > 0 {
			t.Errorf("a reply without content has Content-Length %q and %d bytes", length, len(r.body))
		}
	case r.header.Get("Content-Type") == eventStream:
		r.body = shownEvents(t, r.body)
	case length != strconv.Itoa(len(r.body)):
		t.Errorf("Content-Length is %q, the body has %d bytes", length, len(r.body))
	}
	var b bytes.Buffer
	b.WriteString(r.status + "\n")
	for _, line := range headerLines(t, r.header) {
		b.WriteString(line + "\n")
	}
	if len(r.body) > 0 {
		fmt.Fprintf(&b, "\n%s\n", strings.ReplaceAll(shownBody(t, r.body), "\x00", `\0`))
	}
	return w.normal(b.String(), r.header.Get("X-Amzn-Requestid"))
}
