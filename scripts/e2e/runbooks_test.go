package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

const runbooksPage = "docs/runbooks.md"

// changedPassword is the password that the device has after a change that Vault does not know of.
const changedPassword = "Changed-at-the-device-7"

// incident produces the symptom of a runbook before its first block, ends the outer cause before the block cured, and
// verifies the end.
type incident struct {
	symptom func(*runbookServer)
	// repaired is the number of the block before which the cause outside Vault ends, as the page tells the operator to do.
	repaired int
	repair   func(*runbookServer)
	cured    func(*runbookServer)
}

// incidents are the runbooks by heading. Every section with commands is here.
var incidents = map[string]incident{
	"Runbooks": {cured: (*runbookServer).requireWorks},
	"A vendor is down": {
		symptom: func(s *runbookServer) {
			s.fault(devserver.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
			s.requireRefused("503")
		},
		repaired: 1, repair: (*runbookServer).endFaults, cured: (*runbookServer).requireWorks,
	},
	"All slots are in use": {
		symptom: func(s *runbookServer) {
			s.read("vendorauth/creds/edge-reader")
			s.read("vendorauth/creds/edge-reader")
			s.requireRefused("409", "no credential is free")
		},
		cured: (*runbookServer).requireWorks,
	},
	"The root credential is refused": {
		symptom: func(s *runbookServer) {
			s.act("change_password", map[string]string{"password": changedPassword})
			s.act("end_sessions", nil)
			s.requireRefused("400")
		},
		cured: (*runbookServer).requireWorks,
	},
	"A rotation failed": {
		symptom: func(s *runbookServer) {
			s.fault(devserver.Fault{Vendor: "ftd", Route: "PUT *", DropAfter: true})
			_, err := s.client.Logical().Write("vendorauth/config/edge/rotate-root", nil)
			require.ErrorContains(s.t, err, "424")
			s.endFaults()
			s.requireState("in_doubt")
		},
		cured: func(s *runbookServer) {
			s.requireState("current")
			s.requireWorks()
		},
	},
	"The certificate of a device changed": {
		symptom: (*runbookServer).distrust,
		cured:   (*runbookServer).requireWorks,
	},
	"A revocation fails": {
		symptom: func(s *runbookServer) {
			lease := s.read("vendorauth/creds/edge-reader").LeaseID
			s.fault(devserver.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
			require.Error(s.t, s.client.Sys().RevokeWithOptions(&api.RevokeOptions{LeaseID: lease, Sync: true}))
		},
		repaired: 1, repair: (*runbookServer).endFaults,
		cured: func(s *runbookServer) {
			s.requireNoneLive()
			s.requireWorks()
		},
	},
	"Vault restarted or failed over": {
		symptom: func(s *runbookServer) { require.NoError(s.t, s.RestartVault(s.t.Context())) },
		cured:   (*runbookServer).requireWorks,
	},
	"A snapshot was restored": {cured: (*runbookServer).requireWorks}, // scripts/faults restores one
	"Emergency stop": {
		symptom: func(s *runbookServer) { s.read("vendorauth/creds/edge-reader") },
		cured:   (*runbookServer).requireWorks,
	},
	"The policy of an operator on call": {cured: (*runbookServer).requireWorks},
	"A product no longer exists": {
		symptom: func(s *runbookServer) {
			s.read("vendorauth/creds/edge-reader")
			s.fault(devserver.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
		},
		cured: func(s *runbookServer) {
			listed, err := s.client.Logical().List("vendorauth/config")
			require.NoError(s.t, err)
			require.Nil(s.t, listed)
		},
	},
	"Disabling the mount": {
		symptom: func(s *runbookServer) {
			s.read("vendorauth/creds/edge-reader")
			s.fault(devserver.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
			require.Error(s.t, s.client.Sys().Unmount("vendorauth"))
			s.endFaults()
		},
		cured: func(s *runbookServer) {
			mounts, err := s.client.Sys().ListMounts()
			require.NoError(s.t, err)
			require.NotContains(s.t, mounts, "vendorauth/")
			s.requireNoneLive()
		},
	},
}

// runbookServer is a Vault server with emulators for the runbooks.
type runbookServer struct {
	*devserver.Server
	t      *testing.T
	client *api.Client
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
	for i, at := range headings {
		end := len(text)
		if i+1 < len(headings) {
			end = headings[i+1][0]
		}
		heading := string(text[at[2]:at[3]])
		blocks, err := parseBlocks(string(text[at[1]:end]))
		require.NoError(t, err)
		if len(blocks) == 0 {
			continue
		}
		if setup == nil {
			setup = blocks
		}
		met[heading] = true
		require.Contains(t, incidents, heading)
		if !t.Run(strings.ReplaceAll(heading, " ", "_"), func(t *testing.T) { s.run(t, incidents[heading], setup, blocks) }) {
			return
		}
	}
	require.Len(t, met, len(incidents))
}

// run runs one runbook.
func (s *runbookServer) run(t *testing.T, is incident, setup, blocks []block) {
	s.t = t
	require.NoError(t, s.Control().Reset(t.Context()))
	s.begin()
	for _, b := range setup {
		s.shell(b)
	}
	if is.symptom != nil {
		is.symptom(s)
	}
	for i, b := range blocks {
		if is.repair != nil && i == is.repaired {
			is.repair(s)
		}
		s.shell(b)
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

// shell runs a block, which must succeed.
func (s *runbookServer) shell(b block) {
	s.t.Helper()
	require.Equal(s.t, "sh", b.language)
	cmd := exec.CommandContext(s.t.Context(), "bash", "-c", "set -eu -o pipefail\n"+b.text)
	cmd.Dir = repository(s.t)
	cmd.Env = append(s.Environ(), s.Emulator().Environ()...)
	cmd.Env = append(cmd.Env, "HOME="+s.t.TempDir(), "PATH="+pathWithVault(), "NEW_PASSWORD="+changedPassword)
	output, err := cmd.CombinedOutput()
	require.NoError(s.t, err, "%s\n%s", b.text, output)
	s.t.Logf("%s\n%s", b.text, output)
}

func (s *runbookServer) fault(fault devserver.Fault) {
	s.t.Helper()
	require.NoError(s.t, s.Control().AddFault(s.t.Context(), fault))
}

func (s *runbookServer) endFaults() {
	s.t.Helper()
	require.NoError(s.t, s.Control().ClearFaults(s.t.Context(), "ftd"))
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
	require.NoError(s.t, s.client.Sys().RevokeWithOptions(&api.RevokeOptions{LeaseID: secret.LeaseID, Sync: true}))
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

// distrust makes the config trust another authority, as after a change of the device's certificate.
func (s *runbookServer) distrust() {
	s.t.Helper()
	served := s.Emulator().Vendors["ftd"]
	other, err := os.ReadFile(filepath.Join("testdata", "other-ca.pem"))
	require.NoError(s.t, err)
	fields := map[string]any{"ca_cert": string(other), "verify_connection": false}
	for field, value := range served.Credentials {
		fields[field] = value
	}
	_, err = s.client.Logical().Write("vendorauth/config/edge", fields)
	require.NoError(s.t, err)
	s.requireRefused("certificate")
}
