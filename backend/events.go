package backend

import (
	"context"
	"errors"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

// Types of the events that the engine sends, for whoever is to be woken. Metadata: config, role, id, and for
// a failure attempts and next_attempt_at.
const (
	// eventRevokeFail: a credential should have ended and has not.
	eventRevokeFail = "vendorauth/creds-revoke-fail"
	// eventRevoke: a revocation that had failed has succeeded.
	eventRevoke = "vendorauth/creds-revoke"
	// eventOrphansFound: the vendor lists credentials of this mount that are not in its books.
	eventOrphansFound = "vendorauth/orphans-found"
	// eventCreateUnknown: the vendor's answer to an issue was lost, and what it may have made is looked for.
	eventCreateUnknown = "vendorauth/creds-create-unknown"
	// eventRootRotate: the root credential of a config was replaced.
	eventRootRotate = "vendorauth/root-rotate"
	// eventRootRotateFail: it should have been, and was not.
	eventRootRotateFail = "vendorauth/root-rotate-fail"
)

// event sends an event. A failure to do so is only logged: nothing depends on events.
func (b *backend) event(ctx context.Context, kind string, metadata ...string) {
	err := logical.SendEvent(context.WithoutCancel(ctx), b, kind, metadata...)
	if err != nil && !errors.Is(err, framework.ErrNoEvents) {
		b.Logger().Debug("event not sent", "type", kind, "error", err)
	}
}
