package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

const (
	runbooksPage = "docs/runbooks.md"
	// policyHeading is the section of the policy with which all others are run. It has the policy's name too.
	policyHeading = "The policy of an operator on call"
	policyName    = "vendorauth-on-call"
)

// changedPassword is the password that the device has after a change that Vault does not know of.
const changedPassword = "Changed-at-the-device-7"

// runbookServer is a Vault server with emulators for the runbooks.
type runbookServer struct {
	*devserver.Server
	t      *testing.T
	client *api.Client
	// policy are the blocks that write the policy of an operator on call.
	policy []block
}

// Each runbook is run on a server that has its problem, by blocks, and must cure it.
func TestRunbooks_EverySection_CuresItsProblem(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repository(t), runbooksPage))
	require.NoError(t, err)
	headings := regexp.MustCompile(`(?m)^##? (.+)$`).FindAllStringSubmatchIndex(string(text), -1)
	started, err := devserver.Start(t.Context(), devserver.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, started.Close()) })
	s := &runbookServer{Server: started, client: started.Client()}
	met := map[string]bool{}
	// The setup is run again before each section, since sections replace the root credential.
	var setup []block
	sections := map[string][]block{}
	for i, at := range headings {
		end := len(text)
		if i+1 < len(headings) {
			end = headings[i+1][0]
		}
		blocks, err := parseBlocks(string(text[at[1]:end]))
		require.NoError(t, err)
		sections[string(text[at[2]:at[3]])] = blocks
	}
	s.policy = sections[policyHeading]
	require.NotEmpty(t, s.policy)
	for _, at := range headings {
		heading := string(text[at[2]:at[3]])
		blocks := sections[heading]
		if len(blocks) == 0 {
			continue
		}
		if setup == nil {
			setup = blocks
		}
		met[heading] = true
		require.Contains(t, incidents, heading)
		for _, produced := range incidents[heading] {
			name := strings.TrimSuffix(heading+"/"+produced.name, "/")
			if !t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) { s.run(t, produced, setup, blocks) }) {
				return
			}
		}
	}
	require.Len(t, met, len(incidents))
}

// fallback matches what a block prints where a command of it fails, as the symptom makes it.
var fallback = regexp.MustCompile(`\|\| echo "([^"]+)"`)

// run runs one runbook, with the token of an operator on call.
func (s *runbookServer) run(t *testing.T, is incident, setup, blocks []block) {
	s.t = t
	require.NoError(t, s.Control().Reset(t.Context()))
	s.begin()
	if is.setup != nil {
		is.setup(s)
	} else {
		for _, b := range setup {
			s.shell(s.client.Token(), b)
		}
	}
	token := s.client.Token()
	if !slices.Equal(blocks, s.policy) {
		token = s.onCall()
	}
	if is.symptom != nil {
		is.symptom(s)
	}
	for i, b := range blocks {
		if is.repair != nil && i == is.repaired {
			is.repair(s)
		}
		printed := s.shell(token, b)
		for _, message := range fallback.FindAllStringSubmatch(b.text, -1) {
			if !slices.Contains(is.spared, message[1]) {
				require.Contains(t, printed, message[1], "the commands do not meet the symptom:\n%s", b.text)
			}
		}
	}
	is.cured(s)
}

// begin removes what an earlier section has left, and enables the engine where it is disabled.
func (s *runbookServer) begin() {
	mounts, err := s.client.Sys().ListMounts()
	require.NoError(s.t, err)
	if _, ok := mounts["vendorauth/"]; ok {
		_ = s.client.Sys().RevokeForce("vendorauth/creds")
		require.NoError(s.t, s.client.Sys().Unmount("vendorauth"))
	}
	require.NoError(s.t, s.client.Sys().Mount("vendorauth", &api.MountInput{Type: devserver.PluginName}))
}

// shell runs a block with a token, and returns what it prints. It must succeed.
func (s *runbookServer) shell(token string, b block) string {
	s.t.Helper()
	require.Equal(s.t, "sh", b.language)
	cmd := exec.CommandContext(s.t.Context(), "bash", "-c", "set -eu -o pipefail\n"+b.text)
	cmd.Dir = repository(s.t)
	cmd.Env = append(s.Environ(), s.Emulator().Environ()...)
	cmd.Env = append(cmd.Env, "HOME="+s.t.TempDir(), "PATH="+pathWithVault(), "NEW_PASSWORD="+changedPassword, "VAULT_TOKEN="+token)
	output, err := cmd.CombinedOutput()
	require.NoError(s.t, err, "%s\n%s", b.text, output)
	s.t.Logf("%s\n%s", b.text, output)
	return string(output)
}

func (s *runbookServer) fault(fault devserver.Fault) {
	s.t.Helper()
	require.NoError(s.t, s.Control().AddFault(s.t.Context(), fault))
}

func (s *runbookServer) endFaults() {
	s.t.Helper()
	for _, vendor := range []string{"ftd", "trend"} {
		require.NoError(s.t, s.Control().ClearFaults(s.t.Context(), vendor))
	}
}

func (s *runbookServer) act(action string, arguments map[string]string) {
	s.t.Helper()
	_, err := s.Control().Act(s.t.Context(), "ftd", action, arguments)
	require.NoError(s.t, err)
}

func (s *runbookServer) read(path string) *api.Secret {
	s.t.Helper()
	secret, err := s.client.Logical().Read(path)
	require.NoError(s.t, err)
	require.NotNil(s.t, secret, path)
	return secret
}

// requireRefused requires that a read of the role fails with an error that contains the texts.
func (s *runbookServer) requireRefused(texts ...string) {
	s.t.Helper()
	_, err := s.client.Logical().Read("vendorauth/creds/edge-reader")
	for _, text := range texts {
		require.ErrorContains(s.t, err, text)
	}
}

// requireWorks requires that a credential can be read and revoked.
func (s *runbookServer) requireWorks() {
	s.t.Helper()
	secret := s.read("vendorauth/creds/edge-reader")
	revokeLease(s.t, s.client, secret.LeaseID)
}

// requireNoneLive requires that no leased credential lives at the vendor.
func (s *runbookServer) requireNoneLive() {
	s.t.Helper()
	credentials, err := s.Control().Credentials(s.t.Context(), "ftd")
	require.NoError(s.t, err)
	for _, credential := range credentials {
		require.False(s.t, credential.Live && credential.Kind == "leased", "%s is live", credential.ID)
	}
}

func (s *runbookServer) requireState(state string) {
	s.t.Helper()
	require.Equal(s.t, state, s.read("vendorauth/config/edge").Data["root_state"])
}
