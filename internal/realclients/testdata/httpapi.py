"""HTTP APIs in front of an alias, by boto3. Prints "done" if all of it went well."""
import io
import json
import os
import urllib.error
import urllib.request
import zipfile

import boto3
import botocore.exceptions

endpoint = os.environ["AWS_ENDPOINT_URL"]
source = """
import json
def handler(event, context):
    if event["rawPath"].endswith("/fail"):
        raise Exception("failed")
    return {"statusCode": 201, "headers": {"x-version": context.function_version}, "body": json.dumps(event)}
"""
package = io.BytesIO()
with zipfile.ZipFile(package, "w") as z:
    z.writestr("app.py", source)
functions = boto3.client("lambda")
functions.create_function(FunctionName="fn", Runtime="python3.12", Handler="app.handler", Role="arn:aws:iam::000000000000:role/r",
                          Code={"ZipFile": package.getvalue()}, Publish=True)
alias = functions.create_alias(FunctionName="fn", Name="live", FunctionVersion="1")["AliasArn"]

apis = boto3.client("apigatewayv2")
api = apis.create_api(Name="shop", ProtocolType="HTTP", CorsConfiguration={"AllowOrigins": ["https://example.org"], "AllowMethods": ["GET"]}, Tags={"team": "shop"})
id = api["ApiId"]
assert api["ApiEndpoint"].startswith("http://" + id + ".execute-api.us-east-1.localhost:"), api
assert apis.get_api(ApiId=id)["Tags"] == {"team": "shop"} and len(apis.get_apis()["Items"]) == 1
integration = apis.create_integration(ApiId=id, IntegrationType="AWS_PROXY", PayloadFormatVersion="2.0",
                                      IntegrationUri="arn:aws:lambda:us-east-1:000000000000:function:fn:${stageVariables.alias}")["IntegrationId"]
for key in ["GET /orders/{id}", "ANY /files/{proxy+}"]:
    apis.create_route(ApiId=id, RouteKey=key, Target="integrations/" + integration)
apis.create_stage(ApiId=id, StageName="$default", AutoDeploy=True, StageVariables={"alias": "live"})
apis.create_stage(ApiId=id, StageName="prod", StageVariables={"alias": "live"})
assert len(apis.get_routes(ApiId=id)["Items"]) == 2 and len(apis.get_stages(ApiId=id)["Items"]) == 2


def get(path, method="GET", body=None, host=None, **headers):
    base = endpoint + "/execute-api/" + id if host is None else endpoint
    request = urllib.request.Request(base + path, data=body, method=method, headers={**headers, **({"Host": host} if host else {})})
    try:
        with urllib.request.urlopen(request) as r:
            return r.status, r.headers, r.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.headers, e.read().decode()


status, headers, body = get("/orders/a%20b?q=1&q=2", **{"X-Custom": "c", "Cookie": "a=1; b=2", "Origin": "https://example.org"})
event = json.loads(body)
assert status == 201 and headers["x-version"] == "1", (status, body)
assert headers["Access-Control-Allow-Origin"] == "https://example.org"
assert event["version"] == "2.0" and event["routeKey"] == "GET /orders/{id}" and event["pathParameters"] == {"id": "a b"}, event
assert event["queryStringParameters"] == {"q": "1,2"} and event["headers"]["x-custom"] == "c" and event["cookies"] == ["a=1", "b=2"], event
assert event["stageVariables"] == {"alias": "live"} and event["requestContext"]["stage"] == "$default"
assert event["requestContext"]["apiId"] == id and event["requestContext"]["accountId"] == "000000000000", event
status, _, body = get("/files/a/b.txt", host=id + ".execute-api.us-east-1.localhost", method="POST", body=b"\xff\x00")
event = json.loads(body)
assert event["rawPath"] == "/files/a/b.txt" and event["isBase64Encoded"] and event["pathParameters"] == {"proxy": "a/b.txt"}, event
assert get("/orders")[0] == 404 and get("/orders")[2] == '{"message":"Not Found"}'
assert get("/files/fail")[0] == 500 and get("/files/fail")[2] == '{"message":"Internal Server Error"}', get("/files/fail")
status, headers, _ = get("/orders/1", method="OPTIONS", Origin="https://example.org", **{"Access-Control-Request-Method": "GET"})
assert status == 204 and headers["Access-Control-Allow-Methods"] == "GET", (status, headers)
assert get("/prod/orders/1")[0] == 404  # nothing is deployed there yet
apis.create_deployment(ApiId=id, StageName="prod")
assert json.loads(get("/prod/orders/1")[2])["requestContext"]["stage"] == "prod"
assert urllib.request.urlopen(endpoint + "/healthz").status == 200

for code, call, arguments in [
    ("BadRequestException", apis.create_route, {"ApiId": id, "RouteKey": "GET orders"}),
    ("ConflictException", apis.create_route, {"ApiId": id, "RouteKey": "GET /orders/{id}"}),
    ("NotFoundException", apis.get_api, {"ApiId": "nope"}),
    ("NotImplementedException", apis.create_api, {"Name": "w", "ProtocolType": "WEBSOCKET"}),
    ("BadRequestException", apis.create_integration, {"ApiId": id, "IntegrationType": "AWS_PROXY", "IntegrationUri": "https://example.org"}),
    ("ConflictException", apis.delete_integration, {"ApiId": id, "IntegrationId": integration}),
]:
    try:
        call(**arguments)
        raise AssertionError(code)
    except botocore.exceptions.ClientError as e:
        assert e.response["Error"]["Code"] == code, e
quick = apis.create_api(Name="quick", ProtocolType="HTTP", Target=alias)["ApiId"]
with urllib.request.urlopen(endpoint + "/execute-api/" + quick + "/any/thing") as r:
    assert json.loads(r.read())["routeKey"] == "$default"
for item in apis.get_apis()["Items"]:
    apis.delete_api(ApiId=item["ApiId"])
assert get("/orders/1")[0] == 404
print("done")
