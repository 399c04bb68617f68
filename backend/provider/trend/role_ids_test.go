package trend_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// A connection remembers 256 IDs of administrator roles. One more makes it forget the others.
func TestRoleName_ManyNames_AreRememberedToALimit(t *testing.T) {
	m := newManager(t)
	var roles []string
	for i := range 257 {
		roles = append(roles, fmt.Sprintf(`{"ID":4,"name":"role-%d"}`, i))
	}
	body := `{"roles":[` + strings.Join(roles, ",") + `]}`
	m.InjectFault(emulator.Fault{Route: "searchAdministratorRoles", Body: &body})
	conn := m.open(m.rootFields())
	issued := 0
	searchesFor := func(role int) int {
		before := m.Requested("searchAdministratorRoles")
		request := hourRequest(fields{"role_id": nil, "role_name": fmt.Sprintf("role-%d", role)})
		issued++
		request.Marker = fmt.Sprintf("vault-%d", issued)
		_, err := conn.Issue(t.Context(), request)
		require.NoError(t, err)
		return m.Requested("searchAdministratorRoles") - before
	}
	for role := range 256 {
		require.Equal(t, 1, searchesFor(role))
	}
	assert.Zero(t, searchesFor(0), "256 are remembered")
	assert.Zero(t, searchesFor(255))
	assert.Equal(t, 1, searchesFor(256))
	assert.Equal(t, 1, searchesFor(0), "the 257th made it forget the others")
	assert.Zero(t, searchesFor(256))
}
