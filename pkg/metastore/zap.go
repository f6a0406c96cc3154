package metastore

import (
	"context"
	"log/slog"
	"os"
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"reprise/pkg/logkey"
)

// newZap is a logger for etcd. It passes on errors, as warnings: etcd warns of much that heals alone,
// and what a person must do something about reaches us as an error of its calls. After what etcd calls
// fatal, or panics at, the process ends: going on with a store that could not write is not safe.
func newZap(log *slog.Logger) *zap.Logger {
	return zap.New(zapCore{log: log}, zap.WithFatalHook(exit{}), zap.WithPanicHook(exit{}))
}

// exit ends the process after the line was written.
type exit struct{}

func (exit) OnWrite(*zapcore.CheckedEntry, []zapcore.Field) { os.Exit(1) }

// told are errors that etcd logs and returns as well: the caller tells them, or tries again.
var told = []string{
	"unexpected error during readonly txn", "creating peer listener failed", "bootstrap failed",
	"failed to update storage version", // of a member without a snapshot; it tries again
}

type zapCore struct{ log *slog.Logger }

func (zapCore) Enabled(l zapcore.Level) bool { return l >= zapcore.ErrorLevel }

func (c zapCore) With([]zapcore.Field) zapcore.Core { return c }

func (c zapCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c zapCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(enc)
	}
	cause := e.Message
	if err, ok := enc.Fields["error"].(string); ok {
		cause += ": " + err
	}
	if e.Level > zapcore.ErrorLevel {
		c.log.Error("metadata store cannot go on; the process ends", slog.String(logkey.Err, cause))
		return nil
	}
	level := slog.LevelWarn
	if slices.Contains(told, e.Message) {
		level = slog.LevelDebug
	}
	c.log.Log(context.Background(), level, "etcd reports", slog.String(logkey.Err, cause))
	return nil
}

func (c zapCore) Sync() error { return nil }
