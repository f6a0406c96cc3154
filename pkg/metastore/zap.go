package metastore

import (
	"context"
	"log/slog"

	"go.uber.org/zap/zapcore"

	"reprise/pkg/logkey"
)

// zapCore passes what etcd logs on errors to slog, as warnings: etcd warns of much that heals alone,
// and what a person must do something about reaches us as an error of its calls.
type zapCore struct {
	log   *slog.Logger
	level zapcore.Level
}

func newZapCore(log *slog.Logger) zapcore.Core { return zapCore{log: log, level: zapcore.ErrorLevel} }

func (c zapCore) Enabled(l zapcore.Level) bool { return l >= c.level }

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
	var cause any = e.Message
	if err, ok := enc.Fields["error"]; ok {
		cause = e.Message + ": " + toString(err)
	}
	c.log.LogAttrs(context.Background(), slog.LevelWarn, "etcd reports", slog.Any(logkey.Err, cause))
	return nil
}

func (c zapCore) Sync() error { return nil }

func toString(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return "unknown"
}
