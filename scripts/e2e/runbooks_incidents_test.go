package e2e

import (
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// incident produces the symptom of a runbook before its first block, ends the outer cause before the block repaired, and
// verifies the end.
type incident struct {
	// name tells several incidents of one runbook apart.
	name string
	// setup replaces the setup of the page.
	setup   func(*runbookServer)
	symptom func(*runbookServer)
	// repaired is the number of the block before which the cause outside Vault ends, as the page tells the operator to do.
	repaired int
	repair   func(*runbookServer)
	// spared are the messages after `|| echo` that the incident does not produce. All others must be printed.
	spared []string
	cured  func(*runbookServer)
}

// incidents are the runbooks by heading. Every section with commands is here.
var incidents = map[string][]incident{
	"Runbooks": {{cured: (*runbookServer).requireWorks}},
	"A vendor is down": {{
		symptom: func(s *runbookServer) {
			lease := s.read("vendorauth/creds/edge-reader").LeaseID
			s.fault(devserver.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
			s.requireRefused("503")
			s.requireRevocationFails(lease)
		},
		repaired: 1, repair: (*runbookServer).endFaults,
		cured: func(s *runbookServer) {
			s.requireNoneLive()
			s.requireWorks()
		},
	}},
	"All slots are in use": {{
		symptom: func(s *runbookServer) {
			s.read("vendorauth/creds/edge-reader")
			s.read("vendorauth/creds/edge-reader")
			s.requireRefused("409", "no credential is free")
		},
		cured: (*runbookServer).requireWorks,
	}},
	"The root credential is refused": {{
		symptom: func(s *runbookServer) {
			s.act("change_password", map[string]string{"password": changedPassword})
			s.act("end_sessions", nil)
			s.requireRefused("400")
		},
		cured: (*runbookServer).requireWorks,
	}},
	"A rotation failed": {{
		name: "in doubt",
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
	}, {
		name:     "previous not revoked",
		setup:    (*runbookServer).setupTrend,
		symptom:  (*runbookServer).keepPreviousRoot,
		repaired: 2, repair: (*runbookServer).endFaults,
		cured: func(s *runbookServer) {
			s.requireState("current")
			s.requireWorks()
		},
	}},
	"The certificate of a device changed": {{
		symptom: (*runbookServer).distrust,
		cured:   (*runbookServer).requireWorks,
	}},
	"A revocation fails": {{
		name: "retried by Vault",
		symptom: func(s *runbookServer) {
			lease := s.read("vendorauth/creds/edge-reader").LeaseID
			s.fault(devserver.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
			s.requireRevocationFails(lease)
		},
		repaired: 1, repair: (*runbookServer).endFaults, cured: (*runbookServer).requireRevoked,
	}, {
		name: "irrevocable",
		symptom: func(s *runbookServer) {
			lease := s.read("vendorauth/creds/edge-reader").LeaseID
			s.fault(devserver.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
			s.exhaustRevocations(lease)
		},
		repaired: 1, repair: (*runbookServer).endFaults, cured: (*runbookServer).requireRevoked,
	}},
	"Vault restarted or failed over": {{
		symptom: func(s *runbookServer) { require.NoError(s.t, s.RestartVault(s.t.Context())) },
		cured:   (*runbookServer).requireWorks,
	}},
	"A snapshot was restored": {{
		name:    "same root credential",
		symptom: func(s *runbookServer) { s.restoreOldSnapshot(func() {}) },
		spared:  []string{"the root credential is refused"},
		cured:   (*runbookServer).requireRevoked,
	}, {
		name: "rotated since",
		symptom: func(s *runbookServer) {
			s.restoreOldSnapshot(func() {
				_, err := s.client.Logical().Write("vendorauth/config/edge/rotate-root", nil)
				require.NoError(s.t, err)
			})
			s.requireRefused("400")
		},
		repaired: 1, repair: func(s *runbookServer) { s.act("change_password", map[string]string{"password": changedPassword}) },
		cured: (*runbookServer).requireRevoked,
	}},
	"Emergency stop": {{
		symptom: func(s *runbookServer) { s.read("vendorauth/creds/edge-reader") },
		cured:   (*runbookServer).requireRevoked,
	}},
	"The policy of an operator on call": {{cured: (*runbookServer).requireWorks}},
	"A product no longer exists": {{
		symptom: func(s *runbookServer) {
			s.read("vendorauth/creds/edge-reader")
			s.fault(devserver.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
		},
		cured: func(s *runbookServer) {
			listed, err := s.client.Logical().List("vendorauth/config")
			require.NoError(s.t, err)
			require.Nil(s.t, listed)
			leases, err := s.client.Logical().List("sys/leases/lookup/vendorauth/creds/edge-reader")
			require.NoError(s.t, err)
			require.Nil(s.t, leases)
		},
	}},
	"Disabling the mount": {{
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
	}},
}
