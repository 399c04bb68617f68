package e2e

import (
	"fmt"
	"html"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The measures of the picture in pixels: of a unit of Grafana's grid, and inside of a panel.
const (
	gridWidth   = 50
	gridHeight  = 26
	panelGap    = 4
	plotTop     = 30
	plotLeft    = 44
	legendRows  = 2
	legendEntry = 190
)

var lineColours = []string{"#1f77b4", "#d9822b", "#2e8b57", "#c23030", "#7157d9", "#8f6b32", "#00838f", "#ad1457", "#5c7080", "#9aa51b"}

// drawDashboard stores a picture of the dashboard with the data of this test as an SVG document.
func drawDashboard(t *testing.T, p *prometheus, d dashboard, from time.Time, file string) {
	t.Helper()
	bottom := 0
	for _, panel := range d.Panels {
		bottom = max(bottom, panel.GridPos.Y+panel.GridPos.H)
	}
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11" role="img">`+"\n", 24*gridWidth, bottom*gridHeight)
	out.WriteString("<title>The dashboard with the data of a test</title><rect width=\"100%\" height=\"100%\" fill=\"#eef1f4\"/>\n")
	for _, panel := range d.Panels {
		x, y := panel.GridPos.X*gridWidth+panelGap/2, panel.GridPos.Y*gridHeight+panelGap/2
		width, height := panel.GridPos.W*gridWidth-panelGap, panel.GridPos.H*gridHeight-panelGap
		fmt.Fprintf(&out, `<g transform="translate(%d %d)"><rect width="%d" height="%d" rx="3" fill="#ffffff" stroke="#d5dbe1"/>`, x, y, width, height)
		fmt.Fprintf(&out, `<text x="8" y="18" font-size="13" fill="#1f2933">%s</text>`+"\n", html.EscapeString(panel.Title))
		switch panel.Type {
		case "stat":
			drawStat(t, &out, p, panel, width, height)
		case "table":
			drawTable(t, &out, p, panel)
		default:
			drawLines(t, &out, p, panel, from, width, height)
		}
		out.WriteString("</g>\n")
	}
	out.WriteString("</svg>\n")
	require.NoError(t, os.WriteFile(file, []byte(out.String()), 0o600))
}

func drawStat(t *testing.T, out *strings.Builder, p *prometheus, panel dashboardPanel, width, height int) {
	t.Helper()
	found, err := p.query(t.Context(), expression(panel.Targets[0].Expr))
	require.NoError(t, err)
	value := pointOf(found[0].Value).value
	text := strconv.FormatFloat(math.Round(value), 'f', -1, 64)
	if panel.FieldConfig.Defaults.Unit == "s" {
		text += " s"
	}
	fmt.Fprintf(out, `<text x="%d" y="%d" font-size="34" text-anchor="middle" fill="#1f2933">%s</text>`+"\n", width/2, height/2+24, text)
}

// line is one line of a plot.
type line struct {
	name   string
	points []point
}

// legendLabel matches a label in the pattern of a legend.
var legendLabel = regexp.MustCompile(`\{\{(\w+)\}\}`)

// linesOf returns the lines of a panel, the largest first.
func linesOf(t *testing.T, p *prometheus, panel dashboardPanel, from time.Time) []line {
	t.Helper()
	var lines []line
	for _, target := range panel.Targets {
		found, err := p.queryRange(t.Context(), expression(target.Expr), from, time.Now())
		require.NoError(t, err)
		for _, s := range found {
			l := line{name: strings.TrimSpace(legendLabel.ReplaceAllStringFunc(target.LegendFormat, func(match string) string {
				return s.Metric[strings.Trim(match, "{}")]
			}))}
			for _, raw := range s.Values {
				if v := pointOf(raw); !math.IsNaN(v.value) {
					l.points = append(l.points, v)
				}
			}
			lines = append(lines, l)
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int { return int(math.Copysign(1, highest(b)-highest(a))) })
	return lines
}

func highest(l line) float64 {
	top := 0.0
	for _, v := range l.points {
		top = max(top, v.value)
	}
	return top
}

func drawLines(t *testing.T, out *strings.Builder, p *prometheus, panel dashboardPanel, from time.Time, width, height int) {
	t.Helper()
	lines := linesOf(t, p, panel, from)
	top := 0.0
	for _, l := range lines {
		top = max(top, highest(l))
	}
	if top == 0 {
		top = 1
	}
	plotWidth, plotHeight := float64(width-plotLeft-10), float64(height-plotTop-16*legendRows-10)
	for i := range 5 {
		y := plotTop + plotHeight*float64(i)/4
		fmt.Fprintf(out, `<path d="M%d %.1fh%.1f" stroke="#e4e8ec"/><text x="%d" y="%.1f" text-anchor="end" fill="#5c7080">%.3g</text>`+"\n",
			plotLeft, y, plotWidth, plotLeft-4, y+4, top*float64(4-i)/4)
	}
	began, span := float64(from.Unix()), max(time.Since(from).Seconds(), 1)
	perRow := (width - plotLeft) / legendEntry
	for i, l := range lines {
		colour := lineColours[i%len(lineColours)]
		var path strings.Builder
		for _, v := range l.points {
			fmt.Fprintf(&path, "%.1f,%.1f ", plotLeft+plotWidth*(v.at-began)/span, plotTop+plotHeight*(1-max(v.value, 0)/top))
		}
		fmt.Fprintf(out, `<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5"/>`+"\n", strings.TrimSpace(path.String()), colour)
		if i < perRow*legendRows {
			x, y := plotLeft+i%perRow*legendEntry, plotTop+int(plotHeight)+18+i/perRow*16
			fmt.Fprintf(out, `<rect x="%d" y="%d" width="10" height="3" fill="%s"/><text x="%d" y="%d" fill="#1f2933">%s</text>`+"\n",
				x, y-5, colour, x+14, y, html.EscapeString(l.name))
		}
	}
}

func drawTable(t *testing.T, out *strings.Builder, p *prometheus, panel dashboardPanel) {
	t.Helper()
	rows := map[string][]string{}
	for _, target := range panel.Targets {
		found, err := p.query(t.Context(), expression(target.Expr))
		require.NoError(t, err)
		for _, s := range found {
			key := strings.TrimSpace(s.Metric["config"] + " " + s.Metric["mount"] + " " + s.Metric["version"])
			value := pointOf(s.Value).value
			switch {
			case len(panel.Targets) == 1:
			case value > 1e9:
				rows[key] = append(rows[key], time.UnixMilli(int64(value)).UTC().Format("2006-01-02 15:04"))
				continue
			case value == 0 && len(rows[key]) < 4:
				rows[key] = append(rows[key], "-")
				continue
			}
			rows[key] = append(rows[key], map[bool]string{true: "yes", false: "no"}[value != 0])
		}
	}
	names := make([]string, 0, len(rows))
	for name := range rows {
		names = append(names, name)
	}
	slices.Sort(names)
	header := []string{"Config", "Last accepted", "Last rotation", "Next rotation", "Expires", "Rejected", "Retired"}
	if len(panel.Targets) == 1 {
		header = []string{"Mount and version"}
	}
	cells := [][]string{header}
	for _, name := range names {
		row := []string{name}
		if len(header) > 1 {
			row = append(row, rows[name]...)
		}
		cells = append(cells, row)
	}
	for i, row := range cells {
		for j, cell := range row {
			fmt.Fprintf(out, `<text x="%d" y="%d" fill="#1f2933">%s</text>`+"\n", 10+j*112, 42+i*20, html.EscapeString(cell))
		}
	}
}
