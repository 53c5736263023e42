#include "textflag.h"

// initProgram is the body of the supervisor (see init_linux.go), a program without a stack frame, a
// library or a runtime. It starts with the stack that the kernel gives to a new program: argc, argv, NULL, envp.
//
// Registers: R19 command, R20 environment, R21 pid of the command. The report is built at 0(RSP): kind,
// value (4 bytes each), then what wait4 writes as struct rusage.
TEXT ·initProgram(SB), NOSPLIT|NOFRAME, $0-0
	MOVD 0(RSP), R9
	ADD  $16, RSP, R19         // &argv[1]
	ADD  R9<<3, R19, R20       // &envp[0]
	SUB  $192, RSP, RSP

	// mount("proc", "/proc", "proc", MS_NOSUID|MS_NODEV|MS_NOEXEC, NULL); failing is harmless.
	MOVD $0x636f7270, R9       // "proc"
	MOVD R9, 160(RSP)
	MOVD $0x636f72702f, R9     // "/proc"
	MOVD R9, 168(RSP)
	ADD  $160, RSP, R0
	ADD  $168, RSP, R1
	ADD  $160, RSP, R2
	MOVD $14, R3
	MOVD $0, R4
	MOVD $40, R8
	SVC

	MOVD $17, R0               // clone(SIGCHLD, 0, 0, 0, 0)
	MOVD $0, R1
	MOVD $0, R2
	MOVD $0, R3
	MOVD $0, R4
	MOVD $220, R8
	SVC
	CMP  $0, R0
	BLT  failed
	BEQ  child
	MOVD R0, R21

wait:                              // wait4(-1, &value, 0, &rusage): orphans of the command end up here too
	MOVD $-1, R0
	ADD  $4, RSP, R1
	MOVD $0, R2
	ADD  $8, RSP, R3
	MOVD $260, R8
	SVC
	CMN  $10, R0               // ECHILD
	BEQ  exit
	CMP  R21, R0
	BNE  wait
	MOVW ZR, 0(RSP)            // kind: ended
	MOVD $152, R2
	B    report

child:
	MOVD $47, R0               // prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	MOVD $4, R1
	MOVD $0, R2
	MOVD $0, R3
	MOVD $0, R4
	MOVD $167, R8
	SVC
	MOVD $3, R0                // fcntl(3, F_SETFD, FD_CLOEXEC)
	MOVD $2, R1
	MOVD $1, R2
	MOVD $25, R8
	SVC
	MOVD $3, R0                // close_range(3, UINT_MAX, CLOSE_RANGE_CLOEXEC); an old kernel does not know it
	MOVD $0xffffffff, R1
	MOVD $4, R2
	MOVD $436, R8
	SVC
	MOVD 0(R19), R0            // execve(argv[1], &argv[1], envp)
	MOVD R19, R1
	MOVD R20, R2
	MOVD $221, R8
	SVC

failed:                            // R0 is -errno
	NEG  R0, R0
	MOVW R0, 4(RSP)
	MOVD $1, R9
	MOVW R9, 0(RSP)            // kind: not started
	MOVD $8, R2

report:
	MOVD $3, R0                // write(3, report, R2)
	MOVD RSP, R1
	MOVD $64, R8
	SVC

exit:
	MOVD $0, R0
	MOVD $94, R8               // exit_group(0)
	SVC
	WORD $0x49524553           // "SERINEND"
	WORD $0x444e454e

// func initCode() unsafe.Pointer
TEXT ·initCode(SB), NOSPLIT, $0-8
	MOVD $·initProgram(SB), R0
	MOVD R0, ret+0(FP)
	RET
