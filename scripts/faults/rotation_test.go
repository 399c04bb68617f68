package faults

import (
	"context"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// managementRole is the emulator's role of keys that may make keys.
const managementRole = 3

func rotating(v vendor) bool { return v.rotates }

// formerEnded are the vendors whose former root credential the engine has to end.
func formerEnded(v vendor) bool { return v.rotates && v.login }

var (
	// bootstrapRoot writes a config with a login, from which the root credential is made.
	bootstrapRoot = operation{
		name: "make a root credential", fits: func(v vendor) bool { return v.login }, prepare: prepareNothing,
		act:     func(ctx context.Context, o *scenario) { _ = o.writeLogin(ctx) },
		settled: rootSettled,
	}
	rotateRoot = operation{
		name: "rotate the root credential", fits: rotating,
		prepare: func(t *testing.T, o *scenario) {
			if o.vendor.login {
				// A root credential of its own, so that the other trials keep theirs.
				require.NoError(t, o.writeLogin(t.Context()))
			}
			o.mustRead(t, o.role)
		},
		act: func(ctx context.Context, o *scenario) {
			_, _ = o.vault().Logical().WriteWithContext(ctx, o.at("config/%s/rotate-root", o.config), nil)
		},
		settled: rootSettled,
	}
	rotateRootByMaking = operation{rotateRoot.name, formerEnded, rotateRoot.prepare, rotateRoot.act, rootSettled}
)

// writeLogin writes the trial's config with the login from which its root credential is made.
func (o *scenario) writeLogin(ctx context.Context) error {
	fields, err := o.vendor.configFields(o.server.Emulator())
	if err != nil {
		return err
	}
	served := o.server.Emulator().Vendors[o.vendor.emulated]
	for field := range served.Credentials {
		fields[field] = ""
	}
	for field, value := range served.Login {
		fields[field] = value
	}
	fields["bootstrap_role_id"] = managementRole
	_, err = o.vault().Logical().WriteWithContext(ctx, o.at("config/%s", o.config), fields)
	return err
}

// rootSettled demands that a root credential works, and that no other is left: which one it is after a fault, the
// engine finds out.
func rootSettled(t *testing.T, o *scenario) {
	t.Helper()
	var err error
	works := await(patience, func() bool {
		_, err = o.read(t.Context(), o.vault(), o.role)
		return err == nil
	})
	if !works {
		t.Errorf("%s: no root credential works any more: %v", o, err)
		note(o.fault, o.vendor.name, row{leases: 1})
	}
	if !o.vendor.login {
		return
	}
	var roots []devserver.Credential
	if !await(patience, func() bool {
		_, _ = o.vault().Logical().WriteWithContext(t.Context(), o.at("config/%s/tidy", o.config), nil)
		roots = o.madeRoots(t)
		return len(roots) <= 1
	}) {
		t.Errorf("%s: root credentials that nobody has: %+v", o, roots)
		note(o.fault, o.vendor.name, row{orphans: len(roots) - 1})
	}
}

// madeRoots are the living root credentials that were made for the trial's config.
func (o *scenario) madeRoots(t *testing.T) []devserver.Credential {
	t.Helper()
	all, err := o.server.Control().Credentials(t.Context(), o.vendor.emulated)
	require.NoError(t, err)
	var made []devserver.Credential
	for _, c := range all {
		if c.Live && strings.Contains(c.Marker, "-config-"+o.config+"-") {
			made = append(made, c)
		}
	}
	return made
}

// rotatedFields are the fields of a config that trials before have written, without the root credential: that may
// have been rotated since.
func rotatedFields(fields map[string]any, served devserver.VendorState) map[string]any {
	kept := maps.Clone(fields)
	for field := range served.Credentials {
		delete(kept, field)
	}
	return kept
}
