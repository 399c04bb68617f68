package lacework_test

import (
	"testing"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

func TestMain(m *testing.M) { providertest.Main(m) }
