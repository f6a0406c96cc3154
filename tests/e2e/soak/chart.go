package soak

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Chart is panels, one below the other, with one axis of minutes. Each panel has the lines of all names, in their order.
type Chart struct {
	Names  []string
	Panels []Panel
	Bands  []Band    // shaded
	Ticks  []float64 // minutes, marked below each panel
}

// Panel has a line for each name of its Chart; a line may be empty.
type Panel struct {
	Title string
	Lines [][]Point
}

// Point is a value at a minute.
type Point struct{ X, Y float64 }

// Band is a time with a name.
type Band struct {
	Name     string
	From, To float64
}

const (
	chartWidth  = 960
	panelHeight = 230
	panelGap    = 46
	plotLeft    = 64
	plotRight   = 16
	legendRow   = 18
	// buckets is how many points a line has at most.
	buckets = 450
)

// palette tells lines apart for most readers, also where red and green look alike.
var palette = [...]string{"#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6d00", "#444444", "#9467bd"}

// SVG draws the chart.
func (c *Chart) SVG() []byte {
	var b strings.Builder
	const columns = 5
	top := 16 + legendRow*((len(c.Names)+columns-1)/columns)
	height := top + len(c.Panels)*(panelHeight+panelGap) + 14
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n", chartWidth, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", chartWidth, height)
	for i, name := range c.Names {
		x, y := plotLeft+i%columns*((chartWidth-plotLeft)/columns), 16+i/columns*legendRow
		fmt.Fprintf(&b, `<path d="M%d %dh18" stroke="%s" stroke-width="3"/><text x="%d" y="%d">%s</text>`+"\n", x, y-4, palette[i%len(palette)], x+24, y, html.EscapeString(name))
	}
	last := 0.0
	for _, p := range c.Panels {
		for _, line := range p.Lines {
			for _, pt := range line {
				last = max(last, pt.X)
			}
		}
	}
	for i := range c.Panels {
		c.panel(&b, &c.Panels[i], float64(top+i*(panelHeight+panelGap)+20), max(last, 1e-3))
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">minutes; marks below an axis: a process is killed or stopped</text>`+"\n</svg>\n", chartWidth/2, height-6)
	return []byte(b.String())
}

func (c *Chart) panel(b *strings.Builder, p *Panel, top, last float64) {
	highest := 0.0
	for _, line := range p.Lines {
		for _, pt := range line {
			highest = max(highest, pt.Y)
		}
	}
	stepY, stepX := step(max(highest, 1)/4), step(last/10)
	full := math.Ceil(max(highest, 1)/stepY) * stepY
	width := float64(chartWidth - plotLeft - plotRight)
	bottom := top + panelHeight
	x := func(v float64) float64 { return plotLeft + v/last*width }
	y := func(v float64) float64 { return bottom - v/full*panelHeight }

	for _, band := range c.Bands {
		fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%d" fill="#eef3e6"/><text x="%.1f" y="%.1f" fill="#667755">%s</text>`+"\n",
			x(band.From), top, x(band.To)-x(band.From), panelHeight, x(band.From)+3, top+12, html.EscapeString(band.Name))
	}
	fmt.Fprintf(b, `<text x="%d" y="%.1f" font-size="13" font-weight="bold">%s</text>`+"\n", plotLeft, top-7, html.EscapeString(p.Title))
	for v := 0.0; v <= full; v += stepY {
		fmt.Fprintf(b, `<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			plotLeft, y(v), chartWidth-plotRight, plotLeft-6, y(v)+4, number(v))
	}
	for v := 0.0; v <= last; v += stepX {
		fmt.Fprintf(b, `<path d="M%.1f %.1fv5" stroke="#888"/><text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n", x(v), bottom, x(v), bottom+18, number(v))
	}
	var marks strings.Builder
	for _, v := range c.Ticks {
		fmt.Fprintf(&marks, "M%.1f %.1fv3", x(v), bottom)
	}
	if marks.Len() > 0 {
		fmt.Fprintf(b, `<path d="%s" stroke="#c00"/>`+"\n", marks.String())
	}
	for i, line := range p.Lines {
		var path strings.Builder
		for k, pt := range thin(line, last) {
			if k > 0 {
				path.WriteByte(' ')
			}
			fmt.Fprintf(&path, "%.1f,%.1f", x(pt.X), y(pt.Y))
		}
		fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="1.2" points="%s"/>`+"\n", palette[i%len(palette)], path.String())
	}
}

// thin leaves the highest point of each bucket of time.
func thin(line []Point, last float64) (out []Point) {
	at := -1
	for _, pt := range line {
		bucket := int(pt.X / last * buckets)
		switch {
		case bucket != at:
			at = bucket
			out = append(out, pt)
		case pt.Y > out[len(out)-1].Y:
			out[len(out)-1] = pt
		}
	}
	return out
}

// step is the round number next above v.
func step(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	i := slices.IndexFunc([]float64{1, 2, 5}, func(f float64) bool { return f*power >= v })
	if i < 0 {
		return 10 * power
	}
	return []float64{1, 2, 5}[i] * power
}

func number(v float64) string { return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64) }
