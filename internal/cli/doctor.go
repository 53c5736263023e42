package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"serin/internal/executor"
	"serin/internal/sandbox"
)

// diagnosis is what doctor prints.
type diagnosis struct {
	Platform    string       `json:"platform"`
	Protections []protection `json:"protections"`
	Network     string       `json:"network"` // "ok", or why functions cannot reach it
	Runtimes    []diagnosed  `json:"runtimes"`
}

type protection struct {
	Name string `json:"name"`
	On   bool   `json:"on"`
	Why  string `json:"why,omitempty"`
}

type diagnosed struct {
	Family  string `json:"family"`
	Path    string `json:"path,omitempty"`
	Version string `json:"version,omitempty"`
	Problem string `json:"problem,omitempty"`
}

func (a *app) doctorCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine offers to functions",
		Long: `Doctor finds out how well this machine can isolate functions from each other and from itself, whether they can reach the
network, and which interpreters there are. It changes nothing. The exit code is 0 also if something is missing; what
must not be missing, serin serve --isolation require insists on.`,
		Example: "  serin doctor\n  serin doctor --json",
		Args:    arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := diagnose(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return a.printDocument(d)
			}
			return a.printDiagnosis(d)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a document")
	return cmd
}

// diagnose tries what a server would.
func diagnose(ctx context.Context) (_ *diagnosis, err error) {
	dir, err := os.MkdirTemp("", "serin-doctor-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	e, err := executor.New(executor.Config{Dir: dir})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.Close(ctx)) }()
	d := &diagnosis{Platform: runtime.GOOS + "/" + runtime.GOARCH, Network: "ok"}
	for _, p := range e.Protections() {
		d.Protections = append(d.Protections, protection(p))
	}
	if err := e.NoNetwork(); err != nil {
		d.Network = err.Error()
	}
	for _, family := range [][2]string{{"node", "nodejs22.x"}, {"python", "python3.13"}} {
		in, err := e.Resolve(ctx, family[1])
		r := diagnosed{Family: family[0], Path: in.Path, Version: in.Version}
		if err != nil {
			r.Problem = explain(err)
		}
		d.Runtimes = append(d.Runtimes, r)
	}
	return d, nil
}

func (a *app) printDiagnosis(d *diagnosis) error {
	w := tabwriter.NewWriter(a.Stdout, 0, 8, 2, ' ', 0)
	line := func(ok bool, name, text string) {
		mark := "ok"
		if !ok {
			mark = "MISSING"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", mark, name, text)
	}
	missing := false
	for _, p := range d.Protections {
		line(p.On, p.Name, p.Why)
		missing = missing || !p.On
	}
	if d.Network == "ok" {
		line(true, "outbound network", "")
	} else {
		line(false, "outbound network", d.Network)
	}
	for _, r := range d.Runtimes {
		if r.Problem != "" {
			line(false, r.Family, r.Problem)
		} else {
			line(true, r.Family, r.Version+" "+r.Path)
		}
	}
	if err := w.Flush(); err != nil || !missing {
		return err
	}
	_, err := fmt.Fprintf(a.Stdout, "\nRun only code that you trust on this machine, or give the server what is missing: `serin serve --isolation %s` refuses to start as it is.\n", sandbox.IsolationRequire)
	return err
}
