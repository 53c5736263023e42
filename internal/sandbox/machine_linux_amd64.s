#include "textflag.h"

// machineCode is the body of the machine (see machine_linux.go): a program without a stack frame, a library or a
// runtime. BX points to the instruction that runs: number, six arguments, where the result goes, and where to go
// on if it is negative, zero, positive.
TEXT ·machineCode(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ $0x10000000, BX       // dataAddress

step:
	MOVQ 0(BX), AX
	MOVQ 8(BX), DI
	CMPQ AX, $-1               // move
	JNE  call
	MOVQ DI, AX
	JMP  result

call:
	MOVQ 16(BX), SI
	MOVQ 24(BX), DX
	MOVQ 32(BX), R10
	MOVQ 40(BX), R8
	MOVQ 48(BX), R9
	SYSCALL

result:
	MOVQ 56(BX), CX
	MOVQ AX, 0(CX)
	TESTQ AX, AX
	JS   negative
	JZ   zero
	MOVQ 80(BX), BX
	JMP  step

negative:
	MOVQ 64(BX), BX
	JMP  step

zero:
	MOVQ 72(BX), BX
	JMP  step
	LONG $0x49524553           // "SERINEND"
	LONG $0x444e454e

// func machineStart() unsafe.Pointer
TEXT ·machineStart(SB), NOSPLIT, $0-8
	LEAQ ·machineCode(SB), AX
	MOVQ AX, ret+0(FP)
	RET
