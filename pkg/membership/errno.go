package membership

import (
	"errors"
	"syscall"
)

// readOnly tells whether a file system refused to be written.
func readOnly(err error) bool { return errors.Is(err, syscall.EROFS) }
