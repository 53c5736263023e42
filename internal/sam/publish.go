package sam

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

var (
	aliasForm  = regexp.MustCompile(`^[a-zA-Z0-9\-_]+$`)
	onlyDigits = regexp.MustCompile(`^[0-9]+$`)
)

// publish expands AutoPublishAlias: a version whose logical id changes with the code, an alias, and what DeploymentPreference asks for. It
// returns the logical id of the alias, or "".
func (t *transform) publish(id string, r, p, fn object) string {
	sum, all := t.resolve(take(p, "AutoPublishCodeSha256")), t.truth(take(p, "AutoPublishAliasAllProperties"))
	description, provisioned := take(p, "VersionDescription"), take(p, "ProvisionedConcurrencyConfig")
	deletion, preference := take(p, "VersionDeletionPolicy"), take(p, "DeploymentPreference")
	given := take(p, "AutoPublishAlias")
	if given == nil {
		switch {
		case provisioned != nil:
			t.fail(id, "To set ProvisionedConcurrencyConfig AutoPublishALias must be defined on the function")
		case preference != nil && t.enabled(preference):
			t.fail(id, "'DeploymentPreference' requires AutoPublishAlias property to be specified.")
		}
		return ""
	}
	name, ok := t.resolve(given).(string)
	if !ok || !aliasForm.MatchString(name) || onlyDigits.MatchString(name) {
		t.fail(id, "'AutoPublishAlias' must be a string or a Ref to a template parameter")
		return ""
	}
	version := id + "Version"
	if text, ok := sum.(string); ok {
		version += text[:min(len(text), 10)]
		fn["Description"] = text
	} else {
		version += hash(t.published(fn, all))
	}
	alias := id + "Alias" + strings.NewReplacer("-", "D", "_", "U").Replace(name)
	t.renamed[id+".Version"], t.renamed[id+".Alias"] = version, alias
	properties := object{"FunctionName": ref(id)}
	if description != nil {
		properties["Description"] = description
	}
	v := made(r, "AWS::Lambda::Version", properties)
	if v["DeletionPolicy"] == nil {
		v["DeletionPolicy"] = "Retain"
		if deletion != nil {
			v["DeletionPolicy"] = deletion
		}
	}
	t.add(version, v)
	properties = object{"Name": name, "FunctionName": ref(id), "FunctionVersion": getAtt(version, "Version")}
	if provisioned != nil {
		properties["ProvisionedConcurrencyConfig"] = provisioned
	}
	a := made(r, "AWS::Lambda::Alias", properties)
	if preference != nil && t.enabled(preference) {
		t.prefer(id, r, preference, a)
	}
	t.add(alias, a)
	return alias
}

// published returns what a version is made anew for.
func (t *transform) published(fn object, all bool) object {
	if all {
		return clone(fn)
	}
	code, _ := fn["Code"].(object)
	data, _ := t.resolve(clone(code)).(object)
	if environment, ok := fn["Environment"].(object); ok {
		maps.Copy(data, environment)
	}
	if fn["MemorySize"] != nil {
		data["MemorySize"] = fn["MemorySize"]
	}
	if snap, ok := fn["SnapStart"].(object); ok && snap["ApplyOn"] != nil && snap["ApplyOn"] != "None" {
		data["SnapStart"] = snap
	}
	return data
}

// deployments are what the functions with a DeploymentPreference share.
type deployments struct {
	used     bool
	needRole bool
}

const (
	application = "ServerlessDeploymentApplication"
	serviceRole = "CodeDeployServiceRole"
)

func (t *transform) enabled(preference any) bool {
	p, ok := preference.(object)
	if !ok {
		return true
	}
	v, ok := p["Enabled"]
	return !ok || t.truth(v)
}

// prefer makes the deployment group of a function and lets its alias move through it.
func (t *transform) prefer(id string, r object, preference any, alias object) {
	p, ok := preference.(object)
	if !ok {
		t.fail(id, "'DeploymentPreference' must be a map.")
		return
	}
	kind, _ := t.resolve(p["Type"]).(string)
	if kind == "" {
		t.fail(id, "'DeploymentPreference' requires the property Type, such as Canary10Percent5Minutes.")
		return
	}
	t.deploys.used = true
	group := object{
		"ApplicationName": ref(application), "DeploymentConfigName": deploymentConfig(kind),
		"DeploymentStyle": object{"DeploymentType": "BLUE_GREEN", "DeploymentOption": "WITH_TRAFFIC_CONTROL"},
		"AutoRollbackConfiguration": object{
			"Enabled": true, "Events": []any{"DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"},
		},
		"ServiceRoleArn": p["Role"],
	}
	if p["Role"] == nil {
		t.deploys.needRole = true
		group["ServiceRoleArn"] = getAtt(serviceRole, "Arn")
	}
	if alarms := alarmsOf(p["Alarms"]); alarms != nil {
		group["AlarmConfiguration"] = object{"Enabled": true, "Alarms": alarms}
	}
	if p["TriggerConfigurations"] != nil {
		group["TriggerConfigurations"] = p["TriggerConfigurations"]
	}
	made := object{"Type": "AWS::CodeDeploy::DeploymentGroup", "Properties": group}
	if t.truth(p["PassthroughCondition"]) && r["Condition"] != nil {
		made["Condition"] = r["Condition"]
	}
	t.add(id+"DeploymentGroup", made)
	update := object{"ApplicationName": ref(application), "DeploymentGroupName": ref(id + "DeploymentGroup")}
	if hooks, ok := p["Hooks"].(object); ok {
		for from, to := range map[string]string{"PreTraffic": "BeforeAllowTrafficHook", "PostTraffic": "AfterAllowTrafficHook"} {
			if hooks[from] != nil {
				update[to] = hooks[from]
			}
		}
	}
	alias["UpdatePolicy"] = object{"CodeDeployLambdaAliasUpdate": update}
}

// presets are the types that CodeDeploy has for functions.
var presets = []string{
	"Canary10Percent5Minutes", "Canary10Percent10Minutes", "Canary10Percent15Minutes", "Canary10Percent30Minutes",
	"Linear10PercentEvery1Minute", "Linear10PercentEvery2Minutes", "Linear10PercentEvery3Minutes", "Linear10PercentEvery10Minutes", "AllAtOnce",
}

// deploymentConfig names one of CodeDeploy's configurations, or one's own.
func deploymentConfig(kind string) any {
	if slices.Contains(presets, kind) {
		return object{"Fn::Sub": []any{"CodeDeployDefault.Lambda${ConfigName}", object{"ConfigName": kind}}}
	}
	return kind
}

// alarmsOf returns the alarms of a preference as a deployment group lists them.
func alarmsOf(v any) []any {
	list, ok := v.([]any)
	if !ok {
		return nil
	}
	alarms := []any{}
	for _, name := range list {
		alarms = append(alarms, object{"Name": name})
	}
	return alarms
}

// finishDeployments adds what deployment groups share.
func (t *transform) finishDeployments() {
	if t.deploys.used {
		t.add(application, object{"Type": "AWS::CodeDeploy::Application", "Properties": object{"ComputePlatform": "Lambda"}})
	}
	if t.deploys.needRole {
		t.add(serviceRole, object{"Type": "AWS::IAM::Role", "Properties": object{
			"AssumeRolePolicyDocument": trusting("codedeploy.amazonaws.com"), "ManagedPolicyArns": []any{deployRole},
		}})
	}
}
