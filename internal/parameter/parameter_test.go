package parameter

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"serin"
	"serin/internal/store"
)

func newService(t *testing.T, st *store.Store, key byte) *Service {
	t.Helper()
	s, err := New(Config{
		Place: serin.Place{Region: "us-east-1", Account: "000000000000"}, Store: st, Key: bytes.Repeat([]byte{key}, 32), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openStore(t *testing.T) *store.Store {
	t.Helper()
	st, err := store.Open(t.Context(), store.Config{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st
}

func (s *Service) put(t *testing.T, in ssm.PutParameterInput) (int64, error) {
	t.Helper()
	out, err := s.PutParameter(t.Context(), &in)
	if err != nil {
		return 0, err
	}
	return out.Version, nil
}

func TestPutParameterRefuses(t *testing.T) {
	s := newService(t, openStore(t), 1)
	for name, c := range map[string]struct {
		in   ssm.PutParameterInput
		want string
	}{
		"no name":          {ssm.PutParameterInput{Value: aws.String("v")}, "length between"},
		"reserved":         {ssm.PutParameterInput{Name: aws.String("/Aws/x"), Value: aws.String("v")}, "prefixed"},
		"relative":         {ssm.PutParameterInput{Name: aws.String("a/b"), Value: aws.String("v")}, "fully qualified"},
		"empty level":      {ssm.PutParameterInput{Name: aws.String("/a//b"), Value: aws.String("v")}, "level"},
		"deep":             {ssm.PutParameterInput{Name: aws.String(strings.Repeat("/a", 16)), Value: aws.String("v")}, "maximum of 15"},
		"letters":          {ssm.PutParameterInput{Name: aws.String("a b"), Value: aws.String("v")}, "only a-z"},
		"no value":         {ssm.PutParameterInput{Name: aws.String("a")}, "'value'"},
		"large":            {ssm.PutParameterInput{Name: aws.String("a"), Value: aws.String(strings.Repeat("v", 4097))}, "4096"},
		"type":             {ssm.PutParameterInput{Name: aws.String("a"), Value: aws.String("v"), Type: "Text"}, "enum"},
		"tier":             {ssm.PutParameterInput{Name: aws.String("a"), Value: aws.String("v"), Tier: "Best"}, "enum"},
		"pattern":          {ssm.PutParameterInput{Name: aws.String("a"), Value: aws.String("v"), AllowedPattern: aws.String(`^\d+$`)}, "allowedPattern"},
		"no pattern":       {ssm.PutParameterInput{Name: aws.String("a"), Value: aws.String("v"), AllowedPattern: aws.String(`(`)}, "regular expression"},
		"tags, overwrite":  {ssm.PutParameterInput{Name: aws.String("a"), Value: aws.String("v"), Overwrite: aws.Bool(true), Tags: []types.Tag{{Key: aws.String("k")}}}, "overwrite"},
		"tag without name": {ssm.PutParameterInput{Name: aws.String("a"), Value: aws.String("v"), Tags: []types.Tag{{}}}, "tags"},
	} {
		if _, err := s.put(t, c.in); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	if _, err := s.put(t, ssm.PutParameterInput{Name: aws.String("a"), Value: aws.String(strings.Repeat("v", 4097)), Tier: types.ParameterTierIntelligentTiering}); err != nil {
		t.Error(err)
	}
}

// Values of SecureString are not on the disk, and cannot be read with another key or moved to another name.
func TestSecureString(t *testing.T) {
	st := openStore(t)
	s := newService(t, st, 1)
	if _, err := s.put(t, ssm.PutParameterInput{Name: aws.String("a"), Value: aws.String("s3cret"), Type: types.ParameterTypeSecureString}); err != nil {
		t.Fatal(err)
	}
	d, err := st.Document(t.Context(), "ssm.parameter", "a")
	if err != nil || strings.Contains(string(d.Body), "s3cret") {
		t.Errorf("%s %v", d.Body, err)
	}
	if p, err := s.get(t.Context(), "a", true); err != nil || *p.Value != "s3cret" {
		t.Errorf("%v %v", p, err)
	}
	if _, err := newService(t, st, 2).get(t.Context(), "a", true); !isFault(err, "InvalidKeyId") {
		t.Errorf("with another key: %v", err)
	}
	p, err := s.records.Get(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	p.Name = "b"
	if _, err := s.shown(p, p.last(), true); !isFault(err, "InvalidKeyId") {
		t.Errorf("under another name: %v", err)
	}
}

// Every one of many writers gets a version of its own; the last hundred stay, and a label keeps its version from going.
func TestVersionsOfAParameter(t *testing.T) {
	s := newService(t, openStore(t), 1)
	var all sync.WaitGroup
	var mu sync.Mutex
	seen := map[int64]int{}
	for range 4 {
		all.Go(func() {
			for range 26 {
				n, err := s.put(t, ssm.PutParameterInput{Name: aws.String("a"), Value: aws.String("v"), Overwrite: aws.Bool(true)})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				seen[n]++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if len(seen) != 104 || seen[1] != 1 || seen[104] != 1 {
		t.Errorf("%d versions", len(seen))
	}
	if _, err := s.get(t.Context(), "a:4", false); !isFault(err, "ParameterVersionNotFound") {
		t.Errorf("version 4 of 104: %v", err)
	}
	labels := []string{"keep", "9x", "aws:x"}
	out, err := s.LabelParameterVersion(t.Context(), &ssm.LabelParameterVersionInput{Name: aws.String("a"), ParameterVersion: aws.Int64(5), Labels: labels})
	if err != nil || fmt.Sprint(out.InvalidLabels) != "[9x aws:x]" {
		t.Errorf("%v %v", out, err)
	}
	if _, err := s.put(t, ssm.PutParameterInput{Name: aws.String("a"), Value: aws.String("v"), Overwrite: aws.Bool(true)}); !isFault(err, "ParameterMaxVersionLimitExceeded") {
		t.Errorf("a version that pushes a label out: %v", err)
	}
}
