package cli

import (
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"serin/internal/api"
)

// consoleDocument is what serin console --json prints.
type consoleDocument struct {
	URL     string    `json:"url"`
	Expires time.Time `json:"expires"`
}

func (a *app) consoleCommand() *cobra.Command {
	var p place
	var readOnly, open, asJSON bool
	cmd := &cobra.Command{
		Use:   "console",
		Short: "Print a link that logs you in to the console",
		Long: `Console prints the address of the web console with a secret that logs in whoever opens it first, within a minute.
The session acts under your name, as the history of a command does. --read-only is for a display on a wall: such a session
changes nothing.`,
		Example: "  serin console --open\n  serin console --read-only",
		Args:    arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			conn, err := a.connect(p)
			if err != nil {
				return err
			}
			link, err := conn.api.ConsoleLink(cmd.Context(), api.ConsoleLinkRequest{ReadOnly: readOnly})
			if err != nil {
				return err
			}
			d := consoleDocument{URL: strings.TrimRight(conn.endpoint, "/") + link.Path, Expires: link.Expires}
			if asJSON {
				return a.printDocument(d)
			}
			if _, err := fmt.Fprintln(a.Stdout, d.URL); err != nil || !open {
				return err
			}
			return browse(cmd, d.URL)
		},
	}
	p.flags(cmd)
	f := cmd.Flags()
	f.BoolVar(&readOnly, "read-only", false, "a session that changes nothing, for 30 days")
	f.BoolVar(&open, "open", false, "open it in the browser of this machine")
	f.BoolVar(&asJSON, "json", false, "print a document")
	return cmd
}

// browse opens an address in the browser that the desktop calls its own.
func browse(cmd *cobra.Command, url string) error {
	program := "xdg-open"
	if runtime.GOOS == "darwin" {
		program = "open"
	}
	if err := exec.CommandContext(cmd.Context(), program, url).Run(); err != nil {
		return exitf(exitInternal, "cannot open a browser: %w; open the link yourself", err)
	}
	return nil
}
