package emulatortest

import (
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// Issued returns everything that the vendor ever issued, in order.
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

// EndReasons returns why each credential of these kinds has ended, of all kinds when none is named, in the order of
// issue: "" for a live one.
func (s *Server) EndReasons(kinds ...string) []string {
	s.T.Helper()
	endings := []string{}
	for _, issued := range s.Issued() {
		if len(kinds) > 0 && !slices.Contains(kinds, issued.Kind) {
			continue
		}
		require.Equal(s.T, issued.Live, issued.EndedBy == "", "%+v", issued)
		require.Equal(s.T, issued.Live, issued.EndedAt == nil, "%+v", issued)
		endings = append(endings, issued.EndedBy)
	}
	return endings
}

// LastIssued returns what was issued last of a kind, and fails the test where there is nothing.
func (s *Server) LastIssued(kind string) emulator.Credential {
	s.T.Helper()
	for _, issued := range slices.Backward(s.Issued()) {
		if issued.Kind == kind {
			return issued
		}
	}
	require.Fail(s.T, "nothing was issued", "of kind %s", kind)
	return emulator.Credential{}
}

// RequireIssued demands that what was issued last of a kind is live, has this marker and ends at that time. It returns
// it.
func (s *Server) RequireIssued(kind, marker string, expires time.Time) emulator.Credential {
	s.T.Helper()
	issued := s.LastIssued(kind)
	require.True(s.T, issued.Live)
	require.Equal(s.T, marker, issued.Marker)
	require.NotNil(s.T, issued.ExpiresAt)
	require.Equal(s.T, expires, *issued.ExpiresAt)
	return issued
}
