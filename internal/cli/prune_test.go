package cli

import "testing"

func TestStorageLine(t *testing.T) {
	for want, used := range map[string]int64{
		"storage 750 B of 75.0 GB (under 0.1 %)": 750,
		"storage 15.0 GB of 75.0 GB (20.0 %)":    15e9,
		"storage 61.2 GB of 75.0 GB (81.6 %); make room before nothing can be published any more: serin prune --all": 61.2e9,
	} {
		if got := storageLine(used, 75e9); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
