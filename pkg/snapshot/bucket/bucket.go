package bucket

import (
	"io"

	"reprise/pkg/errs"
	"reprise/pkg/snapshot"
)

// Bucket is a folder of an object store. Any goroutine may use it.
type Bucket struct{ store }

// store is what one kind of object store does for a Bucket.
type store interface {
	snapshot.Objects
	snapshot.Pointers
	// Close gives connections back.
	Close() error
}

// pointerBytesMax is how large an object may be that is loaded whole.
const pointerBytesMax = 1 << 20

// readPointer reads an object whole.
func readPointer(key string, r io.Reader) ([]byte, error) {
	value, err := io.ReadAll(io.LimitReader(r, pointerBytesMax+1))
	if err == nil && len(value) > pointerBytesMax {
		err = errs.Newf(errs.Corrupt, "%s is larger than %d bytes", key, pointerBytesMax)
	}
	return value, err
}

// errVersionless: there is nothing to compare when a pointer is replaced.
var errVersionless = errs.Newf(errs.Unsupported, "the object store does not tell the version of an object: it cannot hold snapshots")
