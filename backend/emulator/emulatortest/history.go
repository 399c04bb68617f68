package emulatortest

import (
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// Issued returns all credentials that the vendor has issued, in the order of issue.
func (s *Server) Issued() []emulator.Credential { return s.Credentials(s.vendor) }

// Live counts the live credentials of a kind.
func (s *Server) Live(kind string) int {
	count := 0
	for _, issued := range s.Issued() {
		if issued.Kind == kind && issued.Live {
			count++
		}
	}
	return count
}

// EndReasons returns the reason for the end of each credential of these kinds, in the order of issue: "" for a live
// credential. Without kinds it returns those of all credentials.
func (s *Server) EndReasons(kinds ...string) []string {
	s.T.Helper()
	reasons := []string{}
	for _, issued := range s.Issued() {
		if len(kinds) > 0 && !slices.Contains(kinds, issued.Kind) {
			continue
		}
		require.Equal(s.T, issued.Live, issued.EndedBy == "", "%+v", issued)
		require.Equal(s.T, issued.Live, issued.EndedAt == nil, "%+v", issued)
		reasons = append(reasons, issued.EndedBy)
	}
	return reasons
}

// LastIssued returns the credential of a kind that was issued last. It fails the test if there is none.
func (s *Server) LastIssued(kind string) emulator.Credential {
	s.T.Helper()
	for _, issued := range slices.Backward(s.Issued()) {
		if issued.Kind == kind {
			return issued
		}
	}
	require.Fail(s.T, "no credential was issued", "of kind %s", kind)
	return emulator.Credential{}
}

// RequireIssued requires that the credential of a kind that was issued last is live, has this marker and expires at
// this time. It returns the credential.
func (s *Server) RequireIssued(kind, marker string, expires time.Time) emulator.Credential {
	s.T.Helper()
	issued := s.LastIssued(kind)
	require.True(s.T, issued.Live)
	require.Equal(s.T, marker, issued.Marker)
	require.NotNil(s.T, issued.ExpiresAt)
	require.Equal(s.T, expires, *issued.ExpiresAt)
	return issued
}
