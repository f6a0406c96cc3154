package logkey

// The keys. A value is never a payload or user state.
const (
	Role       = "role"       // of a daemon: worker, log-server, ...; in each of its lines
	Roles      = "roles"      // of a node, as others know it
	Node       = "node"       // N1 or N1:3
	Peer       = "peer"       // the other side of a connection: a node or an address
	Partition  = "partition"  // number
	Epoch      = "epoch"      // of a leader
	Log        = "log"        // number, that of its partition
	Loglet     = "loglet"     // 1_37
	LSN        = "lsn"        // a position in a log
	Invocation = "invocation" // inv_1...
	Target     = "target"     // service/handler, without the key
	Deployment = "deployment" // dp_1...
	Attempt    = "attempt"    // number, from 1
	Code       = "code"       // an errs code, a META or RT code, a status
	Err        = "err"        // an error
	Stack      = "stack"      // of the goroutine that failed
	Bytes      = "bytes"      // a size
	Count      = "count"      // how many
	Limit      = "limit"      // what a size may not cross
	Elapsed    = "elapsed"    // a duration
	File       = "file"       // a path
	Until      = "until"      // a time
	Settings   = "settings"   // of the configuration: key = value, with semicolons; secrets are masked
	Version    = "version"    // of the binary
	Process    = "process"    // number that the system gave it
	Reason     = "reason"     // why an operator wants something
)
