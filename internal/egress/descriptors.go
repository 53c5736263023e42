package egress

import "golang.org/x/sys/unix"

// halfOfDescriptors is half of the descriptors that the process may open.
func halfOfDescriptors() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return defaultConnections
	}
	return int(min(uint64(limit.Cur), 1<<20) / 2) //nolint:unconvert // its type differs between systems
}
