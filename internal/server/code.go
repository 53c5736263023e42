package server

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"serin"
	"serin/internal/api"
	"serin/internal/awsapi"
)

const (
	codePath     = api.Prefix + "code/"
	codeURLValid = 10 * time.Minute // as on AWS
	emptySHA256  = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// codeURL returns a presigned URL of a code package.
func (s *server) codeURL(sha256hex string) string {
	ctx := context.Background()
	plain := s.endpoint() + codePath + sha256hex
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, plain, nil)
	if err != nil {
		return plain
	}
	q := req.URL.Query()
	q.Set("X-Amz-Expires", strconv.Itoa(int(codeURLValid.Seconds())))
	req.URL.RawQuery = q.Encode()
	credentials := aws.Credentials{AccessKeyID: s.key.AccessKeyID, SecretAccessKey: s.key.SecretAccessKey}
	signed, _, err := v4.NewSigner().PresignHTTP(ctx, credentials, req, emptySHA256, api.Service, s.Region, time.Now())
	if err != nil {
		return plain
	}
	return signed
}

// serveCode answers a presigned URL with the package.
func (s *server) serveCode(w http.ResponseWriter, r *http.Request) {
	blob, err := s.store.OpenBlob(r.Context(), r.PathValue("sha256"))
	if err != nil {
		awsapi.WriteError(w, serin.Errorf(serin.KindNotFound, "No code package has this digest."))
		return
	}
	defer func() { _ = blob.Close() }()
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Content-Length", strconv.FormatInt(blob.Size(), 10))
	_, _ = io.Copy(w, io.NewSectionReader(blob, 0, blob.Size())) // the caller is gone
}
