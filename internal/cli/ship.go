package cli

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"serin"
)

// shipOptions are the flags of ship.
type shipOptions struct {
	place
	subject
	config  wanted
	env     []string
	build   string
	pkg     string
	version selector
	policy  serin.Policy
	routing routingFlags
	checks  checkFlags
	smoke   string
	traffic string
	rate    float64
	message string
	keep    int // versions, 0 for all

	dryRun, detach, json, events, yes bool
}

const shipHelp = `Ship publishes what changed, moves the alias to it step by step while it compares the two versions
request by request, and promotes it or puts the old version back. It returns when that is decided.

Settings come from flags, then from serin.yaml in DIR. An env map there replaces the variables of the
function; --env adds to them.

Exit codes: 0 promoted, or nothing to do; 10 rolled back, the new version was worse; 11 not enough
evidence: held, or rolled back by policy; 12 aborted; 13 another release is active, or somebody else
changed the alias; 14 the smoke test or a check before it failed, no traffic moved; 20 the rollback
failed, act now; 2 usage; 3 not found; 4 credentials; 1 anything else.

An interruption (Ctrl-C, SIGTERM) aborts the release and waits until the traffic is back; on a terminal
Ctrl-C asks first.`

func (a *app) shipCommand() *cobra.Command {
	opt := shipOptions{policy: serin.DefaultPolicy()}
	cmd := &cobra.Command{
		Use:     "ship [DIR|ZIP|BINARY]",
		Short:   "Release a new version, judged against the one that is there",
		Long:    shipHelp,
		Example: "  serin ship --steps 10,50,100 --traffic demo -m \"warmer greeting\"",
		Args:    arguments(1),
	}
	opt.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		src, err := sourceOf(args)
		if err != nil {
			return err
		}
		if err := opt.complete(cmd, src.dir); err != nil {
			return err
		}
		return a.ship(cmd.Context(), &opt, src)
	}
	return cmd
}

func (o *shipOptions) flags(cmd *cobra.Command) {
	o.place.flags(cmd)
	o.subject.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.config.runtime, "runtime", "", "runtime, like python3.13, nodejs22.x or provided.al2023")
	f.StringVar(&o.config.handler, "handler", "", "handler, like index.handler")
	f.StringVar(&o.config.role, "role", "", "ARN of the execution role")
	f.Int32Var(&o.config.memory, "memory", 0, "memory in MB")
	f.Int32Var(&o.config.timeout, "timeout", 0, "time limit in seconds")
	f.StringArrayVar(&o.env, "env", nil, "environment variable `KEY=VALUE`; may be repeated")
	f.StringVar(&o.build, "build", "", "shell command that builds the package, run in DIR")
	f.StringVar(&o.pkg, "package", "", "what to package, relative to DIR (default all of DIR)")
	f.StringVar((*string)(&o.version), "version", "", "ship this `VERSION`, which exists, and package nothing: a number, a commit, a CI run, a message")
	policyFlags(f, &o.policy)
	o.routing.flags(f)
	f.StringVar(&o.policy.Force, "force", "", "`REASON` to give the version everything at once, without evidence")
	o.checks.flags(f)
	f.StringVar(&o.smoke, "smoke", "", "shell command that checks the version ($SERIN_VERSION_ARN) before it gets traffic")
	f.StringVar(&o.traffic, "traffic", "", "send synthetic traffic meanwhile: demo, or a `FILE` with a JSON event per line or a recording (serin record)")
	f.Var((*rateValue)(&o.rate), "traffic-rate", "requests of --traffic per second (default as recorded, else 100)")
	f.Var((*rateValue)(&o.rate), "rate", "the same as --traffic-rate")
	_ = f.MarkHidden("rate") // what it was called before
	f.StringVarP(&o.message, "message", "m", "", "what this version is about")
	f.IntVar(&o.keep, "keep", 0, "after a promotion, remove old versions but the newest `N` and what a rollback needs (default all stay)")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be done, and do nothing")
	f.BoolVar(&o.detach, "detach", false, "return when the release has begun")
	f.BoolVar(&o.json, "json", false, "print the final document")
	f.BoolVar(&o.events, "events", false, "print events as they happen, one JSON document per line")
	f.BoolVarP(&o.yes, "yes", "y", false, "ask nothing")
}

// policyFlags are the flags that a policy is made of.
func policyFlags(f *pflag.FlagSet, policy *serin.Policy) {
	f.Var(&presetValue{policy}, "preset", "steps by time as CodeDeploy names them, like Canary10Percent5Minutes")
	f.Var((*stepsValue)(&policy.Steps), "steps", "shares of the traffic in percent")
	f.Var((*paceValue)(&policy.Pace), "pace", "what lets a step end")
	f.Var((*durationValue)(&policy.Bake), "bake", "least time of each step")
	f.Var((*durationValue)(&policy.MaxWait), "max-wait", "longest time to wait for evidence")
	f.Var((*blindValue)(&policy.OnBlind), "on-blind", "what to do then")
	f.Float64Var(&policy.Alpha, "alpha", policy.Alpha, "bound on the probability of rolling back a version that is no worse")
	f.Float64Var(&policy.MaxHarm, "max-harm", policy.MaxHarm, "increase of the error rate to exclude before everything moves")
	f.Var((*signalsValue)(&policy.Signals), "signals", "what to roll back for: errors, latency, cold-starts")
	f.StringArrayVar(&policy.Alarms, "alarm", nil, "CloudWatch alarm that vetoes: no traffic while it is in ALARM; may be repeated")
	f.Float64Var(&policy.MaxSlowdown, "max-slowdown", policy.MaxSlowdown, "how many times as long a request may take")
	f.Var((*durationValue)(&policy.Watch), "watch", "after the promotion, keep the old version at hand for so long")
	f.Float64Var(&policy.Holdback, "holdback", 0, "percentage that the old version keeps during the watch, to compare with")
}

// complete adds the settings of serin.yaml and checks everything that can be checked without a server.
func (o *shipOptions) complete(cmd *cobra.Command, dir string) error {
	settings, err := readProject(dir)
	if err != nil {
		return err
	}
	trafficFlag, eventFlag := cmd.Flags().Changed("traffic"), cmd.Flags().Changed("smoke-event")
	if err := presetFirst(cmd.Flags(), settings); err != nil {
		return err
	}
	if err := applyProject(cmd.Flags(), settings); err != nil {
		return err
	}
	if o.function == "" {
		return usagef("which function? Say --function NAME, or write it into %s", filepath.Join(dir, projectFile))
	}
	if o.alias == "" {
		o.alias = defaultAlias
	}
	if o.traffic != "" && o.traffic != demoTraffic && !trafficFlag && !filepath.IsAbs(o.traffic) {
		o.traffic = filepath.Join(dir, o.traffic) // as serin.yaml says it
	}
	if o.policy.Before, o.policy.After, err = o.checks.checks(dir, !eventFlag); err != nil {
		return err
	}
	stated, inProject := find(settings, "env")
	if inProject || len(o.env) > 0 {
		o.config.env, o.config.envAdds = map[string]string{}, !inProject
		for _, variable := range slices.Concat(stated.values, o.env) {
			name, value, ok := strings.Cut(variable, "=")
			if !ok || name == "" {
				return usagef("env: %.100q is not KEY=VALUE", variable)
			}
			o.config.env[name] = value
		}
	}
	if o.config.memory < 0 || o.config.timeout < 0 {
		return usagef("memory and timeout must not be negative")
	}
	if o.keep < 0 {
		return usagef("keep: %d is negative", o.keep)
	}
	if cmd.Flags().Changed("version") && o.version == "" {
		return usagef("version: name a version that exists")
	}
	if cmd.Flags().Changed("force") && strings.TrimSpace(o.policy.Force) == "" {
		return usagef("force: say why, for those who read the history")
	}
	if o.json && o.events {
		return usagef("--json prints one document, --events many: choose one")
	}
	return o.policy.Check()
}
