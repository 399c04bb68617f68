package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// pageTimeout bounds the commands of one page on a slow machine.
const pageTimeout = 5 * time.Minute

// pagesInOrder are pages that use the same names in Vault, so they run one after the other. Every other page runs at the
// same time.
var pagesInOrder = []string{"docs/vendors/trend.md", "docs/applications.md"}

// operatorsPages build, install, upgrade and restart the plugin, which would disturb other pages. They run one after the
// other, since each builds, on their own server, which starts without the plugin.
var operatorsPages = []string{"docs/quick-start.md", "README.md", "docs/operations.md", "docs/updating.md"}

// The blocks of commands in the README and under docs run as a reader would paste them: all blocks of a page in one
// shell, in order. Each command must succeed.
func TestDocs_EveryCommand_Succeeds(t *testing.T) {
	output, err := exec.CommandContext(t.Context(), "../ensure-tools.sh").CombinedOutput()
	require.NoError(t, err, "%s", output)
	pages := readPages(t)
	checkMarks(t, pages)

	client, _ := reset(t)
	enableAppRole(t, client)
	sequences := [][]string{operatorsPages, pagesInOrder}
	for path := range pages {
		if path == runbooksPage {
			continue // TestRunbooks runs it, on a server that has the problems
		}
		if !slices.Contains(operatorsPages, path) && !slices.Contains(pagesInOrder, path) {
			sequences = append(sequences, []string{path})
		}
	}
	tests := map[string]func(*testing.T){}
	for _, sequence := range sequences {
		tests["from "+filepath.Base(sequence[0])] = func(t *testing.T) {
			shared := server
			if sequence[0] == operatorsPages[0] {
				shared = startBareServer(t)
			}
			for _, path := range sequence {
				require.Contains(t, pages, path)
				// A page needs the results of the pages before it.
				if !t.Run(filepath.Base(path), func(t *testing.T) { runPage(t, shared, path, pages[path]) }) {
					return
				}
			}
		}
	}
	runConcurrently(t, tests)
	if !t.Failed() {
		require.NoError(t, client.Sys().RevokePrefixWithContext(t.Context(), server.MountPath()+"/creds"))
	}
}

// commandLine matches a block that begins with a command.
var commandLine = regexp.MustCompile(`^(\$ |[A-Z_]+=\S+ |vault |curl |make |go |kubectl |terraform )`)

// checkMarks fails when a block of commands is neither run nor marked as not run, and logs the blocks that are not run.
func checkMarks(t *testing.T, pages map[string][]block) {
	t.Helper()
	run, notRun := 0, []string{}
	for path, blocks := range pages {
		for _, b := range blocks {
			where := fmt.Sprintf("%s:%d", path, b.line)
			switch {
			case b.language == "sh" && b.notRun == "":
				run++
			case b.language == "sh":
				notRun = append(notRun, where+": "+b.notRun)
			default:
				require.NotContains(t, shellNames, b.language, "%s: commands are marked as sh", where)
				require.NotRegexp(t, commandLine, b.text, "%s: commands are marked as sh", where)
				require.Empty(t, b.notRun, "%s: only commands are run", where)
			}
		}
	}
	slices.Sort(notRun)
	t.Logf("%d blocks of commands are run, %d are not:\n%s", run, len(notRun), strings.Join(notRun, "\n"))
	require.NotZero(t, run)
}

// startBareServer starts Vault and the emulators, without the plugin.
func startBareServer(t *testing.T) *devserver.Server {
	t.Helper()
	bare, err := devserver.Start(t.Context(), devserver.Options{WithoutPlugin: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, bare.Close()) })
	return bare
}

// runPage runs the commands of a page in one shell, which stops at the first failure.
func runPage(t *testing.T, shared *devserver.Server, path string, blocks []block) {
	t.Helper()
	script := "set -eu -o pipefail\n"
	for _, b := range blocks {
		if b.language == "sh" && b.notRun == "" {
			script += fmt.Sprintf("printf '\\n##### %s:%d\\n'\n%s", path, b.line, b.text)
		}
	}
	script += "printf '\\n##### end\\n'\n"
	dir := t.TempDir()
	file := filepath.Join(dir, "page.sh")
	require.NoError(t, os.WriteFile(file, []byte(script), 0o600))

	cmd := exec.Command("bash", file)
	cmd.Dir = repository(t)
	cmd.Env = append(shared.Environ(), shared.Emulator().Environ()...)
	cmd.Env = append(cmd.Env,
		"HOME="+dir, "PATH="+pathWithVault(),
		// Without these variables the Go command uses directories below HOME.
		"GOCACHE="+goEnv(t, "GOCACHE"), "GOMODCACHE="+goEnv(t, "GOMODCACHE"), "GOPATH="+goEnv(t, "GOPATH"),
		"QUICKSTART_LISTEN="+freeAddress(t), "PROXY_LISTEN="+freeAddress(t),
		"PLUGIN_DIRECTORY="+filepath.Dir(shared.Nodes()[0].PluginPath()),
	)
	shell, err := devserver.StartProgram(path, filepath.Join(dir, "output"), cmd)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), pageTimeout)
	defer cancel()
	err = shell.Wait(ctx)
	// A page must stop the programs that it starts in the background. They are in the shell's process group.
	gone := waitForGroup(cmd.Process.Pid, 10*time.Second)
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	require.NoError(t, err, "%s:\n%s", path, shell.Output())
	require.True(t, strings.HasSuffix(shell.Output(), "##### end"), "%s ended the shell early:\n%s", path, shell.Output())
	require.True(t, gone, "%s left processes running", path)
	t.Log(shell.Output()) // with -v, to compare it with the page
}

// waitForGroup waits until a process group has ended, and reports false when that takes longer than timeout.
func waitForGroup(group int, timeout time.Duration) bool {
	for deadline := time.Now().Add(timeout); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if errors.Is(syscall.Kill(-group, 0), syscall.ESRCH) {
			return true
		}
	}
	return false
}

// goEnv returns a setting of the Go command.
func goEnv(t *testing.T, name string) string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(output))
}
