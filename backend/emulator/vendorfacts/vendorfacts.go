// Package vendorfacts is the one table of what tests and the demo must know about each vendor: how an application
// uses a leased credential, which requests issue, renew and revoke it, and what a rotation replaces.
//
// The conformance tests of the drivers, the demo, the end-to-end tests and the fault tests read it. A new vendor is
// one entry in [All]; a test of package backend fails when a registered vendor has none.
//
// The package stands among the emulators because its facts are those of the emulated products, seen from outside: the
// operations are the names in an emulator's request log, and the actions are those of its control API. Drivers' tests
// may import emulators' packages, while nothing below backend may import scripts. It imports the standard library
// only: a test that took its expectations from the engine, or from the emulator's own code, would prove nothing. That is
// why [Vendor.Use] exists although each driver can use a credential too, for the probe: the drivers send the requests of a
// product's operator, with the engine's client, and this package those of an application, with the standard library's. The
// conformance suite compares the two.
package vendorfacts

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Renewal is what a renewal does to a vendor's credential. The values are those of the path info.
type Renewal string

// What a renewal does.
const (
	// RenewalNone: nothing, so leases are not renewable.
	RenewalNone Renewal = "none"
	// RenewalWithinLife: the credential's end is fixed at the issue, and renewals move the lease within that life.
	RenewalWithinLife Renewal = "within_life"
	// RenewalExtends: a renewal moves the credential's end at the vendor.
	RenewalExtends Renewal = "extends"
)

// How a credential ends when its lease ends, as the emulator reports it in ended_by.
const (
	EndedRevoked = "revoked"
	EndedExpired = "expired"
)

// Vendor holds the facts about one vendor. It is read-only and safe for concurrent use.
type Vendor struct {
	// Name is the value of the config field "vendor", and the emulator's name of the vendor.
	Name string
	// Product is the product's name for a reader.
	Product string

	// Root lists the config fields of the root credential.
	Root []string
	// Secret is the field of Root that is a secret. A rotation replaces its value.
	Secret string
	// Bootstrap holds the config fields that a config needs in addition to a login, so that the engine creates the root
	// credential from that login. Nil for a vendor without this way.
	Bootstrap map[string]any
	// Role holds the fields without which a role of this vendor is refused.
	Role map[string]any

	// Operations names the vendor's requests.
	Operations Operations
	// Marked is true for a vendor that stores the engine's marker with the credential.
	Marked bool
	// Renewal is what a renewal does.
	Renewal Renewal
	// IdleTimeout is the time without use after which a credential ends, and so the longest lease between two renewals.
	// Zero for a vendor without an idle timeout.
	IdleTimeout time.Duration
	// FixedLife is the life that the emulated vendor gives to a credential, whatever was asked for. Zero for a vendor
	// whose requests choose the life.
	FixedLife time.Duration
	// Revokes is true for a vendor whose API ends a credential.
	Revokes bool
	// Hook is a call for the config field revoke_url. Nil for a vendor without that field.
	Hook *Hook
	// Sessions is the number of sessions that the vendor grants to all its clients together, when it is so small that
	// tests must share one config. Zero for all others.
	Sessions int
	// EndAction ends a credential at the vendor without the engine's knowledge. Nil for a vendor without such an action.
	EndAction *EndAction

	// hints are the members that only this vendor adds to the data of a read, and that an application needs.
	hints []string
	// request builds a request that needs the credential and changes nothing.
	request func(ctx context.Context, credential map[string]any) (*http.Request, error)
	// judge reads the answer to that request.
	judge func(status int, body []byte) Verdict
}

// Operations names the requests of a vendor as the emulator's request log does. Each is a route of the control API's
// faults too. An empty name means that the vendor has no such request.
type Operations struct {
	// Login opens the engine's own session at a vendor that counts sessions.
	Login string
	// Issue creates a credential.
	Issue string
	// Renew renews a credential, or asks the vendor whether it still works.
	Renew string
	// Revoke ends a credential.
	Revoke string
	// RotateRoot replaces the root credential, or creates another one in its place.
	RotateRoot string
}

// Hook is a call that an operator provides to revoke credentials, as the emulator serves it under a switch.
type Hook struct {
	// Path goes behind the vendor's address, into the config field revoke_url.
	Path string
	// Body is the value of the config field revoke_body.
	Body string
	// Operation is the emulator's name of the call.
	Operation string
	// Switch is the emulator's switch that serves the call when it is "yes".
	Switch string
}

// EndAction is an action of the control API that ends credentials.
type EndAction struct {
	// Name is the name of the action.
	Name string
	// EndedBy is what the emulator then reports in ended_by.
	EndedBy string

	arguments func(credential map[string]any) map[string]string
}

// Arguments returns the arguments of the action that ends credential, which is the data of a read of creds/<role>.
func (a *EndAction) Arguments(credential map[string]any) map[string]string {
	if a.arguments == nil {
		return nil
	}
	return a.arguments(credential)
}

// Named returns the facts about the vendor with that name. It panics when there are none, which is a mistake in a test.
func Named(name string) Vendor {
	for _, vendor := range All() {
		if vendor.Name == name {
			return vendor
		}
	}
	panic("vendorfacts: no vendor " + name)
}

// Names returns the names of all vendors, in the order of [All].
func Names() []string {
	var names []string
	for _, vendor := range All() {
		names = append(names, vendor.Name)
	}
	return names
}

// Renewable reports whether leases of the vendor can be renewed.
func (v Vendor) Renewable() bool { return v.Renewal != RenewalNone }

// RotatesRoot reports whether the vendor's API can replace the root credential.
func (v Vendor) RotatesRoot() bool { return v.Operations.RotateRoot != "" }

// EndedBy is how a credential ends after its lease was revoked.
func (v Vendor) EndedBy() string {
	if v.Revokes {
		return EndedRevoked
	}
	return EndedExpired
}

// LongestLease returns the longest lease that a renewal can bring under a role with that max_ttl.
func (v Vendor) LongestLease(maxTTL time.Duration) time.Duration {
	if v.IdleTimeout > 0 {
		return min(v.IdleTimeout, maxTTL)
	}
	return maxTTL
}

// Missing returns the vendor's own members that an application needs and that credential, the data of a read of
// creds/<role>, does not have.
func (v Vendor) Missing(credential map[string]any) []string {
	return slices.DeleteFunc(slices.Clone(v.hints), func(member string) bool { return credential[member] != nil })
}

// publicFields are the fields of root credentials and logins that may be shown.
var publicFields = []string{"username", "key_id", "client_id"}

// SecretField reports whether a field of a root credential, or of a login from which one is created, is a secret.
func SecretField(field string) bool { return !slices.Contains(publicFields, field) }

// keyID returns the id of a Trend API key, which is the first part of the key.
func keyID(credential map[string]any) map[string]string {
	id, _, _ := strings.Cut(text(credential, "token"), ":")
	return map[string]string{"id": id}
}
