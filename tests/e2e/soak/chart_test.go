package soak

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestSVG(t *testing.T) {
	var line []Point
	for i := range 10_000 {
		line = append(line, Point{float64(i) / 300, float64(i % 7)})
	}
	c := &Chart{
		Names: []string{"a <b>", "c"}, Ticks: []float64{3}, Bands: []Band{{"quiet", 5, 7}},
		Panels: []Panel{{Title: "RSS", Lines: [][]Point{line, nil}}, {Title: "empty", Lines: [][]Point{nil, nil}}},
	}
	svg := c.SVG()
	if len(svg) > 20_000 {
		t.Errorf("%d bytes for one line", len(svg))
	}
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"a &lt;b&gt;", ">RSS<", ">quiet<", ">30<", ">6<"} {
		if !strings.Contains(string(svg), want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestThin(t *testing.T) {
	got := thin([]Point{{0, 1}, {0.01, 5}, {0.02, 2}, {9.9, 3}}, 100)
	if len(got) != 2 || got[0].Y != 5 || got[1].Y != 3 {
		t.Errorf("thinned to %v", got)
	}
}

func TestStep(t *testing.T) {
	for v, want := range map[float64]float64{0.7: 1, 3: 5, 12: 20, 60: 100, 100: 100, 0.03: 0.05} {
		if got := step(v); got < want*0.999 || got > want*1.001 {
			t.Errorf("step(%v) = %v, want %v", v, got, want)
		}
	}
}
