// Package h2 is the HTTP/2 client of the invoker's hot path: many long streams, written to by one loop.
//
// A Client belongs to one loop and keeps the connections to each Target (scheme and authority). Each
// connection has two goroutines: a reader, which calls the Handlers of its streams, and a flusher,
// which writes what others appended to the connection's write buffer. A loop never writes a socket:
// Stream.Write appends frames, Client.Flush wakes the flushers of all connections written to.
//
// # Locks
//
// Conn.mu guards the write buffer, the header table of the peer, the windows and the streams of one
// connection; Client.mu guards the set of live connections. Neither is held while a Handler is called,
// while a socket is used, or while the other one is held. A Handler may hold a lock of its own while
// it calls a Stream: order is the Handler's lock, then Conn.mu.
//
// # Flow control
//
// What a stream may not send yet waits in the stream. The connection's receive window is given back as
// soon as bytes were read, so a stream whose user is slow stops only itself; a stream's receive window
// is given back by Stream.Credit.
package h2
