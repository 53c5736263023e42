//go:build linux && (amd64 || arm64)

package sandbox

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"unsafe"
)

// The machine is pid 1 of a sandbox: a static program of a few hundred bytes, because every sandbox has one. It knows
// nothing but how to run programs, which are lists of system calls. Its first program, the one that waits for
// others, is part of its file (see bootProgram); the server sends the rest through a socket. So what a sandbox is, is
// written in Go, in one process with one thread, as which the kernel lets it enter and leave namespaces; and as root
// or not, it is the same.

// machineCode is not a function to call: it is the code that starts at the entry point of the machine.
//
//nolint:unused // machineStart finds it
func machineCode()

// machineStart returns where machineCode begins.
func machineStart() unsafe.Pointer

// endOfMachine follows the last instruction of machineCode.
const endOfMachine = "SERINEND"

// Where things are in the memory of the machine.
const (
	codeAddress  = 0x400000
	dataAddress  = 0x10000000
	arenaAddress = dataAddress + 0x4000 // received programs
	arenaSize    = 0x20000
)

// move is the number of the instruction that stores its first argument and calls nothing.
const move = ^uint64(0)

// operand is a value of an instruction: a number, or an address that is known when the program is complete.
type operand struct {
	value uint64
	in    area
}

// area is what an operand's value is relative to.
type area uint8

const (
	absolute area = iota
	inData        // of the program
	inCode        // the value is the index of an instruction
	inResult      // the value is the index of an instruction
)

func num[T ~int | ~uint64 | ~uintptr | ~int64 | ~uint32](n T) operand {
	return operand{value: uint64(n)}
}

// at returns the address of the n-th instruction.
func at(n int) operand { return operand{uint64(n), inCode} }

// instruction is a system call and what follows it. The zero value of a branch goes on with the next instruction.
type instruction struct {
	what                     string // for messages
	number                   uint64
	args                     [6]operand
	store                    operand // default: the result of the instruction
	negative, zero, positive operand
	harmless                 bool // it may fail
}

// program is a list of instructions with the data that they use.
type program struct {
	code  []instruction
	data  []byte
	words []word
}

// word is a place in the data whose value is known when the program is complete.
type word struct {
	offset int
	value  operand
}

// add appends an instruction.
func (p *program) add(i instruction) { p.code = append(p.code, i) }

// call appends a system call that ends the program if it fails.
func (p *program) call(what string, number uintptr, args ...operand) {
	i := instruction{what: what, number: uint64(number)}
	copy(i.args[:], args)
	p.add(i)
}

// try appends a system call that may fail.
func (p *program) try(what string, number uintptr, args ...operand) {
	p.call(what, number, args...)
	p.code[len(p.code)-1].harmless = true
}

// bytes adds data and returns its address.
func (p *program) bytes(b []byte) operand {
	for len(p.data)%8 != 0 {
		p.data = append(p.data, 0)
	}
	p.data = append(p.data, b...)
	return operand{uint64(len(p.data) - len(b)), inData}
}

// text adds a string that ends with a zero byte.
func (p *program) text(s string) operand { return p.bytes(append([]byte(s), 0)) }

// value adds a value in the layout of the kernel's C structures.
func (p *program) value(v ...any) operand {
	var b bytes.Buffer
	for _, x := range v {
		// Writing values of fixed size to a buffer cannot fail.
		_ = binary.Write(&b, binary.LittleEndian, x)
	}
	return p.bytes(b.Bytes())
}

// record adds 64-bit words, such as pointers to other data.
func (p *program) record(words ...operand) operand {
	o := p.bytes(make([]byte, 8*len(words)))
	for n, w := range words {
		p.words = append(p.words, word{int(o.value) + 8*n, w}) //nolint:gosec // a small offset
	}
	return o
}

const instructionSize = 11 * 8

// assemble returns the image of a program that is loaded at an address, its code first. failure is where an
// instruction that may not fail goes on if it does.
func (p *program) assemble(base uint64, failure operand) []byte {
	data := base + uint64(len(p.code))*(instructionSize+8)
	resolve := func(o operand) uint64 {
		switch o.in {
		case inData:
			return data + o.value
		case inCode:
			return base + o.value*instructionSize
		case inResult:
			return base + uint64(len(p.code))*instructionSize + o.value*8
		default:
			return o.value
		}
	}
	image := make([]byte, 0, len(p.code)*(instructionSize+8)+len(p.data))
	for n, i := range p.code {
		next := at(n + 1)
		branch := func(o operand) operand {
			if o == (operand{}) {
				return next
			}
			return o
		}
		if i.negative == (operand{}) && !i.harmless {
			i.negative = failure
		}
		if i.store == (operand{}) {
			i.store = operand{uint64(n), inResult}
		}
		image = binary.LittleEndian.AppendUint64(image, i.number)
		for _, a := range i.args {
			image = binary.LittleEndian.AppendUint64(image, resolve(a))
		}
		for _, o := range []operand{i.store, branch(i.negative), branch(i.zero), branch(i.positive)} {
			image = binary.LittleEndian.AppendUint64(image, resolve(o))
		}
	}
	for range p.code {
		image = binary.LittleEndian.AppendUint64(image, notRun)
	}
	start := len(image)
	image = append(image, p.data...)
	for _, w := range p.words {
		binary.LittleEndian.PutUint64(image[start+w.offset:], resolve(w.value))
	}
	return image
}

// notRun is the result of an instruction that has not run: no system call returns it.
const notRun = 1 << 62

// callError is a system call of a sandbox's set-up that failed.
type callError struct {
	what  string
	errno syscall.Errno
}

func (e *callError) Error() string { return fmt.Sprintf("%s: %v", e.what, e.errno) }

func (e *callError) Unwrap() error { return e.errno }

// check finds the failure among the results of a program.
func (p *program) check(results []byte) error {
	for n, i := range p.code {
		if len(results) < 8*(n+1) {
			return nil
		}
		r := int64(binary.LittleEndian.Uint64(results[8*n:])) //nolint:gosec // a register
		if r < 0 && !i.harmless {
			return &callError{i.what, syscall.Errno(-r)} //nolint:gosec // an error number
		}
	}
	return nil
}

// machineImage returns the machine as an executable file that starts with a program.
func machineImage(boot []byte) ([]byte, error) {
	text := unsafe.Slice((*byte)(machineStart()), 4096)
	code, _, found := bytes.Cut(text, []byte(endOfMachine))
	if !found {
		return nil, errors.New("the code of the machine has no end")
	}
	if len(boot) > arenaAddress-dataAddress {
		return nil, errors.New("the boot program of the machine is too large")
	}
	return elfImage(code, boot), nil
}

// elfImage makes an ELF executable of position-independent code and data: a segment that is read and executed, one
// that is read and written and reaches to the end of the arena, and a mark that the stack is not executable.
func elfImage(code, data []byte) []byte {
	const (
		headerSize  = 64
		programSize = 56
		codeOffset  = headerSize + 3*programSize
		page        = 0x10000
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
	put(uint16(2), machine, uint32(1), uint64(codeAddress+codeOffset), uint64(headerSize), uint64(0), uint32(0))
	put(uint16(headerSize), uint16(programSize), uint16(3), uint16(64), uint16(0), uint16(0))
	size := uint64(codeOffset + len(code))
	put(uint32(1), uint32(5), uint64(0), uint64(codeAddress), uint64(codeAddress), size, size, uint64(page))
	memory := uint64(arenaAddress - dataAddress + arenaSize)
	put(uint32(1), uint32(6), uint64(page), uint64(dataAddress), uint64(dataAddress), uint64(len(data)), memory, uint64(page))
	put(uint32(0x6474e551), uint32(6), uint64(0), uint64(0), uint64(0), uint64(0), uint64(0), uint64(16))
	b.Write(code)
	b.Write(make([]byte, page-b.Len()))
	b.Write(data)
	return b.Bytes()
}
