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
	// eventRevocationFailed: a credential should have ended and has not.
	eventRevocationFailed = "vendorauth/revocation-failed"
	// eventRevocationSettled: a revocation that had failed has succeeded.
	eventRevocationSettled = "vendorauth/revocation-settled"
	// eventOwnerlessFound: the vendor lists credentials of this mount that are not in its books.
	eventOwnerlessFound = "vendorauth/ownerless-found"
	// eventAnswerLost: the vendor's answer to an issue was lost, and what it may have made is looked for.
	eventAnswerLost = "vendorauth/answer-lost"
	// eventRotated: the root credential of a config was replaced.
	eventRotated = "vendorauth/root-rotated"
	// eventRotationFailed: it should have been, and was not.
	eventRotationFailed = "vendorauth/root-rotation-failed"
)

// event sends an event. A failure to do so is only logged: nothing depends on events.
func (b *backend) event(ctx context.Context, kind string, metadata ...string) {
	err := logical.SendEvent(context.WithoutCancel(ctx), b, kind, metadata...)
	if err != nil && !errors.Is(err, framework.ErrNoEvents) {
		b.Logger().Debug("event not sent", "type", kind, "error", err)
	}
}
