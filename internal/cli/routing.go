package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"serin"
	"serin/internal/api"
)

// routingFlags are the flags that say how versions are picked. Members are nil for what was not stated.
type routingFlags struct {
	key  *serin.RoutingKey
	pins *serin.PinPolicy
}

func (r *routingFlags) flags(f *pflag.FlagSet) {
	f.Var((*keyValue)(r), "routing-key", "what keeps callers on one version: header:NAME, cookie:NAME, event:PATH or none")
	f.Var((*pinsValue)(r), "pins", "whose requests may name their version in the header "+serin.PinHeader+": off, signed or anyone")
}

// keyValue is a flag like header:X-User-Id.
type keyValue routingFlags

func (v *keyValue) Type() string { return "key" }

func (v *keyValue) String() string {
	if v.key == nil {
		return ""
	}
	return v.key.String()
}

func (v *keyValue) Set(text string) error {
	key, err := serin.ParseRoutingKey(text)
	v.key = &key
	return err
}

// pinsValue is a flag that says who may pin requests.
type pinsValue routingFlags

func (v *pinsValue) Type() string { return "who" }

func (v *pinsValue) String() string {
	if v.pins == nil {
		return ""
	}
	return string(*v.pins)
}

func (v *pinsValue) Set(text string) error {
	pins, err := serin.ParsePinPolicy(text)
	v.pins = &pins
	return err
}

// changes says what would be different from the settings of an alias, nil for a new one.
func (r *routingFlags) changes(now *api.AliasStatus) []string {
	if now == nil {
		now = &api.AliasStatus{Pins: serin.PinsSigned}
	}
	var changed []string
	if r.key != nil && *r.key != now.RoutingKey {
		changed = append(changed, fmt.Sprintf("routing key %s→%s", now.RoutingKey, *r.key))
	}
	if r.pins != nil && *r.pins != now.Pins {
		changed = append(changed, fmt.Sprintf("pins %s→%s", now.Pins, *r.pins))
	}
	return changed
}

// apply makes an alias have the settings, if they are not what it has.
func (r *routingFlags) apply(ctx context.Context, conn *connection, s subject, now *api.AliasStatus) error {
	if len(r.changes(now)) == 0 {
		return nil
	}
	_, err := conn.api.UpdateRouting(ctx, s.function, s.alias, api.RoutingRequest{RoutingKey: r.key, Pins: r.pins})
	return err
}

const routingHelp = `Routing shows or sets how an alias picks between its versions, beyond their weights.

With a routing key, invocations of one key stay on one version: while the share of a new version grows,
nobody who has got it goes back. Without a key in the request, chance decides. A key is

  header:NAME   a header of the HTTP request (the function URL's, or that of Invoke)
  cookie:NAME   a cookie of that request
  event:PATH    a value in the first 64 KB of the event, like event:detail.user.id or event:Records[0].userId
  none          no key

Requests with the header ` + serin.PinHeader + `: N are answered by version N whatever its weight, so that a version can be
tried before it gets traffic. --pins says who may do that: off, signed (who signs requests; the default) or
anyone (also callers of a public function URL). They count for nothing in a release.

--alias '$LATEST' is about pins of requests to the function itself.`

func (a *app) routingCommand() *cobra.Command {
	var p place
	var s subject
	var set routingFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "routing",
		Short:   "Show or set what keeps callers on one version, and who may choose one",
		Long:    routingHelp,
		Example: "  serin routing --function hello --routing-key header:X-User-Id --pins anyone",
		Args:    arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.required(); err != nil {
				return err
			}
			conn, err := a.connect(p)
			if err != nil {
				return err
			}
			var d *api.RoutingDocument
			if set == (routingFlags{}) {
				d, err = conn.api.Routing(cmd.Context(), s.function, s.alias)
			} else {
				d, err = conn.api.UpdateRouting(cmd.Context(), s.function, s.alias, api.RoutingRequest{RoutingKey: set.key, Pins: set.pins})
			}
			if err != nil {
				return err
			}
			if asJSON {
				return a.printDocument(d)
			}
			return a.printLines([]string{fmt.Sprintf("%s %s  routing key: %s  pins: %s", d.Function, d.Alias, d.RoutingKey, d.Pins)})
		},
	}
	p.flags(cmd)
	s.flags(cmd)
	set.flags(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a document")
	return cmd
}

// settingsText says settings in a line of the history.
func settingsText(s *serin.RouteSettings) string {
	texts := []string{"routing key " + s.Key.String()}
	if s.Pins != "" {
		texts = append(texts, "pins "+string(s.Pins))
	}
	return strings.Join(texts, ", ")
}
