package sandbox

import (
	"os"
	"testing"
)

func BenchmarkStages(b *testing.B) {
	h, err := Open(Config{Dir: b.TempDir() + "/s", Runtime: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	null, _ := os.OpenFile("/dev/null", os.O_WRONLY, 0)
	for name, upto := range map[string]int{"new": 0, "enter": 1, "start": 2} {
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			for b.Loop() {
				if upto > 0 {
					b.StopTimer()
				}
				s, err := h.New()
				if err != nil {
					b.Fatal(err)
				}
				if upto == 1 {
					b.StartTimer()
				}
				if upto > 0 {
					if _, err := s.Enter(&Contents{Task: dir, TmpMB: 64, MemoryMB: 128}); err != nil {
						b.Fatal(err)
					}
				}
				if upto == 2 {
					b.StartTimer()
					p, err := s.Start(&Command{Path: "/bin/true", Args: []string{"true"}, Dir: "/", Output: null})
					if err != nil {
						b.Fatal(err)
					}
					<-p.Done()
				}
				b.StopTimer()
				s.Close()
				b.StartTimer()
			}
		})
	}
}
