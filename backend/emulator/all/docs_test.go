package all_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/all"
)

// updateDocs makes the test write the tables that it would compare.
var updateDocs = flag.Bool("update", false, "write the tables of docs/emulator.md")

const (
	emulatorPage = "../../../docs/emulator.md"
	// tablesBegin and tablesEnd surround the tables of actions and switches.
	tablesBegin = "<!-- The tables from here on are generated: go test ./backend/emulator/all -update -->\n"
	tablesEnd   = "<!-- End of the generated tables. -->\n"
)

// action is an action in the answer of the control API.
type action struct {
	Vendor      string   `json:"vendor"`
	Name        string   `json:"name"`
	Description string   `json:"meaning"`
	Arguments   []string `json:"arguments"`
}

// listActions reads the actions of all vendors from the control API, in its order.
func listActions(t *testing.T, server *emulator.Server) []action {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.ControlURL()+"/actions", nil)
	require.NoError(t, err)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	var answer struct {
		Actions []action `json:"actions"`
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
	require.NotEmpty(t, answer.Actions)
	return answer.Actions
}

// cell returns text as the content of a cell of a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// quoted returns values as code, separated by commas.
func quoted(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return "`" + strings.Join(values, "`, `") + "`"
}

// values describes the values of a switch, the default first.
func values(s emulator.Switch) string {
	if s.Kind == emulator.KindChoice {
		return quoted(s.Allowed)
	}
	return fmt.Sprintf("`%s`; %s", s.Default, map[emulator.Kind]string{
		emulator.KindInteger: "a whole number", emulator.KindDuration: "a duration",
	}[s.Kind])
}

// tables returns the section of each vendor: its actions, and its switches.
func tables(t *testing.T) string {
	t.Helper()
	server, err := emulator.Start(emulator.Config{PlainHTTP: true, Seed: 1}, all.Vendors()...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	actions := listActions(t, server)
	var page strings.Builder
	for _, vendor := range server.Vendors() {
		fmt.Fprintf(&page, "\n### %s\n\n| Action | Arguments | What it does |\n|---|---|---|\n", vendor)
		for _, a := range actions {
			if a.Vendor == vendor {
				fmt.Fprintf(&page, "| `%s` | %s | %s |\n", a.Name, quoted(a.Arguments), cell(a.Description))
			}
		}
		fmt.Fprint(&page, "\n| Switch | Values, the default first | What it decides |\n|---|---|---|\n")
		for _, s := range server.Switches(vendor) {
			fmt.Fprintf(&page, "| `%s` | %s | %s |\n", s.Name, cell(values(s.Switch)), cell(s.Description))
		}
	}
	return page.String() + "\n"
}

func TestDocs_ActionsAndSwitches_AreOnThePage(t *testing.T) {
	text, err := os.ReadFile(emulatorPage)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(text), tablesBegin)
	require.True(t, found, "%s has no line %q", emulatorPage, tablesBegin)
	_, after, found := strings.Cut(rest, tablesEnd)
	require.True(t, found, "%s has no line %q", emulatorPage, tablesEnd)
	want := before + tablesBegin + tables(t) + tablesEnd + after
	if *updateDocs {
		require.NoError(t, os.WriteFile(emulatorPage, []byte(want), 0o600))
		return
	}
	require.Equal(t, want, string(text),
		"the actions or switches have changed: run go test ./backend/emulator/all -update, and review the difference")
}
