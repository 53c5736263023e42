package control

import (
	"context"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"serin"
)

// The patterns of resource policies in the API model (botocore 1.43.11; the first one recorded November 2023).
const (
	statementPattern    = `([a-zA-Z0-9-_]+)`
	namespacedStatement = `([a-zA-Z0-9-_.]+)`
	actionPattern       = `(lambda:[*]|lambda:[a-zA-Z]+|[*])`
	principalPattern    = `[^\s]+`
	sourcePattern       = `arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:([a-z]{2}(-gov)?-[a-z]+-\d{1})?:(\d{12})?:(.*)`
	accountPattern      = `\d{12}`
	tokenPattern        = `[a-zA-Z0-9._\-]+`
	organizationPattern = `o-[a-z0-9]{10,32}`
)

// policyPatterns are compiled once; they never change.
var policyPatterns = struct {
	statement, namespaced, action, principal, source, account, token, organization *regexp.Regexp
}{
	statement:    whole(statementPattern),
	namespaced:   whole(namespacedStatement),
	action:       whole(actionPattern),
	principal:    whole(principalPattern),
	source:       whole(sourcePattern),
	account:      whole(accountPattern),
	token:        whole(tokenPattern),
	organization: whole(organizationPattern),
}

// AddPermission adds a statement to the resource policy of a function, a version or an alias.
func (c *Control) AddPermission(ctx context.Context, in *lambda.AddPermissionInput, _ ...func(*lambda.Options)) (*lambda.AddPermissionOutput, error) {
	var v violations
	v.namespacedName(in.FunctionName)
	v.required("statementId", in.StatementId)
	v.text("statementId", in.StatementId, 100, policyPatterns.statement, statementPattern)
	v.required("action", in.Action)
	v.text("action", in.Action, maxID, policyPatterns.action, actionPattern)
	v.required("principal", in.Principal)
	v.text("principal", in.Principal, maxARN, policyPatterns.principal, principalPattern)
	v.text("sourceArn", in.SourceArn, maxARN, policyPatterns.source, sourcePattern)
	v.text("sourceAccount", in.SourceAccount, 12, policyPatterns.account, accountPattern)
	v.text("eventSourceToken", in.EventSourceToken, 256, policyPatterns.token, tokenPattern)
	v.text("principalOrgID", in.PrincipalOrgID, 34, policyPatterns.organization, organizationPattern)
	v.oneOf("functionUrlAuthType", string(in.FunctionUrlAuthType), "NONE", "AWS_IAM")
	v.qualifier(in.Qualifier)
	ref, err := v.refWith(c, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	s := serin.Statement{
		SID: *in.StatementId, Principal: *in.Principal, Action: *in.Action,
		SourceARN: deref(in.SourceArn), SourceAccount: deref(in.SourceAccount), OrganizationID: deref(in.PrincipalOrgID),
		URLAuthType: string(in.FunctionUrlAuthType), EventSourceToken: deref(in.EventSourceToken), ViaURL: deref(in.InvokedViaFunctionUrl),
	}
	var document string
	_, err = c.update(ctx, ref.Function, "", func(f *serin.Function) (err error) {
		document, err = f.AddPermission(c.change(ctx, serin.CauseManual), ref.Qualifier, deref(in.RevisionId), s)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &lambda.AddPermissionOutput{Statement: &document}, nil
}

// RemovePermission removes a statement from the resource policy of a function, a version or an alias.
func (c *Control) RemovePermission(ctx context.Context, in *lambda.RemovePermissionInput, _ ...func(*lambda.Options)) (*lambda.RemovePermissionOutput, error) {
	var v violations
	v.namespacedName(in.FunctionName)
	v.required("statementId", in.StatementId)
	v.text("statementId", in.StatementId, 100, policyPatterns.namespaced, namespacedStatement)
	v.qualifier(in.Qualifier)
	ref, err := v.refWith(c, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	missing := serin.Errorf(serin.KindNotFound, "No policy found for: %s", c.Place.FunctionARN(ref.Function, ""))
	_, err = c.updateOr(ctx, ref.Function, missing, func(f *serin.Function) error {
		return f.RemovePermission(c.change(ctx, serin.CauseManual), ref.Qualifier, *in.StatementId, deref(in.RevisionId))
	})
	if err != nil {
		return nil, err
	}
	return &lambda.RemovePermissionOutput{}, nil
}

// GetPolicy returns the resource policy of a function, a version or an alias.
func (c *Control) GetPolicy(_ context.Context, in *lambda.GetPolicyInput, _ ...func(*lambda.Options)) (*lambda.GetPolicyOutput, error) {
	var v violations
	v.namespacedName(in.FunctionName)
	v.qualifier(in.Qualifier)
	ref, err := v.refWith(c, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	f, err := c.function(ref.Function, "")
	if err != nil {
		return nil, err
	}
	document, revision, err := f.PolicyDocument(ref.Qualifier)
	if err != nil {
		return nil, err
	}
	return &lambda.GetPolicyOutput{Policy: &document, RevisionId: &revision}, nil
}
