package main

import (
	"fmt"
	"html"
	"os"
	"regexp"
	"strings"
)

// The recording is one picture for the README: the lines of the demo appear one after the other.
const (
	recordedColumns = 108
	lineHeight      = 19
	recordedMargin  = 22
	secondsByLine   = 0.45
)

// tableRows are the rows of the `vault` command's tables that the recording keeps.
var tableRows = regexp.MustCompile(`^(Key|---|lease_id|lease_duration|lease_renewable|token|expires_at|api_key_id|root_state|sensitive_fields_set)( |$)`)

// recordedLines returns the lines of the demo's output that the recording shows: what is done, and what was verified.
func recordedLines(output string) []string {
	var lines []string
	for line := range strings.SplitSeq(output, "\n") {
		switch {
		case strings.HasPrefix(line, "──── Summary"):
			return lines
		case strings.HasPrefix(line, "# "), strings.HasPrefix(line, "$ "), strings.HasPrefix(line, "✓ "), tableRows.MatchString(line):
			lines = append(lines, cut(line, recordedColumns))
		}
	}
	return lines
}

// cut shortens a line to a number of characters.
func cut(line string, columns int) string {
	characters := []rune(line)
	if len(characters) <= columns {
		return line
	}
	return string(characters[:columns-1]) + "…"
}

// writeRecording writes the recording of the demo's output to a file.
func writeRecording(file, output string) error {
	if err := os.WriteFile(file, []byte(recording(recordedLines(output))), 0o600); err != nil {
		return fmt.Errorf("write the recording: %w", err)
	}
	return nil
}

// recording returns an SVG in which the lines appear one after the other. Where animations are off, all lines are visible.
func recording(lines []string) string {
	height := len(lines)*lineHeight + 2*recordedMargin
	var svg strings.Builder
	printf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 %[1]d" width="960" height="%[1]d" role="img" aria-label="A recording of make demo">
<style>
text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #c9d1d9; white-space: pre; animation: show 0.2s both; }
.explained { fill: #8b949e; } .command { fill: #79c0ff; } .verified { fill: #7ee787; }
@keyframes show { from { opacity: 0; } to { opacity: 1; } }
@media (prefers-reduced-motion: reduce) { text { animation: none; } }
</style>
<rect width="960" height="%[1]d" rx="8" fill="#0d1117"/>
`, height)
	for i, line := range lines {
		class := ""
		switch line[0] {
		case '#':
			class = "explained"
		case '$':
			class = "command"
		case "✓"[0]:
			class = "verified"
		}
		printf(&svg, `<text class="%s" x="%d" y="%d" style="animation-delay:%.2fs">%s</text>`+"\n",
			class, recordedMargin, recordedMargin+(i+1)*lineHeight-5, float64(i)*secondsByLine, html.EscapeString(line))
	}
	svg.WriteString("</svg>\n")
	return svg.String()
}
