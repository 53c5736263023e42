"""SSM, STS, IAM and ECR as deployment tools use them, by boto3. Prints "done" if all of it went well."""
import json

import boto3
import botocore.exceptions


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as e:
        assert e.response["Error"]["Code"] == code, e
        return e.response["Error"]["Message"]
    raise AssertionError("not refused: " + code)


ssm = boto3.client("ssm")
refused("ParameterNotFound", ssm.get_parameter, Name="/cdk-bootstrap/hnb659fds/version")
assert ssm.put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Type="String", Value="21", Tags=[{"Key": "a", "Value": "b"}])["Version"] == 1
refused("ParameterAlreadyExists", ssm.put_parameter, Name="/cdk-bootstrap/hnb659fds/version", Type="String", Value="22")
assert ssm.put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="22", Overwrite=True)["Version"] == 2
got = ssm.get_parameter(Name="/cdk-bootstrap/hnb659fds/version")["Parameter"]
assert (got["Value"], got["Version"], got["Type"]) == ("22", 2, "String"), got
assert got["ARN"] == "arn:aws:ssm:us-east-1:000000000000:parameter/cdk-bootstrap/hnb659fds/version"
assert ssm.get_parameter(Name=got["ARN"])["Parameter"]["Value"] == "22"
assert ssm.get_parameter(Name="/cdk-bootstrap/hnb659fds/version:1")["Parameter"]["Value"] == "21"
ssm.label_parameter_version(Name="/cdk-bootstrap/hnb659fds/version", ParameterVersion=1, Labels=["old"])
assert ssm.get_parameter(Name="/cdk-bootstrap/hnb659fds/version:old")["Parameter"]["Selector"] == ":old"
ssm.put_parameter(Name="/app/secret", Type="SecureString", Value="s3cret")
ssm.put_parameter(Name="/app/list", Type="StringList", Value="a,b")
ssm.put_parameter(Name="/app/deep/er", Type="String", Value="c")
assert ssm.get_parameter(Name="/app/secret")["Parameter"]["Value"] != "s3cret"
assert ssm.get_parameter(Name="/app/secret", WithDecryption=True)["Parameter"]["Value"] == "s3cret"
both = ssm.get_parameters(Names=["/app/list", "/app/none"])
assert len(both["Parameters"]) == 1 and both["InvalidParameters"] == ["/app/none"], both
assert len(ssm.get_parameters_by_path(Path="/app")["Parameters"]) == 2
pages = ssm.get_paginator("get_parameters_by_path").paginate(Path="/app", Recursive=True, PaginationConfig={"PageSize": 1})
assert [p["Name"] for page in pages for p in page["Parameters"]] == ["/app/deep/er", "/app/list", "/app/secret"]
assert len(ssm.describe_parameters(ParameterFilters=[{"Key": "Name", "Option": "Contains", "Values": ["app"]}])["Parameters"]) == 3
assert len(ssm.get_parameter_history(Name="/cdk-bootstrap/hnb659fds/version")["Parameters"]) == 2
ssm.add_tags_to_resource(ResourceType="Parameter", ResourceId="/app/list", Tags=[{"Key": "k", "Value": "v"}])
assert ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId="/app/list")["TagList"] == [{"Key": "k", "Value": "v"}]
ssm.delete_parameter(Name="/app/list")
refused("ParameterNotFound", ssm.delete_parameter, Name="/app/list")
refused("ValidationException", ssm.put_parameter, Name="aws-x", Type="String", Value="x")

sts = boto3.client("sts")
me = sts.get_caller_identity()
assert (me["Account"], me["Arn"]) == ("000000000000", "arn:aws:iam::000000000000:root"), me


def assumed(credentials, **change):
    session = boto3.Session(credentials["AccessKeyId"], credentials["SecretAccessKey"], change.get("token", credentials["SessionToken"]))
    return session.client("sts")


role = sts.assume_role(RoleArn="arn:aws:iam::000000000000:role/deploy", RoleSessionName="ci")
assert role["AssumedRoleUser"]["Arn"] == "arn:aws:sts::000000000000:assumed-role/deploy/ci"
other = assumed(role["Credentials"])
assert other.get_caller_identity()["Arn"] == "arn:aws:sts::000000000000:assumed-role/deploy/ci"
token = role["Credentials"]["SessionToken"]
changed = "A" if token[-1] != "A" else "B"
refused("InvalidClientTokenId", assumed(role["Credentials"], token=token[:-2] + changed + token[-1]).get_caller_identity)
refused("InvalidClientTokenId", assumed(role["Credentials"], token=None).get_caller_identity)
second = sts.assume_role(RoleArn="arn:aws:iam::000000000000:role/deploy", RoleSessionName="ci")["Credentials"]
refused("InvalidClientTokenId", assumed(role["Credentials"], token=second["SessionToken"]).get_caller_identity)
refused("ValidationError", sts.assume_role, RoleArn="arn:aws:iam::000000000000:user/x-y-z-0123456", RoleSessionName="ci")
refused("AccessDenied", sts.assume_role, RoleArn="arn:aws:iam::111111111111:role/deploy", RoleSessionName="ci")
assert assumed(sts.get_session_token()["Credentials"]).get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:root"

iam = boto3.client("iam")
trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
refused("NoSuchEntity", iam.get_role, RoleName="fn")
made = iam.create_role(RoleName="fn", AssumeRolePolicyDocument=json.dumps(trust), Tags=[{"Key": "k", "Value": "v"}], Description="d <e>")["Role"]
assert made["Arn"] == "arn:aws:iam::000000000000:role/fn" and made["AssumeRolePolicyDocument"] == trust, made
refused("EntityAlreadyExists", iam.create_role, RoleName="fn", AssumeRolePolicyDocument=json.dumps(trust))
iam.put_role_policy(RoleName="fn", PolicyName="inline", PolicyDocument=json.dumps(trust))
iam.attach_role_policy(RoleName="fn", PolicyArn="arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")
mine = iam.create_policy(PolicyName="mine", PolicyDocument=json.dumps(trust))["Policy"]["Arn"]
iam.attach_role_policy(RoleName="fn", PolicyArn=mine)
assert iam.get_policy(PolicyArn=mine)["Policy"]["AttachmentCount"] == 1
assert iam.get_policy_version(PolicyArn=mine, VersionId="v1")["PolicyVersion"]["Document"] == trust
assert iam.get_role_policy(RoleName="fn", PolicyName="inline")["PolicyDocument"] == trust
assert iam.list_role_policies(RoleName="fn")["PolicyNames"] == ["inline"]
assert [p["PolicyName"] for p in iam.list_attached_role_policies(RoleName="fn")["AttachedPolicies"]] == ["AWSLambdaBasicExecutionRole", "mine"]
assert len(iam.list_roles()["Roles"]) == 1 and iam.list_instance_profiles_for_role(RoleName="fn")["InstanceProfiles"] == []
refused("DeleteConflict", iam.delete_role, RoleName="fn")
refused("DeleteConflict", iam.delete_policy, PolicyArn=mine)
for arn in ["arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole", mine]:
    iam.detach_role_policy(RoleName="fn", PolicyArn=arn)
iam.delete_role_policy(RoleName="fn", PolicyName="inline")
iam.delete_role(RoleName="fn")
iam.delete_policy(PolicyArn=mine)
refused("MalformedPolicyDocument", iam.create_role, RoleName="fn", AssumeRolePolicyDocument="x")

ecr = boto3.client("ecr")
refused("RepositoryNotFoundException", ecr.describe_repositories, repositoryNames=["assets"])
assert ecr.create_repository(repositoryName="assets", imageTagMutability="IMMUTABLE")["repository"]["imageTagMutability"] == "IMMUTABLE"
refused("RepositoryAlreadyExistsException", ecr.create_repository, repositoryName="assets")
assert len(ecr.describe_repositories()["repositories"]) == 1
refused("ImageNotFoundException", ecr.describe_images, repositoryName="assets", imageIds=[{"imageTag": "x"}])
ecr.delete_repository(repositoryName="assets")
print("done")
