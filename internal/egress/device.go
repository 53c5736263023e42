package egress

import (
	"context"
	"errors"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// device is a TUN device as the link layer of a stack. Waiting happens in the runtime's poller and
// holds no buffer.
type device struct {
	conn       syscall.RawConn
	dispatcher stack.NetworkDispatcher
}

// read hands every packet to deliver, which takes it over, until the device is gone or closed. It looks
// at ctx too: closing the file waits for a reader that an environment keeps busy.
func (d *device) read(ctx context.Context, deliver func(*buffer.View)) error {
	// The error of conn.Read itself says that the file was closed here.
	var failed error
	_ = d.conn.Read(func(fd uintptr) (done bool) {
		for ctx.Err() == nil {
			packet := buffer.NewViewSize(MTU)
			n, err := unix.Read(int(fd), packet.AsSlice())
			switch {
			case errors.Is(err, unix.EAGAIN):
				packet.Release()
				return false
			case errors.Is(err, unix.EINTR):
				packet.Release()
				continue
			case err != nil || n == 0:
				packet.Release()
				failed = err
				return true
			}
			packet.CapLength(n)
			deliver(compact(packet))
		}
		return true
	})
	if gone(failed) {
		return nil // the device is gone
	}
	return failed
}

// compact puts a packet that fills less than half of its buffer into one of its size, so that packets
// that wait in queues hold about the memory that the stack believes they hold.
func compact(packet *buffer.View) *buffer.View {
	if packet.Size() >= MTU/2 {
		return packet
	}
	small := buffer.NewViewWithData(packet.AsSlice())
	packet.Release()
	return small
}

// frames are buffers for packets on their way to the device, and for bytes on their way through.
type frames struct{ pool sync.Pool }

type frame [MTU]byte

func (f *frames) get() *frame {
	if b, ok := f.pool.Get().(*frame); ok {
		return b
	}
	return new(frame)
}

func (f *frames) put(b *frame) { f.pool.Put(b) }

// WritePackets implements [stack.LinkEndpoint]. A packet that the device does not take is lost, as on
// any network.
func (d *device) WritePackets(packets stack.PacketBufferList) (int, tcpip.Error) {
	n := 0
	for _, p := range packets.AsSlice() {
		view := p.ToView()
		err := d.write(view.AsSlice())
		view.Release()
		if err != nil {
			return n, &tcpip.ErrClosedForSend{}
		}
		n++
	}
	return n, nil
}

func (d *device) write(packet []byte) error {
	return d.conn.Write(func(fd uintptr) bool {
		_, err := unix.Write(int(fd), packet)
		return !errors.Is(err, unix.EAGAIN)
	})
}

// Attach implements [stack.LinkEndpoint].
func (d *device) Attach(dispatcher stack.NetworkDispatcher) { d.dispatcher = dispatcher }

// IsAttached implements [stack.LinkEndpoint].
func (d *device) IsAttached() bool { return d.dispatcher != nil }

// MTU implements [stack.LinkEndpoint].
func (*device) MTU() uint32 { return MTU }

// SetMTU implements [stack.LinkEndpoint]; the set-up of the environment fixes it.
func (*device) SetMTU(uint32) {}

// MaxHeaderLength implements [stack.LinkEndpoint]: packets have no link-layer header.
func (*device) MaxHeaderLength() uint16 { return 0 }

// LinkAddress implements [stack.LinkEndpoint].
func (*device) LinkAddress() tcpip.LinkAddress { return "" }

// SetLinkAddress implements [stack.LinkEndpoint].
func (*device) SetLinkAddress(tcpip.LinkAddress) {}

// Capabilities implements [stack.LinkEndpoint]: what comes from a kernel on this machine needs no check.
func (*device) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityRXChecksumOffload
}

// ARPHardwareType implements [stack.LinkEndpoint].
func (*device) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }

// AddHeader implements [stack.LinkEndpoint].
func (*device) AddHeader(*stack.PacketBuffer) {}

// ParseHeader implements [stack.LinkEndpoint].
func (*device) ParseHeader(*stack.PacketBuffer) bool { return true }

// Wait implements [stack.LinkEndpoint]: the device has no goroutine.
func (*device) Wait() {}

// Close implements [stack.LinkEndpoint]; the relay closes the file.
func (*device) Close() {}

// SetOnCloseAction implements [stack.LinkEndpoint].
func (*device) SetOnCloseAction(func()) {}
