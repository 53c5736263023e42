package console

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"

	"serin"
)

// view is what a page is made of.
type view struct {
	Title    string
	Bare     bool   // without navigation: nobody is logged in
	Function string // whose page it is, if it is one's
	Tab      string
	Live     string   // topic of the page's fragments, "" if it stays as it is
	Scripts  []string // modules beside the one that every page has
	Data     any

	Session session
	Login   bool // there is a login, and so a logout
	Theme   string
	Assets  string
}

// views are the parsed templates: what all pages share, and each page by its name.
type views struct {
	shared *template.Template
	pages  map[string]*template.Template
}

// parseViews parses the templates. Files whose names begin with an underscore hold what several pages share.
func parseViews(a *assets) (views, error) {
	v := views{pages: map[string]*template.Template{}}
	shared, err := template.New("").Funcs(functions(a)).ParseFS(files, "templates/_*.html")
	if err != nil {
		return v, fmt.Errorf("templates: %w", err)
	}
	v.shared = shared
	names, err := fs.Glob(files, "templates/[a-z]*.html")
	if err != nil {
		return v, err
	}
	for _, name := range names {
		t, err := shared.Clone()
		if err == nil {
			t, err = t.ParseFS(files, name)
		}
		if err != nil {
			return v, fmt.Errorf("templates: %w", err)
		}
		v.pages[strings.TrimSuffix(path.Base(name), ".html")] = t
	}
	return v, nil
}

// fragment renders a part of a page.
func (v *views) fragment(name string, data any) (string, error) {
	var b strings.Builder
	err := v.shared.ExecuteTemplate(&b, name, data)
	return b.String(), err
}

var zippers = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level exists
	return z
}}

// write answers with a page, all of it or an error.
func (c *Console) write(w http.ResponseWriter, v *visit, status int, name string, out view) {
	out.Session, out.Assets, out.Login = v.session, c.assets.base, c.NoAuth == nil
	if theme, err := v.Cookie("serin_theme"); err == nil && (theme.Value == "dark" || theme.Value == "light") {
		out.Theme = theme.Value
	}
	var b bytes.Buffer
	if err := c.views.pages[name].ExecuteTemplate(&b, "layout", out); err != nil {
		c.Log.ErrorContext(v.Context(), "console: cannot render", "page", name, "error", err)
		http.Error(w, "The server could not write this page; its log says why.", http.StatusInternalServerError)
		return
	}
	send(w, v.Request, status, "text/html; charset=utf-8", b.Bytes())
}

// send answers with text, compressed if the browser takes that.
func send(w http.ResponseWriter, r *http.Request, status int, kind string, text []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Vary", "Accept-Encoding")
	if !takesGzip(r) {
		w.WriteHeader(status)
		_, _ = w.Write(text) // the caller is gone
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	w.WriteHeader(status)
	z := zippers.Get().(*gzip.Writer)
	defer zippers.Put(z)
	z.Reset(w)
	_, _ = z.Write(text)
	_ = z.Close()
}

func (c *Console) show(w http.ResponseWriter, v *visit, name string, out view) error {
	c.write(w, v, http.StatusOK, name, out)
	return nil
}

// errorView is a page that says what went wrong.
type errorView struct{ Heading, Message string }

// statusOf pairs kinds of errors with what a browser is told.
func statusOf(kind serin.Kind) (status int, heading string) {
	switch kind {
	case serin.KindDenied:
		return http.StatusForbidden, "Not allowed"
	case serin.KindNotFound, serin.KindNotProvisioned:
		return http.StatusNotFound, "Not found"
	case serin.KindConflict:
		return http.StatusConflict, "Not now"
	case serin.KindPrecondition:
		return http.StatusPreconditionFailed, "Changed by somebody else"
	case serin.KindTooLarge:
		return http.StatusRequestEntityTooLarge, "Too large"
	case serin.KindThrottled:
		return http.StatusTooManyRequests, "Too busy"
	case serin.KindNotImplemented:
		return http.StatusNotImplemented, "Not there yet"
	case serin.KindInvalid, serin.KindValidation, serin.KindContent, serin.KindStorage, serin.KindPolicyLength:
		return http.StatusBadRequest, "That does not work"
	default:
		return http.StatusInternalServerError, "The server failed"
	}
}

// fail answers with an error. Only domain errors show their message; the cause of others is for the log.
func (c *Console) fail(w http.ResponseWriter, v *visit, err error) {
	e, ok := errors.AsType[*serin.Error](err)
	if !ok {
		if v.Context().Err() == nil {
			c.Log.ErrorContext(v.Context(), "console: request failed", "method", v.Method, "path", v.URL.Path, "error", err)
		}
		e = serin.Errorf(serin.KindInternal, "Its log says why.")
	}
	status, heading := statusOf(e.Kind)
	c.write(w, v, status, "error", view{Title: heading, Bare: v.session.Actor == "", Data: errorView{heading, e.Message}})
}

func (c *Console) showNothing(http.ResponseWriter, *visit) error {
	return serin.Errorf(serin.KindNotFound, "The console has no page here.")
}
