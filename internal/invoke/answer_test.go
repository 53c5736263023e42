package invoke

import "testing"

func TestServerError(t *testing.T) {
	for answer, want := range map[string]bool{
		``:                               false,
		`null`:                           false,
		`"statusCode"`:                   false,
		`{"statusCode":500}`:             true,
		`{"body":"x","statusCode": 503}`: true,
		`{"statusCode":"502"}`:           true,
		`{"statusCode":599.5}`:           false,
		`{"statusCode":600}`:             false,
		`{"statusCode":499}`:             false,
		`{"statusCode":200,"body":"{\"statusCode\":500}"}`: false,
		`{"inner":{"statusCode":500}}`:                     false,
		`[{"statusCode":500}]`:                             false,
		`{"statusCode":500`:                                true, // cut short: the member itself was complete
		`{"statusCode":null}`:                              false,
		`{"statusCode":[500]}`:                             false,
		`{"headers":{},"statusCode":500,"body":"down"}`:    true,
	} {
		if got := serverError([]byte(answer)); got != want {
			t.Errorf("serverError(%s) = %v, want %v", answer, got, want)
		}
	}
}

func FuzzServerError(f *testing.F) {
	f.Add([]byte(`{"statusCode":500}`))
	f.Add([]byte(`{"a":{"statusCode":"500"}}`))
	f.Fuzz(func(_ *testing.T, answer []byte) { serverError(answer) })
}

func BenchmarkServerError(b *testing.B) {
	answer := []byte(`{"statusCode":200,"headers":{"content-type":"application/json"},"body":"{\"hello\":\"world\"}"}`)
	b.ReportAllocs()
	for b.Loop() {
		serverError(answer)
	}
}
