package config

import (
	"bytes"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
)

// Live holds the settings of a process while it runs. Those marked live follow the file.
type Live struct {
	options Options
	current atomic.Pointer[Config]

	// mu guards what follows. It is held while the parts are told, so that they hear of changes in their order.
	mu     sync.Mutex
	text   []byte // of the file that is in effect, or was refused
	warned []string
	parts  []func(*Config)
}

// Open loads the settings as Load does.
func Open(o Options) (*Live, []string, error) {
	l := &Live{options: o}
	if path := o.path(); path != "" {
		var err error
		if l.text, err = readFile(path); err != nil {
			return nil, nil, err
		}
	}
	cfg, warnings, err := o.parse(l.text)
	if err != nil {
		return nil, warnings, err
	}
	l.warned = warnings
	l.current.Store(&cfg)
	return l, warnings, nil
}

// Fixed holds settings that never change, for tests.
func Fixed(c Config) *Live {
	l := &Live{}
	l.current.Store(&c)
	return l
}

// Current is what is in effect now. Nobody changes it.
func (l *Live) Current() *Config { return l.current.Load() }

// File is the path of the file; "" if there is none.
func (l *Live) File() string { return l.options.path() }

// Read reads the file.
func (l *Live) Read() ([]byte, error) { return readFile(l.options.path()) }

// OnChange has f told of settings that changed, and of those that are in effect now. It is called by one goroutine at a time and
// does not block.
func (l *Live) OnChange(f func(*Config)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parts = append(l.parts, f)
	f(l.Current())
}

// Change is what a new file changes.
type Change struct {
	Applied  []string // key: old -> new
	Restart  []string // likewise, of settings that a running process keeps
	Warnings []string // that were not given before
}

// Seen tells whether text was taken, or refused, before.
func (l *Live) Seen(text []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Equal(l.text, text)
}

// Take puts a new text of the file into effect, as far as settings are live, and tells the parts. With a fault in it, nothing
// changes.
func (l *Live) Take(text []byte) (Change, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = text
	wanted, warnings, err := l.options.parse(text)
	if err != nil {
		return Change{}, err
	}
	var c Change
	for _, w := range warnings {
		if !slices.Contains(l.warned, w) {
			c.Warnings = append(c.Warnings, w)
			l.warned = append(l.warned, w)
		}
	}
	next := *l.Current()
	from := settings(&wanted)
	for i, s := range settings(&next) {
		if reflect.DeepEqual(s.value.Interface(), from[i].value.Interface()) {
			continue
		}
		line := s.key + ": " + shown(s) + " -> " + shown(from[i])
		if !s.live {
			c.Restart = append(c.Restart, line)
			continue
		}
		s.value.Set(from[i].value)
		c.Applied = append(c.Applied, line)
	}
	if len(c.Applied) == 0 {
		return c, nil
	}
	if err := next.Validate(); err != nil { // a live value may not fit one that stays
		return Change{}, err
	}
	l.current.Store(&next)
	for _, f := range l.parts {
		f(&next)
	}
	return c, nil
}

// shown is a value for people.
func shown(s setting) string {
	if text := s.text(); text != "" {
		return text
	}
	return "not set"
}

// Differences are the settings that are not the default, as key = value, with secrets masked.
func (c *Config) Differences() []string {
	defaults := Default()
	was := settings(&defaults)
	var out []string
	for i, s := range settings(c) {
		if !reflect.DeepEqual(s.value.Interface(), was[i].value.Interface()) {
			out = append(out, s.key+" = "+shown(s))
		}
	}
	return out
}
