package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"serin"
	"serin/internal/store"
	"serin/internal/store/storetest"
)

// BenchmarkFsync is what a durable write of 1 KB costs on this disk: the yardstick of the other benchmarks.
func BenchmarkFsync(b *testing.B) {
	sync := fsyncer(b)
	var all durations
	for b.Loop() {
		all.measure(sync)
	}
	all.report(b)
}

// BenchmarkAliasPerFsync takes turns between an update of an alias and a durable write of 1 KB, so that
// whatever else the disk is doing slows down both, and reports how many times as long the update takes.
func BenchmarkAliasPerFsync(b *testing.B) {
	s := open(b, sqliteDatabase().config(b))
	grow(b, s, "f", 10)
	sync := fsyncer(b)
	var updates, syncs durations
	v := serin.VersionNumber(0)
	for b.Loop() {
		v = v%10 + 1
		updates.measure(func() { update(b, s, "f", route("live", v, serin.CauseStep)) })
		syncs.measure(sync)
	}
	b.ReportMetric(float64(updates.percentile(50))/float64(syncs.percentile(50)), "×fsync-p50")
	b.ReportMetric(float64(updates.percentile(50).Microseconds()), "µs-update-p50")
	b.ReportMetric(float64(syncs.percentile(50).Microseconds()), "µs-fsync-p50")
}

// fsyncer returns a function that appends 1 KB to a file and syncs it.
func fsyncer(b *testing.B) func() {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "file"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	data := make([]byte, 1024)
	return func() {
		if _, err := f.Write(data); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUpdateAlias moves an alias of a function with ten versions.
func BenchmarkUpdateAlias(b *testing.B) {
	onBoth(b, func(b *testing.B, d database) {
		b.Helper()
		for _, writers := range []int{1, 64} {
			b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) { benchUpdateAlias(b, d, writers) })
		}
	})
}

func benchUpdateAlias(b *testing.B, d database, writers int) {
	b.Helper()
	s := open(b, d.config(b))
	for w := range writers {
		grow(b, s, fmt.Sprint("f", w), 10)
	}
	var all durations
	var next atomic.Int64
	b.ResetTimer()
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				all.measure(func() {
					if _, _, err := s.UpdateFunction(b.Context(), fmt.Sprint("f", w), route("live", serin.VersionNumber(1+i%10), serin.CauseStep)); err != nil {
						b.Error(err)
					}
				})
			}
		})
	}
	group.Wait()
	all.report(b)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
}

// BenchmarkOpen10k opens a store of 10,000 functions with ten versions and one alias each, and reads them all.
func BenchmarkOpen10k(b *testing.B) {
	onBoth(b, func(b *testing.B, d database) {
		b.Helper()
		cfg := d.config(b)
		s := open(b, cfg)
		if err := together(func(w int) error {
			for i := w; i < 10_000; i += 64 {
				grow(b, s, fmt.Sprint("function-", i), 10)
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
		s.Close()
		for b.Loop() {
			s := open(b, cfg)
			functions, versions := 0, 0
			for f, err := range s.Functions(b.Context()) {
				if err != nil {
					b.Fatal(err)
				}
				functions++
				versions += len(f.Versions)
			}
			if functions != 10_000 || versions != 100_000 {
				b.Fatalf("%d functions and %d versions", functions, versions)
			}
			s.Close()
		}
		b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/open")
	})
}

func onBoth(b *testing.B, run func(*testing.B, database)) {
	b.Helper()
	b.Run("sqlite", func(b *testing.B) { run(b, sqliteDatabase()) })
	b.Run("postgres", func(b *testing.B) { run(b, postgresDatabase(storetest.StartPostgres(b))) })
}

// grow creates a function with that many versions and an alias.
func grow(b *testing.B, s *store.Store, name string, versions int) {
	b.Helper()
	create(b, s, name)
	update(b, s, name, func(f *serin.Function) error {
		for range versions {
			if err := publish(f); err != nil {
				return err
			}
		}
		return route("live", 1, serin.CauseManual)(f)
	})
}

// durations collects how long single operations took.
type durations struct {
	mu  sync.Mutex
	all []time.Duration
}

func (d *durations) measure(do func()) {
	began := time.Now()
	do()
	took := time.Since(began)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, took)
}

func (d *durations) percentile(percent int) time.Duration {
	slices.Sort(d.all)
	return d.all[(len(d.all)-1)*percent/100]
}

func (d *durations) report(b *testing.B) {
	b.Helper()
	for _, percent := range []int{50, 99} {
		b.ReportMetric(float64(d.percentile(percent).Microseconds()), fmt.Sprintf("µs-p%d", percent))
	}
}
