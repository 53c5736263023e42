package console

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"serin"
)

const (
	maxUpload  = 51 << 20 // bytes of a form with a package of at most 50 MB
	formMemory = 1 << 20  // bytes of such a form in memory, the rest is on disk meanwhile
)

// configurationView is the page of a function's code and configuration.
type configurationView struct {
	Function    string
	Latest      *serin.Version
	Environment string // KEY=value, a line each; "" for who may not see it
	Variables   int
	Published   int
	Revision    string
	Problem     string
}

func (c *Console) showConfiguration(w http.ResponseWriter, v *visit) error {
	f, err := c.findFunction(v)
	if err != nil {
		return err
	}
	return c.show(w, v, "configuration", view{Title: f.Name, Function: f.Name, Tab: "configuration", Data: newConfigurationView(f, v.session.ReadOnly)})
}

// newConfigurationView shows the values of variables, which are often secrets, to those who could change them alone.
func newConfigurationView(f *serin.Function, readOnly bool) configurationView {
	d := configurationView{Function: f.Name, Latest: f.Latest, Published: len(f.Versions), Revision: f.Latest.RevisionID, Variables: len(f.Latest.Config.Environment)}
	if !readOnly {
		d.Environment = environmentText(f.Latest.Config.Environment)
	}
	return d
}

// environmentText writes variables, a line each, or if a value has several lines as a JSON object.
func environmentText(env map[string]string) string {
	var b strings.Builder
	for _, value := range env {
		if strings.ContainsAny(value, "\r\n") {
			text, _ := json.MarshalIndent(env, "", "  ") // strings always encode
			return string(text)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(env)) {
		fmt.Fprintf(&b, "%s=%s\n", key, env[key])
	}
	return b.String()
}

// parseEnvironment reads KEY=value, a line each, or a JSON object of strings.
//
// Errors: KindInvalid.
func parseEnvironment(text string) (map[string]string, error) {
	env := map[string]string{}
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		if err := json.Unmarshal([]byte(text), &env); err != nil {
			return nil, serin.Errorf(serin.KindInvalid, "Environment: not a JSON object of strings: %s", err)
		}
		return env, nil
	}
	for i, line := range strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		if strings.TrimSpace(line) == "" {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		key = strings.TrimSpace(key)
		if !ok || key == "" {
			return nil, serin.Errorf(serin.KindInvalid, "Environment, line %d: want KEY=value.", i+1)
		}
		if _, twice := env[key]; twice {
			return nil, serin.Errorf(serin.KindInvalid, "Environment, line %d: %s is there twice.", i+1, key)
		}
		env[key] = value
	}
	return env, nil
}

// saveConfiguration shows how a form differs from what is there, and then saves it.
func (c *Console) saveConfiguration(w http.ResponseWriter, v *visit) error {
	f, err := c.findFunction(v)
	if err == nil {
		err = v.form(w)
	}
	if err != nil {
		return err
	}
	in, wanted, err := readConfiguration(f, v)
	if err != nil {
		return err
	}
	if !confirmed(v) {
		return c.ask(w, v, f.Name, reviewConfiguration(f, wanted, carry(v.PostForm,
			"description", "handler", "runtime", "memory", "timeout", "storage", "environment", "revision")))
	}
	if _, err := c.Overview.Control.UpdateFunctionConfiguration(v.Context(), in); err != nil {
		if serin.KindOf(err) == serin.KindPrecondition {
			return serin.Errorf(serin.KindPrecondition, "%s was changed while the form was open, so nothing was saved. Open its configuration again and look at what is there now.", f.Name)
		}
		return err
	}
	c.note(v, f.Name, "configured", strings.Join(changedNames(f.Latest.Config, wanted), ", "))
	return done(w, v, functionPath(f.Name, "configuration"))
}

func readConfiguration(f *serin.Function, v *visit) (*lambda.UpdateFunctionConfigurationInput, serin.Configuration, error) {
	get := v.PostForm.Get
	wanted := f.Latest.Config
	wanted.Description, wanted.Handler, wanted.Runtime = get("description"), get("handler"), get("runtime")
	for _, n := range []struct {
		name string
		to   *int
	}{{"memory", &wanted.MemorySize}, {"timeout", &wanted.Timeout}, {"storage", &wanted.EphemeralStorage}} {
		value, err := strconv.ParseInt(strings.TrimSpace(get(n.name)), 10, 32)
		if err != nil {
			return nil, wanted, serin.Errorf(serin.KindInvalid, "%s: %q is not a number.", n.name, get(n.name))
		}
		*n.to = int(value)
	}
	env, err := parseEnvironment(get("environment"))
	if err != nil {
		return nil, wanted, err
	}
	if len(env) > 0 || wanted.Environment != nil {
		wanted.Environment = env
	}
	in := &lambda.UpdateFunctionConfigurationInput{
		FunctionName: &f.Name, Description: &wanted.Description, Runtime: types.Runtime(wanted.Runtime), MemorySize: aws.Int32(int32(wanted.MemorySize)),
		Timeout: aws.Int32(int32(wanted.Timeout)), EphemeralStorage: &types.EphemeralStorage{Size: aws.Int32(int32(wanted.EphemeralStorage))},
		Environment: &types.Environment{Variables: env}, RevisionId: aws.String(get("revision")),
	}
	if wanted.Handler != "" {
		in.Handler = &wanted.Handler
	}
	return in, wanted, nil
}

// configurationDiff compares two configurations by what people see of them.
func configurationDiff(from, to serin.Configuration) []difference {
	var all []difference
	add := func(name, a, b string) {
		if a != b {
			all = append(all, difference{name, a, b})
		}
	}
	add("Description", from.Description, to.Description)
	add("Runtime", from.Runtime, to.Runtime)
	add("Handler", from.Handler, to.Handler)
	add("Role", from.Role, to.Role)
	add("Memory", strconv.Itoa(from.MemorySize)+" MB", strconv.Itoa(to.MemorySize)+" MB")
	add("Timeout", strconv.Itoa(from.Timeout)+" s", strconv.Itoa(to.Timeout)+" s")
	add("Storage at /tmp", strconv.Itoa(from.EphemeralStorage)+" MB", strconv.Itoa(to.EphemeralStorage)+" MB")
	add("Architecture", from.Architecture, to.Architecture)
	add("Dead-letter target", from.DeadLetterTarget, to.DeadLetterTarget)
	add("Log format", from.Logging.Format, to.Logging.Format)
	add("Layers", layersText(from.Layers), layersText(to.Layers))
	keys := map[string]bool{}
	for _, env := range []map[string]string{from.Environment, to.Environment} {
		for key := range env {
			keys[key] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		a, had := from.Environment[key]
		b, has := to.Environment[key]
		if had != has || a != b {
			all = append(all, difference{"Environment " + key, absent(a, had), absent(b, has)})
		}
	}
	return all
}

func absent(value string, there bool) string {
	if !there {
		return "(not set)"
	}
	return value
}

func layersText(layers []serin.LayerRef) string {
	var texts []string
	for _, l := range layers {
		texts = append(texts, l.ARN)
	}
	return strings.Join(texts, " ")
}

func changedNames(from, to serin.Configuration) []string {
	var names []string
	for _, d := range configurationDiff(from, to) {
		names = append(names, d.Name)
	}
	return names
}

func reviewConfiguration(f *serin.Function, wanted serin.Configuration, fields []hidden) confirmation {
	q := confirmation{
		Heading: "Change the configuration of " + f.Name, Diff: configurationDiff(f.Latest.Config, wanted), Button: "Save", Hidden: fields,
		Will: []string{"$LATEST gets this configuration from the next request on. Published versions keep theirs; publish to release it."},
		Not:  []string{"requests that $LATEST has served meanwhile"},
	}
	words := []string{"aws", "lambda", "update-function-configuration", "--function-name", f.Name, "--revision-id", f.Latest.RevisionID}
	for _, d := range q.Diff {
		switch d.Name {
		case "Description":
			words = append(words, "--description", wanted.Description)
		case "Runtime":
			words = append(words, "--runtime", wanted.Runtime)
		case "Handler":
			words = append(words, "--handler", wanted.Handler)
		case "Memory":
			words = append(words, "--memory-size", strconv.Itoa(wanted.MemorySize))
		case "Timeout":
			words = append(words, "--timeout", strconv.Itoa(wanted.Timeout))
		case "Storage at /tmp":
			words = append(words, "--ephemeral-storage", "Size="+strconv.Itoa(wanted.EphemeralStorage))
		}
	}
	if !maps.Equal(f.Latest.Config.Environment, wanted.Environment) {
		words = append(words, "--environment", "file://environment.json") // secrets do not belong on a command line
	}
	q.CLI = []string{command(words...)}
	if len(q.Diff) == 0 {
		q.Will, q.Not, q.CLI, q.Button = nil, nil, nil, ""
		q.Lead = "Nothing is different from what is there."
	}
	return q
}

// upload reads a form with a package.
func (v *visit) upload(w http.ResponseWriter) (zip []byte, err error) {
	v.Body = http.MaxBytesReader(w, v.Body, maxUpload)
	if err := v.ParseMultipartForm(formMemory); err != nil {
		return nil, badForm(err)
	}
	defer func() { _ = v.MultipartForm.RemoveAll() }() // temporary files, which the system removes too
	file, _, err := v.FormFile("package")
	if err != nil {
		return nil, serin.Errorf(serin.KindInvalid, "Choose a zip file.")
	}
	defer func() { _ = file.Close() }()
	return io.ReadAll(file)
}

// saveCode replaces the code of $LATEST, and publishes it if the form says so.
func (c *Console) saveCode(w http.ResponseWriter, v *visit) error {
	f, err := c.findFunction(v)
	if err != nil {
		return err
	}
	zip, err := v.upload(w)
	if err != nil {
		return err
	}
	out, err := c.Overview.Control.UpdateFunctionCode(v.Context(), &lambda.UpdateFunctionCodeInput{
		FunctionName: &f.Name, ZipFile: zip, RevisionId: aws.String(v.FormValue("revision")),
	})
	if serin.KindOf(err) == serin.KindPrecondition {
		return serin.Errorf(serin.KindPrecondition, "%s was changed while the form was open, so nothing was uploaded. Open its code again and look at what is there now.", f.Name)
	}
	if err != nil {
		return err
	}
	c.note(v, f.Name, "uploaded", fmt.Sprintf("%s, code %s", bytesText(out.CodeSize), shortSHA(*out.CodeSha256)))
	if v.FormValue("publish") == "" {
		return done(w, v, functionPath(f.Name, "configuration"))
	}
	return c.publishNow(w, v, f.Name, v.FormValue("description"), "")
}

func (c *Console) publishNow(w http.ResponseWriter, v *visit, function, description, revision string) error {
	in := &lambda.PublishVersionInput{FunctionName: &function, Description: &description}
	if revision != "" {
		in.RevisionId = &revision
	}
	out, err := c.Overview.Control.PublishVersion(v.Context(), in)
	if err != nil {
		return err
	}
	c.note(v, function, "published", "v"+*out.Version)
	return done(w, v, functionPath(function))
}

func (c *Console) showPublish(w http.ResponseWriter, v *visit) error {
	f, err := c.findFunction(v)
	if err != nil {
		return err
	}
	q := confirmation{
		Heading: "Publish a version of " + f.Name, Form: "publish", Button: "Publish v" + (f.LastPublished + 1).String(), Hidden: []hidden{{"revision", f.Latest.RevisionID}},
		Will: []string{"$LATEST as it is now, code " + shortSHA(f.Latest.Code.SHA256) + ", becomes v" + (f.LastPublished + 1).String() + ". It never changes again.", "No traffic moves: that is what a release does."},
		Not:  []string{"the number: it is never used again, also if the version is deleted"},
		CLI:  []string{command("aws", "lambda", "publish-version", "--function-name", f.Name, "--revision-id", f.Latest.RevisionID)},
	}
	if newest, ok := f.Version(f.LastPublished); ok && f.LastPublished != serin.Latest {
		q.Diff = configurationDiff(newest.Config, f.Latest.Config)
		if newest.Code.SHA256 != f.Latest.Code.SHA256 {
			q.Diff = append([]difference{{"Code", shortSHA(newest.Code.SHA256), shortSHA(f.Latest.Code.SHA256)}}, q.Diff...)
		}
		if !f.Changed {
			q.Warn = []string{"$LATEST has not been updated since v" + f.LastPublished.String() + " was published: publishing returns that version."}
		}
	}
	return c.ask(w, v, f.Name, q)
}

func (c *Console) publish(w http.ResponseWriter, v *visit) error {
	if err := v.form(w); err != nil {
		return err
	}
	return c.publishNow(w, v, v.PathValue("function"), v.PostForm.Get("description"), v.PostForm.Get("revision"))
}

// runtimesOffered are those that a form names; the API takes every one.
var runtimesOffered = []string{"python3.13", "python3.12", "python3.11", "nodejs22.x", "nodejs20.x", "provided.al2023"}

func (c *Console) showNew(w http.ResponseWriter, v *visit) error {
	return c.show(w, v, "new", view{Title: "New function", Tab: "functions", Data: runtimesOffered})
}

func (c *Console) create(w http.ResponseWriter, v *visit) error {
	zip, err := v.upload(w)
	if err != nil {
		return err
	}
	name := v.FormValue("name")
	in := &lambda.CreateFunctionInput{
		FunctionName: &name, Runtime: types.Runtime(v.FormValue("runtime")), Handler: aws.String(v.FormValue("handler")),
		Role: aws.String(cmp.Or(v.FormValue("role"), "arn:aws:iam::"+c.Account+":role/"+name)), Code: &types.FunctionCode{ZipFile: zip},
	}
	if _, err := c.Overview.Control.CreateFunction(v.Context(), in); err != nil {
		return err
	}
	c.note(v, name, "created", string(in.Runtime))
	return done(w, v, functionPath(name))
}

// compareView compares two versions of a function.
type compareView struct {
	Function string
	From, To versionRow
	Diff     []difference
	Versions []string
}

func (c *Console) showCompare(w http.ResponseWriter, v *visit) error {
	f, err := c.findFunction(v)
	if err != nil {
		return err
	}
	to, ok := serin.ParseVersion(v.URL.Query().Get("to"))
	if !ok {
		to = serin.Latest
	}
	from, ok := serin.ParseVersion(v.URL.Query().Get("from"))
	if !ok {
		from = before(f, to)
	}
	a, okA := f.Version(from)
	b, okB := f.Version(to)
	if !okA || !okB {
		return serin.Errorf(serin.KindNotFound, "%s has no such versions to compare.", f.Name)
	}
	status, err := c.Overview.Status(v.Context(), f.Name)
	if err != nil {
		return err
	}
	d := compareView{Function: f.Name, Versions: append([]string{serin.Latest.String()}, offered(f)...), Diff: configurationDiff(a.Config, b.Config)}
	if v.session.ReadOnly { // values of variables are often secrets
		d.Diff = slices.DeleteFunc(d.Diff, func(x difference) bool { return strings.HasPrefix(x.Name, "Environment ") })
	}
	for i := range status.Versions {
		if status.Versions[i].Version == from {
			d.From = newVersionRow(status, &status.Versions[i])
		}
		if status.Versions[i].Version == to {
			d.To = newVersionRow(status, &status.Versions[i])
		}
	}
	if a.Code.SHA256 != b.Code.SHA256 {
		d.Diff = append([]difference{{"Code", shortSHA(a.Code.SHA256) + ", " + bytesText(a.Code.Size), shortSHA(b.Code.SHA256) + ", " + bytesText(b.Code.Size)}}, d.Diff...)
	}
	return c.show(w, v, "compare", view{Title: "Compare versions of " + f.Name, Function: f.Name, Tab: "overview", Data: d})
}

// before is the version that was published before one, or the newest for $LATEST.
func before(f *serin.Function, n serin.VersionNumber) serin.VersionNumber {
	for _, v := range slices.Backward(f.Versions) {
		if n == serin.Latest || v.Number < n {
			return v.Number
		}
	}
	return serin.Latest
}
