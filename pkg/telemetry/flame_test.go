package telemetry

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/pprof/profile"

	"reprise/pkg/host/hosttest"
)

// drawnFrame is a frame of a picture.
type drawnFrame struct {
	Href  string `xml:"href,attr"`
	Title string `xml:"title"`
	Rect  struct {
		X     float64 `xml:"x,attr"`
		Y     int     `xml:"y,attr"`
		Width float64 `xml:"width,attr"`
	} `xml:"rect"`
	Text string `xml:"text"`
}

func framesIn(t *testing.T, svg []byte) []drawnFrame {
	t.Helper()
	var doc struct {
		XMLName xml.Name     `xml:"http://www.w3.org/2000/svg svg"`
		Frames  []drawnFrame `xml:"a"`
	}
	if err := xml.Unmarshal(svg, &doc); err != nil {
		t.Fatalf("%v in\n%s", err, svg)
	}
	return doc.Frames
}

// heapOf makes a profile of stacks, innermost first as in the format, each with so many bytes.
func heapOf(t *testing.T, stacks map[string]int64) *bytes.Buffer {
	t.Helper()
	p := &profile.Profile{SampleType: []*profile.ValueType{{Type: "inuse_objects", Unit: "count"}, {Type: "inuse_space", Unit: "bytes"}}}
	for stack, bytes := range stacks {
		s := &profile.Sample{Value: []int64{1, bytes}}
		for name := range strings.FieldsSeq(stack) {
			f := &profile.Function{ID: uint64(len(p.Function) + 1), Name: name}
			p.Function = append(p.Function, f)
			l := &profile.Location{ID: f.ID, Line: []profile.Line{{Function: f}}}
			p.Location = append(p.Location, l)
			s.Location = append(s.Location, l)
		}
		p.Sample = append(p.Sample, s)
	}
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return &b
}

// Frames are as wide as what they hold, lie below who calls them and beside each other, and names are escaped.
func TestFlameOfAProfile(t *testing.T) {
	heap := map[string]int64{"leaf main.run": 300, `reprise/pkg/x.f[<"&>] main.run`: 600, "other": 100, "none": 0}
	var svg bytes.Buffer
	if err := drawHeap(&svg, heapOf(t, heap), "inuse_space", ""); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, f := range framesIn(t, svg.Bytes()) {
		fmt.Fprintf(&got, "%d %4.0f %4.0f %s\n", (f.Rect.Y-flameHead)/flameRow, f.Rect.X, f.Rect.Width, f.Title)
	}
	const want = `0    0 1200 all: 1000 B, 100.0 %
1    0 1080 main.run: 900 B, 90.0 %
2    0  360 leaf: 300 B, 30.0 %
2  360  720 reprise/pkg/x.f[<"&>]: 600 B, 60.0 %
1 1080  120 other: 100 B, 10.0 %
`
	if got.String() != want {
		t.Errorf("drawn\n%swant\n%s", got.String(), want)
	}
	svg.Reset()
	if err := drawHeap(&svg, heapOf(t, heap), "inuse_space", "main.run"); err != nil {
		t.Fatal(err)
	}
	if all := framesIn(t, svg.Bytes()); len(all) != 4 || all[0].Title != "all: 900 B, 100.0 %" || all[1].Rect.Width != flameWidth {
		t.Errorf("of main.run alone: %+v", all)
	}
	svg.Reset()
	if err := drawHeap(&svg, heapOf(t, heap), "inuse_space", "nobody"); err != nil {
		t.Fatal(err)
	}
	if all := framesIn(t, svg.Bytes()); len(all) != 1 || !strings.HasPrefix(all[0].Title, "all: 0 B") {
		t.Errorf("of nobody: %+v", all)
	}
}

func TestFlameOfOddProfiles(t *testing.T) {
	if err := drawHeap(&bytes.Buffer{}, strings.NewReader("no profile"), "inuse_space", ""); err == nil {
		t.Error("what is no profile is drawn")
	}
	if err := drawHeap(&bytes.Buffer{}, heapOf(t, nil), "alloc_space", ""); err == nil || !strings.Contains(err.Error(), "alloc_space") {
		t.Errorf("a kind that is not there: %v", err)
	}
}

// The heap of this process: every frame lies within the one above it, and those of a row do not overlap.
func TestFlameHandler(t *testing.T) {
	h := FlameHandler(hosttest.Real(1))
	get := func(query string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/debug/heap/flamegraph"+query, http.NoBody))
		return w
	}
	if w := get("?sample=joy"); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "inuse_space") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, sample := range append(flameSamples, "") {
		w := get("?gc=1&sample=" + sample)
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "image/svg+xml" {
			t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
		}
		checkNested(t, framesIn(t, w.Body.Bytes()))
	}
}

// checkNested expects frames in the order in which they are drawn: each before what it calls.
func checkNested(t *testing.T, all []drawnFrame) {
	t.Helper()
	const exact = 0.01 // pixels; three digits are drawn
	if len(all) == 0 || math.Abs(all[0].Rect.Width-flameWidth) > exact {
		t.Fatalf("the first of %d frames is not all", len(all))
	}
	var above []drawnFrame // with the right edge of what it calls in free
	free := map[int]float64{}
	for _, f := range all {
		level := (f.Rect.Y - flameHead) / flameRow
		if level > len(above) {
			t.Fatalf("%+v has nobody above it", f)
		}
		above = append(above[:level], f)
		if level == 0 {
			continue
		}
		parent := above[level-1]
		if f.Rect.X < parent.Rect.X-exact || f.Rect.X+f.Rect.Width > parent.Rect.X+parent.Rect.Width+exact {
			t.Errorf("%+v is not within %+v", f, parent)
		}
		if f.Rect.X < free[level]-exact {
			t.Errorf("%+v overlaps what is left of it", f)
		}
		free[level] = f.Rect.X + f.Rect.Width
	}
}
