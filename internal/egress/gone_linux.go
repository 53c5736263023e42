package egress

import (
	"errors"

	"golang.org/x/sys/unix"
)

// gone reports whether reading failed because the device was removed.
func gone(err error) bool { return errors.Is(err, unix.EBADFD) }
