// Package identity answers who is calling (STS) and keeps roles and policies (IAM).
//
// Every key of the server is one of the account itself and may do everything; roles and policies are kept and answered, because templates
// name them and tools read them back, and nothing is allowed or denied by them. AssumeRole and GetSessionToken give temporary
// credentials that work until they expire: the session token says for whom and how long and is signed by a key of the server, and the
// secret is derived from it, so that nothing about a session is stored and a restart ends none.
//
// Methods carry the names and signatures of the SDK's clients.
package identity

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"serin"
	"serin/internal/store"
)

// Config is what a [Service] is made of. All of it is required.
type Config struct {
	Place serin.Place
	Store *store.Store
	Key   []byte // secret; signs sessions
	Now   func() time.Time
}

// Service is safe for concurrent use.
type Service struct {
	Config
	roles    store.Records[role]
	policies store.Records[policy]
}

// New returns a Service.
func New(cfg Config) *Service {
	return &Service{
		Config:   cfg,
		roles:    store.Records[role]{Store: cfg.Store, Kind: "iam.role"},
		policies: store.Records[policy]{Store: cfg.Store, Kind: "iam.policy"},
	}
}

// Session is what temporary credentials are for.
type Session struct {
	AccessKeyID     string    `json:"k"`
	Role            string    `json:"r,omitempty"` // its name; "" for GetSessionToken
	RoleID          string    `json:"i,omitempty"`
	Name            string    `json:"n,omitempty"` // the RoleSessionName
	Expires         time.Time `json:"e"`
	SecretAccessKey string    `json:"-"`
}

// ARN returns how AWS names who holds the credentials.
func (s *Session) ARN(account string) string {
	if s.Role == "" {
		return "arn:aws:iam::" + account + ":root"
	}
	return "arn:aws:sts::" + account + ":assumed-role/" + s.Role + "/" + s.Name
}

// maxToken bounds a session token, in bytes.
const maxToken = 4096

// begin makes a session that expires after d, and its token.
func (s *Service) begin(session Session, d time.Duration) (Session, string) {
	session.AccessKeyID = "ASIA" + rand.Text()[:16]
	session.Expires = s.Now().Add(d).UTC().Truncate(time.Second)
	// A struct of strings and a time always encodes.
	claims, _ := json.Marshal(session)
	session.SecretAccessKey = s.secret(claims)
	return session, encode(claims) + "." + encode(s.mac("session", claims))
}

// Session returns the session of a token, also one that has expired, and false for what this server has not signed.
func (s *Service) Session(token string) (Session, bool) {
	text, signature, ok := strings.Cut(token, ".")
	if !ok || len(token) > maxToken {
		return Session{}, false
	}
	claims, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return Session{}, false
	}
	if given, err := base64.RawURLEncoding.DecodeString(signature); err != nil || !hmac.Equal(given, s.mac("session", claims)) {
		return Session{}, false
	}
	var session Session
	if err := json.Unmarshal(claims, &session); err != nil {
		return Session{}, false
	}
	session.SecretAccessKey = s.secret(claims)
	return session, true
}

func (s *Service) secret(claims []byte) string { return encode(s.mac("secret", claims)) }

// mac returns the HMAC of what is for a purpose.
func (s *Service) mac(purpose string, data []byte) []byte {
	h := hmac.New(sha256.New, s.Key)
	_, _ = h.Write([]byte(purpose + "\n")) // a hash takes every write
	_, _ = h.Write(data)
	return h.Sum(nil)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// fault is an error that AWS has a name for.
func fault(kind serin.Kind, reason, format string, args ...any) error {
	return &serin.Error{Kind: kind, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) error {
	return fault(serin.KindInvalid, "ValidationError", format, args...)
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// callerKey is the key of the caller in a context.
type callerKey struct{}

// WithSession says that the holder of temporary credentials calls. Without it the root of the account does.
func WithSession(ctx context.Context, s Session) context.Context {
	return context.WithValue(ctx, callerKey{}, s)
}

func sessionFrom(ctx context.Context) Session {
	s, _ := ctx.Value(callerKey{}).(Session)
	return s
}
