"""Reads streamed responses with boto3. Usage: boto3_stream.py ENDPOINT KEY SECRET FUNCTION"""

import json
import sys

import boto3
from botocore.config import Config

endpoint, key, secret, function = sys.argv[1:]
client = boto3.client("lambda", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=key,
                      aws_secret_access_key=secret, config=Config(retries={"max_attempts": 1}))


def invoke(event):
    reply = client.invoke_with_response_stream(FunctionName=function, Payload=json.dumps(event), LogType="Tail")
    assert reply["StatusCode"] == 200 and reply["ExecutedVersion"] == "$LATEST", reply
    assert reply["ResponseStreamContentType"] == "application/vnd.amazon.eventstream", reply
    body, complete = bytearray(), None
    for event in reply["EventStream"]:
        assert complete is None, "an event after the last one"
        body += event.get("PayloadChunk", {}).get("Payload", b"")
        complete = event.get("InvokeComplete")
    return bytes(body), complete


body, complete = invoke({"do": "much"})
assert len(body) == len("first last") + (64 << 20), len(body)
assert "ErrorCode" not in complete and complete["LogResult"], complete
body, complete = invoke({"do": "late"})
assert body == b"first " and complete["ErrorCode"] == "ValueError", (body, complete)
assert json.loads(complete["ErrorDetails"])["errorMessage"] == "late", complete
try:
    client.invoke_with_response_stream(FunctionName="none")
    raise AssertionError("not refused")
except client.exceptions.ResourceNotFoundException:
    pass
print("streamed")
