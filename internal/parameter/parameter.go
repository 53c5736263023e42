// Package parameter keeps the parameters of Systems Manager's Parameter Store: named values with versions and labels.
//
// A parameter is one document of the store with its last 100 versions, as on AWS: a newer one pushes the oldest out unless that has a
// label. Values of SecureString are encrypted under a key of this server (AES-256-GCM, bound to the name and the version) and come back
// in clear only to those who ask for decryption; KMS key ids are kept and otherwise ignored.
//
// Methods carry the names and signatures of the SDK's client.
package parameter

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"serin"
	"serin/internal/store"
)

// Limits of AWS.
const (
	maxName       = 1011
	maxLevels     = 15
	maxStandard   = 4 << 10 // bytes of a value
	maxAdvanced   = 8 << 10
	maxVersions   = 100
	maxLabels     = 10
	maxTags       = 50
	maxByNames    = 10
	secureDefault = "alias/aws/ssm"
)

// Config is what a [Service] is made of. All of it is required.
type Config struct {
	Place serin.Place
	Store *store.Store
	Key   []byte // 32 bytes, for SecureString
	Now   func() time.Time
}

// Service is safe for concurrent use.
type Service struct {
	Config
	records store.Records[parameter]
	seal    cipher.AEAD
}

// New returns a Service. The key must have 32 bytes.
func New(cfg Config) (*Service, error) {
	block, err := aes.NewCipher(cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("the key for secure parameters: %w", err)
	}
	seal, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &Service{Config: cfg, records: store.Records[parameter]{Store: cfg.Store, Kind: "ssm.parameter"}, seal: seal}, nil
}

// parameter is a record.
type parameter struct {
	Name     string            `json:"name"`
	Type     string            `json:"type"`
	Tags     map[string]string `json:"tags,omitempty"`
	Versions []version         `json:"versions"` // the oldest first, never empty
}

type version struct {
	Number      int64     `json:"number"`
	Value       string    `json:"value"` // of a SecureString encrypted, in base64
	Description string    `json:"description,omitempty"`
	Pattern     string    `json:"pattern,omitempty"`
	DataType    string    `json:"dataType"`
	Tier        string    `json:"tier"`
	KeyID       string    `json:"keyId,omitempty"`
	Modified    time.Time `json:"modified"`
	By          string    `json:"by"`
	Labels      []string  `json:"labels,omitempty"`
}

func (p *parameter) last() *version { return &p.Versions[len(p.Versions)-1] }

// fault is an error that AWS has a name for.
func fault(reason, format string, args ...any) error {
	return &serin.Error{Kind: serin.KindInvalid, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) error {
	return serin.Errorf(serin.KindValidation, format, args...)
}

func notFound(name string) error {
	return fault("ParameterNotFound", "Parameter %s not found.", name)
}

var nameForm = regexp.MustCompile(`^[a-zA-Z0-9_.\-/]+$`)

// checkName checks the name of a parameter that is about to be created.
func checkName(name string) error {
	first := strings.ToLower(strings.TrimPrefix(name, "/"))
	switch {
	case name == "" || len(name) > maxName:
		return invalid("1 validation error detected: Value at 'name' failed to satisfy constraint: Member must have length between 1 and %d", maxName)
	case !nameForm.MatchString(name):
		return invalid("Parameter name: only a-z, A-Z, 0-9, ., _, - and / are allowed, but it is %.100q", name)
	case strings.Contains(name, "/") && !strings.HasPrefix(name, "/"):
		return invalid("Parameter name must be a fully qualified name.")
	case strings.HasSuffix(name, "/") || strings.Contains(name, "//"):
		return invalid("Parameter name: no level of the hierarchy can be empty, but it is %.100q", name)
	case strings.HasPrefix(first, "aws") || strings.HasPrefix(first, "ssm"):
		return invalid(`Parameter name: can't be prefixed with "ssm" or "aws" (case-insensitive).`)
	case strings.Count(name, "/") > maxLevels:
		return fault("HierarchyLevelLimitExceededException", "A hierarchy can have a maximum of %d levels.", maxLevels)
	default:
		return nil
	}
}

// nameOf returns the name of a parameter that is given by name or ARN.
func (s *Service) nameOf(given string) string {
	name, ok := strings.CutPrefix(given, s.arn(""))
	if !ok {
		return given
	}
	if strings.Contains(name, "/") {
		return "/" + name
	}
	return name
}

func (s *Service) arn(name string) string {
	return "arn:aws:ssm:" + s.Place.Region + ":" + s.Place.Account + ":parameter/" + strings.TrimPrefix(name, "/")
}

// PutParameter creates a parameter or, with Overwrite, adds a version.
func (s *Service) PutParameter(ctx context.Context, in *ssm.PutParameterInput, _ ...func(*ssm.Options)) (*ssm.PutParameterOutput, error) {
	name := s.nameOf(deref(in.Name))
	if err := checkName(name); err != nil {
		return nil, err
	}
	v, err := s.newVersion(ctx, in)
	if err != nil {
		return nil, err
	}
	if len(in.Tags) > 0 && deref(in.Overwrite) {
		return nil, invalid("Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove overwrite flag.")
	}
	p := &parameter{Name: name, Type: string(in.Type), Tags: map[string]string{}}
	if err := addTags(p, in.Tags); err != nil {
		return nil, err
	}
	if in.Type == "" {
		p.Type = string(types.ParameterTypeString)
	}
	for {
		fresh := *p
		err := s.push(&fresh, v, in)
		if err == nil {
			err = s.records.Create(ctx, name, &fresh)
		}
		if !errors.Is(err, store.ErrExists) {
			return &ssm.PutParameterOutput{Version: 1, Tier: types.ParameterTier(v.Tier)}, err
		}
		if !deref(in.Overwrite) {
			return nil, fault("ParameterAlreadyExists", "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.")
		}
		changed, err := s.records.Change(ctx, name, func(p *parameter) error { return s.push(p, v, in) })
		if errors.Is(err, store.ErrNotFound) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		return &ssm.PutParameterOutput{Version: changed.last().Number, Tier: types.ParameterTier(v.Tier)}, nil
	}
}

// newVersion checks what is put.
func (s *Service) newVersion(ctx context.Context, in *ssm.PutParameterInput) (version, error) {
	v := version{
		Description: deref(in.Description), Pattern: deref(in.AllowedPattern), KeyID: deref(in.KeyId), DataType: deref(in.DataType),
		Tier: string(in.Tier), Modified: s.Now().UTC(), By: serin.ActorFrom(ctx),
	}
	if v.DataType == "" {
		v.DataType = "text"
	}
	value := deref(in.Value)
	limit := maxStandard
	switch in.Tier {
	case "", types.ParameterTierStandard:
		v.Tier = string(types.ParameterTierStandard)
	case types.ParameterTierIntelligentTiering:
		v.Tier = string(types.ParameterTierStandard)
		if len(value) > maxStandard {
			v.Tier = string(types.ParameterTierAdvanced)
		}
		limit = maxAdvanced
	case types.ParameterTierAdvanced:
		limit = maxAdvanced
	default:
		return v, invalid("1 validation error detected: Value '%.50s' at 'tier' failed to satisfy constraint: Member must satisfy enum value set: [Standard, Advanced, Intelligent-Tiering]", in.Tier)
	}
	switch {
	case value == "":
		return v, invalid("1 validation error detected: Value '' at 'value' failed to satisfy constraint: Member must have length greater than or equal to 1.")
	case len(value) > limit:
		return v, invalid("Standard tier parameters support a maximum parameter value of %d characters. To create a larger parameter value, upgrade the parameter to use the advanced-parameter tier.", maxStandard)
	case in.DataType != nil && v.DataType != "text" && !strings.HasPrefix(v.DataType, "aws:"):
		return v, invalid("The following data type is not supported: %.100s (Data type names are all lowercase.)", v.DataType)
	}
	if v.Pattern != "" {
		form, err := regexp.Compile(v.Pattern)
		if err != nil {
			return v, fault("InvalidAllowedPatternException", "The regular expression of AllowedPattern is not valid.")
		}
		if !form.MatchString(value) {
			return v, fault("ParameterPatternMismatchException", "Parameter value, cannot be validated against allowedPattern: %s", v.Pattern)
		}
	}
	return v, nil
}

// push adds a version.
func (s *Service) push(p *parameter, v version, in *ssm.PutParameterInput) error {
	if in.Type != "" && p.Type != string(in.Type) {
		if len(p.Versions) > 0 {
			return fault("HierarchyTypeMismatchException", "The parameter %s is of type %s; its type cannot be changed.", p.Name, p.Type)
		}
		p.Type = string(in.Type)
	}
	v.Number = 1
	if len(p.Versions) > 0 {
		v.Number = p.last().Number + 1
	}
	v.Value = deref(in.Value)
	switch types.ParameterType(p.Type) {
	case types.ParameterTypeString, types.ParameterTypeStringList:
		v.KeyID = ""
	case types.ParameterTypeSecureString:
		if v.KeyID == "" {
			v.KeyID = secureDefault
		}
		v.Value = s.encrypt(p.Name, v.Number, v.Value)
	default:
		return invalid("1 validation error detected: Value '%.50s' at 'type' failed to satisfy constraint: Member must satisfy enum value set: [SecureString, StringList, String]", p.Type)
	}
	if len(p.Versions) >= maxVersions {
		if len(p.Versions[0].Labels) > 0 {
			return fault("ParameterMaxVersionLimitExceeded", "The parameter has %d versions, and its oldest one has a label: move the label to another version.", maxVersions)
		}
		p.Versions = append([]version(nil), p.Versions[1:]...)
	}
	p.Versions = append(p.Versions, v)
	return nil
}

func (s *Service) encrypt(name string, number int64, value string) string {
	nonce := make([]byte, s.seal.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	return base64.StdEncoding.EncodeToString(s.seal.Seal(nonce, nonce, []byte(value), additional(name, number)))
}

func (s *Service) decrypt(name string, v *version) (string, error) {
	sealed, err := base64.StdEncoding.DecodeString(v.Value)
	if err == nil && len(sealed) < s.seal.NonceSize() {
		err = errors.New("too short")
	}
	var plain []byte
	if err == nil {
		plain, err = s.seal.Open(nil, sealed[:s.seal.NonceSize()], sealed[s.seal.NonceSize():], additional(name, v.Number))
	}
	if err != nil {
		return "", fault("InvalidKeyId", "The value of %s cannot be decrypted with the key of this server.", name)
	}
	return string(plain), nil
}

// additional binds an encrypted value to where it belongs.
func additional(name string, number int64) []byte {
	return []byte(name + ":" + strconv.FormatInt(number, 10))
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
