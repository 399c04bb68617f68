package fortianalyzer

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestHandle_Malformed_IsError(t *testing.T) {
	conn := newCloud(t).open()
	for _, content := range []string{"", "{}", `{"v":1}`, `{"v":2,"session":"x"}`, `[]`} {
		_, err := conn.Renew(t.Context(), json.RawMessage(content), time.Minute)
		requireClass(t, provider.ClassUnknown, err)
		requireClass(t, provider.ClassUnknown, conn.Revoke(t.Context(), json.RawMessage(content)))
	}
}
