package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cfn "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/smithy-go"
	"github.com/spf13/cobra"

	"serin/internal/cloudformation"
	"serin/internal/template"
)

// application is a template on its way to a stack.
type application struct {
	*app

	client     *cfn.Client
	stack      string
	body       string
	parameters []types.Parameter
	creating   bool
	yes        bool
	dryRun     bool
}

// applyDocument is what apply prints.
type applyDocument struct {
	Stack   string            `json:"stack"`
	Status  string            `json:"status"`
	Changes []appliedChange   `json:"changes"`
	Outputs map[string]string `json:"outputs,omitempty"`
	Reason  string            `json:"reason,omitempty"`
}

type appliedChange struct {
	Action      string `json:"action"` // Add, Modify, Remove
	Resource    string `json:"resource"`
	Type        string `json:"type"`
	Replacement string `json:"replacement,omitempty"`
}

func (a *app) applyCommand() *cobra.Command {
	var p place
	var job application
	var given []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "apply FILE",
		Short: "Deploy a template, or one resource, as a stack",
		Long: `Apply shows what a template would create, change, replace and delete, asks on a terminal, and deploys it. FILE is a
CloudFormation or SAM template in JSON or YAML, or one bare resource ({"Type": …, "Properties": …}). The stack has the
name of the file unless --stack names it. A stack whose update fails goes back to how it was, and apply exits with 10.`,
		Example: "  serin apply template.yaml --parameter Stage=prod\n  serin apply alias.json --dry-run",
		Args:    arguments(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("name the file of a template: serin apply FILE")
			}
			job.app = a
			if err := job.read(args[0], given); err != nil {
				return err
			}
			conn, err := a.connect(p)
			if err != nil {
				return err
			}
			job.client = cfn.New(cfn.Options{
				Region: conn.region, BaseEndpoint: &conn.endpoint,
				Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return conn.keys, nil }),
			})
			d, err := job.run(cmd.Context())
			if d != nil && asJSON {
				return joined(err, a.printDocument(d))
			}
			return err
		},
	}
	p.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&job.stack, "stack", "", "name of the stack (default that of the file)")
	f.StringArrayVar(&given, "parameter", nil, "`KEY=VALUE` of a parameter of the template; may be repeated")
	f.BoolVarP(&job.yes, "yes", "y", false, "do not ask")
	f.BoolVar(&job.dryRun, "dry-run", false, "say what would be done, and do nothing")
	f.BoolVar(&asJSON, "json", false, "print what was done")
	return cmd
}

var notOfNames = regexp.MustCompile(`[^A-Za-z0-9]+`)

// read reads the file and makes a template of it.
func (j *application) read(file string, given []string) error {
	f, err := os.Open(file)
	if err != nil {
		return exitf(exitUsage, "%w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, template.MaxSize+1))
	if err != nil {
		return exitf(exitUsage, "%s: %w", file, err)
	}
	tree, err := template.Decode(string(text))
	if err != nil {
		return err
	}
	if j.stack == "" {
		base := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
		j.stack = strings.Trim(notOfNames.ReplaceAllString(base, "-"), "-")
	}
	j.body = string(text)
	changed := false
	if _, isTemplate := tree["Resources"]; !isTemplate && tree["Type"] != nil {
		tree, changed = map[string]any{"Resources": map[string]any{"Resource": tree}}, true
	}
	if j.lists(tree) || changed {
		written, err := json.Marshal(tree)
		if err != nil {
			return fmt.Errorf("write the template: %w", err)
		}
		j.body = string(written)
	}
	for _, kv := range given {
		key, value, ok := strings.Cut(kv, "=")
		if !ok {
			return usagef("parameter: %q is not KEY=VALUE", kv)
		}
		j.parameters = append(j.parameters, types.Parameter{ParameterKey: &key, ParameterValue: &value})
	}
	return nil
}

// lists writes weights of aliases that are there as the map of Lambda's API as the list of templates, and says so.
func (j *application) lists(tree map[string]any) bool {
	resources, _ := tree["Resources"].(map[string]any)
	changed := false
	for id, v := range resources {
		r, _ := v.(map[string]any)
		properties, _ := r["Properties"].(map[string]any)
		if r["Type"] != "AWS::Lambda::Alias" {
			continue
		}
		if weights, ok := cloudformation.WeightList(properties); ok {
			r["Properties"], changed = weights.Properties(), true
			j.say("! %s: AdditionalVersionWeights is a list in templates; AWS refuses the map. Write: %s", id, weights)
		}
	}
	return changed
}

// run shows the plan, asks, and deploys.
func (j *application) run(ctx context.Context) (*applyDocument, error) {
	d := &applyDocument{Stack: j.stack, Changes: []appliedChange{}}
	set, err := j.plan(ctx)
	if err != nil {
		return nil, remote(err)
	}
	if set.Status == types.ChangeSetStatusFailed {
		reason := aws.ToString(set.StatusReason)
		j.discard(ctx, set)
		if strings.Contains(reason, "didn't contain changes") || strings.Contains(reason, "No updates are to be performed") {
			j.say("✔ nothing to do: stack %s is as the template says", j.stack)
			d.Status = "UNCHANGED"
			return d, nil
		}
		return nil, usagef("%s", reason)
	}
	for _, c := range set.Changes {
		r := c.ResourceChange
		one := appliedChange{string(r.Action), aws.ToString(r.LogicalResourceId), aws.ToString(r.ResourceType), string(r.Replacement)}
		d.Changes = append(d.Changes, one)
		j.say("  %s", one)
	}
	if j.dryRun {
		j.discard(ctx, set)
		d.Status = "PLANNED"
		return d, nil
	}
	if j.Terminal != nil && !j.yes {
		sure, err := j.confirm(ctx, "apply to stack "+j.stack+"?")
		if err != nil || !sure {
			j.discard(ctx, set)
			return nil, joined(err, exitf(exitAborted, "nothing was changed"))
		}
	}
	began := time.Now()
	if _, err := j.client.ExecuteChangeSet(ctx, &cfn.ExecuteChangeSetInput{ChangeSetName: set.ChangeSetId, StackName: set.StackId}); err != nil {
		return nil, remote(err)
	}
	return d, j.follow(ctx, *set.StackId, began, d)
}

// String is a line of the plan.
func (c appliedChange) String() string {
	sign := map[string]string{"Add": "+", "Remove": "-"}[c.Action]
	if sign == "" {
		sign = "~"
	}
	text := fmt.Sprintf("%s %s %s", sign, c.Resource, c.Type)
	switch c.Replacement {
	case "True":
		text += " (replaced)"
	case "Conditional":
		text += " (may be replaced)"
	}
	return text
}

// plan makes a change set.
func (j *application) plan(ctx context.Context) (*cfn.DescribeChangeSetOutput, error) {
	kind := types.ChangeSetTypeUpdate
	there, err := j.client.DescribeStacks(ctx, &cfn.DescribeStacksInput{StackName: &j.stack})
	if e, ok := errors.AsType[smithy.APIError](err); ok && strings.Contains(e.ErrorMessage(), "does not exist") {
		kind, err = types.ChangeSetTypeCreate, nil
	}
	if err != nil {
		return nil, err
	}
	if kind == types.ChangeSetTypeUpdate && there.Stacks[0].StackStatus == types.StackStatusReviewInProgress {
		kind = types.ChangeSetTypeCreate
	}
	j.creating = kind == types.ChangeSetTypeCreate
	if !j.creating {
		j.keepParameters(there.Stacks[0].Parameters)
	}
	out, err := j.client.CreateChangeSet(ctx, &cfn.CreateChangeSetInput{
		StackName: &j.stack, ChangeSetName: new(fmt.Sprintf("serin-apply-%d", time.Now().UnixNano())), ChangeSetType: kind, TemplateBody: &j.body, Parameters: j.parameters,
		Capabilities: []types.Capability{types.CapabilityCapabilityIam, types.CapabilityCapabilityNamedIam, types.CapabilityCapabilityAutoExpand},
	})
	if err != nil {
		return nil, err
	}
	return j.client.DescribeChangeSet(ctx, &cfn.DescribeChangeSetInput{ChangeSetName: out.Id, StackName: out.StackId})
}

// keepParameters lets parameters that are not given keep the values that the stack has, as far as the template has them.
func (j *application) keepParameters(before []types.Parameter) {
	tree, err := template.Decode(j.body)
	if err != nil {
		return // the server says what is wrong
	}
	declared, _ := tree["Parameters"].(map[string]any)
	for _, p := range before {
		given := slices.ContainsFunc(j.parameters, func(g types.Parameter) bool { return *g.ParameterKey == *p.ParameterKey })
		if _, stays := declared[*p.ParameterKey]; stays && !given {
			j.parameters = append(j.parameters, types.Parameter{ParameterKey: p.ParameterKey, UsePreviousValue: aws.Bool(true)})
		}
	}
}

// discard deletes a change set, and the stack that is there for it alone.
func (j *application) discard(ctx context.Context, set *cfn.DescribeChangeSetOutput) {
	_, err := j.client.DeleteChangeSet(ctx, &cfn.DeleteChangeSetInput{ChangeSetName: set.ChangeSetId, StackName: set.StackId})
	if err == nil && j.creating {
		_, err = j.client.DeleteStack(ctx, &cfn.DeleteStackInput{StackName: set.StackId})
	}
	if err != nil {
		j.say("! the plan could not be deleted: %s", explain(remote(err)))
	}
}

// follow tells the events of the stack until nothing is under way any more.
func (j *application) follow(ctx context.Context, stackID string, began time.Time, d *applyDocument) error {
	seen := map[string]bool{}
	for {
		stacks, err := j.client.DescribeStacks(ctx, &cfn.DescribeStacksInput{StackName: &stackID})
		if err != nil {
			return remote(err)
		}
		if err := j.tell(ctx, stackID, began, seen, d); err != nil {
			return remote(err)
		}
		st := stacks.Stacks[0]
		if d.Status = string(st.StackStatus); !strings.HasSuffix(d.Status, "_IN_PROGRESS") {
			return j.end(&st, began, d)
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return exitf(exitAborted, "interrupted: the stack goes on by itself; look with: aws cloudformation describe-stack-events --stack-name %s", j.stack)
		}
	}
}

// tell prints the events that are new.
func (j *application) tell(ctx context.Context, stackID string, began time.Time, seen map[string]bool, d *applyDocument) error {
	out, err := j.client.DescribeStackEvents(ctx, &cfn.DescribeStackEventsInput{StackName: &stackID})
	if err != nil {
		return err
	}
	for _, e := range slices.Backward(out.StackEvents) {
		if seen[*e.EventId] || e.Timestamp.Before(began.Add(-time.Second)) {
			continue
		}
		seen[*e.EventId] = true
		reason := aws.ToString(e.ResourceStatusReason)
		if strings.HasSuffix(string(e.ResourceStatus), "_FAILED") && d.Reason == "" {
			d.Reason = *e.LogicalResourceId + ": " + reason
		}
		j.say("%s %-28s %-24s %s", e.Timestamp.Local().Format("15:04:05"), e.ResourceStatus, *e.LogicalResourceId, reason)
	}
	return nil
}

func (j *application) end(st *types.Stack, began time.Time, d *applyDocument) error {
	for _, o := range st.Outputs {
		if d.Outputs == nil {
			d.Outputs = map[string]string{}
		}
		d.Outputs[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
	}
	switch st.StackStatus {
	case types.StackStatusCreateComplete, types.StackStatusUpdateComplete:
		j.say("✔ stack %s is as the template says, in %s", j.stack, seconds(time.Since(began).Seconds()))
		return nil
	case types.StackStatusUpdateRollbackComplete, types.StackStatusRollbackComplete:
		return exitf(exitWorse, "stack %s was rolled back: %s", j.stack, d.Reason)
	case types.StackStatusUpdateRollbackFailed, types.StackStatusRollbackFailed:
		return exitf(exitRollbackFailed, "the rollback of stack %s failed: %s", j.stack, d.Reason)
	default:
		return exitf(exitInternal, "stack %s is %s: %s", j.stack, st.StackStatus, d.Reason)
	}
}
