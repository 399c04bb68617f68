package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// docs is where the page and its report are stored.
const docs = "../../docs"

func TestPage_Tables_ComeFromTheReport(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(docs, pageName))
	require.NoError(t, err)
	stored, err := readReport(filepath.Join(docs, "performance"))
	require.NoError(t, err)
	rendered, err := renderPage(string(page), stored)
	require.NoError(t, err)
	require.Equal(t, rendered, string(page), "run `go run ./scripts/bench -render -out docs/performance`")
}

func TestPage_Plots_ComeFromTheReport(t *testing.T) {
	stored, err := readReport(filepath.Join(docs, "performance"))
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, writePlots(dir, stored))
	plots, err := filepath.Glob(filepath.Join(dir, "*.svg"))
	require.NoError(t, err)
	page, err := os.ReadFile(filepath.Join(docs, pageName))
	require.NoError(t, err)
	for _, plot := range plots {
		name := filepath.Base(plot)
		drawn, err := os.ReadFile(plot)
		require.NoError(t, err)
		published, err := os.ReadFile(filepath.Join(docs, "performance", name))
		require.NoError(t, err)
		require.Equal(t, string(drawn), string(published), name)
		require.Contains(t, string(page), "(performance/"+name+")")
	}
}

// Outside of the tables the page compares and plans, and states no measured figure: no rate, latency, CPU time or ratio.
func TestPage_Prose_StatesNoMeasuredFigure(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(docs, pageName))
	require.NoError(t, err)
	stored, err := readReport(filepath.Join(docs, "performance"))
	require.NoError(t, err)
	prose := string(page)
	for name := range tablesOf(stored) {
		before, rest, found := strings.Cut(prose, "<!-- table: "+name+" -->\n")
		require.True(t, found, name)
		_, after, _ := strings.Cut(rest, tableEnd)
		prose = before + after
	}
	for _, unit := range []string{"reads/s ", " µs", "MiB", "× base"} {
		for line := range strings.Lines(prose) {
			if at := strings.Index(line, unit); at > 0 {
				require.NotRegexp(t, `\d\s*$`, line[:at], line)
			}
		}
	}
}
