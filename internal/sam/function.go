package sam

import (
	"maps"
	"slices"
	"strings"
)

// sameName are the properties that a function of Lambda has under the same name.
var sameName = []string{
	"Architectures", "CodeSigningConfigArn", "Description", "Environment", "EphemeralStorage", "FileSystemConfigs", "FunctionName", "Handler", "ImageConfig",
	"KmsKeyArn", "Layers", "LoggingConfig", "MemorySize", "PackageType", "RecursiveLoop", "ReservedConcurrentExecutions", "Runtime", "RuntimeManagementConfig", "SnapStart",
	"Timeout", "VpcConfig",
}

// function expands AWS::Serverless::Function.
func (t *transform) function(id string, r, p object) {
	code, problem := codeOf(p, "CodeUri")
	if problem != "" {
		t.fail(id, "%s", problem)
		return
	}
	fn := object{"Code": code}
	for _, name := range sameName {
		if v := take(p, name); v != nil {
			fn[name] = v
		}
	}
	if v := take(p, "Tracing"); v != nil {
		fn["TracingConfig"] = object{"Mode": v}
	}
	if v, ok := take(p, "DeadLetterQueue").(object); ok {
		fn["DeadLetterConfig"] = object{"TargetArn": v["TargetArn"]}
	}
	tags, _ := take(p, "Tags").(object)
	fn["Tags"] = tagged(tags)
	if p["Role"] != nil {
		fn["Role"] = p["Role"]
	}
	alias := t.publish(id, r, p, fn) // a role that is made does not count for the version's hash
	t.role(id, r, p, fn, tags)
	whole := made(r, "AWS::Lambda::Function", fn)
	for _, name := range []string{"DependsOn", "Metadata"} {
		if v, ok := r[name]; ok {
			whole[name] = v
		}
	}
	t.add(id, whole)
	t.functionURL(id, r, take(p, "FunctionUrlConfig"), alias)
	t.invokeConfig(id, r, take(p, "EventInvokeConfig"), alias)
	t.events(id, r, take(p, "Events"), alias)
	delete(p, "PropagateTags")
	for _, name := range slices.Sorted(maps.Keys(p)) {
		t.fail(id, "property %s not defined for resource of type AWS::Serverless::Function, or not supported by Serin.", name)
	}
}

// codeOf returns the Code of a function or the Content of a layer.
func codeOf(p object, name string) (object, string) {
	if v := take(p, "InlineCode"); v != nil {
		delete(p, name)
		return object{"ZipFile": v}, ""
	}
	if v := take(p, "ImageUri"); v != nil {
		delete(p, name)
		return object{"ImageUri": v}, ""
	}
	switch v := take(p, name).(type) {
	case nil:
		return nil, "Either 'InlineCode' or '" + name + "' must be set."
	case object:
		if v["Bucket"] == nil || v["Key"] == nil {
			return nil, "'" + name + "' requires Bucket and Key properties to be specified."
		}
		code := object{"S3Bucket": v["Bucket"], "S3Key": v["Key"]}
		if v["Version"] != nil {
			code["S3ObjectVersion"] = v["Version"]
		}
		return code, ""
	case string:
		rest, isS3 := strings.CutPrefix(v, "s3://")
		rest, query, _ := strings.Cut(rest, "?")
		bucket, key, ok := strings.Cut(rest, "/")
		if !isS3 || !ok || key == "" || bucket == "" {
			return nil, "'" + name + "' is not a valid S3 Uri of the form 's3://bucket/key' with optional versionId query parameter."
		}
		code := object{"S3Bucket": bucket, "S3Key": key}
		if version, ok := strings.CutPrefix(query, "versionId="); ok {
			code["S3ObjectVersion"] = version
		}
		return code, ""
	default:
		return nil, "'" + name + "' must be a string or a map."
	}
}

// tagged returns tags as CloudFormation lists them, with the one that SAM adds.
func tagged(tags object) []any {
	list := []any{object{"Key": "lambda:createdBy", "Value": "SAM"}}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, object{"Key": key, "Value": tags[key]})
	}
	return list
}

const (
	managed      = "arn:aws:iam::aws:policy/"
	basicRole    = managed + "service-role/AWSLambdaBasicExecutionRole"
	vpcRole      = managed + "service-role/AWSLambdaVPCAccessExecutionRole"
	xrayRole     = managed + "AWSXrayWriteOnlyAccess"
	deployRole   = managed + "service-role/AWSCodeDeployRoleForLambda"
	servicePlace = managed + "service-role/"
)

func trusting(service string) object {
	return object{"Version": "2012-10-17", "Statement": []any{
		object{"Action": []any{"sts:AssumeRole"}, "Effect": "Allow", "Principal": object{"Service": []any{service}}},
	}}
}

// role gives a function its role: the one that it names, or one that is made.
func (t *transform) role(id string, r, p, fn, tags object) {
	policies, trust := take(p, "Policies"), take(p, "AssumeRolePolicyDocument")
	boundary, path := take(p, "PermissionsBoundary"), take(p, "RolePath")
	if take(p, "Role") != nil {
		return
	}
	name := id + "Role"
	fn["Role"] = getAtt(name, "Arn")
	attached := []any{basicRole}
	if config, ok := fn["TracingConfig"].(object); ok && config["Mode"] == "Active" {
		attached = append(attached, xrayRole)
	}
	if fn["VpcConfig"] != nil {
		attached = append(attached, vpcRole)
	}
	made := made(r, "AWS::IAM::Role", object{"AssumeRolePolicyDocument": trusting("lambda.amazonaws.com"), "Tags": tagged(tags)})
	role, _ := made["Properties"].(object)
	if trust != nil {
		role["AssumeRolePolicyDocument"] = trust
	}
	if boundary != nil {
		role["PermissionsBoundary"] = boundary
	}
	if path != nil {
		role["Path"] = path
	}
	list, isList := policies.([]any)
	if !isList && policies != nil {
		list = []any{policies}
	}
	var inline []any
	for i, policy := range list {
		switch policy := policy.(type) {
		case string:
			attached = append(attached, policyARN(policy))
		case object:
			if intrinsic(policy) {
				attached = append(attached, policy)
				continue
			}
			inline = append(inline, object{"PolicyName": name + "Policy" + scalar(i), "PolicyDocument": document(policy)})
		default:
			t.fail(id, "Policies must be names, ARNs or documents.")
		}
	}
	if inline != nil {
		role["Policies"] = inline
	}
	role["ManagedPolicyArns"] = slices.CompactFunc(attached, func(a, b any) bool { return a == any(basicRole) && b == a })
	t.add(name, made)
}

// policyARN returns the ARN of a policy of AWS by its name.
func policyARN(name string) string {
	switch {
	case strings.HasPrefix(name, "arn:"):
		return name
	case strings.HasPrefix(name, "AWSLambda") && strings.HasSuffix(name, "ExecutionRole"), strings.HasSuffix(name, "Role"):
		return servicePlace + name
	default:
		return managed + name
	}
}

// document returns a policy as it is written. A policy template of SAM, which is a map from its name to its parameters, becomes a
// statement that only names it: roles have no effect here.
func document(policy object) object {
	if policy["Statement"] != nil {
		return policy
	}
	statements := []any{}
	for _, name := range slices.Sorted(maps.Keys(policy)) {
		statements = append(statements, object{"Sid": name, "Effect": "Allow", "Action": []any{}, "Resource": []any{}})
	}
	return object{"Version": "2012-10-17", "Statement": statements}
}

// target returns what invokes a function: its alias if there is one.
func target(id, alias string) object {
	if alias != "" {
		return ref(alias)
	}
	return ref(id)
}

func (t *transform) functionURL(id string, r object, v any, alias string) {
	if v == nil {
		return
	}
	config, ok := v.(object)
	if !ok || config["AuthType"] == nil {
		t.fail(id, "AuthType is required to configure function property `FunctionUrlConfig`. Please provide either AWS_IAM or NONE.")
		return
	}
	properties := object{"TargetFunctionArn": target(id, alias)}
	for _, name := range []string{"AuthType", "Cors", "InvokeMode"} {
		if config[name] != nil {
			properties[name] = config[name]
		}
	}
	t.add(id+"Url", made(r, "AWS::Lambda::Url", properties))
	if t.resolve(config["AuthType"]) != "NONE" {
		return
	}
	t.add(id+"UrlPublicPermissions", made(r, "AWS::Lambda::Permission", object{
		"Action": "lambda:InvokeFunctionUrl", "FunctionName": target(id, alias), "FunctionUrlAuthType": config["AuthType"], "Principal": "*",
	}))
	t.add(id+"URLInvokeAllowPublicAccess", made(r, "AWS::Lambda::Permission", object{
		"Action": "lambda:InvokeFunction", "FunctionName": target(id, alias), "InvokedViaFunctionUrl": true, "Principal": "*",
	}))
}

func (t *transform) invokeConfig(id string, r object, v any, alias string) {
	if v == nil {
		return
	}
	config, ok := v.(object)
	if !ok {
		t.fail(id, "EventInvokeConfig must be a map.")
		return
	}
	properties := object{"FunctionName": ref(id), "Qualifier": "$LATEST", "DestinationConfig": object{}}
	if alias != "" {
		if a, ok := t.out[alias].(object); ok {
			p, _ := a["Properties"].(object)
			properties["Qualifier"] = p["Name"]
		}
	}
	maps.Copy(properties, config)
	if destinations, ok := properties["DestinationConfig"].(object); ok {
		for _, destination := range destinations {
			if d, ok := destination.(object); ok {
				if d["Destination"] == nil {
					t.fail(id, "Serin makes no queues and topics: a DestinationConfig needs a Destination.")
				}
				delete(d, "Type")
			}
		}
	}
	t.add(id+"EventInvokeConfig", made(r, "AWS::Lambda::EventInvokeConfig", properties))
}

// layer expands AWS::Serverless::LayerVersion. Its logical id changes with what it holds, so that a new version does not delete the old.
func (t *transform) layer(id string, r, p object) {
	resolved, _ := t.resolve(p).(object)
	for _, name := range []string{"LayerName", "LicenseInfo", "Description", "RetentionPolicy"} {
		if v, ok := resolved[name]; ok {
			p[name] = v
		}
	}
	whole := object{"Type": prefix + "LayerVersion", "Properties": clone(p)}
	for _, name := range []string{"Condition", "DependsOn"} {
		if v, ok := r[name]; ok {
			whole[name] = v
		}
	}
	name := id + hash(object{id: whole})
	content, problem := codeOf(p, "ContentUri")
	if problem != "" {
		t.fail(id, "%s", problem)
		return
	}
	retention := take(p, "RetentionPolicy")
	delete(p, "PublishLambdaVersion")
	p["Content"] = content
	if p["LayerName"] == nil {
		p["LayerName"] = id
	}
	made := made(r, "AWS::Lambda::LayerVersion", p)
	for _, name := range []string{"DependsOn", "Metadata"} {
		if v, ok := r[name]; ok {
			made[name] = v
		}
	}
	if made["DeletionPolicy"] == nil {
		made["DeletionPolicy"] = "Retain"
	}
	if text, ok := retention.(string); ok {
		if made["DeletionPolicy"] = strings.ToUpper(text[:min(1, len(text))]) + strings.ToLower(text[min(1, len(text)):]); text == "" {
			t.fail(id, "'RetentionPolicy' must be one of the following options: ['Retain', 'Delete'].")
		}
	}
	t.renamed[id] = name
	t.add(name, made)
}
