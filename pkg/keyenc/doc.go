// Package keyenc encodes the parts of a storage key so that byte order is the order of the values.
//
// Integers are fixed-width big endian. A byte string that is not the last part of a key is escaped:
// 00 becomes 00 FF, and 00 01 ends it, so that a shorter string sorts before its extensions and no
// string can run into the part behind it. The Cut functions take a part off the front of a key:
//
//	key := keyenc.AppendBytes(nil, service)
//	key = keyenc.AppendUint64(key, position)
//	...
//	service, rest, ok := keyenc.CutBytes(nil, key)
//	position, rest, ok := keyenc.CutUint64(rest)
package keyenc
