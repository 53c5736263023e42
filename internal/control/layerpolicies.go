package control

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"serin"
	"serin/internal/store"
)

const (
	layerActionPattern    = `lambda:GetLayerVersion`
	layerPrincipalPattern = `\d{12}|\*|arn:(aws[a-zA-Z-]*):iam::\d{12}:root`
)

var (
	layerAction    = whole(layerActionPattern)
	layerPrincipal = whole(layerPrincipalPattern)
)

// AddLayerVersionPermission adds a statement to the policy of a layer version.
func (c *Control) AddLayerVersionPermission(ctx context.Context, in *lambda.AddLayerVersionPermissionInput, _ ...func(*lambda.Options)) (*lambda.AddLayerVersionPermissionOutput, error) {
	var v violations
	v.required("statementId", in.StatementId)
	v.text("statementId", in.StatementId, 100, policyPatterns.statement, statementPattern)
	v.required("action", in.Action)
	v.text("action", in.Action, 22, layerAction, layerActionPattern)
	v.required("principal", in.Principal)
	v.text("principal", in.Principal, maxID, layerPrincipal, layerPrincipalPattern)
	v.text("organizationId", in.OrganizationId, 34, policyPatterns.organization, organizationPattern)
	name, number, err := v.layerVersion(c, in.LayerName, in.VersionNumber)
	if err != nil {
		return nil, err
	}
	s := serin.Statement{SID: *in.StatementId, Principal: *in.Principal, Action: *in.Action, OrganizationID: deref(in.OrganizationId)}
	var statement, revision string
	err = c.updateLayerVersion(ctx, name, number, func(old *serin.LayerVersion, arn string) (*serin.LayerVersion, error) {
		next, text, err := old.AddPermission(c.change(ctx, serin.CauseManual), arn, deref(in.RevisionId), s)
		if err == nil {
			statement, revision = text, next.Policy.RevisionID
		}
		return next, err
	})
	if err != nil {
		return nil, err
	}
	return &lambda.AddLayerVersionPermissionOutput{Statement: &statement, RevisionId: &revision}, nil
}

// RemoveLayerVersionPermission removes a statement from the policy of a layer version.
func (c *Control) RemoveLayerVersionPermission(ctx context.Context, in *lambda.RemoveLayerVersionPermissionInput, _ ...func(*lambda.Options)) (*lambda.RemoveLayerVersionPermissionOutput, error) {
	var v violations
	v.required("statementId", in.StatementId)
	v.text("statementId", in.StatementId, 100, policyPatterns.statement, statementPattern)
	name, number, err := v.layerVersion(c, in.LayerName, in.VersionNumber)
	if err != nil {
		return nil, err
	}
	err = c.updateLayerVersion(ctx, name, number, func(old *serin.LayerVersion, _ string) (*serin.LayerVersion, error) {
		return old.RemovePermission(c.change(ctx, serin.CauseManual), *in.StatementId, deref(in.RevisionId))
	})
	if err != nil {
		return nil, err
	}
	return &lambda.RemoveLayerVersionPermissionOutput{}, nil
}

// GetLayerVersionPolicy returns the policy of a layer version.
func (c *Control) GetLayerVersionPolicy(ctx context.Context, in *lambda.GetLayerVersionPolicyInput, _ ...func(*lambda.Options)) (*lambda.GetLayerVersionPolicyOutput, error) {
	var v violations
	name, number, err := v.layerVersion(c, in.LayerName, in.VersionNumber)
	if err != nil {
		return nil, err
	}
	arn := c.Place.LayerVersionARN(name, number)
	found, err := c.Store.LayerVersion(ctx, name, number)
	if err != nil {
		return nil, noLayerVersion(err, serin.KindNotFound, arn)
	}
	document, revision, err := found.PolicyDocument(arn)
	if err != nil {
		return nil, err
	}
	return &lambda.GetLayerVersionPolicyOutput{Policy: &document, RevisionId: &revision}, nil
}

func (c *Control) updateLayerVersion(ctx context.Context, name string, number int64, rules func(old *serin.LayerVersion, arn string) (*serin.LayerVersion, error)) error {
	arn := c.Place.LayerVersionARN(name, number)
	err := c.Store.UpdateLayerVersion(ctx, name, number, func(old *serin.LayerVersion) (*serin.LayerVersion, error) { return rules(old, arn) })
	return noLayerVersion(err, serin.KindNotFound, arn)
}

// noLayerVersion turns the store's answer for a missing layer version into the caller's error.
func noLayerVersion(err error, kind serin.Kind, arn string) error {
	if errors.Is(err, store.ErrNotFound) {
		return serin.Errorf(kind, "Layer version %s does not exist.", arn)
	}
	return err
}
