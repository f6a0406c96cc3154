package telemetry

import (
	"bytes"
	"cmp"
	"fmt"
	"hash/fnv"
	"html"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"

	"github.com/google/pprof/profile"

	"reprise/pkg/config"
	"reprise/pkg/host"
	"reprise/pkg/logkey"
)

// The picture, in pixels. A frame below flameFrameMin is left out with what is below it.
const (
	flameWidth    = 1200.0
	flameRow      = 17
	flameHead     = 44
	flameLetter   = 6.6
	flameFrameMin = 0.2
)

// flameSamples are the kinds of numbers in a heap profile, the default first.
var flameSamples = []string{"inuse_space", "inuse_objects", "alloc_space", "alloc_objects"}

// FlameHandler draws the Go heap of the process as a flame graph, an SVG that needs nothing else. sample is one of flameSamples; focus is a
// function: what it and those that it calls hold; gc=1 collects first.
func FlameHandler(h host.Host) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		sample := cmp.Or(q.Get("sample"), flameSamples[0])
		if !slices.Contains(flameSamples, sample) {
			http.Error(w, "sample is one of "+strings.Join(flameSamples, ", "), http.StatusBadRequest)
			return
		}
		if q.Get("gc") == "1" {
			runtime.GC()
		}
		var raw, svg bytes.Buffer
		err := pprof.Lookup("heap").WriteTo(&raw, 0)
		if err == nil {
			err = drawHeap(&svg, &raw, sample, q.Get("focus"))
		}
		if err != nil {
			h.Log.Warn("a flame graph that was asked for", slog.Any(logkey.Err, err))
			http.Error(w, "no flame graph: "+err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "image/svg+xml")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		_, _ = w.Write(svg.Bytes()) // the peer is gone
	})
}

// frame is a function, as called by those above it.
type frame struct {
	name  string
	value int64 // of itself and all that it calls
	calls map[string]*frame
}

// add adds a value to a stack, which begins with the outermost function.
func (f *frame) add(stack []string, value int64) {
	f.value += value
	for _, name := range stack {
		if f.calls == nil {
			f.calls = map[string]*frame{}
		}
		if f.calls[name] == nil {
			f.calls[name] = &frame{name: name}
		}
		f = f.calls[name]
		f.value += value
	}
}

// drawHeap draws a profile in the format of pprof.
func drawHeap(w io.Writer, raw io.Reader, sample, focus string) error {
	p, err := profile.Parse(raw)
	if err != nil {
		return fmt.Errorf("read the profile: %w", err)
	}
	kind := slices.IndexFunc(p.SampleType, func(t *profile.ValueType) bool { return t.Type == sample })
	if kind < 0 {
		return fmt.Errorf("the profile has no %s", sample)
	}
	root := &frame{name: "all"}
	for _, s := range p.Sample {
		stack := stackOf(s)
		if focus != "" {
			at := slices.Index(stack, focus)
			if at < 0 {
				continue
			}
			stack = stack[at:]
		}
		if v := s.Value[kind]; v > 0 {
			root.add(stack, v)
		}
	}
	d := flameDrawing{sample: sample, space: strings.HasSuffix(sample, "_space"), total: root.value}
	return d.write(w, root, focus)
}

// stackOf is the names of the functions of a sample, the outermost first.
func stackOf(s *profile.Sample) (stack []string) {
	for _, location := range slices.Backward(s.Location) {
		for _, line := range slices.Backward(location.Line) { // what was inlined comes before that into which it was
			name := "?"
			if line.Function != nil {
				name = line.Function.Name
			}
			stack = append(stack, name)
		}
	}
	return stack
}

// flameDrawing collects the frames of a picture.
type flameDrawing struct {
	sample string
	space  bool
	total  int64
	depth  int
	frames bytes.Buffer
}

func (d *flameDrawing) write(w io.Writer, root *frame, focus string) error {
	d.frame(root, 0, 0)
	height := flameHead + (d.depth+1)*flameRow
	title := fmt.Sprintf("Go heap, %s: %s", d.sample, d.shown(root.value))
	if focus != "" {
		title += " in " + focus
	}
	_, err := fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="%[1]g" height="%[2]d" viewBox="0 0 %[1]g %[2]d" font-family="monospace" font-size="11">
<rect width="100%%" height="100%%" fill="#fff"/>
<text x="4" y="15" font-size="13">%[3]s</text>
<text x="4" y="32" fill="#555">Each frame is as wide as what it and those below it hold. Choose one to see it alone. What Pebble has outside of the Go heap is not in it.</text>
%[4]s</svg>
`, flameWidth, height, html.EscapeString(title), d.frames.Bytes())
	return err
}

// frame draws f with its left edge at x, and what it calls below it.
func (d *flameDrawing) frame(f *frame, x float64, level int) {
	width := d.width(f.value)
	if width < flameFrameMin {
		return
	}
	d.depth = max(d.depth, level)
	label := f.name
	if room := int((width - 4) / flameLetter); len(label) > room {
		label = strings.ToValidUTF8(label[:max(room-2, 0)], "") + ".."
		if room < 4 {
			label = ""
		}
	}
	query := url.Values{"sample": {d.sample}}
	if level > 0 {
		query.Set("focus", f.name)
	}
	share := 100 * float64(f.value) / float64(d.total)
	y := flameHead + level*flameRow
	fmt.Fprintf(&d.frames, `<a href="?%s"><title>%s: %s, %.1f %%</title><rect x="%.3f" y="%d" width="%.3f" height="%d" fill="%s" stroke="#fff" stroke-width="0.5"/><text x="%.3f" y="%d">%s</text></a>
`, html.EscapeString(query.Encode()), html.EscapeString(f.name), d.shown(f.value), share, x, y, width, flameRow-1, flameColour(f.name), x+2, y+12, html.EscapeString(label))
	for _, name := range slices.Sorted(maps.Keys(f.calls)) {
		c := f.calls[name]
		d.frame(c, x, level+1)
		x += d.width(c.value)
	}
}

func (d *flameDrawing) width(value int64) float64 {
	if d.total == 0 {
		return flameWidth // nothing is held: one empty frame
	}
	return flameWidth * float64(value) / float64(d.total)
}

func (d *flameDrawing) shown(value int64) string {
	if d.space {
		return config.Bytes(value).String()
	}
	return fmt.Sprintf("%d objects", value)
}

// flameColour is one for each package, warm for ours.
func flameColour(function string) string {
	path := function[:strings.LastIndexByte(function, '/')+1]
	pkg, _, _ := strings.Cut(function[len(path):], ".")
	h := fnv.New32a()
	_, _ = io.WriteString(h, path+pkg) // a hash takes everything
	hue := 170 + h.Sum32()%90          // green to blue
	if strings.HasPrefix(function, "reprise/") {
		hue = h.Sum32() % 50 // red to yellow
	}
	return fmt.Sprintf("hsl(%d,70%%,75%%)", hue)
}
