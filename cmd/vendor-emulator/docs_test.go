package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// usageFlag matches a flag in the text that -h prints.
var usageFlag = regexp.MustCompile(`(?m)^  -([a-z-]+)`)

func TestDocs_Flags_AreOnThePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/emulator.md")
	require.NoError(t, err)
	var usage bytes.Buffer
	require.True(t, errors.Is(run(t.Context(), []string{"-h"}, &usage), flag.ErrHelp))
	flags := usageFlag.FindAllStringSubmatch(usage.String(), -1)
	require.NotEmpty(t, flags)
	for _, name := range flags {
		require.Contains(t, string(page), "| `-"+name[1]+"`", "the page has no row for this flag")
	}
}
