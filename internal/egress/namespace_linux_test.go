package egress

import (
	"encoding/binary"
	"fmt"
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

// makeDevice does what the set-up of an environment does.
func makeDevice() (int, error) {
	tun, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("/dev/net/tun: %w", err)
	}
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(s)
	s6, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(s6)
	ifreq := func(set func(*unix.Ifreq) error) *unix.Ifreq {
		r, _ := unix.NewIfreq(DeviceName)
		if err := set(r); err != nil {
			panic(err)
		}
		return r
	}
	flags := func(f uint16) *unix.Ifreq {
		return ifreq(func(r *unix.Ifreq) error { r.SetUint16(f); return nil })
	}
	inet4 := func(b [4]byte) *unix.Ifreq {
		return ifreq(func(r *unix.Ifreq) error { return r.SetInet4Addr(b[:]) })
	}
	ioctl := func(s int, request uint, p unsafe.Pointer) error {
		if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(s), uintptr(request), uintptr(p)); e != 0 {
			return e
		}
		return nil
	}
	up := flags(unix.IFF_UP)
	index := flags(0)
	steps := []func() error{
		func() error { return unix.IoctlIfreq(tun, unix.TUNSETIFF, flags(unix.IFF_TUN|unix.IFF_NO_PI)) },
		func() error { return unix.IoctlIfreq(s, unix.SIOCSIFADDR, inet4(FunctionAddr().As4())) },
		func() error { return unix.IoctlIfreq(s, unix.SIOCSIFNETMASK, inet4([4]byte{255, 255, 255, 248})) },
		func() error {
			return unix.IoctlIfreq(s, unix.SIOCSIFMTU, ifreq(func(r *unix.Ifreq) error { r.SetUint32(MTU); return nil }))
		},
		func() error { return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, up) },
		func() error {
			type sockaddr struct {
				family uint16
				port   uint16
				addr   [4]byte
				_      [8]byte
			}
			route := struct {
				_                  uintptr
				dst, gateway, mask sockaddr
				flags              uint16
				_                  int16
				_, _               uintptr
				metric             int16
				dev                uintptr
				mtu, window        uintptr
				irtt               uint16
			}{
				dst: sockaddr{family: unix.AF_INET}, mask: sockaddr{family: unix.AF_INET},
				gateway: sockaddr{family: unix.AF_INET, addr: GatewayAddr().As4()}, flags: unix.RTF_UP | unix.RTF_GATEWAY,
			}
			return ioctl(s, unix.SIOCADDRT, unsafe.Pointer(&route))
		},
		func() error { return unix.IoctlIfreq(s, unix.SIOCGIFINDEX, index) },
		func() error { // by netlink, because the ioctl leaves the address tentative for a moment
			return netlink(unix.RTM_NEWADDR, unix.NLM_F_CREATE, struct {
				unix.IfAddrmsg
				Attr unix.RtAttr
				Addr [16]byte
			}{
				unix.IfAddrmsg{Family: unix.AF_INET6, Prefixlen: PrefixLen6, Flags: unix.IFA_F_NODAD, Index: index.Uint32()},
				unix.RtAttr{Len: unix.SizeofRtAttr + 16, Type: unix.IFA_ADDRESS},
				FunctionAddr6().As16(),
			})
		},
		func() error {
			route := struct {
				dst, src, gateway [16]byte
				kind              uint32
				dstLen, srcLen    uint16
				metric            uint32
				info              uintptr
				flags, index      uint32
			}{gateway: GatewayAddr6().As16(), flags: unix.RTF_UP | unix.RTF_GATEWAY, index: index.Uint32(), metric: 1}
			return ioctl(s6, unix.SIOCADDRT, unsafe.Pointer(&route))
		},
	}
	for i, step := range steps {
		if err := step(); err != nil {
			return 0, fmt.Errorf("network device, step %d: %w", i, err)
		}
	}
	return tun, nil
}

// removeDevice deletes the device as "ip link del" does.
func removeDevice() error {
	i, err := net.InterfaceByName(DeviceName)
	if err != nil {
		return err
	}
	return netlink(unix.RTM_DELLINK, 0, unix.IfInfomsg{Index: int32(i.Index)})
}

// netlink asks the kernel's rtnetlink to do something.
func netlink(kind, flags uint16, body any) error {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	header := unix.NlMsghdr{
		Len: uint32(unix.SizeofNlMsghdr + binary.Size(body)), Type: kind, Flags: unix.NLM_F_REQUEST | unix.NLM_F_ACK | flags,
	}
	b, err := binary.Append(nil, binary.NativeEndian, header)
	if err == nil {
		b, err = binary.Append(b, binary.NativeEndian, body)
	}
	if err != nil {
		return err
	}
	if err := unix.Sendto(s, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	if _, _, err := unix.Recvfrom(s, answer, 0); err != nil {
		return err
	}
	if e := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); e != 0 {
		return unix.Errno(-e)
	}
	return nil
}
