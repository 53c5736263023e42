package console

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"serin"
)

// confirmation is what people see before something is done: what will happen, what will not be undone, and the same as a
// command.
type confirmation struct {
	Heading string
	Lead    string
	Will    []string
	Not     []string // what it does not undo
	Warn    []string
	Diff    []difference
	CLI     []string
	Form    string // name of the inputs that the form has beside the hidden ones, "" for none
	Input   any    // what these inputs show
	Hidden  []hidden
	Action  string // where it is posted, "" for the address of the page
	Button  string
	Danger  bool
	Reason  bool // the form asks why
	Problem string
}

// hidden is what a form carries unseen.
type hidden struct{ Name, Value string }

// difference is a setting that changes.
type difference struct{ Name, Old, New string }

// carry puts fields of a form into the hidden inputs of the next one.
func carry(form url.Values, names ...string) []hidden {
	all := []hidden{{"confirm", "yes"}}
	for _, name := range names {
		all = append(all, hidden{name, form.Get(name)})
	}
	return all
}

// confirmed says whether a form was seen with what it does.
func confirmed(v *visit) bool { return v.PostForm.Get("confirm") == "yes" }

func (c *Console) ask(w http.ResponseWriter, v *visit, function string, q confirmation) error {
	return c.show(w, v, "confirm", view{Title: q.Heading, Function: function, Data: q})
}

// form reads a form without files.
func (v *visit) form(w http.ResponseWriter) error {
	v.Body = http.MaxBytesReader(w, v.Body, maxForm)
	if err := v.ParseForm(); err != nil {
		return badForm(err)
	}
	return nil
}

func badForm(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return serin.Errorf(serin.KindTooLarge, "The form is too large.")
	}
	return serin.Errorf(serin.KindContent, "The form cannot be read: %s", err)
}

// done sends the browser to the page that shows what was done.
func done(w http.ResponseWriter, v *visit, path string) error {
	http.Redirect(w, v.Request, path, http.StatusSeeOther)
	return nil
}

func functionPath(function string, more ...string) string {
	path := []string{Prefix + "functions", url.PathEscape(function)}
	for _, m := range more {
		path = append(path, url.PathEscape(m))
	}
	return strings.Join(path, "/")
}

// command prints a command line that a shell takes as it is.
func command(words ...string) string {
	for i, w := range words {
		if w == "" || strings.Trim(w, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,@%") != "" {
			words[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}

// notUndone is what no change of an alias takes back.
var notUndone = []string{
	"data that newer versions have written",
	"events that they have queued, or that are retried",
	"configuration outside the versions of this function, and other functions",
}
