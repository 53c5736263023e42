#include "textflag.h"

// machineCode is the body of the machine (see machine_linux.go): a program without a stack frame, a library or a
// runtime. R19 points to the instruction that runs: number, six arguments, where the result goes, and where to go
// on if it is negative, zero, positive.
TEXT ·machineCode(SB), NOSPLIT|NOFRAME, $0-0
	MOVD $0x10000000, R19      // dataAddress

step:
	MOVD 0(R19), R8
	MOVD 8(R19), R0
	CMN  $1, R8                // move
	BEQ  result
	MOVD 16(R19), R1
	MOVD 24(R19), R2
	MOVD 32(R19), R3
	MOVD 40(R19), R4
	MOVD 48(R19), R5
	SVC

result:
	MOVD 56(R19), R9
	MOVD R0, 0(R9)
	CMP  $0, R0
	BLT  negative
	BEQ  zero
	MOVD 80(R19), R19
	B    step

negative:
	MOVD 64(R19), R19
	B    step

zero:
	MOVD 72(R19), R19
	B    step
	WORD $0x49524553           // "SERINEND"
	WORD $0x444e454e

// func machineStart() unsafe.Pointer
TEXT ·machineStart(SB), NOSPLIT, $0-8
	MOVD $·machineCode(SB), R0
	MOVD R0, ret+0(FP)
	RET
