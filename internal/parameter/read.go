package parameter

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"serin/internal/store"
)

// GetParameter returns a parameter by name or ARN, of which NAME:3 and NAME:label select a version.
func (s *Service) GetParameter(ctx context.Context, in *ssm.GetParameterInput, _ ...func(*ssm.Options)) (*ssm.GetParameterOutput, error) {
	p, err := s.get(ctx, deref(in.Name), deref(in.WithDecryption))
	if err != nil {
		return nil, err
	}
	return &ssm.GetParameterOutput{Parameter: p}, nil
}

func (s *Service) get(ctx context.Context, given string, decrypt bool) (*types.Parameter, error) {
	if given == "" || len(given) > 2048 {
		return nil, invalid("1 validation error detected: Value at 'name' failed to satisfy constraint: Member must have length between 1 and 2048")
	}
	prefix := ""
	if strings.HasPrefix(given, "arn:") {
		prefix = s.arn("")
		given = s.nameOf(given)
	}
	name, selector, selected := strings.Cut(given, ":")
	p, err := s.records.Get(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, notFound(prefix + name)
	}
	if err != nil {
		return nil, err
	}
	v := p.last()
	if selected {
		if v = p.find(selector); v == nil {
			return nil, fault("ParameterVersionNotFound", "Systems Manager could not find version %s of %s. Verify the version and try again.", selector, name)
		}
	}
	out, err := s.shown(p, v, decrypt)
	if err == nil && selected {
		out.Selector = new(":" + selector)
	}
	return out, err
}

// find returns a version by number or label.
func (p *parameter) find(selector string) *version {
	number, err := strconv.ParseInt(selector, 10, 64)
	for i := range p.Versions {
		v := &p.Versions[i]
		if err == nil && v.Number == number || err != nil && slices.Contains(v.Labels, selector) {
			return v
		}
	}
	return nil
}

func (s *Service) shown(p *parameter, v *version, decrypt bool) (*types.Parameter, error) {
	value := v.Value
	if p.Type == string(types.ParameterTypeSecureString) && decrypt {
		var err error
		if value, err = s.decrypt(p.Name, v); err != nil {
			return nil, err
		}
	}
	return &types.Parameter{
		ARN: new(s.arn(p.Name)), DataType: &v.DataType, LastModifiedDate: &v.Modified, Name: &p.Name,
		Type: types.ParameterType(p.Type), Value: &value, Version: v.Number,
	}, nil
}

// GetParameters returns up to ten parameters, and the names of those that do not exist.
func (s *Service) GetParameters(ctx context.Context, in *ssm.GetParametersInput, _ ...func(*ssm.Options)) (*ssm.GetParametersOutput, error) {
	if len(in.Names) == 0 || len(in.Names) > maxByNames {
		return nil, invalid("1 validation error detected: Value at 'names' failed to satisfy constraint: Member must have length between 1 and %d", maxByNames)
	}
	out := &ssm.GetParametersOutput{Parameters: []types.Parameter{}, InvalidParameters: []string{}}
	for _, name := range in.Names {
		p, err := s.get(ctx, name, deref(in.WithDecryption))
		switch {
		case err == nil:
			out.Parameters = append(out.Parameters, *p)
		case isFault(err, "ParameterNotFound", "ParameterVersionNotFound"):
			out.InvalidParameters = append(out.InvalidParameters, name)
		default:
			return nil, err
		}
	}
	return out, nil
}

// GetParametersByPath returns the parameters of a level of the hierarchy or, recursively, below it.
func (s *Service) GetParametersByPath(ctx context.Context, in *ssm.GetParametersByPathInput, _ ...func(*ssm.Options)) (*ssm.GetParametersByPathOutput, error) {
	path := deref(in.Path)
	if !strings.HasPrefix(path, "/") {
		return nil, invalid("The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash \"/\".")
	}
	path = strings.TrimSuffix(path, "/") + "/"
	most, err := pageSize(in.MaxResults, 10, 10)
	if err != nil {
		return nil, err
	}
	accept, err := filtered(in.ParameterFilters)
	if err != nil {
		return nil, err
	}
	out := &ssm.GetParametersByPathOutput{Parameters: []types.Parameter{}}
	out.NextToken, err = s.page(ctx, path, deref(in.NextToken), most, func(p *parameter) (bool, error) {
		if !deref(in.Recursive) && strings.Contains(p.Name[len(path):], "/") || !accept(p) {
			return false, nil
		}
		shown, err := s.shown(p, p.last(), deref(in.WithDecryption))
		if err == nil {
			out.Parameters = append(out.Parameters, *shown)
		}
		return true, err
	})
	return out, err
}

// page calls take for the parameters of a page until as many as fit have been taken, and returns the token of the next page. A token is
// the name of the last parameter of the page before.
func (s *Service) page(ctx context.Context, prefix, token string, most int, take func(*parameter) (bool, error)) (*string, error) {
	taken, last := 0, ""
	for p, err := range s.records.All(ctx, prefix) {
		if err != nil {
			return nil, err
		}
		if p.Name <= token {
			continue
		}
		if taken == most {
			return &last, nil
		}
		ok, err := take(p)
		if err != nil {
			return nil, err
		}
		if ok {
			taken, last = taken+1, p.Name
		}
	}
	return nil, nil
}

func pageSize(given *int32, standard, most int) (int, error) {
	if given == nil {
		return standard, nil
	}
	if *given < 1 || int(*given) > most {
		return 0, invalid("1 validation error detected: Value '%d' at 'maxResults' failed to satisfy constraint: Member must have value between 1 and %d", *given, most)
	}
	return int(*given), nil
}

// filtered returns a test of the filters Name, Path, Type, Tier, DataType, KeyId, Label and tag:KEY, of which Equals, BeginsWith and, for names,
// Contains are options; Path has Recursive and OneLevel.
func filtered(filters []types.ParameterStringFilter) (func(*parameter) bool, error) {
	var tests []func(*parameter) bool
	for _, f := range filters {
		key := deref(f.Key)
		values := filterValues(key)
		if values == nil {
			return nil, fault("InvalidFilterKey", "The following filter key is not valid: %.100s. Valid filter keys include: [DataType, KeyId, Label, Name, Path, Tier, Type, tag:KEY].", key)
		}
		match := filterOption(key, deref(f.Option))
		if match == nil {
			return nil, fault("InvalidFilterOption", "The following filter option is not valid for %s: %.100s.", key, deref(f.Option))
		}
		tests = append(tests, func(p *parameter) bool {
			return slices.ContainsFunc(values(p), func(v string) bool {
				return len(f.Values) == 0 || slices.ContainsFunc(f.Values, func(want string) bool { return match(v, want) })
			})
		})
	}
	return func(p *parameter) bool {
		return !slices.ContainsFunc(tests, func(test func(*parameter) bool) bool { return !test(p) })
	}, nil
}

// filterValues returns what a filter looks at, or nil if there is no such filter.
func filterValues(key string) func(*parameter) []string {
	if tag, ok := strings.CutPrefix(key, "tag:"); ok {
		return func(p *parameter) []string {
			if v, ok := p.Tags[tag]; ok {
				return []string{v}
			}
			return nil
		}
	}
	switch key {
	case "Name", "Path":
		return func(p *parameter) []string { return []string{p.Name} }
	case "Type":
		return func(p *parameter) []string { return []string{p.Type} }
	case "Tier":
		return func(p *parameter) []string { return []string{p.last().Tier} }
	case "DataType":
		return func(p *parameter) []string { return []string{p.last().DataType} }
	case "KeyId":
		return func(p *parameter) []string { return []string{p.last().KeyID} }
	case "Label":
		return func(p *parameter) []string {
			var all []string
			for _, v := range p.Versions {
				all = append(all, v.Labels...)
			}
			return all
		}
	default:
		return nil
	}
}

func filterOption(key, option string) func(value, want string) bool {
	switch {
	case key == "Path" && option == "Recursive":
		return func(value, want string) bool { return strings.HasPrefix(value, strings.TrimSuffix(want, "/")+"/") }
	case key == "Path" && (option == "" || option == "OneLevel"):
		return func(value, want string) bool {
			rest, ok := strings.CutPrefix(value, strings.TrimSuffix(want, "/")+"/")
			return ok && !strings.Contains(rest, "/")
		}
	case key == "Path":
		return nil
	case option == "" || option == "Equals":
		return func(value, want string) bool { return value == want }
	case option == "BeginsWith":
		return strings.HasPrefix
	case option == "Contains" && key == "Name":
		return strings.Contains
	default:
		return nil
	}
}

// DescribeParameters lists parameters without their values.
func (s *Service) DescribeParameters(ctx context.Context, in *ssm.DescribeParametersInput, _ ...func(*ssm.Options)) (*ssm.DescribeParametersOutput, error) {
	most, err := pageSize(in.MaxResults, 50, 50)
	if err != nil {
		return nil, err
	}
	filters := in.ParameterFilters
	for _, f := range in.Filters {
		filters = append(filters, types.ParameterStringFilter{Key: new(string(f.Key)), Values: f.Values})
	}
	accept, err := filtered(filters)
	if err != nil {
		return nil, err
	}
	out := &ssm.DescribeParametersOutput{Parameters: []types.ParameterMetadata{}}
	out.NextToken, err = s.page(ctx, "", deref(in.NextToken), most, func(p *parameter) (bool, error) {
		if !accept(p) {
			return false, nil
		}
		v := p.last()
		out.Parameters = append(out.Parameters, types.ParameterMetadata{
			ARN: new(s.arn(p.Name)), AllowedPattern: optional(v.Pattern), DataType: &v.DataType, Description: optional(v.Description),
			KeyId: optional(v.KeyID), LastModifiedDate: &v.Modified, LastModifiedUser: &v.By, Name: &p.Name, Policies: []types.ParameterInlinePolicy{},
			Tier: types.ParameterTier(v.Tier), Type: types.ParameterType(p.Type), Version: v.Number,
		})
		return true, nil
	})
	return out, err
}

// GetParameterHistory returns the versions of a parameter.
func (s *Service) GetParameterHistory(ctx context.Context, in *ssm.GetParameterHistoryInput, _ ...func(*ssm.Options)) (*ssm.GetParameterHistoryOutput, error) {
	most, err := pageSize(in.MaxResults, 50, 50)
	if err != nil {
		return nil, err
	}
	p, err := s.load(ctx, deref(in.Name))
	if err != nil {
		return nil, err
	}
	after, err := strconv.ParseInt("0"+deref(in.NextToken), 10, 64)
	if err != nil {
		return nil, fault("InvalidNextToken", "The specified token is not valid.")
	}
	out := &ssm.GetParameterHistoryOutput{Parameters: []types.ParameterHistory{}}
	for i := range p.Versions {
		v := &p.Versions[i]
		if v.Number <= after {
			continue
		}
		if len(out.Parameters) == most {
			out.NextToken = new(strconv.FormatInt(v.Number-1, 10))
			break
		}
		shown, err := s.shown(p, v, deref(in.WithDecryption))
		if err != nil {
			return nil, err
		}
		out.Parameters = append(out.Parameters, types.ParameterHistory{
			AllowedPattern: optional(v.Pattern), DataType: &v.DataType, Description: optional(v.Description), KeyId: optional(v.KeyID), Labels: v.Labels,
			LastModifiedDate: &v.Modified, LastModifiedUser: &v.By, Name: &p.Name, Tier: types.ParameterTier(v.Tier), Type: shown.Type, Value: shown.Value, Version: v.Number,
		})
	}
	return out, nil
}

func (s *Service) load(ctx context.Context, given string) (*parameter, error) {
	p, err := s.records.Get(ctx, s.nameOf(given))
	if errors.Is(err, store.ErrNotFound) {
		return nil, notFound(given)
	}
	return p, err
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
