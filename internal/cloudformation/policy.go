package cloudformation

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"

	"serin"
)

// A stack policy says which resources updates may touch. Without one they may touch all; with one, what it allows.

type stackPolicy struct {
	Statement []policyStatement
}

type policyStatement struct {
	Effect                string
	Principal             any
	Action, NotAction     any
	Resource, NotResource any
	Condition             map[string]map[string]any
}

const maxPolicy = 16384 // bytes, of CloudFormation's documentation in 2025

func checkPolicy(text string) error {
	var p stackPolicy
	if len(text) > maxPolicy {
		return validation("Stack policy is larger than %d bytes", maxPolicy)
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil || len(p.Statement) == 0 {
		return validation("Error validating stack policy: Invalid stack policy")
	}
	for _, s := range p.Statement {
		if s.Effect != "Allow" && s.Effect != "Deny" {
			return validation("Error validating stack policy: Effect must be Allow or Deny")
		}
	}
	return nil
}

func updateActions(replacing bool) string {
	if replacing {
		return "Update:Replace"
	}
	return "Update:Modify"
}

// permits refuses an update that the stack's policy does not allow.
func (st *stack) permits(action, logicalID, resourceType string) error {
	if st.Policy == "" {
		return nil
	}
	var p stackPolicy
	if err := json.Unmarshal([]byte(st.Policy), &p); err != nil {
		return fmt.Errorf("policy of stack %s: %w", st.Name, err)
	}
	allowed := false
	for i, s := range p.Statement {
		if !s.covers(action, "LogicalResourceId/"+logicalID, resourceType) {
			continue
		}
		if s.Effect == "Deny" {
			return serin.Errorf(serin.KindValidation, "Action denied by stack policy: Statement [#%d] does not allow [%s] for resource [LogicalResourceId/%s];", i+1, action, logicalID)
		}
		allowed = true
	}
	if !allowed {
		return serin.Errorf(serin.KindValidation, "Action denied by stack policy: no statement allows [%s] for resource [LogicalResourceId/%s];", action, logicalID)
	}
	return nil
}

func (s *policyStatement) covers(action, resource, resourceType string) bool {
	if s.Action != nil && !matches(s.Action, action) || s.NotAction != nil && matches(s.NotAction, action) {
		return false
	}
	if s.Resource != nil && !matches(s.Resource, resource) || s.NotResource != nil && matches(s.NotResource, resource) {
		return false
	}
	for _, operator := range []string{"StringEquals", "StringLike"} {
		if types, ok := s.Condition[operator]["ResourceType"]; ok && !matches(types, resourceType) {
			return false
		}
	}
	return true
}

// matches reports whether a pattern, or one of a list of patterns, matches. A star stands for any text.
func matches(patterns any, text string) bool {
	if list, ok := patterns.([]any); ok {
		return slices.ContainsFunc(list, func(p any) bool { return matches(p, text) })
	}
	pattern, _ := patterns.(string)
	// In a path pattern a star stops at a slash, of which neither text has one that matters.
	ok, err := path.Match(escape(pattern), escape(text))
	return err == nil && ok
}

func escape(s string) string {
	out := []byte(s)
	for i, b := range out {
		if b == '/' {
			out[i] = ':'
		}
	}
	return string(out)
}
