package telemetry

import (
	"context"
	"io"
	"log/slog"
	"math"
	"path"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"reprise/pkg/config"
	"reprise/pkg/errs"
)

// Handler writes the lines that a filter lets through, which may change.
type Handler struct {
	next   slog.Handler // formats, and filters nothing
	filter *filter      // of all that were made of one
}

type filter struct {
	levels atomic.Pointer[config.Levels]
	places sync.Map // of program counters of log calls, to the packages that they are in
}

// NewHandler returns the handler of log-format and log-filter. colour allows ANSI codes, if the configuration does too.
func NewHandler(w io.Writer, cfg config.Logging, colour bool) (*Handler, error) {
	h := &Handler{filter: &filter{}}
	if err := h.SetFilter(cfg.LogFilter); err != nil {
		return nil, err
	}
	if cfg.LogFormat == "json" {
		h.next = slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.Level(math.MinInt32), ReplaceAttr: withUnit})
		return h, nil
	}
	h.next = &lineHandler{colour: colour && !cfg.LogDisableANSI, compact: cfg.LogFormat == "compact", out: &output{w: w}}
	return h, nil
}

// withUnit writes a duration as text, as the other formats do: a number would not say of what.
func withUnit(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// SetFilter replaces the filter, for all loggers of the handler.
func (h *Handler) SetFilter(f config.Filter) error {
	levels, err := f.Levels()
	if err != nil {
		return errs.Newf(errs.Invalid, "log-filter: %w", err)
	}
	h.filter.levels.Store(&levels)
	return nil
}

// Enabled tells whether any filter lets such a line through.
func (h *Handler) Enabled(_ context.Context, l slog.Level) bool {
	lowest, _ := h.filter.levels.Load().Range()
	return l >= lowest
}

// Handle writes the line if the filter of its package lets it through.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	if !h.filter.lets(r) {
		return nil
	}
	return h.next.Handle(ctx, r)
}

// WithAttrs returns a handler with the same filter.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Handler{next: h.next.WithAttrs(attrs), filter: h.filter}
}

// WithGroup returns a handler with the same filter.
func (h *Handler) WithGroup(name string) slog.Handler {
	return &Handler{next: h.next.WithGroup(name), filter: h.filter}
}

func (f *filter) lets(r slog.Record) bool {
	levels := f.levels.Load()
	if _, highest := levels.Range(); r.Level >= highest {
		return true
	}
	pkg, ours := f.place(r.PC)
	if !ours {
		return r.Level >= levels.Other
	}
	return r.Level >= levels.Of(pkg)
}

const ourModule = "reprise/"

// place is the package that a line comes from; false: none of ours. A line without a place is ours.
func (f *filter) place(pc uintptr) (pkg string, ours bool) {
	if pc == 0 {
		return "", true
	}
	if known, ok := f.places.Load(pc); ok { // of which there are as many as log calls in the program
		pkg, ours = strings.CutPrefix(known.(string), ourModule)
		return pkg, ours
	}
	frame, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	found := packageOf(frame.Function)
	if found == "main" {
		found = ourModule + found
	}
	f.places.Store(pc, found)
	return strings.CutPrefix(found, ourModule)
}

// packageOf cuts the function off, as in reprise/pkg/processor.(*Node).Run.
func packageOf(function string) string {
	dir, name := path.Split(function)
	name, _, _ = strings.Cut(name, ".")
	return dir + name
}

// output writes whole lines of all handlers that share it.
type output struct {
	mu sync.Mutex // guards w
	w  io.Writer
}

// lineHandler writes one line a record: time, level, message, attributes. compact leaves out the date.
type lineHandler struct {
	colour  bool
	compact bool
	prefix  string // of groups, with dots
	attrs   string // of With, formatted
	out     *output
}

func (h *lineHandler) Enabled(context.Context, slog.Level) bool { return true }

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
