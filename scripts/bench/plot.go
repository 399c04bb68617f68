package main

import (
	"errors"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strings"
)

// bar is one bar of a chart.
type bar struct {
	label string
	value float64
	// base is true for a bar of the null engine, which has another colour.
	base bool
}

// The measures of a chart in pixels.
const (
	chartWidth = 760
	labelWidth = 230
	valueWidth = 70
	barHeight  = 18
	barStep    = 24
	chartTop   = 40
)

// drawBars returns a chart of horizontal bars as an SVG document. The colours can be read on a light and on a dark page.
func drawBars(title string, bars []bar, format string) string {
	largest := 0.0
	for _, b := range bars {
		largest = max(largest, b.value)
	}
	height := chartTop + len(bars)*barStep + 10
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" role="img">`+"\n", chartWidth, height)
	fmt.Fprintf(&out, `<title>%s</title><rect width="100%%" height="100%%" fill="#ffffff"/>`+"\n", html.EscapeString(title))
	fmt.Fprintf(&out, `<text x="10" y="22" font-size="15" fill="#1f2933">%s</text>`+"\n", html.EscapeString(title))
	for i, b := range bars {
		colour := "#2f6fab"
		if b.base {
			colour = "#9aa5b1"
		}
		y := chartTop + i*barStep
		width := 0.0
		if largest > 0 {
			width = b.value / largest * (chartWidth - labelWidth - valueWidth)
		}
		fmt.Fprintf(&out, `<text x="%d" y="%d" text-anchor="end" fill="#1f2933">%s</text>`, labelWidth-8, y+13, html.EscapeString(b.label))
		fmt.Fprintf(&out, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, labelWidth, y, width, barHeight, colour)
		fmt.Fprintf(&out, `<text x="%.1f" y="%d" fill="#1f2933">%s</text>`+"\n", labelWidth+width+6, y+13, fmt.Sprintf(format, b.value))
	}
	out.WriteString("</svg>\n")
	return out.String()
}

// barsOf returns a bar for each scenario at the number of clients of the targets.
func barsOf(rows []row, value func(row) (float64, bool)) []bar {
	var bars []bar
	for _, r := range rows {
		if r.Clients != targetClients {
			continue
		}
		if v, ok := value(r); ok {
			bars = append(bars, bar{r.Name, v, !r.Engine})
		}
	}
	return bars
}

// writePlots stores a chart for each figure that a reader compares.
func writePlots(dir string, result report) error {
	always := func(value func(row) float64) func(row) (float64, bool) {
		return func(r row) (float64, bool) { return value(r), true }
	}
	instant := func(value func(row) float64) func(row) (float64, bool) {
		return func(r row) (float64, bool) { return value(r), r.VendorDelay == 0 }
	}
	charts := map[string]string{
		"reads.svg":   drawBars("Reads per second, 64 clients", barsOf(result.Rows, always(func(r row) float64 { return r.Read.PerSecond })), "%.0f"),
		"cpu.svg":     drawBars("CPU time per read, Vault and plugin, in µs", barsOf(result.Rows, instant(func(r row) float64 { return r.Read.CPU })), "%.0f"),
		"revokes.svg": drawBars("Revocations per second, 64 clients", barsOf(result.Rows, instant(func(r row) float64 { return r.Revoke.PerSecond })), "%.0f"),
	}
	if len(result.Growth) > 0 {
		var bars []bar
		for _, r := range result.Growth {
			bars = append(bars, bar{fmt.Sprintf("%d entries", r.Entries), r.Read.P99, false})
		}
		charts["growth.svg"] = drawBars("p99 of a limited read by size of the ledger, in ms", bars, "%.1f")
	}
	var errs []error
	for name, chart := range charts {
		errs = append(errs, os.WriteFile(filepath.Join(dir, name), []byte(chart), 0o644)) //nolint:gosec // documentation is readable for all users
	}
	return errors.Join(errs...)
}
