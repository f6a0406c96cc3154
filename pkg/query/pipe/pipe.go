package pipe

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"reprise/pkg/errs"
	"reprise/pkg/query/scan"
)

// Kind says what a frame is.
type Kind uint8

// To the process.
const (
	Configure  Kind = 1 // Config
	Statement  Kind = 2 // Question
	Batch      Kind = 3 // of a scan: an Arrow IPC stream
	ScanEnd    Kind = 4 // of a scan: Scanned
	ScanFailed Kind = 5 // of a scan: Failure
)

// From the process.
const (
	Open   Kind = 0x81 // of a scan: scan.Request
	More   Kind = 0x82 // of a scan: room for one more batch
	Close  Kind = 0x83 // of a scan: its batches are not wanted any more
	Result Kind = 0x84 // a piece of an Arrow IPC stream
	Done   Kind = 0x85
	Failed Kind = 0x86 // Failure
	Shape  Kind = 0x87 // Description
)

// Config is what the process may use.
type Config struct {
	MemoryBytes int64  `json:"memory"`
	SpillDir    string `json:"spill"` // made for the process alone
	Threads     int    `json:"threads"`
}

// Question is a statement with what planning needs.
type Question struct {
	SQL        string `json:"sql"`
	Partitions uint32 `json:"partitions"`
	Cluster    bool   `json:"cluster,omitempty"`  // of the catalog of the cluster, not of that of users
	Describe   bool   `json:"describe,omitempty"` // answer with its Description; nothing is read
}

// Description is what a statement takes and gives. Types are those of Postgres.
type Description struct {
	Columns    []Column `json:"columns"`    // none: it gives no rows
	Parameters []string `json:"parameters"` // types of $1, $2, ...
}

// Column is one that a statement gives.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// Scanned is what a scan did until its end.
type Scanned struct {
	Nodes   int           `json:"nodes"` // other processes that were asked
	Elapsed time.Duration `json:"elapsed"`
}

// Failure is why a statement, or a scan, failed.
type Failure struct {
	Status  int    `json:"status"` // of HTTP
	Message string `json:"message"`
}

// Error implements error.
func (f *Failure) Error() string { return f.Message }

// Failuref is a Failure.
func Failuref(status int, format string, args ...any) *Failure {
	return &Failure{Status: status, Message: fmt.Sprintf(format, args...)}
}

// Request is the payload of Open.
type Request = scan.Request

// Frame is one message. Payload is borrowed until the next one is read.
type Frame struct {
	Kind    Kind
	Scan    uint32
	Payload []byte
}

const headerLen = 9

// Window is how many batches of a scan may be on the way before the process asks for more.
const Window = 2

// PayloadMax bounds a frame: a batch can have one value of the largest size, and a little more.
const PayloadMax = 256 << 20

// Reader reads frames.
type Reader struct {
	r   *bufio.Reader
	buf []byte
}

// NewReader returns a Reader.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReaderSize(r, 64<<10)} }

// keptMax is how large a buffer may be that is kept for the next frame.
const keptMax = 4 << 20

// Next reads a frame; io.EOF if there is none, and no part of one.
func (r *Reader) Next() (f Frame, err error) {
	var head [headerLen]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		return f, err
	}
	n := binary.LittleEndian.Uint32(head[5:])
	if n > PayloadMax {
		return f, errs.Newf(errs.Invalid, "frame of %d bytes", n)
	}
	if cap(r.buf) < int(n) || cap(r.buf) > keptMax {
		r.buf = make([]byte, n)
	}
	r.buf = r.buf[:n]
	if _, err := io.ReadFull(r.r, r.buf); err != nil {
		return f, fmt.Errorf("frame is cut: %w", io.ErrUnexpectedEOF)
	}
	return Frame{Kind: Kind(head[0]), Scan: binary.LittleEndian.Uint32(head[1:]), Payload: r.buf}, nil
}

// Decode reads a JSON payload.
func (f Frame) Decode(v any) error {
	if err := json.Unmarshal(f.Payload, v); err != nil {
		return errs.Newf(errs.Invalid, "frame of kind %d: %w", f.Kind, err)
	}
	return nil
}

// Writer writes frames, of any goroutine.
type Writer struct {
	mu sync.Mutex // held across the write: it is what it guards
	w  io.Writer
	b  []byte
}

// NewWriter returns a Writer.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write sends a frame. It blocks while the other end does not read.
func (w *Writer) Write(k Kind, scan uint32, payload []byte) error {
	if len(payload) > PayloadMax {
		return errs.Newf(errs.Invalid, "frame of %d bytes", len(payload))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.b = append(w.b[:0], byte(k))
	w.b = binary.LittleEndian.AppendUint32(w.b, scan)
	w.b = binary.LittleEndian.AppendUint32(w.b, uint32(len(payload)))
	if len(payload) > keptMax {
		if _, err := w.w.Write(w.b); err != nil {
			return err
		}
		_, err := w.w.Write(payload)
		return err
	}
	w.b = append(w.b, payload...)
	_, err := w.w.Write(w.b)
	return err
}

// WriteJSON sends a frame with a JSON payload.
func (w *Writer) WriteJSON(k Kind, scan uint32, v any) error {
	payload, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("frame of kind %d: %w", k, err)
	}
	return w.Write(k, scan, payload)
}
