package identity

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"serin"
)

// GetCallerIdentity says who calls: the account, or who holds a session.
func (s *Service) GetCallerIdentity(ctx context.Context, _ *sts.GetCallerIdentityInput, _ ...func(*sts.Options)) (*sts.GetCallerIdentityOutput, error) {
	session := sessionFrom(ctx)
	id := s.Place.Account
	if session.Role != "" {
		id = session.RoleID + ":" + session.Name
	}
	return &sts.GetCallerIdentityOutput{Account: &s.Place.Account, Arn: new(session.ARN(s.Place.Account)), UserId: &id}, nil
}

var (
	sessionNameForm = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
	roleARNForm     = regexp.MustCompile(`^arn:aws:iam::(\d{12}):role/([\w+=,.@/-]{1,512})$`)
)

// AssumeRole gives temporary credentials. Any role of the account may be assumed, also one that is not kept here.
func (s *Service) AssumeRole(_ context.Context, in *sts.AssumeRoleInput, _ ...func(*sts.Options)) (*sts.AssumeRoleOutput, error) {
	arn, name := deref(in.RoleArn), deref(in.RoleSessionName)
	parts := roleARNForm.FindStringSubmatch(arn)
	switch {
	case parts == nil:
		return nil, invalid("%.200s is invalid", arn)
	case parts[1] != s.Place.Account:
		return nil, fault(serin.KindDenied, "AccessDenied", "User: arn:aws:iam::%s:root is not authorized to perform: sts:AssumeRole on resource: %s", s.Place.Account, arn)
	case !sessionNameForm.MatchString(name):
		return nil, invalid("1 validation error detected: Value at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]* and have 2 to 64 characters")
	}
	d, err := duration(in.DurationSeconds, 3600, 43200)
	if err != nil {
		return nil, err
	}
	role := parts[2][strings.LastIndexByte(parts[2], '/')+1:]
	session, token := s.begin(Session{Role: role, RoleID: stableID("AROA", role), Name: name}, d)
	return &sts.AssumeRoleOutput{
		AssumedRoleUser: &types.AssumedRoleUser{Arn: new(session.ARN(s.Place.Account)), AssumedRoleId: new(session.RoleID + ":" + name)},
		Credentials:     credentials(session, token),
	}, nil
}

// GetSessionToken gives temporary credentials of the account itself.
func (s *Service) GetSessionToken(_ context.Context, in *sts.GetSessionTokenInput, _ ...func(*sts.Options)) (*sts.GetSessionTokenOutput, error) {
	d, err := duration(in.DurationSeconds, 43200, 129600)
	if err != nil {
		return nil, err
	}
	session, token := s.begin(Session{}, d)
	return &sts.GetSessionTokenOutput{Credentials: credentials(session, token)}, nil
}

func duration(given *int32, standard, most int32) (time.Duration, error) {
	seconds := standard
	if given != nil {
		seconds = *given
	}
	if seconds < 900 || seconds > most {
		return 0, invalid("1 validation error detected: Value '%d' at 'durationSeconds' failed to satisfy constraint: Member must have value between 900 and %d", seconds, most)
	}
	return time.Duration(seconds) * time.Second, nil
}

func credentials(session Session, token string) *types.Credentials {
	return &types.Credentials{
		AccessKeyId: &session.AccessKeyID, SecretAccessKey: &session.SecretAccessKey, SessionToken: &token, Expiration: &session.Expires,
	}
}

// stableID returns an id in the form of IAM's that is always the same for a name.
func stableID(prefix, name string) string {
	sum := sha256.Sum256([]byte(name))
	return prefix + base32.StdEncoding.EncodeToString(sum[:])[:17]
}
