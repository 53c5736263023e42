//go:build linux && (amd64 || arm64)

package sandbox

import (
	"runtime"
	"slices"

	"golang.org/x/sys/unix"
)

// refused lists the system calls that administer a machine, look into other processes or are a large part of the
// kernel that functions have no use for.
func refused() []uint32 {
	return append(refusedHere(),
		unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT,
		unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_MOUNT_SETATTR, unix.SYS_QUOTACTL,
		unix.SYS_UNSHARE, unix.SYS_SETNS,
		unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_KCMP, unix.SYS_PIDFD_GETFD,
		unix.SYS_PROCESS_MADVISE, unix.SYS_MOVE_PAGES, unix.SYS_MIGRATE_PAGES,
		unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_FANOTIFY_INIT,
		unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
		unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY,
		unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_LOOKUP_DCOOKIE,
		unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD,
		unix.SYS_REBOOT, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_ACCT, unix.SYS_SYSLOG, unix.SYS_VHANGUP, unix.SYS_NFSSERVCTL,
		unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_CLOCK_ADJTIME, unix.SYS_ADJTIMEX,
		unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME,
	)
}

// newNamespaces are the flags of clone that make a namespace.
const newNamespaces = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET |
	unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// tiocsti is the request of ioctl that types into a terminal.
const tiocsti = 0x5412

// Offsets in struct seccomp_data. An argument has its lower half first on both architectures.
const (
	dataNumber = 0
	dataArch   = 4
	dataArgs   = 16
)

// filterBuilder collects the instructions of a filter, in which each rule returns or falls through.
type filterBuilder []unix.SockFilter

func (f *filterBuilder) load(offset uint32) {
	*f = append(*f, unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset})
}

// give ends the filter with an action, unless a comparison has skipped it.
func (f *filterBuilder) give(action uint32) {
	*f = append(*f, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action})
}

// when compares what has been loaded and skips n instructions if it is not so.
func (f *filterBuilder) when(comparison uint16, k uint32, n uint8) {
	*f = append(*f, unix.SockFilter{Code: unix.BPF_JMP | comparison | unix.BPF_K, Jf: n, K: k})
}

// seccompFilter returns the filter of everything that runs in a sandbox.
func seccompFilter() []unix.SockFilter {
	refuse := uint32(unix.SECCOMP_RET_ERRNO | int(unix.EPERM))
	var f filterBuilder
	f.load(dataArch)
	f.when(unix.BPF_JEQ, map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH], 1)
	f = append(f, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JA, K: 1})
	f.give(unix.SECCOMP_RET_KILL_PROCESS)
	f.load(dataNumber)
	f.when(unix.BPF_JGE, 0x40000000, 1) // x32
	f.give(unix.SECCOMP_RET_KILL_PROCESS)
	// Its flags are behind a pointer, where no filter can see them. C libraries fall back to clone.
	f.when(unix.BPF_JEQ, unix.SYS_CLONE3, 1)
	f.give(uint32(unix.SECCOMP_RET_ERRNO | int(unix.ENOSYS)))
	for _, number := range slices.Sorted(slices.Values(refused())) {
		f.when(unix.BPF_JEQ, number, 1)
		f.give(refuse)
	}
	f.when(unix.BPF_JEQ, unix.SYS_CLONE, 4)
	f.load(dataArgs)
	f.when(unix.BPF_JSET, newNamespaces, 1)
	f.give(refuse)
	f.give(unix.SECCOMP_RET_ALLOW)
	f.when(unix.BPF_JEQ, unix.SYS_IOCTL, 4)
	f.load(dataArgs + 8)
	f.when(unix.BPF_JEQ, tiocsti, 1)
	f.give(refuse)
	f.give(unix.SECCOMP_RET_ALLOW)
	f.when(unix.BPF_JEQ, unix.SYS_SOCKET, 7)
	f.load(dataArgs)
	for _, family := range []uint32{unix.AF_VSOCK, unix.AF_ALG, unix.AF_PACKET} {
		f.when(unix.BPF_JEQ, family, 1)
		f.give(refuse)
	}
	f.give(unix.SECCOMP_RET_ALLOW)
	return f
}
