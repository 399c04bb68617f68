package main

import (
	"bytes"
	"encoding/xml"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// recordedText matches a line of text of the recording.
var recordedText = regexp.MustCompile(`<text [^>]*>(.*)</text>`)

// changing matches what differs between two runs of the demo.
var changing = regexp.MustCompile(`https?://[0-9.:]+|ca_cert=@\S+|creds/\S+/\S+|…$`)

// The README's recording shows what the demo prints: each command, explanation and verified statement, in the same order.
func TestRecording_Lines_AreWhatTheDemoPrints(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a real Vault server; run without -short")
	}
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), &out, false, "trend"), out.String())
	output := out.String()
	file, err := os.ReadFile(filepath.Join("..", "..", "docs", "demo.svg"))
	require.NoError(t, err)
	var printed []string
	for line := range strings.SplitSeq(output, "\n") {
		printed = append(printed, cut(line, recordedColumns))
	}
	next, shown := 0, 0
	for _, found := range recordedText.FindAllStringSubmatch(string(file), -1) {
		line := html.UnescapeString(found[1])
		if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "$") && !strings.HasPrefix(line, "✓") {
			continue
		}
		from := next
		for next < len(printed) && same(printed[next]) != same(line) {
			next++
		}
		require.Less(t, next, len(printed),
			"docs/demo.svg shows a line that the demo does not print after line %d; run go run ./scripts/demo -vendor trend -svg docs/demo.svg:\n%s", from, line)
		shown++
	}
	require.Greater(t, shown, 10)
}

// same is what two runs print alike.
func same(line string) string {
	return strings.TrimSpace(changing.ReplaceAllString(line, "*"))
}

func TestRecording_Lines_AreSelectedAndEscaped(t *testing.T) {
	lines := recordedLines("Starting\n# Read & see\n$ vault read x\nKey    Value\ntoken  abc\nother  1\n✓ it <works>\n──── Summary ────\n$ vault\n")
	assert.Equal(t, []string{"# Read & see", "$ vault read x", "Key    Value", "token  abc", "✓ it <works>"}, lines)
	svg := recording(append(lines, cut(strings.Repeat("x", 200), recordedColumns)))
	require.NoError(t, xml.Unmarshal([]byte(svg), new(struct{ XMLName xml.Name })))
	assert.Contains(t, svg, "it &lt;works&gt;")
	assert.NotContains(t, svg, strings.Repeat("x", recordedColumns))
}
