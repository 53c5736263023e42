package cli

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"serin/internal/server"
)

func (a *app) envCommand() *cobra.Command {
	var data string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "env",
		Short:   "Print the settings that make AWS tools use the server of this machine",
		Example: "  eval \"$(serin env)\" && aws lambda list-functions",
		Args:    arguments(0),
		RunE: func(*cobra.Command, []string) error {
			data = cmp.Or(data, server.DefaultData(a.Getenv))
			ready, err := server.Running(data)
			if err != nil {
				return err
			}
			if asJSON {
				return a.printDocument(ready)
			}
			for _, variable := range environment(ready) {
				name, value, _ := strings.Cut(variable, "=")
				fmt.Fprintf(a.Stdout, "export %s=%s\n", name, shellQuoted(value))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "data directory of the server (default $XDG_DATA_HOME/serin or ~/.local/share/serin)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a document, the one of serve --ready-file")
	return cmd
}

// shellQuoted makes a value one word of a shell.
func shellQuoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
