package resource

import (
	"strings"
)

// Registry are the types that there are, by name.
type Registry map[string]*Type

// New returns the types that the services of the configuration make possible.
func New(c Config) Registry {
	r := Registry{}
	add := func(types ...*Type) {
		for _, t := range types {
			r[t.Name] = t
		}
	}
	if c.Lambda != nil {
		add(c.function(), c.version(), c.alias(), c.permission(), c.url(), c.eventInvoke(), c.layer(), c.layerPermission(), c.eventSource())
	}
	if c.Alarms != nil {
		add(c.alarm(), c.compositeAlarm())
	}
	if c.Parameters != nil {
		add(c.parameter())
	}
	if c.Buckets != nil {
		add(c.bucket())
	}
	if c.Logs != nil {
		add(c.logGroup())
	}
	for _, name := range inertTypes {
		add(&Type{Name: name, Inert: true, NameProperty: inertNames[name], MaxName: 64})
	}
	return r
}

// inertTypes are accepted, since templates are full of them, and have no effect here: every caller with a key of the
// server may do everything.
var inertTypes = []string{
	"AWS::CDK::Metadata", "AWS::CloudFormation::WaitConditionHandle",
	"AWS::IAM::AccessKey", "AWS::IAM::Group", "AWS::IAM::GroupPolicy", "AWS::IAM::InstanceProfile", "AWS::IAM::ManagedPolicy", "AWS::IAM::OIDCProvider",
	"AWS::IAM::Policy", "AWS::IAM::Role", "AWS::IAM::RolePolicy", "AWS::IAM::ServiceLinkedRole", "AWS::IAM::User", "AWS::IAM::UserPolicy",
	"AWS::ECR::Repository", "AWS::S3::BucketPolicy",
}

// inertNames are the properties that name resources without effect.
var inertNames = map[string]string{
	"AWS::IAM::Role": "RoleName", "AWS::IAM::User": "UserName", "AWS::IAM::Group": "GroupName", "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
	"AWS::IAM::Policy": "PolicyName", "AWS::IAM::RolePolicy": "PolicyName", "AWS::IAM::InstanceProfile": "InstanceProfileName",
	"AWS::ECR::Repository": "RepositoryName",
}

// inert makes a resource without effect. Its ARN is what IAM would give it.
func (t *Type) inert(r Request) Result {
	account, region := "", ""
	if parts := strings.Split(r.StackID, ":"); len(parts) > 4 {
		region, account = parts[3], parts[4]
	}
	service, kind, _ := strings.Cut(strings.TrimPrefix(t.Name, "AWS::"), "::")
	name := r.PhysicalID
	arn := "arn:aws:iam::" + account + ":" + map[string]string{
		"Role": "role", "User": "user", "Group": "group", "ManagedPolicy": "policy", "InstanceProfile": "instance-profile", "OIDCProvider": "oidc-provider",
	}[kind] + path(r.New) + name
	if service == "ECR" {
		arn = "arn:aws:ecr:" + region + ":" + account + ":repository/" + name
	}
	if strings.HasPrefix(name, "arn:") {
		arn = name
	}
	out := Result{PhysicalID: name, Note: "accepted without effect: Serin has no " + service, Attributes: map[string]any{
		"Arn": arn, "RoleId": "AROA" + name, "PolicyArn": arn, "Id": name,
		"RepositoryUri": account + ".dkr.ecr." + region + ".amazonaws.com/" + name,
	}}
	if kind == "ManagedPolicy" || kind == "OIDCProvider" {
		out.PhysicalID = arn
	}
	if service == "CDK" {
		out.Note = "accepted without effect"
	}
	return out
}

// path returns the path of an IAM resource, which begins and ends with a slash.
func path(properties map[string]any) string {
	if p, ok := properties["Path"].(string); ok && strings.HasPrefix(p, "/") && strings.HasSuffix(p, "/") {
		return p
	}
	return "/"
}
