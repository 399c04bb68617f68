package backend

import (
	"context"
	"errors"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

// sendEvent sends an event of Vault's event system. The packages that send events name their types. A failure
// is only logged: nothing depends on events.
func (b *backend) sendEvent(ctx context.Context, kind string, metadata ...string) {
	err := logical.SendEvent(context.WithoutCancel(ctx), b, kind, metadata...)
	if err != nil && !errors.Is(err, framework.ErrNoEvents) {
		b.Logger().Debug("event not sent", "type", kind, "error", err)
	}
}
