package daemon

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"time"

	"reprise/pkg/config"
	"reprise/pkg/host"
	"reprise/pkg/logkey"
)

// watchInterval is how often the configuration file is read. It is small, and reading it sees every way to replace it.
const watchInterval = time.Second

// watcher puts new contents of the configuration file into effect.
type watcher struct {
	live *config.Live
	host host.Host
	read func() ([]byte, error)
	// hangups gets one for each SIGHUP; one that waits stands for all.
	hangups chan struct{}

	last   []byte // what was read before, if that is not in effect
	failed string // why it could not be read before
}

func newWatcher(live *config.Live, h host.Host) *watcher {
	return &watcher{live: live, host: h, read: live.Read, hangups: make(chan struct{}, 1)}
}

// run watches until ctx ends. SIGHUP reads the file at once and is passed on; dump does what the other signals ask for.
func (w *watcher) run(ctx context.Context, signals <-chan os.Signal, dump func(os.Signal)) error {
	timer := w.host.Clock.NewTimer(watchInterval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-signals:
			if s != syscall.SIGHUP {
				dump(s)
				continue
			}
			w.reread()
			select {
			case w.hangups <- struct{}{}:
			default:
			}
		case <-timer.C():
			if w.live.File() != "" {
				w.look()
			}
			timer.Reset(watchInterval)
		}
	}
}

// look takes a new content that reads the same as before: a file may be caught while it is being written.
func (w *watcher) look() {
	text, ok := w.try()
	if !ok || w.live.Seen(text) {
		w.last = nil
		return
	}
	if w.last == nil || !bytes.Equal(w.last, text) {
		w.last = text
		return
	}
	w.last = nil
	w.take(text)
}

// reread takes what the file says now, by demand.
func (w *watcher) reread() {
	if w.live.File() == "" {
		w.host.Log.Warn("there is no configuration file to read again")
		return
	}
	if text, ok := w.try(); ok {
		w.take(text)
	}
}

// try reads the file, and says once that it cannot be read.
func (w *watcher) try() ([]byte, bool) {
	text, err := w.read()
	if err == nil {
		w.failed = ""
		return text, true
	}
	if w.failed != err.Error() {
		w.failed = err.Error()
		w.host.Log.Error("the configuration file cannot be read: settings stay as they are", slog.Any(logkey.Err, err))
	}
	return nil, false
}

func (w *watcher) take(text []byte) {
	change, err := w.live.Take(text)
	log := w.host.Log
	if err != nil {
		log.Error("the new configuration file is refused: settings stay as they are", slog.String(logkey.Err, oneLine(err)))
		return
	}
	for _, s := range change.Warnings {
		log.Warn("configuration has settings that do nothing", slog.String(logkey.Err, s))
	}
	if len(change.Restart) > 0 {
		log.Warn("settings in the configuration file that need a restart", slog.String(logkey.Settings, strings.Join(change.Restart, "; ")))
	}
	if len(change.Applied) > 0 {
		log.Info("configuration changed", slog.String(logkey.Settings, strings.Join(change.Applied, "; ")))
	}
	if len(change.Applied)+len(change.Restart) == 0 {
		log.Info("configuration file read again: nothing changes")
	}
}

// oneLine joins the faults of an error, one a line, in one.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
