package sandbox

import "golang.org/x/sys/unix"

// refusedHere lists the refused system calls that other architectures do not have.
func refusedHere() []uint32 {
	return []uint32{unix.SYS_IOPL, unix.SYS_IOPERM, unix.SYS_USELIB, unix.SYS_USTAT, unix.SYS_SYSFS, unix.SYS__SYSCTL, unix.SYS_CREATE_MODULE, unix.SYS_MODIFY_LDT}
}
