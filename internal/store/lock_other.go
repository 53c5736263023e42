//go:build !unix

package store

import (
	"fmt"
	"os"
	"runtime"
)

// lockDir refuses: without flock and without syncing directories nothing that this package promises holds.
func lockDir(string) (*os.File, error) {
	return nil, fmt.Errorf("a server cannot keep its data on %s; run it on Linux or another Unix", runtime.GOOS)
}
