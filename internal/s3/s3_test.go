package s3

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rclone/gofakes3"

	"serin/internal/store"
)

// world is a service on a store in a directory.
type world struct {
	*testing.T
	*Service

	handler http.Handler
	dir     string
	now     time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, dir: t.TempDir(), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	w.open()
	return w
}

// open opens the service; what was open before counts as killed.
func (w *world) open() {
	w.Helper()
	ctx := context.Background()
	s, err := store.Open(ctx, store.Config{Dir: w.dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = s.Close() })
	w.Service, err = Open(ctx, Config{
		Dir: filepath.Join(w.dir, "objects"), Store: s, Region: "eu-central-1", MaxObject: 1 << 20,
		Now: func() time.Time { return w.now }, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		w.Fatal(err)
	}
	w.handler = w.Handler()
}

func (w *world) reopen() {
	w.Helper()
	if err := w.Store.Close(); err != nil {
		w.Fatal(err)
	}
	w.open()
}

// do sends a request, with headers as pairs, and returns the status and the body.
func (w *world) do(method, target, body string, headers ...string) (int, string) {
	w.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Content-Length", fmt.Sprint(len(body)))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer := httptest.NewRecorder()
	w.handler.ServeHTTP(answer, r)
	if answer.Header().Get("Access-Control-Allow-Origin") != "" {
		w.Errorf("%s %s is open to pages of every origin", method, target)
	}
	return answer.Code, answer.Body.String()
}

func (w *world) expect(status int, contains, method, target, body string, headers ...string) string {
	w.Helper()
	code, text := w.do(method, target, body, headers...)
	if code != status || !strings.Contains(text, contains) {
		w.Errorf("%s %s: %d %s; want %d and %s", method, target, code, text, status, contains)
	}
	return text
}

// files returns how many files of objects there are.
func (w *world) fileCount() int {
	w.Helper()
	entries, err := os.ReadDir(filepath.Join(w.dir, "objects"))
	if err != nil {
		w.Fatal(err)
	}
	return len(entries)
}

func TestObjectsSurviveARestart(t *testing.T) {
	w := newWorld(t)
	w.expect(404, "NoSuchBucket", "PUT", "/nobody/key", "x")
	w.expect(200, "", "PUT", "/bucket", "")
	w.expect(409, "BucketAlreadyOwnedByYou", "PUT", "/bucket", "")
	w.expect(400, "InvalidBucketName", "PUT", "/Bucket_", "")
	w.expect(200, "", "PUT", "/bucket/a/b.txt", "hello", "Content-Type", "text/plain", "X-Amz-Meta-Who", "me")
	w.expect(200, "", "PUT", "/bucket/a/b.txt", "hello again", "Content-Type", "text/plain", "X-Amz-Meta-Who", "me")
	// What a killed server leaves: a file that nothing names.
	if err := os.WriteFile(filepath.Join(w.dir, "objects", "unnamed"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.reopen()
	w.expect(200, "hello again", "GET", "/bucket/a/b.txt", "")
	w.expect(206, "again", "GET", "/bucket/a/b.txt", "", "Range", "bytes=6-")
	w.expect(416, "InvalidRange", "GET", "/bucket/a/b.txt", "", "Range", "bytes=100-")
	w.expect(304, "", "GET", "/bucket/a/b.txt", "", "If-None-Match", `"`+"3f7ab0d1ed9b9b31d1a7d5ab7c0bdce3"+`", *`)
	w.expect(412, "PreconditionFailed", "GET", "/bucket/a/b.txt", "", "If-Match", `"0"`)
	w.expect(412, "PreconditionFailed", "PUT", "/bucket/a/b.txt", "x", "If-None-Match", "*")
	w.expect(404, "<Message>The specified key does not exist.", "GET", "/bucket/none", "")
	w.expect(409, "BucketNotEmpty", "DELETE", "/bucket", "")
	if n := w.fileCount(); n != 1 {
		t.Errorf("%d files, want that of the one object", n)
	}
	w.expect(200, "ETag", "PUT", "/bucket/copy", "", "X-Amz-Copy-Source", "/bucket/a/b.txt")
	w.expect(200, "hello again", "GET", "/bucket/copy", "")
	w.expect(204, "", "DELETE", "/bucket/a/b.txt", "")
	w.expect(200, "<Key>copy</Key>", "POST", "/bucket?delete", `<Delete><Object><Key>copy</Key></Object></Delete>`)
	w.expect(204, "", "DELETE", "/bucket", "")
	if n := w.fileCount(); n != 0 {
		t.Errorf("%d files are left of deleted objects", n)
	}
}

func TestLargeAndDamagedObjectsAreRefused(t *testing.T) {
	w := newWorld(t)
	w.expect(200, "", "PUT", "/bucket", "")
	big := strings.Repeat("x", 1<<20+1)
	w.expect(400, "EntityTooLarge", "PUT", "/bucket/big", big)
	w.expect(400, "BadDigest", "PUT", "/bucket/damaged", "text", "X-Amz-Checksum-Crc32", "AAAAAA==")
	w.expect(400, "BadDigest", "PUT", "/bucket/damaged", "text", "Content-Md5", "AAAAAAAAAAAAAAAAAAAAAA==")
	w.expect(400, "IncompleteBody", "PUT", "/bucket/short", "text", "Content-Length", "5")
	w.expect(400, "KeyTooLong", "PUT", "/bucket/"+strings.Repeat("k", 1025), "")
	w.expect(400, "InvalidArgument", "PUT", "/bucket/%ff%00", "")
	if n := w.fileCount(); n != 0 {
		t.Errorf("%d files are left of refused objects", n)
	}
}

func TestVersions(t *testing.T) {
	w := newWorld(t)
	w.expect(200, "", "PUT", "/bucket", "")
	w.expect(200, "", "PUT", "/bucket/key", "zero")
	w.expect(200, "", "PUT", "/bucket?versioning", `<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`)
	w.expect(200, "<Status>Enabled</Status>", "GET", "/bucket?versioning", "")
	w.expect(200, "", "PUT", "/bucket/key", "one")
	w.expect(204, "", "DELETE", "/bucket/key", "")
	w.expect(404, "NoSuchKey", "GET", "/bucket/key", "")
	o, _, err := w.loadObject(t.Context(), "bucket", "key")
	if err != nil || len(o.Versions) != 3 {
		t.Fatalf("%d versions, %v", len(o.Versions), err)
	}
	marker, one := o.Versions[0].ID, o.Versions[1].ID
	w.expect(200, "one", "GET", "/bucket/key?versionId="+one, "")
	if data, err := w.ReadObject(t.Context(), "bucket", "key", "null", 100); string(data) != "zero" || err != nil {
		t.Errorf("the version called null: %q %v", data, err)
	}
	w.expect(204, "", "DELETE", "/bucket/key?versionId="+marker, "")
	w.expect(200, "one", "GET", "/bucket/key", "")
	page := w.expect(200, "<IsTruncated>true</IsTruncated>", "GET", "/bucket?versions&max-keys=1", "")
	if !strings.Contains(page, "<NextKeyMarker>key</NextKeyMarker>") {
		t.Errorf("a page of versions: %s", page)
	}
	w.expect(200, "<VersionId>null</VersionId>", "GET", "/bucket?versions&key-marker=key&version-id-marker="+one, "")
	w.expect(200, "<VersionId>"+one, "POST", "/bucket?delete", "<Delete><Object><Key>key</Key><VersionId>"+one+"</VersionId></Object>"+
		"<Object><Key>key</Key><VersionId>null</VersionId></Object></Delete>")
	w.expect(204, "", "DELETE", "/bucket", "")
	if n := w.fileCount(); n != 0 {
		t.Errorf("%d files are left", n)
	}
}

func TestListing(t *testing.T) {
	w := newWorld(t)
	w.expect(200, "", "PUT", "/bucket", "")
	w.expect(200, "", "PUT", "/bucket-2", "")
	w.expect(200, "", "PUT", "/bucket-2/other", "")
	for _, key := range []string{"a/1", "a/2", "a/b/3", "b", "c/1", "c/2", "d%2Fe"} {
		w.expect(200, "", "PUT", "/bucket/"+key, "")
	}
	for query, want := range map[string][]string{
		"":                                   {"a/1", "a/2", "a/b/3", "b", "c/1", "c/2", "d/e"},
		"&delimiter=/":                       {"b", "a/", "c/", "d/"},
		"&delimiter=/&prefix=a/":             {"a/1", "a/2", "a/b/"},
		"&prefix=c/":                         {"c/1", "c/2"},
		"&max-keys=2":                        {"a/1", "a/2"},
		"&start-after=a/2&max-keys=2":        {"a/b/3", "b"},
		"&delimiter=/&start-after=a/":        {"b", "c/", "d/"},
		"&delimiter=/&max-keys=1":            {"a/"},
		"&delimiter=b":                       {"a/1", "a/2", "c/1", "c/2", "d/e", "a/b", "b"},
		"&prefix=%F0%9F%98%80":               nil,
		"&delimiter=/&prefix=a&start-after=": {"a/"},
	} {
		text := w.expect(200, "", "GET", "/bucket?list-type=2"+query, "")
		var list struct {
			Contents       []struct{ Key string }
			CommonPrefixes []struct{ Prefix string }
		}
		if err := xml.Unmarshal([]byte(text), &list); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range list.Contents {
			got = append(got, c.Key)
		}
		for _, c := range list.CommonPrefixes {
			got = append(got, c.Prefix)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
	// Every key appears once over the pages, with and without prefixes.
	for _, query := range []string{"", "&delimiter=/"} {
		seen, token := map[string]int{}, ""
		for range 20 {
			var list struct {
				Contents              []struct{ Key string }
				CommonPrefixes        []struct{ Prefix string }
				NextContinuationToken string
			}
			text := w.expect(200, "", "GET", "/bucket?list-type=2&max-keys=1"+query+token, "")
			if err := xml.Unmarshal([]byte(text), &list); err != nil {
				t.Fatal(err)
			}
			for _, c := range list.Contents {
				seen[c.Key]++
			}
			for _, c := range list.CommonPrefixes {
				seen[c.Prefix]++
			}
			if list.NextContinuationToken == "" {
				break
			}
			token = "&continuation-token=" + list.NextContinuationToken
		}
		want := 7 - 3*len(query)/len("&delimiter=/")
		if len(seen) != want {
			t.Errorf("%s: %d names over the pages, want %d: %v", query, len(seen), want, seen)
		}
		for name, n := range seen {
			if n != 1 {
				t.Errorf("%s appears %d times over the pages", name, n)
			}
		}
	}
}

func TestSettingsAreKept(t *testing.T) {
	w := newWorld(t)
	w.expect(404, "NoSuchBucket", "GET", "/bucket?policy", "")
	w.expect(200, "", "PUT", "/bucket", "")
	w.expect(200, "<LocationConstraint xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">eu-central-1", "GET", "/bucket?location", "")
	w.expect(404, "NoSuchBucketPolicy</Code><Message>The bucket policy does not exist", "GET", "/bucket?policy", "")
	w.expect(200, "AES256", "GET", "/bucket?encryption", "")
	w.expect(200, "NotificationConfiguration", "GET", "/bucket?notification", "")
	w.expect(204, "", "PUT", "/bucket?policy", `{"Version":"2012-10-17"}`)
	w.expect(400, "InvalidRequest", "PUT", "/bucket?policy", `<xml/>`)
	w.expect(400, "MalformedXML", "PUT", "/bucket?lifecycle", `<a>`)
	w.expect(400, "MalformedXML", "PUT", "/bucket?lifecycle", `<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`)
	w.expect(400, "MaxMessageLengthExceeded", "PUT", "/bucket?lifecycle", "<a>"+strings.Repeat("x", 64<<10)+"</a>")
	for name := range settings {
		if name == "policy" {
			continue
		}
		w.expect(200, "", "PUT", "/bucket?"+name, "<Kept>"+name+"</Kept>")
	}
	w.reopen()
	w.expect(200, `{"Version":"2012-10-17"}`, "GET", "/bucket?policy", "")
	for name := range settings {
		if name != "policy" {
			w.expect(200, "<Kept>"+name+"</Kept>", "GET", "/bucket?"+name, "")
		}
		w.expect(204, "", "DELETE", "/bucket?"+name, "")
	}
	w.expect(404, "NoSuchTagSet", "GET", "/bucket?tagging", "")
	w.expect(200, "", "PUT", "/bucket/key", "x", "X-Amz-Server-Side-Encryption", "aws:kms", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", "k")
}

func TestMultipart(t *testing.T) {
	w := newWorld(t)
	w.expect(200, "", "PUT", "/bucket", "")
	text := w.expect(200, "UploadId", "POST", "/bucket/key?uploads", "", "Content-Type", "text/x")
	var begun struct {
		UploadID string `xml:"UploadId"`
	}
	if err := xml.Unmarshal([]byte(text), &begun); err != nil {
		t.Fatal(err)
	}
	id := "uploadId=" + begun.UploadID
	etags := map[int]string{}
	for _, part := range []struct {
		number int
		text   string
	}{{2, "two"}, {1, "wrong"}, {1, "one"}} {
		r := httptest.NewRequest(http.MethodPut, fmt.Sprintf("/bucket/key?partNumber=%d&%s", part.number, id), strings.NewReader(part.text))
		r.Header.Set("Content-Length", fmt.Sprint(len(part.text)))
		answer := httptest.NewRecorder()
		w.handler.ServeHTTP(answer, r)
		etags[part.number] = answer.Header().Get("ETag")
	}
	complete := func(numbers ...int) string {
		var b strings.Builder
		for _, n := range numbers {
			fmt.Fprintf(&b, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", n, etags[n])
		}
		return "<CompleteMultipartUpload>" + b.String() + "</CompleteMultipartUpload>"
	}
	w.expect(400, "InvalidPartOrder", "POST", "/bucket/key?"+id, complete(2, 1))
	w.expect(400, "InvalidPart", "POST", "/bucket/key?"+id, complete(1, 2, 3))
	w.expect(400, "MalformedXML", "POST", "/bucket/key?"+id, complete())
	w.expect(200, "ETag", "POST", "/bucket/key?"+id, complete(1, 2))
	w.expect(200, "onetwo", "GET", "/bucket/key", "")
	w.expect(404, "NoSuchUpload", "PUT", "/bucket/key?partNumber=1&"+id, "x")
	text = w.expect(200, "UploadId", "POST", "/bucket/key?uploads", "")
	if err := xml.Unmarshal([]byte(text), &begun); err != nil {
		t.Fatal(err)
	}
	id = "uploadId=" + begun.UploadID
	w.expect(200, "", "PUT", "/bucket/key?partNumber=1&"+id, "x")
	w.expect(204, "", "DELETE", "/bucket/key?"+id, "")
	if n := w.fileCount(); n != 1 {
		t.Errorf("%d files, want that of the one object", n)
	}
}

// Of writers at the same moment one is the last, readers see one of them as a whole, and no file is left behind.
func TestConcurrentWrites(t *testing.T) {
	w := newWorld(t)
	if err := w.CreateBucket(t.Context(), "bucket"); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			text := strings.Repeat(fmt.Sprint(i), 1000)
			for range 5 {
				_, err := w.PutObject(context.Background(), "bucket", "key", map[string]string{}, strings.NewReader(text), 1000)
				if err != nil && !errors.Is(err, gofakes3.ErrSlowDown) {
					t.Error(err)
				}
				data, err := w.ReadObject(context.Background(), "bucket", "key", "", 1000)
				if err == nil && string(data) != strings.Repeat(string(data[:1]), 1000) {
					t.Errorf("a mixture: %.20s", data)
				}
			}
		})
	}
	all.Wait()
	if n := w.fileCount(); n != 1 {
		t.Errorf("%d files, want one", n)
	}
}

// What cannot be read to its end is no object.
func TestBrokenBodies(t *testing.T) {
	w := newWorld(t)
	if err := w.CreateBucket(t.Context(), "bucket"); err != nil {
		t.Fatal(err)
	}
	body := io.MultiReader(strings.NewReader("half"), brokenReader{})
	if _, err := w.PutObject(t.Context(), "bucket", "key", nil, body, 10); !gofakes3.HasErrorCode(err, gofakes3.ErrBadDigest) {
		t.Errorf("got %v", err)
	}
	if _, err := w.ReadObject(t.Context(), "bucket", "key", "", 10); err == nil ||
		err.Error() != "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist." {
		t.Errorf("got %v", err)
	}
	if n := w.fileCount(); n != 0 {
		t.Errorf("%d files are left", n)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, BadDigest("broken") }
