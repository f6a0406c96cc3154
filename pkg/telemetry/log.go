package telemetry

import (
	"context"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"reprise/pkg/config"
	"reprise/pkg/errs"
)

// levelOff is above every level.
const levelOff = slog.Level(100)

// ParseFilter returns the level of a directive list such as "warn,restate=info": that of our own
// target (reprise, or its name in the contract), else that of the directive without one. Directives
// for other targets, or for parts of ours, have nothing to act on.
func ParseFilter(filter string) (slog.Level, error) {
	general, own, hasOwn := slog.LevelInfo, slog.LevelInfo, false
	for d := range strings.SplitSeq(filter, ",") {
		d = strings.TrimSpace(d)
		if d == "" {
			continue
		}
		target, name, targeted := strings.Cut(d, "=")
		if !targeted {
			name = target
		}
		level, ok := levelOf(name)
		switch {
		case !ok:
			return 0, errs.Newf(errs.Invalid, "log-filter %q: %q is no level: use off, error, warn, info, debug or trace", filter, name)
		case !targeted:
			general = level
		case target == "reprise" || target == "restate":
			own, hasOwn = level, true
		}
	}
	if hasOwn {
		return own, nil
	}
	return general, nil
}

func levelOf(name string) (slog.Level, bool) {
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "off":
		return levelOff, true
	case "error":
		return slog.LevelError, true
	case "warn", "warning":
		return slog.LevelWarn, true
	case "info":
		return slog.LevelInfo, true
	case "debug":
		return slog.LevelDebug, true
	case "trace":
		return slog.LevelDebug - 4, true
	default:
		return 0, false
	}
}

// NewHandler returns the handler of log-format with the level of log-filter.
func NewHandler(w io.Writer, cfg config.Logging, colour bool) (slog.Handler, error) {
	level, err := ParseFilter(cfg.LogFilter)
	if err != nil {
		return nil, err
	}
	if cfg.LogFormat == "json" {
		return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}), nil
	}
	return &lineHandler{
		level: level, colour: colour && !cfg.LogDisableANSI, compact: cfg.LogFormat == "compact",
		out: &output{w: w},
	}, nil
}

// output writes whole lines of all handlers that share it.
type output struct {
	mu sync.Mutex // guards w
	w  io.Writer
}

// lineHandler writes one line a record: time, level, message, attributes. compact leaves out the date.
type lineHandler struct {
	level   slog.Level
	colour  bool
	compact bool
	prefix  string // of groups, with dots
	attrs   string // of With, formatted
	out     *output
}

func (h *lineHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	b := make([]byte, 0, 256)
	layout := "2006-01-02T15:04:05.000Z07:00"
	if h.compact {
		layout = "15:04:05.000"
	}
	if !r.Time.IsZero() {
		b = h.paint(b, "2", r.Time.UTC().Format(layout))
		b = append(b, ' ')
	}
	b = h.paint(b, levelColour(r.Level), levelName(r.Level))
	b = append(b, ' ')
	b = append(b, r.Message...)
	b = append(b, h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		b = h.attr(b, h.prefix, a)
		return true
	})
	b = append(b, '\n')
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	_, err := h.out.w.Write(b)
	return err
}

func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	b := []byte(h.attrs)
	for _, a := range attrs {
		b = h.attr(b, h.prefix, a)
	}
	next.attrs = string(b)
	return &next
}

func (h *lineHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	next := *h
	next.prefix = h.prefix + name + "."
	return &next
}

func (h *lineHandler) attr(b []byte, prefix string, a slog.Attr) []byte {
	v := a.Value.Resolve()
	if a.Equal(slog.Attr{}) {
		return b
	}
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, inner := range v.Group() {
			b = h.attr(b, prefix, inner)
		}
		return b
	}
	b = append(b, ' ')
	b = h.paint(b, "2", prefix+a.Key+"=")
	text := v.String()
	if v.Kind() == slog.KindTime {
		text = v.Time().UTC().Format(time.RFC3339Nano)
	}
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == '"' || r == '=' || r == 0x7f || !strconv.IsPrint(r) }) {
		return strconv.AppendQuote(b, text)
	}
	return append(b, text...)
}

// paint appends the text, in a colour if there are colours.
func (h *lineHandler) paint(b []byte, code, text string) []byte {
	if !h.colour {
		return append(b, text...)
	}
	b = append(b, "\x1b["...)
	b = append(b, code...)
	b = append(b, 'm')
	b = append(b, text...)
	return append(b, "\x1b[0m"...)
}

func levelName(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "ERROR"
	case l >= slog.LevelWarn:
		return "WARN "
	case l >= slog.LevelInfo:
		return "INFO "
	case l >= slog.LevelDebug:
		return "DEBUG"
	default:
		return "TRACE"
	}
}

func levelColour(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "31"
	case l >= slog.LevelWarn:
		return "33"
	case l >= slog.LevelInfo:
		return "32"
	default:
		return "36"
	}
}
