package console

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"serin"
)

const maxForm = 1 << 20 // bytes of a form without files

// How often somebody may try to log in: so often at once, then once in so long. An attacker with many addresses runs
// into the bound for all.
const (
	loginBurst     = 10
	loginEvery     = 5 * time.Second
	allLoginsBurst = 100
	allLoginsEvery = 200 * time.Millisecond
	maxAddresses   = 4096
)

// loginLimit bounds attempts to log in.
type loginLimit struct {
	now func() time.Time
	all *rate.Limiter
	mu  sync.Mutex
	by  map[netip.Prefix]*rate.Limiter
}

func newLoginLimit(now func() time.Time) *loginLimit {
	return &loginLimit{now: now, all: rate.NewLimiter(rate.Every(allLoginsEvery), allLoginsBurst), by: map[netip.Prefix]*rate.Limiter{}}
}

// allow says whether the sender of a request may try now. Who has one IPv6 address has a network of them.
func (l *loginLimit) allow(remote string) bool {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	from, _ := netip.ParseAddr(host)
	bits := 64
	if from = from.Unmap(); from.Is4() {
		bits = 32
	}
	network, _ := from.Prefix(bits) // that of an address without one is the same for all of them
	l.mu.Lock()
	defer l.mu.Unlock()
	own := l.by[network]
	if own == nil {
		if len(l.by) >= maxAddresses {
			clear(l.by)
		}
		own = rate.NewLimiter(rate.Every(loginEvery), loginBurst)
		l.by[network] = own
	}
	return own.AllowN(l.now(), 1) && l.all.AllowN(l.now(), 1)
}

// loginView is the page on which people log in.
type loginView struct {
	Next, Problem, AccessKeyID string
}

func (c *Console) showLogin(w http.ResponseWriter, r *http.Request) {
	if _, err := c.session(r); err == nil {
		http.Redirect(w, r, localPath(r.URL.Query().Get("next")), http.StatusSeeOther)
		return
	}
	v := loginView{Next: localPath(r.URL.Query().Get("next"))}
	if r.URL.Query().Has("ended") {
		v.Problem = "Your session has ended. Nothing was changed; log in and do it again."
	}
	c.write(w, &visit{Request: r}, http.StatusOK, "login", view{Title: "Log in", Bare: true, Data: v})
}

func (c *Console) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	id, next := r.PostFormValue("key"), localPath(r.PostFormValue("next"))
	refuse := func(status int, why string) {
		c.write(w, &visit{Request: r}, status, "login", view{Title: "Log in", Bare: true, Data: loginView{Next: next, Problem: why, AccessKeyID: id}})
	}
	if !c.logins.allow(r.RemoteAddr) {
		w.Header().Set("Retry-After", "60")
		refuse(http.StatusTooManyRequests, "Too many attempts. Wait a minute and try again.")
		return
	}
	var who session
	var ok bool
	if link := r.PostFormValue("link"); link != "" {
		if who, ok = c.sessions.redeem(link); !ok {
			refuse(http.StatusForbidden, "This link has been used or is older than a minute. Ask for another one: serin console")
			return
		}
	} else if who, ok = c.keyHolder(id, r.PostFormValue("secret")); !ok {
		c.Log.WarnContext(r.Context(), "console: login refused", "remote", r.RemoteAddr)
		refuse(http.StatusForbidden, "No access key has this id and this secret.")
		return
	}
	who.ReadOnly = who.ReadOnly || r.PostFormValue("readonly") != ""
	cookie, ends := c.sessions.begin(who)
	http.SetCookie(w, &http.Cookie{
		Name: c.sessions.cookie, Value: cookie, Path: Prefix, Expires: ends, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: overTLS(r),
	})
	c.Log.InfoContext(r.Context(), "console: login", "actor", who.Actor, "read_only", who.ReadOnly, "remote", r.RemoteAddr)
	http.Redirect(w, r, next, http.StatusSeeOther)
}

// overTLS says whether the browser is known to speak TLS, to this server or to one in front of it. Who makes that up gets
// a cookie that is sent less often.
func overTLS(r *http.Request) bool {
	return r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"
}

// keyHolder returns the session of who has the secret of a key. It takes the same time for keys that there are not.
func (c *Console) keyHolder(id, secret string) (session, bool) {
	want, known := c.Secret(id)
	wanted, given := sha256.Sum256([]byte(want)), sha256.Sum256([]byte(secret))
	same := subtle.ConstantTimeCompare(wanted[:], given[:]) == 1
	return session{Actor: cmp.Or(c.Name(id), id), keyID: id, secret: wanted}, same && known && secret != ""
}

func (c *Console) logout(w http.ResponseWriter, v *visit) error {
	if cookie, err := v.Cookie(c.sessions.cookie); err == nil {
		c.sessions.end(cookie.Value)
	}
	http.SetCookie(w, &http.Cookie{Name: c.sessions.cookie, Path: Prefix, MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, v.Request, Prefix+"login", http.StatusSeeOther)
	return nil
}

// LinkRequest asks for a link into the console.
type LinkRequest struct {
	ReadOnly bool `json:"readOnly"`
}

// Link is a link that logs in whoever opens it first.
type Link struct {
	Path    string    `json:"path"` // on this server; what follows # never leaves the browser
	Expires time.Time `json:"expires"`
}

// ServeLink answers a signed request with a [Link] for whoever has signed it with a key.
func (c *Console) ServeLink(w http.ResponseWriter, r *http.Request, accessKeyID string) {
	var in LinkRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxForm)).Decode(&in); err != nil {
		http.Error(w, `{"message":"Could not parse request body into json"}`, http.StatusBadRequest)
		return
	}
	who := session{Actor: serin.ActorFrom(r.Context()), ReadOnly: in.ReadOnly, keyID: accessKeyID}
	secret, _ := c.Secret(accessKeyID)
	who.secret = sha256.Sum256([]byte(secret))
	link, ends := c.sessions.link(who)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(Link{Path: Prefix + "login#" + link, Expires: ends.UTC()}) // the caller is gone
}

var (
	errLoggedOut = errors.New("nobody is logged in")
	errForeign   = serin.Errorf(serin.KindDenied, "This request came from another site, so nothing was done. Open the console and do it there.")
	errReadOnly  = serin.Errorf(serin.KindDenied, "This session is read-only. Nothing was changed.")
)

// session returns who has sent a request.
func (c *Console) session(r *http.Request) (session, error) {
	if c.NoAuth != nil {
		return session{Actor: c.Anonymous}, c.NoAuth(r)
	}
	cookie, err := r.Cookie(c.sessions.cookie)
	if err != nil {
		return session{}, errLoggedOut
	}
	s, ok := c.sessions.find(cookie.Value, c.Secret)
	if !ok {
		return session{}, errLoggedOut
	}
	return s, nil
}

// visit is a request of somebody who is logged in.
type visit struct {
	*http.Request
	session session
}

// visited lets those who are logged in through to a handler, and if it writes those alone who may.
func (c *Console) visited(next page, writes bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := c.session(r)
		v := &visit{Request: r.WithContext(serin.WithActor(r.Context(), s.Actor)), session: s}
		switch {
		case errors.Is(err, errLoggedOut):
			c.sendToLogin(w, r)
			return
		case err == nil && writes && s.ReadOnly:
			err = errReadOnly
		case err == nil:
			err = next(w, v)
		}
		if err != nil {
			c.fail(w, v, err)
		}
	})
}

// sendToLogin answers who is not logged in (any more). Scripts get a status that they understand.
func (c *Console) sendToLogin(w http.ResponseWriter, r *http.Request) {
	to := url.Values{}
	if r.Method == http.MethodGet {
		to.Set("next", r.URL.RequestURI())
	} else {
		to.Set("ended", "")
	}
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		http.Error(w, "log in first", http.StatusUnauthorized)
		return
	}
	http.Redirect(w, r, Prefix+"login?"+to.Encode(), http.StatusSeeOther)
}

// localPath returns a path of the console that somebody asked to be sent to, or where it begins.
func localPath(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(u.Path, Prefix) || strings.Contains(path, `\`) {
		return Prefix
	}
	return u.RequestURI()
}
