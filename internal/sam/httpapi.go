package sam

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// implicitAPI is the HTTP API of the events that name none.
const implicitAPI = "ServerlessHttpApi"

// httpAPI is an HTTP API in the making.
type httpAPI struct {
	resource   object // as the template describes it; empty for the implicit one
	properties object
	paths      object
}

// ownAPI expands AWS::Serverless::HttpApi; its routes come from events.
func (t *transform) ownAPI(id string, r, p object) {
	a := t.api(id)
	a.resource, a.properties = r, p
}

func (t *transform) api(id string) *httpAPI {
	if t.apis[id] == nil {
		t.apis[id] = &httpAPI{resource: object{}, properties: object{}, paths: object{}}
	}
	return t.apis[id]
}

// events expands the events of a function.
func (t *transform) events(id string, r object, v any, alias string) {
	if v == nil {
		return
	}
	events, ok := v.(object)
	if !ok {
		t.fail(id, "Events must be a map.")
		return
	}
	for _, name := range slices.Sorted(maps.Keys(events)) {
		event, _ := events[name].(object)
		if kind := event["Type"]; kind != "HttpApi" {
			t.fail(id, "Event with id [%s] is invalid. Serin has no events of type %v: HttpApi is the one that it has.", name, kind)
			continue
		}
		properties, _ := event["Properties"].(object)
		t.httpEvent(id, name, r, properties, alias)
	}
}

var inBraces = regexp.MustCompile(`\{([^{}]*)\}`)

// anyMethod is ANY in OpenAPI.
const anyMethod = "x-amazon-apigateway-any-method"

// httpEvent adds a route to an API and lets the API invoke the function.
func (t *transform) httpEvent(id, name string, r, p object, alias string) {
	apiID := implicitAPI
	switch given := p["ApiId"].(type) {
	case nil:
	case object:
		if apiID, _ = given["Ref"].(string); apiID == "" {
			t.fail(id, "Event with id [%s] is invalid. ApiId must be a valid reference to an 'AWS::Serverless::HttpApi' resource in same template.", name)
			return
		}
	default:
		t.fail(id, "Event with id [%s] is invalid. ApiId must be a valid reference to an 'AWS::Serverless::HttpApi' resource in same template.", name)
		return
	}
	if other, ok := t.in[apiID].(object); apiID != implicitAPI && (!ok || other["Type"] != prefix+"HttpApi") {
		t.fail(id, "Event with id [%s] is invalid. ApiId must be a valid reference to an 'AWS::Serverless::HttpApi' resource in same template.", name)
		return
	}
	if p["Auth"] != nil || p["RouteSettings"] != nil {
		t.fail(id, "Event with id [%s] is invalid. Serin has no authorizers and route settings of HTTP APIs.", name)
		return
	}
	path, _ := t.resolve(p["Path"]).(string)
	method, _ := t.resolve(p["Method"]).(string)
	switch {
	case path == "" && method == "":
		path, method = "$default", anyMethod
	case path == "" || method == "":
		t.fail(id, "Event with id [%s] is invalid. Event is missing key 'Path' or 'Method'.", name)
		return
	case strings.EqualFold(method, "any"):
		method = anyMethod
	default:
		method = strings.ToLower(method)
	}
	a := t.api(apiID)
	at, ok := a.paths[path].(object)
	if !ok {
		at = object{}
		a.paths[path] = at
	}
	if at[method] != nil {
		t.fail(id, "Event with id [%s] is invalid. API method %q defined multiple times for path %q.", name, strings.ToLower(method), path)
		return
	}
	at[method] = route(path, integration(id, alias, p))
	t.permit(id, name, r, apiID, path, method, alias)
}

// integration is how an API invokes a function.
func integration(id, alias string, p object) object {
	invoked := "${" + id + ".Arn}"
	if alias != "" {
		invoked = "${" + alias + "}"
	}
	i := object{
		"type": "aws_proxy", "httpMethod": "POST", "payloadFormatVersion": "2.0",
		"uri": object{"Fn::Sub": "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/" + invoked + "/invocations"},
	}
	if v := p["PayloadFormatVersion"]; v != nil {
		i["payloadFormatVersion"] = v
	}
	if v := p["TimeoutInMillis"]; v != nil {
		i["timeoutInMillis"] = v
	}
	return i
}

// route is an operation of OpenAPI.
func route(path string, integration object) object {
	o := object{"responses": object{}, "x-amazon-apigateway-integration": integration}
	if path == "$default" {
		o["isDefaultRoute"] = true
	}
	var parameters []any
	for _, match := range inBraces.FindAllStringSubmatch(path, -1) {
		parameters = append(parameters, object{"name": match[1], "in": "path", "required": true})
	}
	if parameters != nil {
		o["parameters"] = parameters
	}
	return o
}

// permit lets an API invoke a function.
func (t *transform) permit(id, name string, r object, apiID, path, method, alias string) {
	source := "*"
	if path != "$default" {
		if source = "*"; method != anyMethod {
			source = strings.ToUpper(method)
		}
		source += inBraces.ReplaceAllString(path, "*")
	}
	t.add(id+name+"Permission", made(r, "AWS::Lambda::Permission", object{
		"Action": "lambda:InvokeFunction", "FunctionName": target(id, alias), "Principal": "apigateway.amazonaws.com",
		"SourceArn": object{"Fn::Sub": []any{
			"arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${__ApiId__}/${__Stage__}/" + source,
			object{"__ApiId__": ref(apiID), "__Stage__": "*"},
		}},
	}))
}

// finishAPIs makes the APIs whose routes are known now.
func (t *transform) finishAPIs() {
	for _, id := range slices.Sorted(maps.Keys(t.apis)) {
		a := t.apis[id]
		if id == implicitAPI && len(a.resource) == 0 {
			a.properties = t.merged("HttpApi", nil)
		}
		t.finishAPI(id, a)
	}
}

func (t *transform) finishAPI(id string, a *httpAPI) {
	p := a.properties
	body := object{"openapi": "3.0.1", "info": object{"title": ref("AWS::StackName"), "version": "1.0"}, "paths": a.paths}
	if name := take(p, "Name"); name != nil {
		body["info"] = object{"title": name, "version": "1.0"}
	}
	if own := take(p, "DefinitionBody"); own != nil {
		document, ok := own.(object)
		if !ok || len(a.paths) > 0 {
			t.fail(id, "DefinitionBody must be a map, and events cannot add routes to it.")
			return
		}
		body = document
	}
	tags, _ := take(p, "Tags").(object)
	list, stageTags := []any{}, object{"httpapi:createdBy": "SAM"}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, object{"name": key, "x-amazon-apigateway-tag-value": tags[key]})
		stageTags[key] = tags[key]
	}
	body["tags"] = append(list, object{"name": "httpapi:createdBy", "x-amazon-apigateway-tag-value": "SAM"})
	if cors := t.cors(id, take(p, "CorsConfiguration")); cors != nil {
		body["x-amazon-apigateway-cors"] = cors
	}
	properties := object{"Body": body}
	for _, name := range []string{"Description", "DisableExecuteApiEndpoint", "FailOnWarnings"} {
		if v := take(p, name); v != nil {
			properties[name] = v
		}
	}
	t.add(id, made(a.resource, "AWS::ApiGatewayV2::Api", properties))
	stage, stageID := take(p, "StageName"), id+"ApiGatewayDefaultStage"
	if stage == nil {
		stage = "$default"
	} else if name, ok := t.resolve(stage).(string); ok && name != "$default" {
		stageID = id + strings.NewReplacer("-", "", "_", "").Replace(name) + "Stage"
	}
	staged := object{"ApiId": ref(id), "StageName": stage, "AutoDeploy": true, "Tags": stageTags}
	if v := take(p, "StageVariables"); v != nil {
		staged["StageVariables"] = v
	}
	t.add(stageID, made(a.resource, "AWS::ApiGatewayV2::Stage", staged))
	delete(p, "PropagateTags")
	for _, name := range slices.Sorted(maps.Keys(p)) {
		t.fail(id, "property %s not defined for resource of type AWS::Serverless::HttpApi, or not supported by Serin.", name)
	}
}

// corsNames are the settings of CORS in a template and in OpenAPI.
var corsNames = map[string]string{
	"AllowCredentials": "allowCredentials", "AllowHeaders": "allowHeaders", "AllowMethods": "allowMethods",
	"AllowOrigins": "allowOrigins", "ExposeHeaders": "exposeHeaders", "MaxAge": "maxAge",
}

func (t *transform) cors(id string, v any) object {
	switch v := v.(type) {
	case nil:
		return nil
	case bool:
		if !v {
			return nil
		}
		return object{"allowOrigins": []any{"*"}}
	case object:
		out := object{}
		for name, value := range v {
			to, ok := corsNames[name]
			if !ok {
				t.fail(id, "Invalid value for 'CorsConfiguration': %s is none of its properties.", name)
			}
			out[to] = value
		}
		return out
	default:
		t.fail(id, "Invalid value for 'CorsConfiguration' property.")
		return nil
	}
}
