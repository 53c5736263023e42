package s3

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/rclone/gofakes3"
)

const (
	namespace   = "http://s3.amazonaws.com/doc/2006-03-01/"
	maxSetting  = 64 << 10
	headerSSE   = "X-Amz-Server-Side-Encryption"
	usEastOne   = "us-east-1"
	xmlMaxBytes = gofakes3.MaxXMLBodySize
)

// setting is a sub-resource of buckets that is kept as it is put. While nothing has been put, empty is answered, or else an error.
type setting struct{ empty, code, message string }

var settings = map[string]setting{
	"accelerate":        {empty: `<AccelerateConfiguration xmlns="` + namespace + `"/>`},
	"cors":              {code: "NoSuchCORSConfiguration", message: "The CORS configuration does not exist"},
	"encryption":        {empty: defaultEncryption},
	"lifecycle":         {code: "NoSuchLifecycleConfiguration", message: "The lifecycle configuration does not exist"},
	"logging":           {empty: `<BucketLoggingStatus xmlns="` + namespace + `"/>`},
	"notification":      {empty: `<NotificationConfiguration xmlns="` + namespace + `"/>`},
	"ownershipControls": {code: "OwnershipControlsNotFoundError", message: "The bucket ownership controls were not found"},
	"policy":            {code: "NoSuchBucketPolicy", message: "The bucket policy does not exist"},
	"publicAccessBlock": {code: "NoSuchPublicAccessBlockConfiguration", message: "The public access block configuration was not found"},
	"replication":       {code: "ReplicationConfigurationNotFoundError", message: "The replication configuration was not found"},
	"requestPayment":    {empty: `<RequestPaymentConfiguration xmlns="` + namespace + `"><Payer>BucketOwner</Payer></RequestPaymentConfiguration>`},
	"tagging":           {code: "NoSuchTagSet", message: "The TagSet does not exist"},
	"website":           {code: "NoSuchWebsiteConfiguration", message: "The specified bucket does not have a website configuration"},
}

// defaultEncryption is what S3 says of every bucket since 2023.
const defaultEncryption = `<ServerSideEncryptionConfiguration xmlns="` + namespace + `"><Rule><ApplyServerSideEncryptionByDefault>` +
	`<SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>false</BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>`

// Handler serves requests that have been authenticated, in path style (/bucket/key), with bodies as they are to be stored.
func (s *Service) Handler() http.Handler {
	fake := gofakes3.New(s, gofakes3.WithTimeSkewLimit(0), gofakes3.WithTimeSource(clock(s.Now))).Server()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bucketName, key, _ := strings.Cut(strings.TrimLeft(r.URL.Path, "/"), "/")
		hideEncryption(w.Header(), r.Header)
		plain := &plainWriter{ResponseWriter: w}
		w = plain
		defer plain.clean() // of an answer without a body
		if bucketName != "" && key == "" {
			w.Header().Set("X-Amz-Bucket-Region", s.Region)
			if handled, err := s.serveBucket(w, r, bucketName); handled || err != nil {
				if err != nil {
					s.fail(w, r, err)
				}
				return
			}
		}
		fake.ServeHTTP(w, r)
	})
}

// hideEncryption takes the headers that ask for encryption by a key of KMS off a request, and answers them: nothing is encrypted.
func hideEncryption(answer, request http.Header) {
	kind := request.Get(headerSSE)
	if kind == "" {
		return
	}
	answer.Set(headerSSE, kind)
	if strings.HasPrefix(kind, "aws:kms") {
		request.Del(headerSSE)
		for _, name := range []string{headerSSE + "-Aws-Kms-Key-Id", headerSSE + "-Bucket-Key-Enabled"} {
			if v := request.Get(name); v != "" {
				answer.Set(name, v)
				request.Del(name)
			}
		}
	}
}

// serveBucket serves what gofakes3 does not or not as S3: settings, the location, deletion of versions, a bucket that is there already.
func (s *Service) serveBucket(w http.ResponseWriter, r *http.Request, name string) (handled bool, err error) {
	query := r.URL.Query()
	if setting := settingOf(query); setting != "" {
		return true, s.serveSetting(w, r, name, setting)
	}
	switch {
	case r.Method == http.MethodGet && query.Has("location"):
		if _, _, err := s.loadBucket(r.Context(), name); err != nil {
			return true, err
		}
		constraint := s.Region
		if constraint == usEastOne {
			constraint = ""
		}
		writeXML(w, http.StatusOK, `<LocationConstraint xmlns="`+namespace+`">`+constraint+`</LocationConstraint>`)
		return true, nil
	case r.Method == http.MethodPost && query.Has("delete"):
		return s.serveDelete(w, r, name)
	case r.Method == http.MethodPut && len(query) == 0:
		exists, err := s.BucketExists(r.Context(), name)
		if !exists || err != nil {
			return false, err
		}
		if s.Region == usEastOne { // as S3 does there
			w.Header().Set("Location", "/"+name)
			w.WriteHeader(http.StatusOK)
			return true, nil
		}
		writeError(w, http.StatusConflict, "BucketAlreadyOwnedByYou", "Your previous request to create the named bucket succeeded and you already own it.")
		return true, nil
	default:
		return false, nil
	}
}

func settingOf(query url.Values) string {
	for name := range query {
		if _, ok := settings[name]; ok {
			return name
		}
	}
	return ""
}

func (s *Service) serveSetting(w http.ResponseWriter, r *http.Request, bucketName, name string) error {
	ctx := r.Context()
	switch r.Method {
	case http.MethodGet:
		text, err := s.Setting(ctx, bucketName, name)
		if err != nil {
			return err
		}
		absent := settings[name]
		if text == "" {
			text = absent.empty
		}
		switch {
		case text == "":
			writeError(w, http.StatusNotFound, absent.code, absent.message)
		case name == "policy":
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, text) // a caller that has gone away cannot be told so
		default:
			writeXML(w, http.StatusOK, text)
		}
		return nil
	case http.MethodPut:
		text, err := readSetting(r.Body, name)
		if err == nil {
			err = s.PutSetting(ctx, bucketName, name, text)
		}
		if err == nil && name == "policy" {
			w.WriteHeader(http.StatusNoContent)
		}
		return err
	case http.MethodDelete:
		if err := s.PutSetting(ctx, bucketName, name, ""); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	default:
		return gofakes3.ErrMethodNotAllowed
	}
}

// readSetting reads what is put for a sub-resource: XML, or the JSON of a policy.
func readSetting(body io.Reader, name string) (string, error) {
	text, err := io.ReadAll(io.LimitReader(body, maxSetting+1))
	switch {
	case err != nil:
		return "", err
	case len(text) > maxSetting:
		return "", gofakes3.ErrMaxMessageLengthExceeded
	case name == "policy":
		var policy map[string]json.RawMessage
		if json.Unmarshal(text, &policy) != nil {
			return "", gofakes3.ErrorMessage(gofakes3.ErrInvalidRequest, "Policies must be valid JSON and the first byte must be '{'")
		}
	case !wellFormed(text):
		return "", gofakes3.ErrorMessage(gofakes3.ErrMalformedXML, gofakes3.ErrMalformedXML.Message())
	}
	return string(text), nil
}

// wellFormed reports whether text is one XML element, without entities of its own.
func wellFormed(text []byte) bool {
	decoder := xml.NewDecoder(bytes.NewReader(text))
	elements := 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return elements > 0
		}
		if err != nil {
			return false
		}
		switch token.(type) {
		case xml.StartElement:
			elements++
		case xml.Directive:
			return false
		}
	}
}

// deletion is the body of DeleteObjects.
type deletion struct {
	Objects []struct {
		Key       string `xml:"Key"`
		VersionID string `xml:"VersionId"`
	} `xml:"Object"`
	Quiet bool `xml:"Quiet"`
}

type deleted struct {
	Key       string `xml:"Key"`
	VersionID string `xml:"VersionId,omitempty"`
	Marker    bool   `xml:"DeleteMarker,omitempty"`
	MarkerID  string `xml:"DeleteMarkerVersionId,omitempty"`
}

// serveDelete deletes versions of objects. What names no version is left to gofakes3.
func (s *Service) serveDelete(w http.ResponseWriter, r *http.Request, bucketName string) (handled bool, err error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, xmlMaxBytes+1))
	if err != nil {
		return true, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var in deletion
	readable := len(body) <= xmlMaxBytes && xml.Unmarshal(body, &in) == nil && len(in.Objects) <= gofakes3.MaxDeleteObjects
	if !readable || !bytes.Contains(body, []byte("VersionId")) {
		return false, nil
	}
	out := struct {
		XMLName xml.Name               `xml:"http://s3.amazonaws.com/doc/2006-03-01/ DeleteResult"`
		Deleted []deleted              `xml:"Deleted"`
		Errors  []gofakes3.ErrorResult `xml:"Error"`
	}{}
	for _, o := range in.Objects {
		done, err := s.deleteOne(r.Context(), bucketName, o.Key, o.VersionID)
		if gofakes3.HasErrorCode(err, gofakes3.ErrNoSuchBucket) {
			return true, err
		}
		if err != nil {
			refused := gofakes3.ErrorResultFromError(err)
			refused.Key = o.Key
			out.Errors = append(out.Errors, refused)
		} else if !in.Quiet {
			out.Deleted = append(out.Deleted, done)
		}
	}
	text, err := xml.Marshal(out)
	if err == nil {
		writeXML(w, http.StatusOK, string(text))
	}
	return true, err
}

func (s *Service) deleteOne(ctx context.Context, bucketName, key, id string) (deleted, error) {
	if id == "" {
		result, err := s.DeleteObject(ctx, bucketName, key)
		return deleted{Key: key, Marker: result.IsDeleteMarker, MarkerID: string(result.VersionID)}, err
	}
	result, err := s.DeleteVersion(ctx, bucketName, key, id)
	return deleted{Key: key, VersionID: id, Marker: result.IsDeleteMarker}, err
}

// fail answers with an error of S3.
func (s *Service) fail(w http.ResponseWriter, r *http.Request, err error) {
	e, ok := errors.AsType[gofakes3.Error](err)
	if !ok {
		s.Log.ErrorContext(r.Context(), "a request to S3 failed", "path", r.URL.Path, "error", err)
		writeError(w, http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again.")
		return
	}
	writeError(w, e.ErrorCode().Status(), string(e.ErrorCode()), messageOf(e))
}

func writeError(w http.ResponseWriter, status int, code, message string) {
	text, err := xml.Marshal(struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
		Message string
	}{Code: code, Message: message})
	if err == nil {
		writeXML(w, status, string(text))
	}
}

// writeXML answers with a document. A caller that has gone away cannot be told so.
func writeXML(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, xml.Header+text)
}

// plainWriter leaves out what gofakes3 says to browsers: pages of other origins have no business here.
type plainWriter struct {
	http.ResponseWriter

	wrote bool
}

// WriteHeader implements [http.ResponseWriter].
func (w *plainWriter) WriteHeader(status int) {
	w.clean()
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *plainWriter) Write(p []byte) (int, error) {
	w.clean()
	return w.ResponseWriter.Write(p)
}

func (w *plainWriter) clean() {
	if w.wrote {
		return
	}
	w.wrote = true
	header := w.Header()
	for name := range header {
		if strings.HasPrefix(name, "Access-Control-") {
			header.Del(name)
		}
	}
	header.Del("Server")
}
