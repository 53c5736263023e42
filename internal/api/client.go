package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"serin"
	"serin/internal/release"
)

// Client calls Serin's own API. It is safe for concurrent use.
type Client struct {
	endpoint    string
	region      string
	credentials aws.Credentials
	http        *http.Client
	// Actor is on whose behalf the client acts, for histories; "" for the holder of the key.
	Actor  string
	signer *v4.Signer
}

// NewClient returns a client of the server at an endpoint such as http://127.0.0.1:4750.
func NewClient(endpoint, region, accessKeyID, secretAccessKey string) *Client {
	return &Client{
		endpoint: strings.TrimSuffix(endpoint, "/"), region: region,
		credentials: aws.Credentials{AccessKeyID: accessKeyID, SecretAccessKey: secretAccessKey},
		http:        &http.Client{}, signer: v4.NewSigner(),
	}
}

// HeaderActor says on whose behalf the holder of the key acts.
const HeaderActor = "Serin-Actor"

// maxAnswer bounds what the client reads of an answer.
const maxAnswer = 64 << 20

// Start begins a release.
func (c *Client) Start(ctx context.Context, in StartRequest) (*ReleaseDocument, error) {
	return call[ReleaseDocument](ctx, c, http.MethodPost, "releases", in)
}

// Release returns a release.
func (c *Client) Release(ctx context.Context, id string) (*ReleaseDocument, error) {
	return call[ReleaseDocument](ctx, c, http.MethodGet, "releases/"+url.PathEscape(id), nil)
}

// Wait returns a release as soon as its Saved is greater than saved or it has ended, or after some seconds
// as it is.
func (c *Client) Wait(ctx context.Context, id string, saved int64) (*ReleaseDocument, error) {
	return call[ReleaseDocument](ctx, c, http.MethodGet, "releases/"+url.PathEscape(id)+"?after="+strconv.FormatInt(saved, 10), nil)
}

// Command gives an instruction to an active release.
func (c *Client) Command(ctx context.Context, id string, in serin.Instruction) (*ReleaseDocument, error) {
	return call[ReleaseDocument](ctx, c, http.MethodPost, "releases/"+url.PathEscape(id)+"/"+string(in.Command), in)
}

// Certificate returns what the verdicts of a release rest on.
func (c *Client) Certificate(ctx context.Context, id string) (*release.Certificate, error) {
	return call[release.Certificate](ctx, c, http.MethodGet, "releases/"+url.PathEscape(id)+"/certificate", nil)
}

// Rollback puts an older version back.
func (c *Client) Rollback(ctx context.Context, in RollbackRequest) (*RollbackDocument, error) {
	return call[RollbackDocument](ctx, c, http.MethodPost, "rollback", in)
}

// Prune removes the versions that nothing needs, or says which they are.
func (c *Client) Prune(ctx context.Context, in PruneRequest) (*PruneDocument, error) {
	return call[PruneDocument](ctx, c, http.MethodPost, "prune", in)
}

// Functions lists the functions of the server.
func (c *Client) Functions(ctx context.Context) ([]FunctionSummary, error) {
	all, err := call[[]FunctionSummary](ctx, c, http.MethodGet, "functions", nil)
	if err != nil {
		return nil, err
	}
	return *all, nil
}

// Status returns a function at a glance.
func (c *Client) Status(ctx context.Context, function string) (*StatusDocument, error) {
	return call[StatusDocument](ctx, c, http.MethodGet, "functions/"+url.PathEscape(function), nil)
}

// History returns the newest moves and releases of an alias, or of all aliases if alias is "".
func (c *Client) History(ctx context.Context, function, alias string, newest int) (*HistoryDocument, error) {
	q := url.Values{"alias": {alias}, "newest": {strconv.Itoa(newest)}}
	return call[HistoryDocument](ctx, c, http.MethodGet, "functions/"+url.PathEscape(function)+"/history?"+q.Encode(), nil)
}

// Routing returns how the version of invocations of an alias is picked, or of the function itself if the alias is
// "$LATEST".
func (c *Client) Routing(ctx context.Context, function, alias string) (*RoutingDocument, error) {
	return call[RoutingDocument](ctx, c, http.MethodGet, routingPath(function, alias), nil)
}

// UpdateRouting changes it.
func (c *Client) UpdateRouting(ctx context.Context, function, alias string, in RoutingRequest) (*RoutingDocument, error) {
	return call[RoutingDocument](ctx, c, http.MethodPatch, routingPath(function, alias), in)
}

// ConsoleLinkRequest asks for a link into the console.
type ConsoleLinkRequest struct {
	ReadOnly bool `json:"readOnly"`
}

// ConsoleLink logs in whoever opens it first, until it expires.
type ConsoleLink struct {
	Path    string    `json:"path"` // on the server
	Expires time.Time `json:"expires"`
}

// ConsoleLink returns a link into the console.
func (c *Client) ConsoleLink(ctx context.Context, in ConsoleLinkRequest) (*ConsoleLink, error) {
	return call[ConsoleLink](ctx, c, http.MethodPost, "console/links", in)
}

func routingPath(function, alias string) string {
	return "functions/" + url.PathEscape(function) + "/aliases/" + url.PathEscape(alias) + "/routing"
}

func call[T any](ctx context.Context, c *Client, method, path string, in any) (*T, error) {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
	}
	status, answer, err := c.exchange(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	if status >= 300 {
		return nil, remoteError(status, answer)
	}
	out := new(T)
	if err := json.Unmarshal(answer, out); err != nil {
		return nil, fmt.Errorf("the answer of %s is not a Serin document: %w", c.endpoint, err)
	}
	return out, nil
}

// exchange sends a signed request and returns the status and the body of the answer.
func (c *Client) exchange(ctx context.Context, method, path string, body []byte) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.endpoint+Prefix+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, fmt.Errorf("endpoint %s: %w", c.endpoint, err)
	}
	req.Header.Set("Content-Type", "application/json")
	if c.Actor != "" {
		req.Header.Set(HeaderActor, c.Actor)
	}
	digest := sha256.Sum256(body)
	if c.credentials.AccessKeyID != "" {
		if err := c.signer.SignHTTP(ctx, c.credentials, req, hex.EncodeToString(digest[:]), Service, c.region, time.Now()); err != nil {
			return 0, nil, fmt.Errorf("sign request: %w", err)
		}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return 0, nil, fmt.Errorf("read answer: %w", err)
	}
	return resp.StatusCode, answer, nil
}
