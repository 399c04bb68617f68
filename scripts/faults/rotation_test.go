package faults

import (
	"context"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// createsRoots reports whether the engine creates the target's root credentials, so that it must revoke the previous
// ones.
func createsRoots(v target) bool { return v.Bootstrap != nil }

var (
	// bootstrapRoot writes a config with a login, from which the engine creates the root credential.
	bootstrapRoot = operation{
		name: "create a root credential", fits: createsRoots, prepare: prepareNothing,
		act:    func(ctx context.Context, sc *scenario) { _ = sc.writeLogin(ctx) },
		verify: verifyRoot,
	}
	rotateRoot = operation{
		name: "rotate the root credential", fits: target.RotatesRoot,
		prepare: func(t *testing.T, sc *scenario) {
			if createsRoots(sc.target) {
				// The scenario rotates its own root credential, not the one that other scenarios use.
				require.NoError(t, sc.writeLogin(t.Context()))
			}
			sc.mustRead(t, sc.role)
		},
		act: func(ctx context.Context, sc *scenario) {
			_, _ = sc.vault().Logical().WriteWithContext(ctx, sc.path("config/%s/rotate-root", sc.config), nil)
		},
		verify: verifyRoot,
	}
	// rotateCreatedRoot is rotateRoot for the targets whose previous root credential the engine revokes.
	rotateCreatedRoot = operation{
		name: rotateRoot.name, prepare: rotateRoot.prepare, act: rotateRoot.act, verify: verifyRoot,
		fits: func(v target) bool { return v.RotatesRoot() && createsRoots(v) },
	}
)

// deleteCreatedRoot deletes a config whose root credential the engine has created. The root credential is revoked
// with it. Afterwards the config is written again, for the checks that follow.
var deleteCreatedRoot = operation{
	name: "delete the config of a created root credential", fits: createsRoots,
	prepare: func(t *testing.T, sc *scenario) { require.NoError(t, sc.writeLogin(t.Context())) },
	act:     func(ctx context.Context, sc *scenario) { _ = sc.deleteConfig(ctx) },
	verify: func(t *testing.T, sc *scenario) {
		t.Helper()
		var roots []devserver.Credential
		if !await(recoveryTimeout, func() bool {
			_ = sc.deleteConfig(t.Context())
			roots = sc.createdRoots(t)
			return len(roots) == 0
		}) {
			t.Errorf("%s: root credentials outlive their config: %+v", sc, roots)
			record(sc.fault, sc.target.label, row{orphans: len(roots)})
		}
		require.NoError(t, sc.writeLogin(t.Context()))
	},
}

func (sc *scenario) deleteConfig(ctx context.Context) error {
	_, err := sc.vault().Logical().DeleteWithDataWithContext(ctx, sc.path("config/%s", sc.config), map[string][]string{"force": {"true"}})
	return err
}

// writeLogin writes the scenario's config with the login from which the engine creates its root credential.
func (sc *scenario) writeLogin(ctx context.Context) error {
	fields, err := sc.target.configFields(sc.server.Emulator())
	if err != nil {
		return err
	}
	served := sc.server.Emulator().Vendors[sc.target.Name]
	for field := range served.Credentials {
		fields[field] = ""
	}
	for field, value := range served.Login {
		fields[field] = value
	}
	maps.Copy(fields, sc.target.Bootstrap)
	_, err = sc.vault().Logical().WriteWithContext(ctx, sc.path("config/%s", sc.config), fields)
	return err
}

// verifyRoot verifies that a root credential works and that no other one is live. After a fault, the engine finds out
// which one works.
func verifyRoot(t *testing.T, sc *scenario) {
	t.Helper()
	var err error
	works := await(recoveryTimeout, func() bool {
		_, err = sc.read(t.Context(), sc.vault(), sc.role)
		return err == nil
	})
	if !works {
		t.Errorf("%s: no root credential works: %v", sc, err)
		record(sc.fault, sc.target.label, row{lostLeases: 1})
	}
	if !createsRoots(sc.target) {
		return
	}
	var roots []devserver.Credential
	if !await(recoveryTimeout, func() bool {
		_, _ = sc.vault().Logical().WriteWithContext(t.Context(), sc.path("config/%s/tidy", sc.config), nil)
		roots = sc.createdRoots(t)
		return len(roots) <= 1
	}) {
		t.Errorf("%s: more than one root credential is live: %+v", sc, roots)
		record(sc.fault, sc.target.label, row{orphans: len(roots) - 1})
	}
}

// createdRoots returns the live root credentials that the engine has created for the scenario's config.
func (sc *scenario) createdRoots(t *testing.T) []devserver.Credential {
	t.Helper()
	all, err := sc.server.Control().Credentials(t.Context(), sc.target.Name)
	require.NoError(t, err)
	var created []devserver.Credential
	for _, c := range all {
		if c.Live && strings.Contains(c.Marker, "-config-"+sc.config+"-") {
			created = append(created, c)
		}
	}
	return created
}

// withoutRoot returns a copy of config fields without the root credential, which an earlier scenario may have rotated.
func withoutRoot(fields map[string]any, served devserver.VendorState) map[string]any {
	kept := maps.Clone(fields)
	for field := range served.Credentials {
		delete(kept, field)
	}
	return kept
}
