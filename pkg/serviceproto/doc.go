// Package serviceproto is the service protocol: what the engine and a handler's endpoint say to one another.
//
// A stream is a concatenation of frames: an 8-byte header (type, flags, payload length, big endian)
// and a protobuf payload. NextFrame cuts frames, CheckCommand says whether a command may be proposed
// to the log, the Parse functions read what the engine needs of one, the Append functions build what
// the engine sends. Payloads of commands are stored and replayed as they came.
//
// What comes from an endpoint is checked wholly before it is used. A singular field given twice is
// refused although protobuf would take the last: no encoder does it, and so every reader of the
// stored bytes sees the same value.
//
// The path of a step allocates nothing here: fields are read by hand, shapes of messages are tables.
// The same messages as generated code are in api/service, for what is cold and for tests.
//
//	f, rest, ok, err := serviceproto.NextFrame(buf, limit)
//	...
//	if f.Type.IsCommand() {
//		err = serviceproto.CheckCommand(f, scope)
//	}
package serviceproto
