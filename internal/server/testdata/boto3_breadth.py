"""Calls every operation on what belongs to functions, versions, aliases and layers with the real boto3.

Arguments: endpoint, access key, secret key, file with a zip. Exits with 1 at the first surprise.
"""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

endpoint, key, secret, package = sys.argv[1:]
client = boto3.client(
    "lambda", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=secret,
    config=Config(retries={"max_attempts": 1}),
)
called = set()


def call(operation, status=200, **members):
    """Calls an operation, checks the status of its answer and returns the answer."""
    called.add(operation)
    answer = getattr(client, operation)(**members)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == status, (operation, answer)
    return answer


def refused(operation, exception, text, **members):
    """Calls an operation that must fail with the typed exception of the SDK."""
    called.add(operation)
    try:
        getattr(client, operation)(**members)
    except ClientError as e:
        assert e.response["Error"]["Code"] == exception, (operation, e)
        assert text in e.response["Error"]["Message"], (operation, e)
        if hasattr(client.exceptions, exception):
            assert isinstance(e, getattr(client.exceptions, exception)), (operation, e)
        return
    raise AssertionError((operation, "was not refused"))


with open(package, "rb") as f:
    code = f.read()
arn = "arn:aws:lambda:us-east-1:000000000000:function:shop"
for name in ("shop", "cart"):
    call("create_function", 201, FunctionName=name, Runtime="provided.al2023", Handler="bootstrap",
         Role="arn:aws:iam::000000000000:role/r", Code={"ZipFile": code}, Publish=True)
call("create_alias", 201, FunctionName="shop", Name="live", FunctionVersion="1")

# Policies.
statement = json.loads(call("add_permission", 201, FunctionName=arn + ":live", StatementId="s", Action="lambda:InvokeFunction",
                            Principal="events.amazonaws.com", SourceArn="arn:aws:events:us-east-1:000000000000:rule/r")["Statement"])
assert statement["Resource"] == arn + ":live", statement
policy = call("get_policy", FunctionName="shop", Qualifier="live")
assert json.loads(policy["Policy"])["Statement"] == [statement], policy
call("remove_permission", 204, FunctionName="shop", Qualifier="live", StatementId="s", RevisionId=policy["RevisionId"])
refused("get_policy", "ResourceNotFoundException", "does not exist", FunctionName="shop", Qualifier="live")
for n in range(9):
    call("add_permission", 201, FunctionName="cart", StatementId=f"s{n}", Action="lambda:*", Principal="arn:aws:iam::111111111111:role/" + "x" * 2000)
refused("add_permission", "PolicyLengthExceededException", "bigger than the limit (20480)", FunctionName="cart", StatementId="s",
        Action="lambda:*", Principal="arn:aws:iam::111111111111:role/" + "x" * 2000)

# Concurrency.
call("put_function_concurrency", FunctionName="shop", ReservedConcurrentExecutions=0)
assert call("get_function_concurrency", FunctionName="shop")["ReservedConcurrentExecutions"] == 0
assert call("get_function", FunctionName="shop")["Concurrency"] == {"ReservedConcurrentExecutions": 0}
call("delete_function_concurrency", 204, FunctionName="shop")
assert "Concurrency" not in call("get_function", FunctionName="shop")
refused("get_provisioned_concurrency_config", "ProvisionedConcurrencyConfigNotFoundException", "No Provisioned Concurrency Config found",
        FunctionName="shop", Qualifier="1")
call("put_provisioned_concurrency_config", 202, FunctionName="shop", Qualifier="1", ProvisionedConcurrentExecutions=1)
assert call("get_provisioned_concurrency_config", 200, FunctionName="shop", Qualifier="1")["RequestedProvisionedConcurrentExecutions"] == 1
call("delete_provisioned_concurrency_config", 204, FunctionName="shop", Qualifier="1")
assert list(client.get_paginator("list_provisioned_concurrency_configs").paginate(FunctionName="shop").search("ProvisionedConcurrencyConfigs")) == []
called.add("list_provisioned_concurrency_configs")

# Asynchronous invocation.
put = call("put_function_event_invoke_config", FunctionName="shop", Qualifier="live", MaximumRetryAttempts=0,
           DestinationConfig={"OnFailure": {"Destination": "arn:aws:lambda:us-east-1:000000000000:function:cart"}})
assert put["LastModified"].year > 2000, put
updated = call("update_function_event_invoke_config", FunctionName="shop", Qualifier="live", MaximumEventAgeInSeconds=60)
assert updated["MaximumRetryAttempts"] == 0 and updated["MaximumEventAgeInSeconds"] == 60, updated
assert call("get_function_event_invoke_config", FunctionName="shop", Qualifier="live")["DestinationConfig"] == put["DestinationConfig"]
assert len(call("list_function_event_invoke_configs", FunctionName="shop")["FunctionEventInvokeConfigs"]) == 1
call("delete_function_event_invoke_config", 204, FunctionName="shop", Qualifier="live")

# Function URLs.
url = call("create_function_url_config", 201, FunctionName="shop", Qualifier="live", AuthType="NONE", Cors={"AllowOrigins": ["*"]})["FunctionUrl"]
assert url.startswith("http://") and ".lambda-url.us-east-1.localhost:" in url and url.endswith("/"), url
assert call("update_function_url_config", FunctionName="shop", Qualifier="live", InvokeMode="BUFFERED")["FunctionUrl"] == url
assert call("update_function_url_config", FunctionName="shop", Qualifier="live", InvokeMode="RESPONSE_STREAM")["InvokeMode"] == "RESPONSE_STREAM"
assert call("get_function_url_config", FunctionName="shop", Qualifier="live")["Cors"] == {"AllowOrigins": ["*"]}
assert [u["FunctionUrl"] for u in call("list_function_url_configs", FunctionName="shop")["FunctionUrlConfigs"]] == [url]
call("delete_function_url_config", 204, FunctionName="shop", Qualifier="live")

# Runtime management, recursion, code signing.
call("put_runtime_management_config", FunctionName="shop", Qualifier="1", UpdateRuntimeOn="FunctionUpdate")
assert call("get_runtime_management_config", FunctionName="shop", Qualifier="1")["UpdateRuntimeOn"] == "FunctionUpdate"
call("put_function_recursion_config", FunctionName="shop", RecursiveLoop="Allow")
assert call("get_function_recursion_config", FunctionName="shop")["RecursiveLoop"] == "Allow"
assert "CodeSigningConfigArn" not in call("get_function_code_signing_config", FunctionName="shop")

# Layers.
layer = call("publish_layer_version", 201, LayerName="l", Content={"ZipFile": code}, CompatibleRuntimes=["python3.12"], LicenseInfo="MIT")
for found in (call("get_layer_version", LayerName="l", VersionNumber=1), call("get_layer_version_by_arn", Arn=layer["LayerVersionArn"])):
    assert found["Content"]["CodeSha256"] == layer["Content"]["CodeSha256"] and found["LicenseInfo"] == "MIT", found
assert [found["LayerName"] for found in client.get_paginator("list_layers").paginate().search("Layers")] == ["l"]
assert [found["Version"] for found in client.get_paginator("list_layer_versions").paginate(LayerName="l").search("LayerVersions")] == [1]
called.update(("list_layers", "list_layer_versions"))
added = call("add_layer_version_permission", 201, LayerName="l", VersionNumber=1, StatementId="s", Action="lambda:GetLayerVersion", Principal="*")
policy = call("get_layer_version_policy", LayerName="l", VersionNumber=1)
assert policy["RevisionId"] == added["RevisionId"] and json.loads(policy["Policy"])["Statement"] == [json.loads(added["Statement"])], policy
call("remove_layer_version_permission", 204, LayerName="l", VersionNumber=1, StatementId="s", RevisionId=added["RevisionId"])
call("delete_layer_version", 204, LayerName="l", VersionNumber=1)
refused("get_layer_version", "ResourceNotFoundException", "does not exist", LayerName="l", VersionNumber=1)

print(len(called), "operations")
