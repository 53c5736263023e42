//go:build linux && (amd64 || arm64)

package executor

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"unsafe"
)

// The supervisor is pid 1 of the pid namespace that an environment's processes live in. The kernel kills the
// whole namespace with it, and the runtime that it starts has the signals, the orphans and the exit status of
// an ordinary process, which a runtime as pid 1 would not. It is a static program of a few hundred bytes,
// because every environment has one: the machine code of initProgram behind an ELF header.
//
// It is called as: init COMMAND [ARGUMENT...], and reports on descriptor 3, in the byte order of the machine:
//
//	kind uint32 = 1, errno uint32                          the command could not be started
//	kind uint32 = 0, wait status uint32, struct rusage     the command ended
//
// It mounts /proc of the new namespace first, which only works in a mount namespace of its own, and leaves the
// command no descriptor beyond standard error: the server may have inherited some from what started it.

// initProgram is not a function to call: it is the code that starts at the entry point of the supervisor.
//
//nolint:unused // initCode finds it
func initProgram()

// initCode returns where the code of initProgram begins.
func initCode() unsafe.Pointer

// endOfInit follows the last instruction of initProgram.
const endOfInit = "SERINEND"

// initBinary returns the supervisor as an executable file.
func initBinary() ([]byte, error) {
	text := unsafe.Slice((*byte)(initCode()), 4096)
	code, _, found := bytes.Cut(text, []byte(endOfInit))
	if !found {
		return nil, errors.New("the code of the supervisor has no end")
	}
	return elfImage(code), nil
}

// elfImage wraps position-independent code into an ELF executable: one segment that is read and executed, and
// a mark that the stack is not executable.
func elfImage(code []byte) []byte {
	const (
		headerSize  = 64
		programSize = 56
		codeOffset  = headerSize + 2*programSize
		address     = 0x400000
		alignment   = 0x10000
	)
	machine := map[string]uint16{"amd64": 62, "arm64": 183}[runtime.GOARCH]
	var b bytes.Buffer
	put := func(values ...any) {
		for _, v := range values {
			// Writing fixed-size integers to a buffer cannot fail.
			_ = binary.Write(&b, binary.LittleEndian, v)
		}
	}
	b.WriteString("\x7fELF\x02\x01\x01")
	b.Write(make([]byte, 9))
	put(uint16(2), machine, uint32(1), uint64(address+codeOffset), uint64(headerSize), uint64(0), uint32(0))
	put(uint16(headerSize), uint16(programSize), uint16(2), uint16(64), uint16(0), uint16(0))
	size := uint64(codeOffset + len(code))
	put(uint32(1), uint32(5), uint64(0), uint64(address), uint64(address), size, size, uint64(alignment))
	put(uint32(0x6474e551), uint32(6), uint64(0), uint64(0), uint64(0), uint64(0), uint64(0), uint64(16))
	b.Write(code)
	return b.Bytes()
}
