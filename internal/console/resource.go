package console

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"serin"
	"serin/internal/template"
)

// resource is an alias as CloudFormation writes it.
type resource struct {
	Type       string
	Properties resourceProperties
}

type resourceProperties struct {
	FunctionName    string
	FunctionVersion string
	Name            string
	Description     string           `json:",omitempty"`
	RoutingConfig   *resourceRouting `json:",omitempty"`
}

type resourceRouting struct {
	AdditionalVersionWeights []resourceWeight
}

type resourceWeight struct {
	FunctionVersion string
	FunctionWeight  float64
}

// aliasResource writes the form of an alias as a CloudFormation resource.
func aliasResource(function string, in *aliasInput) string {
	r := resource{Type: "AWS::Lambda::Alias", Properties: resourceProperties{
		FunctionName: function, FunctionVersion: in.Version, Name: in.Name, Description: in.Description,
	}}
	if in.Additional != "" {
		p, _ := strconv.ParseFloat(in.Percent, 64) // has been checked
		r.Properties.RoutingConfig = &resourceRouting{[]resourceWeight{{in.Additional, p / 100}}}
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil { // strings and a finite number
		return ""
	}
	return string(text)
}

// weightsText is the routing of an update as the command line takes it.
func weightsText(update *lambda.UpdateAliasInput) string {
	text, err := json.Marshal(map[string]any{"AdditionalVersionWeights": update.RoutingConfig.AdditionalVersionWeights})
	if err != nil { // finite numbers
		return ""
	}
	return string(text)
}

// readResource fills the form from a CloudFormation resource of type AWS::Lambda::Alias. The weights are a list, as
// CloudFormation has them, or, with a warning, a map as the API has them.
//
// Errors: KindInvalid, KindValidation.
func (in *aliasInput) readResource() (warn []string, err error) {
	tree, err := template.Decode(in.Resource)
	if err != nil {
		return nil, err
	}
	if kind := tree["Type"]; kind != "AWS::Lambda::Alias" {
		return nil, serin.Errorf(serin.KindInvalid, `The resource must have "Type": "AWS::Lambda::Alias".`)
	}
	properties, ok := tree["Properties"].(map[string]any)
	if !ok {
		return nil, serin.Errorf(serin.KindInvalid, "The resource must have Properties.")
	}
	for _, p := range slices.Sorted(maps.Keys(properties)) {
		value := properties[p]
		text, isText := value.(string)
		if n, ok := value.(json.Number); ok {
			text, isText = n.String(), true
		}
		switch p {
		case "FunctionVersion", "Description":
			if !isText {
				return nil, serin.Errorf(serin.KindInvalid, "%s must be text.", p)
			}
			if p == "Description" {
				in.Description = text
			} else {
				in.Version = text
			}
		case "FunctionName":
			if name := text[strings.LastIndex(text, ":")+1:]; isText && name != in.Function {
				return nil, serin.Errorf(serin.KindInvalid, "This is the page of %s, and the resource is about %s.", in.Function, text)
			}
		case "Name":
			if in.New && isText {
				in.Name = text
			} else if text != in.Name {
				return nil, serin.Errorf(serin.KindInvalid, "This is the form of alias %s, and the resource is about %q.", in.Name, text)
			}
		case "RoutingConfig":
		default:
			warn = append(warn, p+" is not what this form changes; it stays as it is.")
		}
	}
	more, err := in.readWeights(properties["RoutingConfig"])
	return append(more, warn...), err
}

// readWeights reads RoutingConfig; without one the alias goes to one version.
func (in *aliasInput) readWeights(routing any) (warn []string, err error) {
	in.Additional, in.Percent = "", "0"
	if routing == nil {
		return nil, nil
	}
	config, ok := routing.(map[string]any)
	if !ok {
		return nil, serin.Errorf(serin.KindInvalid, "RoutingConfig must be an object.")
	}
	var versions []string
	var weights []any
	switch all := config["AdditionalVersionWeights"].(type) {
	case nil:
		return nil, nil
	case map[string]any:
		for _, version := range slices.Sorted(maps.Keys(all)) {
			versions, weights = append(versions, version), append(weights, all[version])
		}
		warn = []string{`AdditionalVersionWeights is written as the API has it. CloudFormation wants a list: [{"FunctionVersion": "` +
			strings.Join(versions, "") + `", "FunctionWeight": …}]. The form below shows the resource that works in both.`}
	case []any:
		for _, each := range all {
			one, _ := each.(map[string]any)
			version := one["FunctionVersion"]
			if n, ok := version.(json.Number); ok {
				version = n.String()
			}
			text, ok := version.(string)
			if !ok {
				return nil, serin.Errorf(serin.KindInvalid, "Each of AdditionalVersionWeights needs a FunctionVersion and a FunctionWeight.")
			}
			versions, weights = append(versions, text), append(weights, one["FunctionWeight"])
		}
	default:
		return nil, serin.Errorf(serin.KindInvalid, "AdditionalVersionWeights must be a list.")
	}
	if len(versions) > 1 {
		return nil, serin.Errorf(serin.KindInvalid, "An alias has at most one additional version, and the resource names %d.", len(versions))
	}
	for i, version := range versions {
		w, ok := fractionOf(weights[i])
		if !ok {
			return nil, serin.Errorf(serin.KindInvalid, "The weight of version %s must be a number from 0 to 1.", version)
		}
		in.Additional, in.Percent = version, strconv.FormatFloat(100*w, 'f', -1, 64)
	}
	return warn, nil
}

// fractionOf reads a weight, a number or text that is one.
func fractionOf(v any) (float64, bool) {
	var text string
	switch v := v.(type) {
	case json.Number:
		text = v.String()
	case string:
		text = v
	}
	w, err := strconv.ParseFloat(text, 64)
	return w, err == nil && w >= 0 && w <= 1
}
