#include "textflag.h"

// initProgram is the body of the supervisor (see init_linux.go), a program without a stack frame, a
// library or a runtime. It starts with the stack that the kernel gives to a new program: argc, argv, NULL, envp.
//
// Registers: R12 command, R13 environment, R14 pid of the command. The report is built at 0(SP): kind,
// value (4 bytes each), then what wait4 writes as struct rusage.
TEXT ·initProgram(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ 0(SP), R8
	LEAQ 16(SP), R12           // &argv[1]
	LEAQ 16(SP)(R8*8), R13     // &envp[0]
	SUBQ $192, SP

	// mount("proc", "/proc", "proc", MS_NOSUID|MS_NODEV|MS_NOEXEC, NULL); failing is harmless.
	MOVQ $0x636f7270, AX       // "proc"
	MOVQ AX, 160(SP)
	MOVQ $0x636f72702f, AX     // "/proc"
	MOVQ AX, 168(SP)
	LEAQ 160(SP), DI
	LEAQ 168(SP), SI
	LEAQ 160(SP), DX
	MOVQ $14, R10
	XORL R8, R8
	MOVL $165, AX
	SYSCALL

	MOVL $57, AX               // fork()
	SYSCALL
	TESTQ AX, AX
	JS   failed
	JZ   child
	MOVQ AX, R14

wait:                              // wait4(-1, &value, 0, &rusage): orphans of the command end up here too
	MOVQ $-1, DI
	LEAQ 4(SP), SI
	XORL DX, DX
	LEAQ 8(SP), R10
	MOVL $61, AX
	SYSCALL
	CMPQ AX, $-10              // ECHILD
	JEQ  exit
	CMPQ AX, R14
	JNE  wait
	MOVL $0, 0(SP)             // kind: ended
	MOVL $152, DX
	JMP  report

child:
	MOVL $47, DI               // prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	MOVL $4, SI
	XORL DX, DX
	XORL R10, R10
	XORL R8, R8
	MOVL $157, AX
	SYSCALL
	MOVL $3, DI                // fcntl(3, F_SETFD, FD_CLOEXEC)
	MOVL $2, SI
	MOVL $1, DX
	MOVL $72, AX
	SYSCALL
	MOVL $3, DI                // close_range(3, UINT_MAX, CLOSE_RANGE_CLOEXEC); an old kernel does not know it
	MOVL $-1, SI
	MOVL $4, DX
	MOVL $436, AX
	SYSCALL
	MOVQ 0(R12), DI            // execve(argv[1], &argv[1], envp)
	MOVQ R12, SI
	MOVQ R13, DX
	MOVL $59, AX
	SYSCALL

failed:                            // AX is -errno
	NEGQ AX
	MOVL AX, 4(SP)
	MOVL $1, 0(SP)             // kind: not started
	MOVL $8, DX

report:
	MOVL $3, DI                // write(3, report, DX)
	MOVQ SP, SI
	MOVL $1, AX
	SYSCALL

exit:
	XORL DI, DI
	MOVL $231, AX              // exit_group(0)
	SYSCALL
	LONG $0x49524553           // "SERINEND"
	LONG $0x444e454e

// func initCode() unsafe.Pointer
TEXT ·initCode(SB), NOSPLIT, $0-8
	LEAQ ·initProgram(SB), AX
	MOVQ AX, ret+0(FP)
	RET
