package console

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"serin"
	"serin/internal/invoke"
	"serin/internal/store"
)

const (
	kindTestEvent = "test-event" // documents: FUNCTION/NAME
	maxTestEvents = 50           // of a function
	maxEventName  = 64
	maxShown      = 256 << 10 // bytes of an answer
)

// testView is the page on which people invoke a function.
type testView struct {
	Function   string
	Qualifiers []string
	Qualifier  string
	Name       string // of the saved event
	Event      string
	Saved      []string
	CLI        string
	Result     *testResult
	Problem    string
}

// testResult is what came of an invocation.
type testResult struct {
	Failed   string // how, "" if it did not
	Version  string
	Duration string
	Answer   string
	Log      string
}

const firstEvent = "{\n  \"name\": \"Serin\"\n}"

func (c *Console) testView(ctx context.Context, f *serin.Function, qualifier, name string) (testView, error) {
	t := testView{Function: f.Name, Qualifier: qualifier, Name: name, Event: firstEvent}
	t.Qualifiers = append(slices.SortedFunc(maps.Keys(f.Aliases), aliasOrder), append([]string{serin.Latest.String()}, offered(f)...)...)
	t.Qualifier = cmp.Or(t.Qualifier, t.Qualifiers[0])
	for d, err := range c.Overview.Control.Store.Documents(ctx, kindTestEvent, f.Name+"/") {
		if err != nil {
			return t, err
		}
		saved := d.Name[len(f.Name)+1:]
		t.Saved = append(t.Saved, saved)
		if saved == name {
			t.Event = indented(d.Body)
		}
	}
	t.CLI = command("aws", "lambda", "invoke", "--function-name", f.Name, "--qualifier", t.Qualifier, "--payload", "file://event.json", "--cli-binary-format", "raw-in-base64-out", "answer.json")
	return t, nil
}

func indented(text []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, text, "", "  ") != nil {
		return string(text)
	}
	return b.String()
}

func (c *Console) showTest(w http.ResponseWriter, v *visit) error {
	f, err := c.findFunction(v)
	if err != nil {
		return err
	}
	t, err := c.testView(v.Context(), f, v.URL.Query().Get("qualifier"), v.URL.Query().Get("event"))
	if err != nil {
		return err
	}
	return c.showTestView(w, v, http.StatusOK, t)
}

func (c *Console) showTestView(w http.ResponseWriter, v *visit, status int, t testView) error {
	c.write(w, v, status, "test", view{Title: "Test " + t.Function, Function: t.Function, Tab: "test", Data: t})
	return nil
}

// test invokes a function, or saves or removes an event, as the button says.
func (c *Console) test(w http.ResponseWriter, v *visit) error {
	f, err := c.findFunction(v)
	if err != nil {
		return err
	}
	v.Body = http.MaxBytesReader(w, v.Body, 7<<20) // an event has 6 MB at most
	if err := v.ParseForm(); err != nil {
		return badForm(err)
	}
	t, err := c.testView(v.Context(), f, v.PostForm.Get("qualifier"), v.PostForm.Get("name"))
	if err != nil {
		return err
	}
	t.Event = v.PostForm.Get("event")
	switch v.PostForm.Get("do") {
	case "save":
		err = c.saveEvent(v.Context(), &t)
	case "remove":
		if err = c.removeEvent(v.Context(), t); err == nil {
			return done(w, v, functionPath(f.Name, "test"))
		}
	default:
		if t.Result, err = c.try(v, t); err == nil {
			c.note(v, f.Name, "invoked", f.Name+":"+t.Qualifier)
		}
	}
	if err != nil {
		if serin.KindOf(err) == 0 {
			return err
		}
		t.Problem = err.Error()
		status, _ := statusOf(serin.KindOf(err))
		return c.showTestView(w, v, status, t)
	}
	return c.showTestView(w, v, http.StatusOK, t)
}

func (c *Console) try(v *visit, t testView) (*testResult, error) {
	began := time.Now()
	out, err := c.Invoke(v.Context(), &invoke.Request{
		FunctionName: t.Function, Qualifier: t.Qualifier, Type: invoke.RequestResponse, Tail: true, RequestID: uuid.NewString(), Payload: []byte(t.Event),
	})
	if err != nil {
		return nil, err
	}
	r := &testResult{Version: versionName(out.ExecutedVersion), Duration: milliseconds(float64(time.Since(began).Microseconds()) / 1000), Log: string(out.Tail)}
	if out.FunctionError != "" {
		r.Failed = cmp.Or(out.ErrorType, out.FunctionError)
	}
	r.Answer = indented(out.Payload[:min(len(out.Payload), maxShown)])
	return r, nil
}

func (c *Console) saveEvent(ctx context.Context, t *testView) error {
	if t.Name == "" || len(t.Name) > maxEventName {
		return serin.Errorf(serin.KindInvalid, "An event needs a name of at most %d bytes to be saved.", maxEventName)
	}
	if !json.Valid([]byte(t.Event)) {
		return serin.Errorf(serin.KindContent, "The event is not JSON.")
	}
	if len(t.Event) > maxShown {
		return serin.Errorf(serin.KindTooLarge, "An event of more than %s cannot be saved.", bytesText(maxShown))
	}
	known := slices.Contains(t.Saved, t.Name)
	if !known && len(t.Saved) >= maxTestEvents {
		return serin.Errorf(serin.KindInvalid, "A function has at most %d saved events. Remove one first.", maxTestEvents)
	}
	d, err := c.Overview.Control.Store.Document(ctx, kindTestEvent, t.Function+"/"+t.Name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	d.Kind, d.Name, d.Body = kindTestEvent, t.Function+"/"+t.Name, json.RawMessage(t.Event)
	if err := c.Overview.Control.Store.SaveDocuments(ctx, d); err != nil {
		if errors.Is(err, store.ErrStale) || errors.Is(err, store.ErrExists) {
			return serin.Errorf(serin.KindConflict, "Somebody else saved this event at the same moment. Look at it and save again.")
		}
		return err
	}
	if !known {
		t.Saved = append(t.Saved, t.Name)
		slices.Sort(t.Saved)
	}
	return nil
}

func (c *Console) removeEvent(ctx context.Context, t testView) error {
	d, err := c.Overview.Control.Store.Document(ctx, kindTestEvent, t.Function+"/"+t.Name)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	d.Body = nil
	return c.Overview.Control.Store.SaveDocuments(ctx, d)
}
