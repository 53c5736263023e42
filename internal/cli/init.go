package cli

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/spf13/cobra"
)

//go:embed templates
var templates embed.FS

// language is what init and demo can write functions in.
type language struct {
	name    string // also the directory of its templates
	runtime string
	handler string
	build   string
	pkg     string // what to package, "" for all
	// interpreter must be on the machine; for Go it is the compiler.
	interpreter string
	// ask makes the interpreter print the identifier of the runtime that it is; nil for Go.
	ask []string
}

// languages come in the order in which the demo tries them.
func languages() []language {
	return []language{
		{
			name: "python", runtime: "python3.13", handler: "handler.handler", interpreter: "python3",
			ask: []string{"-c", "import sys; print('python%d.%d' % sys.version_info[:2])"},
		},
		{
			name: "node", runtime: "nodejs22.x", handler: "index.handler", interpreter: "node",
			ask: []string{"-p", "'nodejs' + process.versions.node.split('.')[0] + '.x'"},
		},
		{
			name: "go", runtime: "provided.al2023", handler: "bootstrap", interpreter: "go", pkg: "bootstrap",
			build: "CGO_ENABLED=0 go build -tags lambda.norpc -trimpath -ldflags=-s -o bootstrap .",
		},
	}
}

// languageOf finds a language by its name, or by the identifier of a runtime, which it then has.
func languageOf(name string) (language, error) {
	for _, l := range languages() {
		switch {
		case name == l.name || name == l.interpreter:
			return l, nil
		case l.name == "python" && strings.HasPrefix(name, "python"), l.name == "node" && strings.HasPrefix(name, "nodejs"),
			l.name == "go" && strings.HasPrefix(name, "provided"):
			l.runtime = name
			return l, nil
		}
	}
	return language{}, usagef("runtime: %.100q is not python, node or go", name)
}

// askTime is how long an interpreter may take to say which one it is.
const askTime = 5 * time.Second

// here returns the language with the runtime that a server on this machine runs its functions with. Where there is no
// interpreter, or one that Lambda does not have, the runtime stays what it is.
func (l language) here(ctx context.Context) language {
	if l.ask == nil {
		return l
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	answer, err := exec.CommandContext(ctx, l.interpreter, l.ask...).Output()
	runtime := types.Runtime(strings.TrimSpace(string(answer)))
	if err == nil && slices.Contains(runtime.Values(), runtime) {
		l.runtime = string(runtime)
	}
	return l
}

// functionName is what Lambda accepts as the name of a new function.
var functionName = regexp.MustCompile(`^[a-zA-Z0-9-_]{1,64}$`)

func (a *app) initCommand() *cobra.Command {
	var runtime string
	var force bool
	cmd := &cobra.Command{
		Use:   "init [NAME]",
		Short: "Write a small function and its serin.yaml",
		Long: `Init writes a function into the new directory NAME, or without a name into the current directory. It
overwrites nothing without --force. The runtime is that of this machine's interpreter unless you name one.`,
		Example: "  serin init hello --runtime python",
		Args:    arguments(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := languageOf(runtime)
			if err != nil {
				return err
			}
			if l.runtime != runtime { // only the language was named
				l = l.here(cmd.Context())
			}
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			return a.initialise(dir, l, force)
		},
	}
	cmd.Flags().StringVar(&runtime, "runtime", "python", "python, node, go, or an identifier like python3.12")
	cmd.Flags().BoolVar(&force, "force", false, "overwrite files")
	return cmd
}

// initialise writes a project into a directory.
func (a *app) initialise(dir string, l language, force bool) error {
	whole, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	name := filepath.Base(whole)
	if !functionName.MatchString(name) {
		return usagef("%.100q is no name for a function: letters, digits, - and _, at most 64", name)
	}
	values := map[string]string{
		"Function": name, "Runtime": l.runtime, "Handler": l.handler, "Build": l.build, "Package": l.pkg,
	}
	files, err := rendered("templates/init/"+l.name, values)
	if err != nil {
		return err
	}
	if files[projectFile], err = render("templates/init/serin.yaml.tmpl", values); err != nil {
		return err
	}
	if err := writeFiles(dir, files, force); err != nil {
		return err
	}
	a.say("wrote %s", strings.Join(sortedKeys(files), ", "))
	a.say("next:")
	if dir != "." {
		a.say("  cd %s", dir)
	}
	a.say("  serin serve &")
	a.say("  serin ship -m \"first\"")
	if dir == "." {
		a.say("  serin invoke")
	}
	return nil
}

// rendered returns the files of a directory of templates.
func rendered(dir string, values any) (map[string][]byte, error) {
	entries, err := templates.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".tmpl")
		if name == "gitignore" { // the build of this program would leave out a hidden file
			name = ".gitignore"
		}
		if files[name], err = render(dir+"/"+e.Name(), values); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func render(name string, values any) ([]byte, error) {
	t, err := template.ParseFS(templates, name)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := t.Execute(&out, values); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// writeFiles writes all files, or none if one is there already.
func writeFiles(dir string, files map[string][]byte, force bool) error {
	for _, name := range sortedKeys(files) {
		_, err := os.Lstat(filepath.Join(dir, name))
		if err == nil && !force {
			return usagef("%s is there already; --force overwrites it", filepath.Join(dir, name))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, name := range sortedKeys(files) {
		if err := os.WriteFile(filepath.Join(dir, name), files[name], 0o644); err != nil {
			return fmt.Errorf("write project: %w", err)
		}
	}
	return nil
}
