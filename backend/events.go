package backend

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/rotation"
)

// eventPrefix begins the types of all events.
const eventPrefix = "vendorauth/"

// unmodifiedEvents report something that has not changed the data at their path. So do all failures.
var unmodifiedEvents = []string{lease.EventOrphansFound, rotation.EventExpiring, eventGap}

// sendEvent sends an event of Vault's event system, and records an observation with the same type and data. The packages
// that send events name their types. A failure is only logged: nothing depends on events. Vault Community
// Edition drops both, so it gets none: each is a round trip to Vault's process.
func (b *backend) sendEvent(ctx context.Context, kind string, metadata ...string) {
	b.sendEventOf(ctx, nil, kind, metadata...)
}

// sendEventOf is sendEvent for what a request does. Vault's observations name the request and who sent it.
func (b *backend) sendEventOf(ctx context.Context, req *logical.Request, kind string, metadata ...string) {
	ctx = context.WithoutCancel(ctx)
	if b.system != nil && !b.system.deliversEvents(ctx) {
		return
	}
	metadata = withEventPaths(kind, metadata)
	if err := logical.SendEvent(ctx, b, kind, metadata...); err != nil && !errors.Is(err, framework.ErrNoEvents) {
		b.Logger().Debug("event not sent", "type", kind, "error", err)
	}
	data := make(map[string]any, len(metadata)/2)
	for pair := range slices.Chunk(metadata, 2) {
		data[pair[0]] = pair[1]
	}
	var err error
	if req == nil {
		err = b.RecordObservation(ctx, kind, data)
	} else {
		err = b.RecordObservationWithRequest(ctx, req, kind, data)
	}
	if err != nil && !errors.Is(err, framework.ErrNoObservations) {
		b.Logger().Debug("observation not recorded", "type", kind, "error", err)
	}
}

// withEventPaths adds what the policies and the filters of subscribers use: path, data_path, operation and modified.
// Vault puts the mount before both paths. A failed event has the path of the successful one.
func withEventPaths(kind string, metadata []string) []string {
	named := make(map[string]string, len(metadata)/2)
	for pair := range slices.Chunk(metadata, 2) {
		named[pair[0]] = pair[1]
	}
	operation := strings.TrimPrefix(kind, eventPrefix)
	path := "config/"
	switch config, role := named["config"], named["role"]; {
	case kind == lease.EventOrphansFound:
		path = "config/" + config + "/credentials"
	case strings.HasPrefix(operation, "creds-") && role != "":
		path = "creds/" + role
	case strings.HasPrefix(operation, "role-") && role != "":
		path = "roles/" + role
	case config != "":
		path = "config/" + config
	}
	modified := named[logical.EventMetadataModified]
	if modified == "" {
		modified = strconv.FormatBool(!strings.HasSuffix(kind, "-fail") && !slices.Contains(unmodifiedEvents, kind))
		metadata = append(metadata, logical.EventMetadataModified, modified)
	}
	return append(metadata, logical.EventMetadataPath, path, logical.EventMetadataDataPath, path, logical.EventMetadataOperation, operation)
}
