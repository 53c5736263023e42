package cloudformation

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"serin/internal/template"
)

// wanted is what a request says about a template and its parameters.
type wanted struct {
	body, url    *string
	previous     bool
	parameters   []types.Parameter
	tags         []types.Tag
	capabilities []types.Capability
	changeSet    bool // change sets need not be allowed to expand transforms: they show what came of it
}

// prepared is a template that is ready to be deployed.
type prepared struct {
	revision

	template *template.Template
	scope    *template.Scope
	needs    map[string][]string
}

const (
	autoExpand     = "CAPABILITY_AUTO_EXPAND"
	maxTagsOfStack = 50
)

// prepare checks everything about a template that can be known before a resource is touched, and stores it.
func (s *Service) prepare(ctx context.Context, st *stack, w wanted) (*prepared, error) {
	src, err := s.read(ctx, st, w)
	if err != nil {
		return nil, err
	}
	given, err := givenParameters(st, w.parameters)
	if err != nil {
		return nil, err
	}
	tree, err := s.transform(src, given, w)
	if err != nil {
		return nil, err
	}
	p := &prepared{}
	if p.template, err = template.New(tree); err != nil {
		return nil, err
	}
	if err := s.checkTypes(p.template); err != nil {
		return nil, err
	}
	if p.Parameters, err = p.template.Bind(ctx, given, s.Parameter); err != nil {
		return nil, err
	}
	p.scope = s.scope(ctx, st, p.Parameters, func(string) {})
	if p.scope.Conditions, err = p.template.EvaluateConditions(p.scope); err != nil {
		return nil, err
	}
	if err := p.template.CheckRules(p.scope); err != nil {
		return nil, err
	}
	if p.needs, err = p.template.Dependencies(p.scope.Conditions); err != nil {
		return nil, err
	}
	if err := checkCapabilities(p.template, w); err != nil {
		return nil, err
	}
	if len(w.tags) > maxTagsOfStack {
		return nil, validation("A stack has at most %d tags", maxTagsOfStack)
	}
	p.Tags = map[string]string{}
	for _, t := range w.tags {
		p.Tags[deref(t.Key)] = deref(t.Value)
	}
	for _, c := range w.capabilities {
		p.Capabilities = append(p.Capabilities, string(c))
	}
	p.Description = p.template.Description
	p.Template, err = s.keepTemplate(ctx, *src)
	return p, err
}

// read returns the template that a request brings or names.
func (s *Service) read(ctx context.Context, st *stack, w wanted) (*source, error) {
	switch {
	case w.previous:
		current := st.Current
		if current == nil {
			return nil, validation("No previous template")
		}
		src, err := s.source(ctx, current.Template)
		if err != nil {
			return nil, err
		}
		return &source{Original: src.Original}, nil
	case w.body != nil && w.url != nil:
		return nil, validation("You can't specify both TemplateBody and TemplateURL")
	case w.body != nil:
		if len(*w.body) > template.MaxSize {
			return nil, validation("1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have length less than or equal to %d", template.MaxSize)
		}
		return &source{Original: *w.body}, nil
	case w.url != nil:
		return s.fetch(ctx, *w.url)
	default:
		return nil, validation("Either Template URL or Template Body must be specified.")
	}
}

// virtualHost is the host of an S3 URL that names the bucket.
var virtualHost = regexp.MustCompile(`^([a-z0-9][a-z0-9.-]*)\.s3[.-]`)

// fetch reads a template from S3.
func (s *Service) fetch(ctx context.Context, address string) (*source, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || s.Object == nil {
		return nil, validation("TemplateURL must reference a valid S3 object to which you have access.")
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if m := virtualHost.FindStringSubmatch(u.Host); m != nil {
		bucket, key = m[1], strings.TrimPrefix(u.Path, "/")
	}
	body, err := s.Object(ctx, bucket, key, template.MaxSize+1)
	if err != nil {
		return nil, validation("S3 error: %s", err)
	}
	return &source{Original: string(body)}, nil
}

// transform does what the template asks for by its section Transform.
func (s *Service) transform(src *source, given map[string]string, w wanted) (map[string]any, error) {
	tree, err := template.Decode(src.Original)
	if err != nil {
		return nil, err
	}
	names, err := template.Transforms(tree)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if name == "AWS::LanguageExtensions" {
			continue
		}
		do := s.Transforms[name]
		if do == nil {
			return nil, validation("No transform named %s found.", name)
		}
		if !w.changeSet && !slices.Contains(w.capabilities, types.CapabilityCapabilityAutoExpand) {
			return nil, exception(ReasonCapabilities, "Requires capabilities : [%s]", autoExpand)
		}
		if tree, err = do(tree, given); err != nil {
			return nil, err
		}
		src.Processed = tree
	}
	return tree, nil
}

// givenParameters returns what a request says about parameters, with the values that the stack has where it asks for them.
func givenParameters(st *stack, list []types.Parameter) (map[string]string, error) {
	given := make(map[string]string, len(list))
	for _, p := range list {
		key := deref(p.ParameterKey)
		switch {
		case deref(p.UsePreviousValue) && p.ParameterValue != nil:
			return nil, validation("Invalid input for parameter key %s. Cannot specify usePreviousValue as true and non empty value for a parameter", key)
		case deref(p.UsePreviousValue):
			var before template.Value
			ok := false
			if st.Current != nil {
				before, ok = st.Current.Parameters[key]
			}
			if !ok {
				return nil, validation("Invalid input for parameter key %s. Cannot specify usePreviousValue as true for a parameter key not in the previous template", key)
			}
			given[key] = before.Given
		case p.ParameterValue != nil:
			given[key] = *p.ParameterValue
		}
	}
	return given, nil
}

// checkTypes refuses resource types that Serin does not have.
func (s *Service) checkTypes(t *template.Template) error {
	unknown := map[string]bool{}
	for _, r := range t.Resources {
		if s.Types[r.Type] == nil {
			unknown[r.Type] = true
		}
	}
	if len(unknown) > 0 {
		return validation("Template format error: Unrecognized resource types: [%s]", strings.Join(slices.Sorted(maps.Keys(unknown)), ", "))
	}
	return nil
}

// namedIAM are the properties by which IAM resources get names of their own.
var namedIAM = map[string]string{
	"AWS::IAM::Role": "RoleName", "AWS::IAM::User": "UserName", "AWS::IAM::Group": "GroupName", "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
	"AWS::IAM::InstanceProfile": "InstanceProfileName", "AWS::IAM::Policy": "", "AWS::IAM::AccessKey": "",
}

func checkCapabilities(t *template.Template, w wanted) error {
	if need := capabilities(t); len(need) > 0 {
		named := slices.Contains(w.capabilities, types.CapabilityCapabilityNamedIam)
		if !named && (need[0] == types.CapabilityCapabilityNamedIam || !slices.Contains(w.capabilities, types.CapabilityCapabilityIam)) {
			return exception(ReasonCapabilities, "Requires capabilities : [%s]", need[0])
		}
	}
	return nil
}

// capabilities returns what a template needs the caller to agree to.
func capabilities(t *template.Template) []types.Capability {
	var need []types.Capability
	for _, r := range t.Resources {
		property, isIAM := namedIAM[r.Type]
		switch {
		case !isIAM:
		case property != "" && r.Properties[property] != nil:
			return []types.Capability{types.CapabilityCapabilityNamedIam}
		default:
			need = []types.Capability{types.CapabilityCapabilityIam}
		}
	}
	return need
}

// adapt takes the weights of an alias also as the map of Lambda's API, if the server is lenient; else the error says how
// templates write them.
func (s *Service) adapt(r *template.Resource, properties map[string]any) (map[string]any, []string, error) {
	if r.Type != "AWS::Lambda::Alias" {
		return properties, nil, nil
	}
	list, ok := WeightList(properties)
	if !ok {
		return properties, nil, nil
	}
	hint := fmt.Sprintf("AdditionalVersionWeights is a list in templates: %s", list.text)
	if !s.Lenient {
		return nil, nil, validation("Properties validation failed for resource %s with message: [#/RoutingConfig/AdditionalVersionWeights: expected type: JSONArray, found: JSONObject] (%s)", r.ID, hint)
	}
	return list.properties, []string{hint}, nil
}

// Weights are the weights of an alias as templates write them.
type Weights struct {
	properties map[string]any
	text       string // the list as JSON
}

// Properties are those of the alias with the list in place of the map.
func (w Weights) Properties() map[string]any { return w.properties }

// String returns the list as JSON.
func (w Weights) String() string { return w.text }

// WeightList returns the properties of an alias with its weights as a list, if they are there as a map.
func WeightList(properties map[string]any) (Weights, bool) {
	routing, _ := properties["RoutingConfig"].(map[string]any)
	weights, ok := routing["AdditionalVersionWeights"].(map[string]any)
	if !ok || len(routing) != 1 {
		return Weights{}, false
	}
	list, texts := []any{}, []string{}
	versions := slices.Collect(maps.Keys(weights))
	sort.Strings(versions)
	for _, version := range versions {
		list = append(list, map[string]any{"FunctionVersion": version, "FunctionWeight": weights[version]})
		texts = append(texts, fmt.Sprintf(`{"FunctionVersion": %q, "FunctionWeight": %v}`, version, weights[version]))
	}
	out := maps.Clone(properties)
	out["RoutingConfig"] = map[string]any{"AdditionalVersionWeights": list}
	return Weights{out, "[" + strings.Join(texts, ", ") + "]"}, true
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
