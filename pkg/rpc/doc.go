// Package rpc joins the daemons by gRPC: servers and clients that translate between engines and the wire.
//
// Engines never see a wire type. What belongs to one service lies in files that begin with its name:
// log_*.go is the log-server's. ServerOptions and DialOptions map errors with codes to statuses and back.
package rpc
