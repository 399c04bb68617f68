package lease

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

func TestNextAction_StateAndTimes_Decide(t *testing.T) {
	const issuing, live, revoking, expiring = ledger.StateIssuing, ledger.StateLive, ledger.StateRevoking, ledger.StateExpiring
	now := providertest.NewClock().Now()
	later, expired := now.Add(time.Hour), now.Add(-ExpiryGrace-time.Second)
	tooOld, young := now.Add(-IssueDeadline-time.Second), now.Add(-IssueDeadline)
	shared := json.RawMessage(`{}`)
	for name, test := range map[string]struct {
		entry         ledger.Entry
		ignoreBackoff bool
		want          action
	}{
		"issuing":                    {ledger.Entry{State: issuing, CreatedAt: young, ExpiresAt: later}, true, actionNone},
		"issuing for too long":       {ledger.Entry{State: issuing, CreatedAt: tooOld, ExpiresAt: later}, false, actionRevoke},
		"issuing, expired":           {ledger.Entry{State: issuing, CreatedAt: tooOld, ExpiresAt: expired}, false, actionRevoke},
		"issuing, expiry unenforced": {ledger.Entry{State: issuing, CreatedAt: tooOld, ExpiresAt: expired, ExpiryNotEnforced: true}, false, actionRevoke},
		"leased":                     {ledger.Entry{State: live, ExpiresAt: later, LeaseExpiresAt: now}, true, actionNone},
		"lease in its grace":         {ledger.Entry{State: live, ExpiresAt: later, LeaseExpiresAt: now.Add(-LostLeaseGrace)}, true, actionNone},
		"lease lost":                 {ledger.Entry{State: live, ExpiresAt: later, LeaseExpiresAt: now.Add(-LostLeaseGrace - time.Second)}, false, actionRevoke},
		"leased, expired":            {ledger.Entry{State: live, ExpiresAt: expired, LeaseExpiresAt: later}, false, actionRevoke},
		"leased, expiry in grace":    {ledger.Entry{State: live, ExpiresAt: now.Add(-ExpiryGrace), LeaseExpiresAt: later}, false, actionNone},
		"leased, expiry unenforced":  {ledger.Entry{State: live, ExpiresAt: expired, LeaseExpiresAt: later, ExpiryNotEnforced: true}, false, actionNone},
		"shared, new":                {ledger.Entry{State: live, CreatedAt: young, ExpiresAt: later, Shared: shared}, true, actionNone},
		"shared":                     {ledger.Entry{State: live, CreatedAt: tooOld, ExpiresAt: later, Shared: shared}, false, actionCheckHolders},
		"shared, expired":            {ledger.Entry{State: live, CreatedAt: tooOld, ExpiresAt: expired, Shared: shared}, false, actionRevoke},
		"revoking":                   {ledger.Entry{State: revoking, ExpiresAt: later, NextAttemptAt: now}, false, actionRevoke},
		"revoking, in its backoff":   {ledger.Entry{State: revoking, ExpiresAt: later, NextAttemptAt: now.Add(MaxRetryPause)}, false, actionNone},
		"revoking, backoff ignored":  {ledger.Entry{State: revoking, ExpiresAt: later, NextAttemptAt: now.Add(MaxRetryPause)}, true, actionRevoke},
		"revoking, expired":          {ledger.Entry{State: revoking, ExpiresAt: expired}, true, actionRevoke},
		"revoking, unenforced":       {ledger.Entry{State: revoking, ExpiresAt: expired, ExpiryNotEnforced: true}, false, actionRevoke},
		"expiring":                   {ledger.Entry{State: expiring, ExpiresAt: later}, true, actionNone},
		"expiring, expired":          {ledger.Entry{State: expiring, ExpiresAt: expired, ExpiryNotEnforced: true}, false, actionRevoke},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.want, nextAction(&test.entry, now, test.ignoreBackoff))
		})
	}
}
