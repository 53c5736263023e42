package awsapi

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"
)

type colour string

func TestPlainOutput(t *testing.T) {
	type inner struct{ Name *string }
	out := &struct {
		Text    *string
		Absent  *string
		Colour  colour
		None    colour
		When    *time.Time
		Count   *int32
		Yes     bool
		List    []inner
		Empty   []string
		Nil     []string
		Map     map[string]string
		private string
		ResultMetadata
	}{
		Text: aws.String("<&>\x00"), Colour: "red", When: aws.Time(time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)), Count: aws.Int32(0),
		List: []inner{{aws.String("a")}, {}}, Empty: []string{}, Map: map[string]string{"b": "2", "a": "1"}, private: "p",
	}
	got, err := encodePlain(t.Context(), &rpcOperation{name: "Get"}, plainOutput{out})
	if err != nil {
		t.Fatal(err)
	}
	want := "<GetOutput><Text>&lt;&amp;&gt;\uFFFD</Text><Colour>red</Colour><When>2026-01-02T03:04:05.006Z</When><Count>0</Count><Yes>false</Yes>" +
		"<List><member><Name>a</Name></member><member></member></List><Empty></Empty>" +
		"<Map><entry><key>a</key><value>1</value></entry><entry><key>b</key><value>2</value></entry></Map></GetOutput>"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	if got, err := encodePlain(t.Context(), &rpcOperation{name: "Delete"}, plainOutput{&struct{ ResultMetadata }{}}); string(got) != "<DeleteOutput></DeleteOutput>" || err != nil {
		t.Errorf("an output without members: %s %v", got, err)
	}
	if _, err := encodePlain(t.Context(), &rpcOperation{name: "Get"}, plainOutput{&struct{ C chan int }{make(chan int)}}); err == nil {
		t.Error("a channel was written")
	}
}

// ResultMetadata stands for the SDK's, which is not on the wire.
type ResultMetadata struct{ Values map[string]string }
