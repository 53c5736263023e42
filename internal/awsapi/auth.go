package awsapi

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"serin"
	"serin/internal/identity"
)

// Anonymous is the actor of every request while authentication is off.
const Anonymous = "anonymous"

// AuthConfig is what an [Authenticator] is made of.
type AuthConfig struct {
	// Credentials returns the secret of an access key. It is asked for every request, so a key that is
	// removed or gets another secret counts from the next request on.
	Credentials func(accessKeyID string) (secret string, ok bool)
	// Session, if set, returns what a session token is for, also if it has expired. The access keys of sessions begin with ASIA.
	Session func(token string) (identity.Session, bool)
	// Name, if set, returns what histories call the holder of an access key, "" for the key itself.
	Name func(accessKeyID string) string
	// Region is the only region that signatures may be made for.
	Region string
	// Now is the server's clock.
	Now func() time.Time
	// NoAuth lets every request in as [Anonymous], if it names a loopback host and no web page sent it.
	NoAuth bool
}

// Authenticator verifies AWS Signature Version 4 on requests: in the Authorization header, or in the
// query of a presigned URL. Any service name is accepted in the scope of a signature. Temporary credentials come
// with a session token, which is verified; one that comes with another key is not looked at.
type Authenticator struct {
	cfg  AuthConfig
	keys signingKeys
}

// NewAuthenticator makes an Authenticator.
func NewAuthenticator(cfg AuthConfig) *Authenticator {
	return &Authenticator{cfg: cfg}
}

// Wrap lets only authenticated requests through to next, with a body of at most maxBody bytes that has
// been read and verified and with whoever signed them as their actor ([serin.ActorFrom]). It answers the others
// in Lambda's error form.
func (a *Authenticator) Wrap(next http.Handler, maxBody int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(headerRequestID, uuid.NewString())
		actor, body, err := a.Authenticate(r, maxBody)
		if err != nil {
			WriteError(w, err)
			return
		}
		r = r.WithContext(serin.WithActor(r.Context(), a.nameOf(r, actor)))
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// HeaderActor says on whose behalf the holder of a key acts, such as the person who started a CI job. It is as true as
// the holder of the key is honest, so the history names both.
const HeaderActor = "Serin-Actor"

const maxActor = 300 // bytes of the header that count

// nameOf returns what the history calls whoever sent a request.
func (a *Authenticator) nameOf(r *http.Request, key string) string {
	name := key
	if session, ok := a.sessionOf(r, key); ok && session.Role != "" {
		name = session.Role + "/" + session.Name
	} else if a.cfg.Name != nil {
		name = cmp.Or(a.cfg.Name(key), key)
	}
	claimed := r.Header.Get(HeaderActor)
	claimed = strings.TrimSpace(strings.ToValidUTF8(claimed[:min(len(claimed), maxActor)], ""))
	if claimed == "" || claimed == name {
		return name
	}
	return claimed + " with key " + name
}

// prefixOfSessions begins the access keys of temporary credentials.
const prefixOfSessions = "ASIA"

// secretOf returns the secret of the access key that signed a request.
func (a *Authenticator) secretOf(r *http.Request, key string) (string, error) {
	if a.cfg.Session != nil && strings.HasPrefix(key, prefixOfSessions) {
		session, ok := a.sessionOf(r, key)
		switch {
		case !ok:
			return "", errUnknownKey
		case a.cfg.Now().After(session.Expires):
			return "", errExpiredToken
		default:
			return session.SecretAccessKey, nil
		}
	}
	secret, known := a.cfg.Credentials(key)
	if !known || key == "" || secret == "" {
		return "", errUnknownKey
	}
	return secret, nil
}

// sessionOf returns the session that an access key of a request is for.
func (a *Authenticator) sessionOf(r *http.Request, key string) (identity.Session, bool) {
	if a.cfg.Session == nil || !strings.HasPrefix(key, prefixOfSessions) {
		return identity.Session{}, false
	}
	token := r.Header.Get("X-Amz-Security-Token")
	if token == "" {
		query := r.URL.Query() // of a presigned URL, in the spelling of either signature version
		token = cmp.Or(query.Get("X-Amz-Security-Token"), query.Get("x-amz-security-token"))
	}
	session, ok := a.cfg.Session(token)
	return session, ok && session.AccessKeyID == key
}

// Authenticate returns who signed the request and its body. It reads the body, at most maxBody bytes, and
// only after the headers have named a known key and a valid scope. Its errors are for [WriteError].
func (a *Authenticator) Authenticate(r *http.Request, maxBody int64) (actor string, body []byte, err error) {
	query, err := queryOf(r.URL)
	if err != nil {
		return "", nil, err
	}
	return a.authenticate(r, query, bodyLimit{bytes: maxBody})
}

// Identify is [Authenticator.Authenticate], and says also what histories call whoever signed.
func (a *Authenticator) Identify(r *http.Request, maxBody int64) (accessKeyID, actor string, body []byte, err error) {
	accessKeyID, body, err = a.Authenticate(r, maxBody)
	return accessKeyID, a.nameOf(r, accessKeyID), body, err
}

func (a *Authenticator) authenticate(r *http.Request, query url.Values, limit bodyLimit) (actor string, body []byte, err error) {
	if a.cfg.NoAuth {
		if err := RefuseForeignPages(r); err != nil {
			drain(r, limit)
			return "", nil, err
		}
		body, err = readBody(r, limit)
		return Anonymous, body, err
	}
	claim, err := a.claimOf(r, query)
	if err != nil {
		drain(r, limit)
		return "", nil, err
	}
	// Where the hash of the body is declared, a forged request is turned away before its body is held.
	declared := r.Header.Get("X-Amz-Content-Sha256")
	switch {
	case declared == "":
	case len(declared) != 2*sha256.Size:
		drain(r, limit)
		return "", nil, invalidSignature("X-Amz-Content-Sha256 must be the SHA-256 of the body: a payload that is not signed is not accepted.")
	case !a.signed(r, query, claim, declared):
		drain(r, limit)
		return "", nil, errSignature
	default:
	}
	if body, err = readBody(r, limit); err != nil {
		return "", nil, err
	}
	sum := sha256.Sum256(body)
	actual := hex.EncodeToString(sum[:])
	if declared != "" && declared != actual || declared == "" && !a.signed(r, query, claim, actual) {
		return "", nil, errSignature
	}
	return claim.accessKeyID, body, nil
}

// RefuseForeignPages keeps web pages away from a server that asks for no signature. A page that a browser on
// this machine shows can send requests to loopback addresses, across origins or through a name of its own
// that resolves to one.
func RefuseForeignPages(r *http.Request) error {
	if err := new(http.CrossOriginProtection).Check(r); err != nil {
		return serin.Errorf(serin.KindDenied, "A server without authentication takes no request from a web page.")
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil && ip.IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return nil // nobody can make a name below localhost lead here from elsewhere (RFC 6761)
	}
	return serin.Errorf(serin.KindDenied, "A server without authentication is reached as localhost or by its loopback address alone.")
}

// readBody reads a whole body that is not over the limit. Memory grows with what has arrived, not with
// what is announced.
func readBody(r *http.Request, limit bodyLimit) ([]byte, error) {
	if r.ContentLength > limit.bytes {
		drain(r, limit)
		return nil, limit.exceeded()
	}
	if r.ContentLength == 0 {
		return nil, nil
	}
	// One byte more than may come, to see the end without growing.
	most, start := limit.bytes+1, int64(512)
	if r.ContentLength > 0 {
		most, start = r.ContentLength+1, 64<<10
	}
	body := make([]byte, 0, min(start, most))
	for {
		n, err := r.Body.Read(body[len(body):min(int64(cap(body)), most)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) == most:
			drain(r, limit)
			return nil, limit.exceeded()
		case errors.Is(err, io.EOF):
			return body, nil
		case err != nil:
			return nil, frontEndError("SerializationException", http.StatusBadRequest, "The body of the request ended early.")
		case len(body) == cap(body):
			body = slices.Grow(body, int(min(int64(len(body)), most-int64(len(body)))))
		default:
		}
	}
}

// drain discards the body of a request that is refused, up to twice its limit. Most clients read the
// answer only after they have sent everything, and lose it if the connection is closed before. A client that
// waits for permission to send is not given it.
func drain(r *http.Request, limit bodyLimit) {
	if r.Header.Get("Expect") == "" {
		// Nothing depends on how it ends.
		_, _ = io.CopyN(io.Discard, r.Body, 2*limit.bytes)
	}
}

// Errors of authentication, with the texts that AWS sends.
var (
	errMissingToken = frontEndError("MissingAuthenticationTokenException", http.StatusForbidden,
		"Missing Authentication Token")
	errUnknownKey = frontEndError("UnrecognizedClientException", http.StatusForbidden,
		"The security token included in the request is invalid.")
	errExpiredToken = frontEndError("ExpiredTokenException", http.StatusForbidden,
		"The security token included in the request is expired")
	errSignature = invalidSignature("The request signature we calculated does not match the signature you provided. " +
		"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
)

func invalidSignature(format string, args ...any) *wireError {
	return frontEndError("InvalidSignatureException", http.StatusForbidden, fmt.Sprintf(format, args...))
}

func incompleteSignature(format string, args ...any) *wireError {
	return frontEndError("IncompleteSignatureException", http.StatusBadRequest, fmt.Sprintf(format, args...))
}
