package server_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
)

// The types of the services around functions, and what a template cannot have, through the API.
func TestTemplatesOfTheServicesAround(t *testing.T) {
	r := start(t)
	cli := newCommandLine(t, r)
	cli.write(t, "around.yaml", `
Parameters: {Name: {Type: "AWS::SSM::Parameter::Value<String>", Default: /given}}
Resources:
  Artifacts: {Type: AWS::S3::Bucket, Properties: {VersioningConfiguration: {Status: Enabled}}}
  Policy: {Type: AWS::S3::BucketPolicy, Properties: {Bucket: !Ref Artifacts, PolicyDocument: {Statement: []}}}
  Where: {Type: AWS::SSM::Parameter, Properties: {Name: /where, Type: String, Value: !Sub "${Name}:${Artifacts.Arn}"}}
  Errors:
    Type: AWS::CloudWatch::Alarm
    Properties:
      Namespace: AWS/Lambda
      MetricName: Errors
      Statistic: Sum
      Period: 60
      EvaluationPeriods: "1"
      Threshold: 1
      ComparisonOperator: GreaterThanOrEqualToThreshold
      Dimensions: [{Name: FunctionName, Value: shop}]
  Any: {Type: AWS::CloudWatch::CompositeAlarm, Properties: {AlarmName: any, AlarmRule: !Sub "ALARM(\"${Errors}\")"}}
`)
	cli.run(t, "ssm", "put-parameter", "--name", "/given", "--value", "hello", "--type", "String")
	cli.run(t, "cloudformation", "deploy", "--stack-name", "around", "--template-file", "around.yaml")
	where := strings.TrimSpace(cli.run(t, "ssm", "get-parameter", "--name", "/where", "--query", "Parameter.Value", "--output", "text"))
	if !strings.HasPrefix(where, "hello:arn:aws:s3:::around-artifacts-") {
		t.Error(where)
	}
	alarms := cloudwatch.New(cloudwatch.Options{Region: r.Region, BaseEndpoint: &r.Endpoint, Credentials: r.Options().Credentials})
	out, err := alarms.DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{})
	must(t, err)
	if len(out.MetricAlarms) != 1 {
		t.Errorf("%d alarms", len(out.MetricAlarms))
	}
	cli.run(t, "cloudformation", "delete-stack", "--stack-name", "around")
	cli.run(t, "cloudformation", "wait", "stack-delete-complete", "--stack-name", "around")
	if left := cli.run(t, "s3", "ls"); strings.TrimSpace(left) != "" {
		t.Errorf("left: %s", left)
	}
}
