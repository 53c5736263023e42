package resource

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// The types of the services around functions: alarms, log groups, parameters, buckets.

// Alarms is what the types of CloudWatch work on.
type Alarms interface {
	PutMetricAlarm(context.Context, *cloudwatch.PutMetricAlarmInput, ...func(*cloudwatch.Options)) (*cloudwatch.PutMetricAlarmOutput, error)
	PutCompositeAlarm(context.Context, *cloudwatch.PutCompositeAlarmInput, ...func(*cloudwatch.Options)) (*cloudwatch.PutCompositeAlarmOutput, error)
	DeleteAlarms(context.Context, *cloudwatch.DeleteAlarmsInput, ...func(*cloudwatch.Options)) (*cloudwatch.DeleteAlarmsOutput, error)
}

func (c Config) alarm() *Type {
	put := func(ctx context.Context, call *call[cloudwatch.PutMetricAlarmInput]) (Result, error) {
		in := call.new
		in.AlarmName = &call.PhysicalID
		_, err := c.Alarms.PutMetricAlarm(ctx, &in)
		return c.alarmResult(call.PhysicalID, err)
	}
	return define(Type{Name: "AWS::CloudWatch::Alarm", NameProperty: "AlarmName", MaxName: 255, Attributes: []string{"Arn"}, Replacing: []string{"AlarmName"}},
		functions[cloudwatch.PutMetricAlarmInput]{create: put, update: put, delete: deleteAlarm[cloudwatch.PutMetricAlarmInput](c)})
}

func (c Config) compositeAlarm() *Type {
	put := func(ctx context.Context, call *call[cloudwatch.PutCompositeAlarmInput]) (Result, error) {
		in := call.new
		in.AlarmName = &call.PhysicalID
		_, err := c.Alarms.PutCompositeAlarm(ctx, &in)
		return c.alarmResult(call.PhysicalID, err)
	}
	return define(Type{Name: "AWS::CloudWatch::CompositeAlarm", NameProperty: "AlarmName", MaxName: 255, Attributes: []string{"Arn"}, Replacing: []string{"AlarmName"}},
		functions[cloudwatch.PutCompositeAlarmInput]{create: put, update: put, delete: deleteAlarm[cloudwatch.PutCompositeAlarmInput](c)})
}

func (c Config) alarmResult(name string, err error) (Result, error) {
	if err != nil {
		return Result{}, err
	}
	return Result{PhysicalID: name, Attributes: map[string]any{"Arn": "arn:aws:cloudwatch:" + c.Place.Region + ":" + c.Place.Account + ":alarm:" + name}}, nil
}

func deleteAlarm[P any](c Config) func(context.Context, *call[P]) (Result, error) {
	return func(ctx context.Context, call *call[P]) (Result, error) {
		_, err := c.Alarms.DeleteAlarms(ctx, &cloudwatch.DeleteAlarmsInput{AlarmNames: []string{call.PhysicalID}})
		return Result{}, err
	}
}

// Parameters is what the types of SSM work on.
type Parameters interface {
	PutParameter(context.Context, *ssm.PutParameterInput, ...func(*ssm.Options)) (*ssm.PutParameterOutput, error)
	DeleteParameter(context.Context, *ssm.DeleteParameterInput, ...func(*ssm.Options)) (*ssm.DeleteParameterOutput, error)
}

// parameterProperties are those of AWS::SSM::Parameter.
type parameterProperties struct {
	AllowedPattern *string
	DataType       *string
	Description    *string
	Name           *string `cfn:"replace"`
	Policies       *string `cfn:"refused"`
	Tags           map[string]string
	Tier           types.ParameterTier
	Type           types.ParameterType `cfn:"required,replace"`
	Value          string              `cfn:"required"`
}

func (c Config) parameter() *Type {
	put := func(ctx context.Context, call *call[parameterProperties]) (Result, error) {
		p := &call.new
		in := &ssm.PutParameterInput{
			Name: &call.PhysicalID, Value: &p.Value, Type: p.Type, Tier: p.Tier, Description: p.Description, AllowedPattern: p.AllowedPattern, DataType: p.DataType,
			Overwrite: new(call.Old != nil || call.Resumed),
		}
		if !*in.Overwrite {
			for key, value := range p.Tags {
				in.Tags = append(in.Tags, types.Tag{Key: &key, Value: &value})
			}
		}
		if _, err := c.Parameters.PutParameter(ctx, in); err != nil {
			return Result{}, err
		}
		return Result{PhysicalID: call.PhysicalID, Attributes: map[string]any{"Type": string(p.Type), "Value": p.Value}}, nil
	}
	remove := func(ctx context.Context, call *call[parameterProperties]) (Result, error) {
		_, err := c.Parameters.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: &call.PhysicalID})
		return Result{}, err
	}
	return define(Type{Name: "AWS::SSM::Parameter", NameProperty: "Name", Attributes: []string{"Type", "Value"}},
		functions[parameterProperties]{create: put, update: put, delete: remove})
}

// Buckets is what the types of S3 work on.
type Buckets interface {
	CreateBucket(ctx context.Context, name string) error
	DeleteBucket(ctx context.Context, name string) error
}

// bucketProperties are those of AWS::S3::Bucket. Buckets hold artifacts here: who may read them, how they are encrypted
// and what happens to old objects is kept without effect.
type bucketProperties struct {
	AbacStatus                       any     `cfn:"refused"`
	AccelerateConfiguration          any     `cfn:"stored"`
	AccessControl                    any     `cfn:"stored"`
	AnalyticsConfigurations          any     `cfn:"stored"`
	BucketEncryption                 any     `cfn:"stored"`
	BucketName                       *string `cfn:"replace"`
	CorsConfiguration                any     `cfn:"stored"`
	IntelligentTieringConfigurations any     `cfn:"stored"`
	InventoryConfigurations          any     `cfn:"stored"`
	LifecycleConfiguration           any     `cfn:"stored"`
	LoggingConfiguration             any     `cfn:"stored"`
	MetadataTableConfiguration       any     `cfn:"refused"`
	MetricsConfigurations            any     `cfn:"stored"`
	NotificationConfiguration        any     `cfn:"refused"`
	ObjectLockConfiguration          any     `cfn:"refused"`
	ObjectLockEnabled                any     `cfn:"refused"`
	OwnershipControls                any     `cfn:"stored"`
	PublicAccessBlockConfiguration   any     `cfn:"stored"`
	ReplicationConfiguration         any     `cfn:"refused"`
	Tags                             []Tag   `cfn:"stored"`
	VersioningConfiguration          any     `cfn:"stored"`
	WebsiteConfiguration             any     `cfn:"refused"`
}

func (c Config) bucket() *Type {
	result := func(name string) Result {
		host := name + ".s3.amazonaws.com"
		return Result{PhysicalID: name, Attributes: map[string]any{
			"Arn": "arn:aws:s3:::" + name, "DomainName": host, "RegionalDomainName": name + ".s3." + c.Place.Region + ".amazonaws.com",
			"DualStackDomainName": name + ".s3.dualstack." + c.Place.Region + ".amazonaws.com",
		}}
	}
	create := func(ctx context.Context, call *call[bucketProperties]) (Result, error) {
		if err := c.Buckets.CreateBucket(ctx, call.PhysicalID); err != nil && !call.mine(err) {
			return Result{}, err
		}
		return result(call.PhysicalID), nil
	}
	update := func(_ context.Context, call *call[bucketProperties]) (Result, error) {
		return result(call.PhysicalID), nil
	}
	remove := func(ctx context.Context, call *call[bucketProperties]) (Result, error) {
		return Result{}, c.Buckets.DeleteBucket(ctx, call.PhysicalID)
	}
	return define(Type{
		Name: "AWS::S3::Bucket", NameProperty: "BucketName", MaxName: 63, Lower: true, Attributes: []string{"Arn", "DomainName", "RegionalDomainName", "DualStackDomainName"},
	}, functions[bucketProperties]{create: create, update: update, delete: remove})
}

// Logs is what the types of CloudWatch Logs work on.
type Logs interface {
	CreateLogGroup(context.Context, *cloudwatchlogs.CreateLogGroupInput, ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.CreateLogGroupOutput, error)
	DeleteLogGroup(context.Context, *cloudwatchlogs.DeleteLogGroupInput, ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.DeleteLogGroupOutput, error)
	PutRetentionPolicy(context.Context, *cloudwatchlogs.PutRetentionPolicyInput, ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.PutRetentionPolicyOutput, error)
	DeleteRetentionPolicy(context.Context, *cloudwatchlogs.DeleteRetentionPolicyInput, ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.DeleteRetentionPolicyOutput, error)
}

// logGroupProperties are those of AWS::Logs::LogGroup.
type logGroupProperties struct {
	DataProtectionPolicy any     `cfn:"refused"`
	FieldIndexPolicies   any     `cfn:"stored"`
	KmsKeyId             *string `cfn:"stored"` //nolint:revive // the name of the property
	LogGroupClass        *string `cfn:"stored"`
	LogGroupName         *string `cfn:"replace"`
	RetentionInDays      *int32
	Tags                 []Tag `cfn:"stored"`
}

func (c Config) logGroup() *Type {
	keep := func(ctx context.Context, call *call[logGroupProperties]) (Result, error) {
		arn := "arn:aws:logs:" + c.Place.Region + ":" + c.Place.Account + ":log-group:" + call.PhysicalID + ":*"
		result := Result{PhysicalID: call.PhysicalID, Attributes: map[string]any{"Arn": arn}}
		if days := call.new.RetentionInDays; days != nil {
			_, err := c.Logs.PutRetentionPolicy(ctx, &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: &call.PhysicalID, RetentionInDays: days})
			return result, err
		}
		_, err := c.Logs.DeleteRetentionPolicy(ctx, &cloudwatchlogs.DeleteRetentionPolicyInput{LogGroupName: &call.PhysicalID})
		return result, err
	}
	create := func(ctx context.Context, call *call[logGroupProperties]) (Result, error) {
		_, err := c.Logs.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &call.PhysicalID})
		if err != nil && !call.mine(err) {
			return Result{}, err
		}
		return keep(ctx, call)
	}
	remove := func(ctx context.Context, call *call[logGroupProperties]) (Result, error) {
		_, err := c.Logs.DeleteLogGroup(ctx, &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: &call.PhysicalID})
		return Result{}, err
	}
	return define(Type{Name: "AWS::Logs::LogGroup", NameProperty: "LogGroupName", MaxName: 512, Attributes: []string{"Arn"}},
		functions[logGroupProperties]{create: create, update: keep, delete: remove})
}
