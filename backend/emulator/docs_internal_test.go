package emulator

import (
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// docsPage returns the page about the emulators.
func docsPage(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/emulator.md")
	require.NoError(t, err)
	return string(text)
}

func TestDocs_ControlCalls_AreOnThePage(t *testing.T) {
	page, calls := docsPage(t), slices.Collect(maps.Keys((&Server{}).controlCalls()))
	require.NotEmpty(t, calls)
	for _, call := range calls {
		require.Contains(t, page, "| `"+call, "the page has no row for this call")
	}
}

func TestDocs_FaultMembers_AreOnThePage(t *testing.T) {
	page := docsPage(t)
	for member := range reflect.TypeFor[wireFault]().Fields() {
		name, _, _ := strings.Cut(member.Tag.Get("json"), ",")
		require.NotEmpty(t, name)
		require.Contains(t, page, "| `"+name+"`", "the page has no row for this member")
	}
}

func TestDocs_Ends_AreOnThePage(t *testing.T) {
	page := docsPage(t)
	for _, reason := range []string{EndedExpired, EndedRevoked, EndedEvicted, EndedPasswordChanged} {
		require.Contains(t, page, "`"+reason+"`")
	}
}
