package snapshot

import (
	"context"
	"io"
)

// Objects are files in a folder of an object store. Keys have slashes in them.
type Objects interface {
	// Open reads an object; the code is NotFound if there is none.
	Open(ctx context.Context, key string) (io.ReadCloser, error)
	// Put writes an object, whole or not at all.
	Put(ctx context.Context, key string, r io.Reader) error
	// Delete removes an object. One that is not there is removed already.
	Delete(ctx context.Context, key string) error
	// List calls f for all objects whose keys begin with prefix, in any order.
	List(ctx context.Context, prefix string, f func(key string, sizeBytes int64) error) error
}

// Pointers are small objects that several processes replace in turn.
type Pointers interface {
	// Load reads an object and the name of its version; the code is NotFound if there is none.
	Load(ctx context.Context, key string) (value []byte, version string, err error)
	// Swap writes an object if version is the one that stands there; empty: if none does. The code is Conflict if another one
	// does. With any other error it may have been written.
	Swap(ctx context.Context, key string, value []byte, version string) error
}
