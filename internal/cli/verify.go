package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"serin/internal/release"
)

const verifyHelp = `Verify computes every verdict of a release again, from the blocks of requests that were counted, and compares what
comes out with what was recorded, to the last bit. RELEASE is an id, or its beginning as history shows it; without one
it is the newest release of the alias. FILE is what --export has written: then no server is asked.

Exit code 0 says that everything is as recorded, 1 that something is not.`

// maxCertificate bounds the size of an exported certificate, in bytes.
const maxCertificate = 256 << 20

func (a *app) verifyCommand() *cobra.Command {
	var p place
	var s subject
	var export string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "verify [RELEASE|FILE]", Short: "Compute the verdicts of a release again", Long: verifyHelp,
		Example: "  serin verify --export release.json && serin verify release.json",
		Args:    arguments(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			named := ""
			if len(args) == 1 {
				named = args[0]
			}
			cert, err := readCertificate(named)
			if errors.Is(err, fs.ErrNotExist) || named == "" {
				cert, err = a.fetchCertificate(cmd.Context(), p, s, named)
			}
			if err != nil {
				return err
			}
			if export != "" {
				return a.export(cert, export)
			}
			return a.verify(cert, asJSON)
		},
	}
	p.flags(cmd)
	s.flags(cmd)
	cmd.Flags().StringVar(&export, "export", "", "write the certificate to `FILE` instead, - for standard output")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a document")
	return cmd
}

func (a *app) verify(cert *release.Certificate, asJSON bool) error {
	v, err := cert.Verify()
	if err != nil {
		return fmt.Errorf("the certificate cannot be right: %w", err)
	}
	if asJSON {
		if err := a.printDocument(v); err != nil {
			return err
		}
	}
	if len(v.Differences) > 0 {
		return fmt.Errorf("release %s does not verify: %s", v.ReleaseID, clean(strings.Join(v.Differences, "; ")))
	}
	if len(cert.Pages) == 0 {
		a.say("release %s: nothing was recorded, so there is nothing to verify", clean(v.ReleaseID))
		return nil
	}
	a.say("✔ release %s: %s computed again from %s, to the last bit; verdict: %s",
		clean(v.ReleaseID), counted(v.Verdicts, "verdict"), counted(v.Blocks, "block"), clean(string(v.Verdict)))
	if v.Synthetic > 0 {
		a.say("  %s during the release were synthetic: no user has made them", counted(v.Synthetic, "request"))
	}
	return nil
}

func (a *app) export(cert *release.Certificate, name string) error {
	if name == "-" {
		return a.printDocument(cert)
	}
	text, err := json.Marshal(cert)
	if err != nil {
		return err
	}
	if err := os.WriteFile(name, append(text, '\n'), 0o644); err != nil { //nolint:gosec // it is meant to be handed on
		return err
	}
	a.say("wrote %s; verify it anywhere: serin verify %s", name, name)
	return nil
}

func readCertificate(name string) (*release.Certificate, error) {
	text, err := readFile(name, maxCertificate)
	if err != nil {
		return nil, err
	}
	if len(text) > maxCertificate {
		return nil, usagef("%s is larger than %d bytes", name, maxCertificate)
	}
	return parseCertificate(name, text)
}

func parseCertificate(name string, text []byte) (*release.Certificate, error) {
	var cert release.Certificate
	if err := json.Unmarshal(text, &cert); err != nil || cert.Release.ID == "" || len(cert.Release.Policy.Steps) == 0 {
		return nil, usagef("%s is not the certificate of a release; serin verify --export writes one", name)
	}
	if err := cert.Release.Policy.Check(); err != nil {
		return nil, usagef("%s: %w", name, err)
	}
	return &cert, nil
}

// fetchCertificate asks the server for the certificate of a release.
func (a *app) fetchCertificate(ctx context.Context, p place, s subject, named string) (*release.Certificate, error) {
	conn, err := a.connect(p)
	if err != nil {
		return nil, err
	}
	id := named
	if strings.Count(named, "-") < 4 { // not a whole id
		if id, err = findRelease(ctx, conn, s, named); err != nil {
			return nil, err
		}
	}
	return conn.api.Certificate(ctx, id)
}

// findRelease returns the id of the newest release of the subject whose id begins like that.
func findRelease(ctx context.Context, conn *connection, s subject, beginning string) (string, error) {
	if err := s.required(); err != nil {
		return "", err
	}
	history, err := conn.api.History(ctx, s.function, s.alias, 100)
	if err != nil {
		return "", err
	}
	for _, d := range history.Releases {
		if strings.HasPrefix(d.ReleaseID, beginning) {
			return d.ReleaseID, nil
		}
	}
	return "", exitf(exitNotFound, "no release of %s begins with %q", s.String(), clean(beginning))
}
