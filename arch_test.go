package serin_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layers lists every package of the module from the bottom up. A package may import packages of lower
// layers only: never its own layer, never one above. docs/design.md says what each is for.
var layers = [][]string{
	{"serin", "serin/internal/evidence"},
	{"serin/internal/egress", "serin/internal/logpattern", "serin/internal/sandbox", "serin/internal/sam", "serin/internal/template"},
	{"serin/internal/bundle", "serin/internal/executor", "serin/internal/logs", "serin/internal/metrics", "serin/internal/recording", "serin/internal/resource", "serin/internal/router", "serin/internal/store", "serin/internal/timeseries", "serin/internal/tracing"},
	{"serin/internal/capacity", "serin/internal/cloudformation", "serin/internal/cloudwatch", "serin/internal/cloudwatchlogs", "serin/internal/control", "serin/internal/httpapi", "serin/internal/identity", "serin/internal/invoke", "serin/internal/parameter", "serin/internal/release", "serin/internal/repository", "serin/internal/s3"},
	{"serin/internal/alarm", "serin/internal/codedeploy", "serin/internal/overview"},
	{"serin/internal/api", "serin/internal/awsapi", "serin/internal/console", "serin/internal/exposition", "serin/internal/functionurl", "serin/internal/notify"},
	{"serin/internal/server"},
	{"serin/internal/cli"},
	{"serin/cmd/serin"},
}

// helpers are packages that only tests import; they may import anything below the layer of their parent.
var helpers = []string{"serin/internal/store/storetest"}

// owners names the only packages that may import a dependency.
var owners = map[string][]string{
	// Logs are many small writes that may be lost for a second: another file with other pragmas than the store.
	"database/sql":                  {"serin/internal/store", "serin/internal/logs"},
	"modernc.org/sqlite":            {"serin/internal/store", "serin/internal/logs"},
	"github.com/klauspost/compress": {"serin/internal/logs"},
	"github.com/jackc/pgx":          {"serin/internal/store", "serin/internal/store/storetest"},
	"os/exec":                       {"serin/internal/sandbox", "serin/internal/executor", "serin/internal/store/storetest", "serin/internal/cli"},
	"github.com/spf13/cobra":        {"serin/internal/cli"},
	"golang.org/x/time":             {"serin/internal/console"},
	"gvisor.dev/gvisor":             {"serin/internal/egress"},
	"golang.org/x/net/dns":          {"serin/internal/egress"},
	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream": {"serin/internal/awsapi"},
	"github.com/prometheus/prometheus":                      {"serin/internal/timeseries"},
	"github.com/prometheus/client_golang":                   {"serin/internal/exposition", "serin/internal/tracing"},
	"go.opentelemetry.io":                                   {"serin/internal/tracing"},
	"github.com/fxamacker/cbor":                             {"serin/internal/awsapi"},
	"github.com/rclone/gofakes3":                            {"serin/internal/s3"},
}

func TestArchitecture(t *testing.T) {
	layer := map[string]int{}
	for i, pkgs := range layers {
		for _, p := range pkgs {
			layer[p] = i
		}
	}
	documented := map[string]bool{}
	// Reading the files here, rather than running go list, lets the go command see them as inputs of the
	// test and not serve a stale cached result.
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (name != "." && d.Name()[0] == '.' || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.Contains(name, "/templates/") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		pkg := path.Join("serin", filepath.ToSlash(filepath.Dir(name)))
		documented[pkg] = documented[pkg] || f.Doc != nil
		at, ok := layer[pkg]
		if !ok && !slices.Contains(helpers, pkg) {
			t.Errorf("%s: package %s is in no layer: add it to layers and to docs/design.md", name, pkg)
		}
		for _, spec := range f.Imports {
			imp, _ := strconv.Unquote(spec.Path.Value)
			if below, ours := layer[imp]; ours && ok && below >= at {
				t.Errorf("%s: %s (layer %d) imports %s (layer %d)", name, pkg, at, imp, below)
			}
			if slices.Contains(helpers, imp) {
				t.Errorf("%s: only tests may import %s", name, imp)
			}
			for dep, may := range owners {
				if strings.HasPrefix(imp, dep) && !slices.Contains(may, pkg) {
					t.Errorf("%s: only %v may import %s", name, may, imp)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg, ok := range documented {
		if !ok {
			t.Errorf("package %s has no package comment", pkg)
		}
	}
}
