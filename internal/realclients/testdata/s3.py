"""What deployment tools do with buckets, by boto3. Prints "done" if all of it went well."""
import os
import urllib.request

import boto3
import botocore.config
import botocore.exceptions
from boto3.s3.transfer import TransferConfig


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as e:
        assert e.response["Error"]["Code"] == code, e
        return
    raise AssertionError("not refused: " + code)


s3 = boto3.client("s3")
s3.create_bucket(Bucket="artifacts")
s3.head_bucket(Bucket="artifacts")
assert [b["Name"] for b in s3.list_buckets()["Buckets"]] == ["artifacts"]
refused("404", s3.head_object, Bucket="artifacts", Key="none")
refused("NoSuchKey", s3.get_object, Bucket="artifacts", Key="none")
refused("NoSuchBucket", s3.list_objects_v2, Bucket="no-such-bucket")

key = "a b/ü+%25~'()*.txt"
for algorithm in ["CRC32", "SHA1", "SHA256"]:
    s3.put_object(Bucket="artifacts", Key=key, Body=b"hello", ChecksumAlgorithm=algorithm, Metadata={"who": "me"}, ContentType="text/x",
                  ServerSideEncryption="aws:kms")
    got = s3.get_object(Bucket="artifacts", Key=key, ChecksumMode="ENABLED")
    assert got["Body"].read() == b"hello" and got["Checksum" + algorithm] and got["Metadata"] == {"who": "me"}, got
assert s3.list_objects_v2(Bucket="artifacts")["Contents"][0]["Key"] == key
assert s3.list_objects(Bucket="artifacts", Prefix="a b/")["Contents"][0]["Size"] == 5
refused("PreconditionFailed", s3.put_object, Bucket="artifacts", Key=key, Body=b"x", IfNoneMatch="*")
s3.copy_object(Bucket="artifacts", Key="copy", CopySource={"Bucket": "artifacts", "Key": key})

big = os.urandom(12 << 20)
with open("big", "wb") as f:
    f.write(big)
s3.upload_file("big", "artifacts", "big", Config=TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20))
s3.download_file("artifacts", "big", "again", Config=TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20))
with open("again", "rb") as f:
    assert f.read() == big

for version in ["s3v4", "s3"]:
    signer = boto3.client("s3", config=botocore.config.Config(signature_version=version))
    url = signer.generate_presigned_url("get_object", Params={"Bucket": "artifacts", "Key": key})
    with urllib.request.urlopen(url) as r:
        assert r.read() == b"hello", url
url = boto3.client("s3", config=botocore.config.Config(signature_version="s3v4")).generate_presigned_url(
    "put_object", Params={"Bucket": "artifacts", "Key": "presigned"})
with urllib.request.urlopen(urllib.request.Request(url, data=b"by url", method="PUT")) as r:
    assert r.status == 200
assert s3.get_object(Bucket="artifacts", Key="presigned")["Body"].read() == b"by url"

# A bucket in the name of the host.
host = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"].replace("127.0.0.1", "localhost"),
                    config=botocore.config.Config(s3={"addressing_style": "virtual"}))
try:
    assert host.get_object(Bucket="artifacts", Key="presigned")["Body"].read() == b"by url"
except botocore.exceptions.EndpointConnectionError:
    pass  # names below localhost are not resolved here

s3.put_bucket_versioning(Bucket="artifacts", VersioningConfiguration={"Status": "Enabled"})
s3.put_public_access_block(Bucket="artifacts", PublicAccessBlockConfiguration={"BlockPublicAcls": True})
s3.put_bucket_tagging(Bucket="artifacts", Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
assert s3.get_bucket_tagging(Bucket="artifacts")["TagSet"] == [{"Key": "k", "Value": "v"}]
refused("NoSuchBucketPolicy", s3.get_bucket_policy, Bucket="artifacts")
assert s3.get_bucket_encryption(Bucket="artifacts")["ServerSideEncryptionConfiguration"]["Rules"]
old = s3.put_object(Bucket="artifacts", Key="versioned", Body=b"1")["VersionId"]
s3.put_object(Bucket="artifacts", Key="versioned", Body=b"2")
assert s3.get_object(Bucket="artifacts", Key="versioned", VersionId=old)["Body"].read() == b"1"
refused("BucketNotEmpty", s3.delete_bucket, Bucket="artifacts")
s3.delete_objects(Bucket="artifacts", Delete={"Objects": [
    {"Key": v["Key"], "VersionId": v["VersionId"]}
    for page in s3.get_paginator("list_object_versions").paginate(Bucket="artifacts", MaxKeys=2)
    for v in page.get("Versions", []) + page.get("DeleteMarkers", [])]})
s3.delete_bucket(Bucket="artifacts")
s3.create_bucket(Bucket="artifacts")
print("done")
