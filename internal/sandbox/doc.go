// Package sandbox gives processes a place of their own on this machine: what an execution environment of a function
// is made of. It knows nothing of functions.
//
// A [Host] finds out once what the kernel grants and makes sandboxes. A [Sandbox] is prepared before anybody knows what
// for, then gets its contents ([Sandbox.Enter]) and runs commands ([Sandbox.Start]):
//
//	Host        what the kernel grants; spare sandboxes               host.go, host_linux.go
//	Sandbox     one place with its processes                          sandbox.go, isolated_linux.go, plain.go
//	machine     pid 1 of a sandbox, which runs lists of system calls  machine_linux*, boot_linux.go
//	programs    what a sandbox is, as such lists                      programs_linux.go, seccomp_linux.go
//	root        the files that a sandbox shows                        root_linux.go
//	cgroup      memory, CPU share, number of processes, freezing      cgroup*_linux.go
//
// # What is in a sandbox
//
// User, mount, pid, ipc, uts and network namespaces of its own. Its files are the host's /usr, a few files of /etc
// and devices, all read-only, an empty /tmp of a given size, the code at /var/task, layers at /opt and the runtime at
// /var/runtime; its only network is a loopback interface, on which the server listens, and, if the server lets
// functions out, a TUN device that the server serves. Its processes have a user id of their own (unless the
// server is not root: then they have the server's, in a user namespace in which nothing else has it), no capability
// and no way to get one, a filter that refuses the system calls that administer a machine, limits on memory, processes
// and open files, and a share of the CPU in proportion to their memory. They end with pid 1, and that with the server.
//
// # How it is made
//
// The server forks the machine into the new namespaces and sends it the set-up as a program. The machine then forks
// once: the twin keeps the privileges that mounting needs until Enter, while pid 1, and with it everything that
// it will ever start, gives them up. So an interpreter can be started before the code is known.
//
// # What if the kernel refuses
//
// Without namespaces the place is a process group (plain.go). [Host.Protections] says what is missing, and why.
package sandbox
