package tracing

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"serin"
)

const (
	w3c    = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	asXRay = "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=1"
)

func TestFromHeader(t *testing.T) {
	for _, tt := range []struct{ xray, parent, want string }{
		{"", "", ""},
		{"", w3c, asXRay},
		{"", strings.TrimSuffix(w3c, "01") + "00", strings.TrimSuffix(asXRay, "1") + "0"},
		{"Root=1-5759e988-bd862e3fe1be46a994272793", w3c, "Root=1-5759e988-bd862e3fe1be46a994272793"},
		{"", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", ""},
		{"", "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01", ""},
		{"", "nonsense", ""},
	} {
		h := http.Header{}
		if tt.xray != "" {
			h.Set("X-Amzn-Trace-Id", tt.xray)
		}
		if tt.parent != "" {
			h.Set("Traceparent", tt.parent)
		}
		if got := FromHeader(h); got != tt.want {
			t.Errorf("%q, %q: %q, want %q", tt.xray, tt.parent, got, tt.want)
		}
	}
}

func TestParseXRay(t *testing.T) {
	const root, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	for _, tt := range []struct{ header, root, parent, sampled string }{
		{asXRay, root, parent, "1"},
		{" Self=1-67891234-12456789abcdef012345678a ; Sampled=? ;Root=1-4bf92f35-77b34da6a3ce929d0e0e4736; Lineage=a:0", root, "", "?"},
		{"Root=2-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7", "", parent, ""},
		{"Root=1-4bf92f3577b34da6a3ce929d0e0e47361;Parent=0", "", "", ""},
		{"Root=1-00000000-000000000000000000000000", "", "", ""},
		{"=;;=;Root", "", "", ""},
	} {
		x := parseXRay(tt.header)
		got := [3]string{"", "", x.sampled}
		if x.root.IsValid() {
			got[0] = x.root.String()
		}
		if x.parent.IsValid() {
			got[1] = x.parent.String()
		}
		if want := [3]string{tt.root, tt.parent, tt.sampled}; got != want {
			t.Errorf("%q: %q, want %q", tt.header, got, want)
		}
	}
}

// What a caller says of its trace is either understood or none; whatever a function is told can be understood again.
func FuzzContext(f *testing.F) {
	for _, seed := range []string{asXRay, w3c, "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0", ";;;=", "Root=1-;Parent=\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if made := fromW3C(header); made != "" {
			if x := parseXRay(made); !x.root.IsValid() || !x.parent.IsValid() {
				t.Errorf("%q became %q", header, made)
			}
		}
		if x := parseXRay(header); x.root.IsValid() && !strings.Contains(header, x.root.String()[8:]) && !strings.Contains(strings.ToLower(header), x.root.String()[8:]) {
			t.Errorf("%q: root %s", header, x.root)
		}
	})
}

func TestSettings(t *testing.T) {
	for name, tt := range map[string]struct {
		url   string
		env   map[string]string
		fails string
		sends bool
	}{
		"nothing":                 {},
		"a flag":                  {url: "http://127.0.0.1:1", sends: true},
		"the environment":         {env: map[string]string{envEndpoint: "http://127.0.0.1:1"}, sends: true},
		"traces alone":            {env: map[string]string{envTracesEndpoint: "http://127.0.0.1:1/t"}, sends: true},
		"disabled":                {url: "http://127.0.0.1:1", env: map[string]string{envDisabled: "TRUE"}},
		"no exporters":            {env: map[string]string{envEndpoint: "http://127.0.0.1:1", envTraces: "none", envMetrics: "none"}},
		"gRPC":                    {env: map[string]string{envEndpoint: "http://127.0.0.1:1", envProtocol: "grpc"}, fails: "http/protobuf"},
		"a flag that is no URL":   {url: "127.0.0.1:4318", fails: "http://127.0.0.1:4318"},
		"disabled with nonsense":  {url: "x", env: map[string]string{envDisabled: "true"}},
		"a flag that wins a gRPC": {url: "http://127.0.0.1:1", env: map[string]string{envProtocol: "grpc"}, sends: true},
	} {
		tracer, err := Start(t.Context(), Settings{URL: tt.url, Getenv: func(name string) string { return tt.env[name] }}, serin.Place{}, slog.New(slog.DiscardHandler))
		switch {
		case tt.fails != "":
			if serin.KindOf(err) != serin.KindInvalid || !strings.Contains(err.Error(), tt.fails) {
				t.Errorf("%s: %v", name, err)
			}
		case err != nil, (tracer != nil) != tt.sends:
			t.Errorf("%s: %v, %v", name, tracer, err)
		}
		if err := tracer.Close(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// BenchmarkInvocation is what a traced invocation costs, with a collector that takes everything.
func BenchmarkInvocation(b *testing.B) {
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer collector.Close()
	tracer, err := Start(b.Context(), Settings{URL: collector.URL}, serin.Place{}, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	for name, context := range map[string]string{"kept": asXRay, "not kept": strings.TrimSuffix(asXRay, "1") + "0"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				span := tracer.Invocation(&Call{Context: context, RequestID: "id", ARN: "arn", Function: "shop", Version: "1", Alias: "live", Start: time.Now()})
				_ = span.Context(context)
				span.End(Ended{Duration: time.Millisecond})
			}
		})
	}
	if err := tracer.Close(b.Context()); err != nil {
		b.Error(err)
	}
}
