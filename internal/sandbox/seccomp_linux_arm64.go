package sandbox

// refusedHere lists the refused system calls that other architectures do not have.
func refusedHere() []uint32 { return nil }
