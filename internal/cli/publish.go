package cli

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"serin"
	"serin/internal/api"
	"serin/internal/bundle"
)

// publisher brings a package and a configuration to the server and publishes them as a version.
type publisher struct {
	lambda   *lambda.Client
	function string
	account  string
}

// comparison is what shipping a package would change.
type comparison struct {
	exists bool // the function
	latest snapshot
	want   snapshot
	newest serin.VersionNumber // newest published version, serin.Latest for none
	// first says that nothing is there to compare with: new function, or first version.
	first string

	digests [2]string           // of the newest version, "" for none, and of what is wanted
	fields  []fieldChange       // against the newest version
	files   []bundle.FileChange // of the package, nil if its digest has not changed
	notes   []string            // for people
}

// publishes reports whether a version is due: if anything that publishing freezes differs from the newest one.
func (c *comparison) publishes() bool {
	return c.newest == serin.Latest || c.digests[0] != c.digests[1]
}

// uploads reports whether the function lacks the code. The same files packed anew are there already.
func (c *comparison) uploads() bool { return !c.exists || c.latest.code != c.want.code }

// changed says what a new version would change.
func (c *comparison) changed() []string {
	if c.first != "" {
		return append([]string{c.first}, texts(c.fields)...)
	}
	return texts(c.fields)
}

// compare says what is different between the server and a package with a configuration.
func (p *publisher) compare(ctx context.Context, status *api.StatusDocument, w wanted, zip []byte) (*comparison, error) {
	digest := base64SHA256(zip)
	if status == nil {
		if _, err := createInput(p.function, p.account, w, zip); err != nil {
			return nil, err
		}
		want := snapshot{}.with(w)
		want.code = digest
		return &comparison{first: "new function", want: want, digests: [2]string{"", want.digest()}, fields: snapshot{}.changes(snapshot{code: digest})}, nil
	}
	latest, err := p.configuration(ctx, serin.Latest)
	if err != nil {
		return nil, err
	}
	c := &comparison{exists: true, latest: snapshotOf(latest), newest: newestVersion(status)}
	c.want = c.latest.with(w)
	c.want.code = digest
	if c.newest == serin.Latest {
		c.first, c.fields, c.digests[1] = "first version", snapshot{}.changes(snapshot{code: digest}), c.want.digest()
		return c, nil
	}
	newest, err := p.configuration(ctx, c.newest)
	if err != nil {
		return nil, err
	}
	before := snapshotOf(newest)
	if before.code != c.want.code {
		p.compareFiles(ctx, c, zip)
		if c.files != nil && len(c.files) == 0 { // packed anew
			c.want.code = before.code
			c.notes = append(c.notes, "the package was packed anew, its files are those of "+versionText(c.newest))
		}
	}
	c.digests = [2]string{before.digest(), c.want.digest()}
	c.fields = before.changes(c.want)
	return c, nil
}

// compareFiles finds out which files of the package have changed. Without an answer the package counts as changed.
func (p *publisher) compareFiles(ctx context.Context, c *comparison, zip []byte) {
	before, err := p.download(ctx, c.newest)
	if err == nil {
		c.files, err = bundle.Compare(before, zip)
	}
	if err != nil && ctx.Err() == nil {
		c.notes = append(c.notes, fmt.Sprintf("the files of %s could not be compared: %s", versionText(c.newest), explain(err)))
	}
}

// download returns the package of a version.
func (p *publisher) download(ctx context.Context, v serin.VersionNumber) ([]byte, error) {
	out, err := p.lambda.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: &p.function, Qualifier: new(v.String())})
	if err != nil {
		return nil, remote(err)
	}
	if out.Code == nil || out.Code.Location == nil {
		return nil, errors.New("the server does not say where the package is")
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, *out.Code.Location, nil)
	if err != nil {
		return nil, err
	}
	resp, err := new(http.Client).Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered %s", resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, bundle.MaxZipped+1))
}

func newestVersion(status *api.StatusDocument) serin.VersionNumber {
	newest := serin.Latest
	for _, v := range status.Versions {
		newest = max(newest, v.Version)
	}
	return newest
}

func base64SHA256(b []byte) string {
	digest := sha256.Sum256(b)
	return base64.StdEncoding.EncodeToString(digest[:])
}

// configuration returns the configuration of a version.
func (p *publisher) configuration(ctx context.Context, v serin.VersionNumber) (*types.FunctionConfiguration, error) {
	out, err := p.lambda.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: &p.function, Qualifier: new(v.String())})
	if err != nil {
		return nil, remote(err)
	}
	return out.Configuration, nil
}

// publish carries out a comparison and returns the version to ship. It calls only the updates that change
// something: on AWS even an update to the same content makes the next publication a new version.
func (p *publisher) publish(ctx context.Context, c *comparison, w wanted, zip []byte, from serin.Provenance) (api.VersionRef, error) {
	if err := p.update(ctx, c, w, zip); err != nil {
		return api.VersionRef{}, err
	}
	if !c.publishes() {
		return api.VersionRef{Version: c.newest, CodeSHA256: c.want.code}, nil
	}
	in := &lambda.PublishVersionInput{FunctionName: &p.function, CodeSha256: &c.want.code}
	if c.uploads() {
		in.CodeSha256 = new(base64SHA256(zip))
	}
	if description := describeVersion(from.Message); description != "" {
		in.Description = &description
	}
	out, err := p.lambda.PublishVersion(ctx, in, func(o *lambda.Options) {
		o.APIOptions = append(o.APIOptions, smithyhttp.SetHeaderValue(serin.HeaderProvenance, from.Encode()))
	})
	if err != nil {
		return api.VersionRef{}, remote(err)
	}
	n, ok := serin.ParseVersion(deref(out.Version))
	if !ok {
		return api.VersionRef{}, fmt.Errorf("the server published version %q, which is no number", deref(out.Version))
	}
	return api.VersionRef{Version: n, CodeSHA256: deref(out.CodeSha256)}, nil
}

func (p *publisher) update(ctx context.Context, c *comparison, w wanted, zip []byte) error {
	if !c.exists {
		in, err := createInput(p.function, p.account, w, zip)
		if err != nil {
			return err
		}
		if _, err := p.lambda.CreateFunction(ctx, in); err != nil {
			return remote(err)
		}
		return p.settled(ctx)
	}
	if c.uploads() {
		_, err := p.lambda.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: &p.function, ZipFile: zip})
		if err != nil {
			return remote(err)
		}
		if err := p.settled(ctx); err != nil {
			return err
		}
	}
	same := c.want
	same.code = c.latest.code
	if c.latest.digest() != same.digest() {
		if _, err := p.lambda.UpdateFunctionConfiguration(ctx, updateInput(p.function, c.latest, c.want)); err != nil {
			return remote(err)
		}
	}
	return p.settled(ctx)
}

// settleWithin is how long a function may take to become active after a change.
const settleWithin = 5 * time.Minute

// settled waits until $LATEST is neither being created nor updated.
func (p *publisher) settled(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, settleWithin,
		fmt.Errorf("function %s is still changing after %s", p.function, settleWithin))
	defer cancel()
	for wait := retryFirst; ; wait = min(2*wait, retryMost) {
		c, err := p.configuration(ctx, serin.Latest)
		switch {
		case err != nil:
			return err
		case c.State == types.StateFailed:
			return exitf(exitPreflight, "function %s cannot run: %s", p.function, clean(deref(c.StateReason)))
		case c.LastUpdateStatus == types.LastUpdateStatusFailed:
			return exitf(exitPreflight, "the update of function %s failed: %s", p.function, clean(deref(c.LastUpdateStatusReason)))
		case c.State != types.StatePending && c.LastUpdateStatus != types.LastUpdateStatusInProgress:
			return nil
		}
		if pause(ctx, wait); ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}
